//! Memory pressure inside the guest: a memory cgroup for each workload, and something to swap to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context as _, Result};

use crate::progress::output_of;

const CGROUPS: &str = "/sys/fs/cgroup";
/// Little enough that the workloads' files do not fit.
const LIMIT_MIB: u64 = 28;
/// How much is asked back at once: more than there can be, so that reclaim does not end before it
/// has come to the dentries and inodes.
const RECLAIM: &str = "32M";
const SWAP: &str = "192M";

/// The cgroup that this process and its children are in.
#[derive(Debug)]
pub struct Cgroup {
    directory: PathBuf,
}

/// Gives the guest something to swap to, for what lies in memory alone.
pub fn swap_on() -> Result<()> {
    output_of(Command::new("modprobe").args(["zram", "num_devices=1"]))?;
    write(Path::new("/sys/block/zram0/disksize"), SWAP)?;
    output_of(Command::new("mkswap").arg("/dev/zram0"))?;
    output_of(Command::new("swapon").arg("/dev/zram0")).map(drop)
}

impl Cgroup {
    /// Makes one with little memory and moves this process into it.
    pub fn enter(name: &str) -> Result<Self> {
        let root = Path::new(CGROUPS);
        write(&root.join("cgroup.subtree_control"), "+memory")?;
        let directory = root.join(format!("lastref-field-{name}"));
        fs::create_dir_all(&directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
        write(
            &directory.join("memory.max"),
            &format!("{}", LIMIT_MIB << 20),
        )?;
        write(&directory.join("cgroup.procs"), &process::id().to_string())?;
        Ok(Self { directory })
    }

    /// Takes memory back, as much as there is.
    pub fn reclaim(&self) {
        // EAGAIN: there was not that much, and all that could be was taken.
        let _ = fs::write(self.directory.join("memory.reclaim"), RECLAIM);
    }

    /// How often the limit was met, how many pages were reclaimed, how many tasks were killed.
    pub fn events(&self) -> Result<BTreeMap<String, u64>> {
        let mut events = BTreeMap::new();
        for (file, wanted) in [
            ("memory.events", ["max", "oom_kill"]),
            ("memory.stat", ["pgscan", "pgsteal"]),
        ] {
            let path = self.directory.join(file);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            events.extend(
                fields(&text)
                    .filter(|(name, _)| wanted.contains(name))
                    .map(|(name, value)| (name.to_string(), value)),
            );
        }
        Ok(events)
    }
}

/// Lines of a name and a number.
fn fields(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name, value.parse().ok()?))
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be set to {text}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn numbers_are_read_by_name() {
        let all: Vec<_> = fields("low 0\nmax 17\nodd\n").collect();
        assert_eq!(all, [("low", 0), ("max", 17)]);
    }
}
