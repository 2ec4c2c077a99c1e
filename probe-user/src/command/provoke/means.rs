//! The means of provoking: what a pass writes where, and what that reaches.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use lastref::report::model::ProvocationMethod;

use super::cgroup::MemoryCgroup;

const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";
/// Dentries and inodes (Documentation/admin-guide/sysctl/vm.rst).
const DENTRIES_AND_INODES: &str = "2";

/// A way to reclaim, as a table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Means {
    /// The whole machine's dentries and inodes.
    DropCaches,
    /// By asking for all the cgroup's memory back (`memory_reclaim()`, mm/memcontrol.c, since
    /// 5.19).
    MemoryReclaim,
    /// By lowering the cgroup's limit to nothing for the time of a pass: the one who writes it
    /// reclaims (`memory_high_write()`, mm/memcontrol.c).
    MemoryHigh,
}

/// What `--provoke` does to a machine.
pub const fn effect(method: ProvocationMethod) -> &'static str {
    match method {
        ProvocationMethod::DropCaches => {
            "throw away the unused dentries and inodes of the whole machine, not only of the \
             command's files, which slows everything down"
        }
        ProvocationMethod::Memory => {
            "take back all memory that can be taken from the command, in a cgroup that is created \
             for it (the memory controller is switched on at the root of the cgroups, if it is off)"
        }
    }
}

impl Means {
    /// What this kernel has for `method`, and the cgroup for it, if it needs one.
    ///
    /// # Errors
    /// If this kernel or host does not allow it.
    pub fn prepare(method: ProvocationMethod) -> Result<(Self, Option<MemoryCgroup>)> {
        match method {
            ProvocationMethod::DropCaches => {
                OpenOptions::new()
                    .write(true)
                    .open(DROP_CACHES)
                    .with_context(|| {
                        format!(
                            "cannot open {DROP_CACHES} for writing; run lastref as root, outside \
                             of containers"
                        )
                    })?;
                Ok((Self::DropCaches, None))
            }
            ProvocationMethod::Memory => {
                let cgroup = MemoryCgroup::create()?;
                let means = [Self::MemoryReclaim, Self::MemoryHigh]
                    .into_iter()
                    .find(|means| means.path(cgroup.directory()).exists());
                match means {
                    Some(means) => Ok((means, Some(cgroup))),
                    None => bail!(
                        "the cgroup {} has neither memory.reclaim nor memory.high; use \
                         --provoke=drop-caches",
                        cgroup.directory().display()
                    ),
                }
            }
        }
    }

    /// The method that it belongs to.
    pub const fn method(self) -> ProvocationMethod {
        match self {
            Self::DropCaches => ProvocationMethod::DropCaches,
            Self::MemoryReclaim | Self::MemoryHigh => ProvocationMethod::Memory,
        }
    }

    /// The kernel's file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::DropCaches => "drop_caches",
            Self::MemoryReclaim => "memory.reclaim",
            Self::MemoryHigh => "memory.high",
        }
    }

    /// What it reaches, and what not.
    pub const fn reach(self) -> &'static str {
        match self {
            Self::DropCaches => {
                "unused dentries and inodes of the whole machine, not its page cache"
            }
            Self::MemoryReclaim | Self::MemoryHigh => {
                "what the command's own cgroup is charged for: dentries that it made itself, its \
                 page cache and other memory"
            }
        }
    }

    /// The shortest pause between passes, whatever the duty.
    pub const fn shortest_pause(self) -> Duration {
        match self {
            // An empty cache is passed through in no time, and each pass is a line in the kernel's
            // log (drop_caches_sysctl_handler()), which has to keep what it says of the bug.
            Self::DropCaches => Duration::from_millis(100),
            Self::MemoryReclaim => Duration::from_millis(20),
            // A task that is charged during the pass is put to sleep for up to 2 s
            // (MEMCG_MAX_HIGH_DELAY_JIFFIES, mm/memcontrol.c): with less than twice that, the
            // command comes to nothing.
            Self::MemoryHigh => Duration::from_secs(4),
        }
    }

    /// Makes one pass; `cgroup` is the cgroup's directory, if there is one. Returns when the kernel
    /// has reclaimed what it could.
    ///
    /// # Errors
    /// If the kernel does not do it.
    pub fn pass(self, cgroup: &Path) -> Result<()> {
        let path = self.path(cgroup);
        match self {
            Self::DropCaches => fs::write(&path, DENTRIES_AND_INODES),
            Self::MemoryReclaim => fs::read(cgroup.join("memory.current"))
                .and_then(|all| fs::write(&path, all))
                .or_else(less_than_all),
            Self::MemoryHigh => {
                let lowered = fs::write(&path, "0");
                self.release(cgroup).and(lowered)
            }
        }
        .with_context(|| format!("cannot reclaim by {}", path.display()))
    }

    /// Undoes what a pass that was ended from outside may have left in force.
    ///
    /// # Errors
    /// If the kernel does not do it.
    pub fn release(self, cgroup: &Path) -> io::Result<()> {
        match self {
            Self::DropCaches | Self::MemoryReclaim => Ok(()),
            Self::MemoryHigh => fs::write(self.path(cgroup), "max"),
        }
    }

    fn path(self, cgroup: &Path) -> PathBuf {
        match self {
            Self::DropCaches => DROP_CACHES.into(),
            Self::MemoryReclaim | Self::MemoryHigh => cgroup.join(self.file()),
        }
    }
}

/// Not all memory can be taken back, and that is no failure: EAGAIN says that all was taken that
/// could be.
fn less_than_all(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_asked_for_all_that_it_has() {
        let directory = tempfile::tempdir().unwrap();
        let cgroup = directory.path();
        fs::write(cgroup.join("memory.current"), "4096\n").unwrap();
        Means::MemoryReclaim.pass(cgroup).unwrap();
        let asked = fs::read_to_string(cgroup.join("memory.reclaim")).unwrap();
        assert_eq!(asked, "4096\n");
    }

    #[test]
    fn a_limit_is_lifted_again() {
        let directory = tempfile::tempdir().unwrap();
        Means::MemoryHigh.pass(directory.path()).unwrap();
        let limit = fs::read_to_string(directory.path().join("memory.high")).unwrap();
        assert_eq!(limit, "max");
    }

    #[test]
    fn a_failure_names_the_file() {
        let error = Means::MemoryHigh.pass(Path::new("/nowhere")).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/memory.high"),
            "{error}"
        );
    }

    #[test]
    fn that_there_was_less_is_no_failure() {
        let again = io::Error::from_raw_os_error(rustix::io::Errno::AGAIN.raw_os_error());
        assert!(less_than_all(again).is_ok());
        let interrupted = io::Error::from_raw_os_error(rustix::io::Errno::INTR.raw_os_error());
        assert!(less_than_all(interrupted).is_err());
    }
}
