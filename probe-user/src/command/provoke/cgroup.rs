//! A memory cgroup for the command, to reclaim in.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::command::output;

const CONTROLLER: &str = "memory";
/// The file that says which controllers a cgroup hands out.
const SUBTREE_CONTROL: &str = "cgroup.subtree_control";
/// How often, and after what, a removal is tried again: an ended task leaves its cgroup late.
const REMOVALS: u32 = 20;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(50);

/// A memory cgroup (version 2). Dropping it removes it, unless a pass may be inside.
pub struct MemoryCgroup {
    directory: PathBuf,
    root: PathBuf,
    /// Whether a pass may be inside one of its files.
    in_use: bool,
    /// Whether the root did not hand out memory before.
    switched_on: bool,
    /// Keeps an inode. Who moves a task takes that of the common ancestor's `cgroup.procs`, and
    /// puts it with the cgroups locked (`cgroup_may_write()`, kernel/cgroup/cgroup.c): a last put
    /// there would be a finding that only this program causes.
    _ancestor: File,
}

impl MemoryCgroup {
    /// Makes one, below the root of the hierarchy: any other cgroup that has processes (this one
    /// among them) hands out no memory (`cgroup_vet_subtree_control_enable()`,
    /// kernel/cgroup/cgroup.c).
    ///
    /// # Errors
    /// If there is no cgroup v2, or it has no memory controller.
    pub fn create() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")
            .context("cannot read /proc/self/mountinfo; mount /proc")?;
        let root = mount_point(&mounts).context(
            "--provoke=memory needs cgroup v2, which is not mounted; \
             mount -t cgroup2 none /sys/fs/cgroup, or use --provoke=drop-caches",
        )?;
        if !has_controller(&read(&root.join("cgroup.controllers"))?) {
            bail!(
                "--provoke=memory needs the memory controller, which {} does not have; boot with \
                 cgroup_no_v1=memory, on a kernel with CONFIG_MEMCG and without \
                 cgroup_disable=memory, or use --provoke=drop-caches",
                root.display()
            );
        }
        let procs = root.join("cgroup.procs");
        let ancestor =
            File::open(&procs).with_context(|| format!("cannot open {}", procs.display()))?;
        let subtree = root.join(SUBTREE_CONTROL);
        let switched_on = !has_controller(&read(&subtree)?);
        if switched_on {
            fs::write(&subtree, format!("+{CONTROLLER}")).with_context(|| {
                format!(
                    "cannot hand out memory in {}; run lastref as root, outside of containers",
                    root.display()
                )
            })?;
            output::tell(format_args!(
                "switched the memory controller on in {}",
                subtree.display()
            ));
        }
        let directory = root.join(format!("lastref-{}", process::id()));
        // Only what was made here is removed in the end.
        fs::create_dir(&directory).with_context(|| {
            format!(
                "cannot create the cgroup {}; run lastref as root, outside of containers, and \
                 rmdir what an earlier run may have left there",
                directory.display()
            )
        })?;
        Ok(Self {
            directory,
            root,
            in_use: false,
            switched_on,
            _ancestor: ancestor,
        })
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that a process enters it by, when it writes `0` there.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn door(&self) -> Result<File> {
        let path = self.directory.join("cgroup.procs");
        OpenOptions::new()
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))
    }

    /// Whether a pass may be inside one of its files. Such a cgroup is not removed: that would wait
    /// for the pass, perhaps for ever, with all cgroups locked (`kernfs_drain()`, fs/kernfs/dir.c,
    /// below `cgroup_rmdir()`).
    pub fn set_in_use(&mut self, in_use: bool) {
        self.in_use = in_use;
    }

    fn remove(&self) -> io::Result<()> {
        self.send_processes_home();
        let mut tries = 1..=REMOVALS;
        loop {
            match fs::remove_dir(&self.directory) {
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) if error.kind() == ErrorKind::ResourceBusy && tries.next().is_some() => {
                    sleep(BETWEEN_REMOVALS);
                }
                removed => {
                    removed?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Has the root hand out no memory again, if it did not before and no other cgroup is there that
    /// may have come to use it: it would lose its limits, and the kernel does not refuse unless it
    /// hands out memory itself (`cgroup_subtree_control_write()`, kernel/cgroup/cgroup.c).
    fn switch_off(&self) {
        if !self.switched_on {
            return;
        }
        let subtree = self.root.join(SUBTREE_CONTROL);
        let has_gone = is_without_children(&self.root)
            && fs::write(&subtree, format!("-{CONTROLLER}")).is_ok();
        if !has_gone {
            output::tell(format_args!(
                "the memory controller stays on in {}: other cgroups may use it",
                subtree.display()
            ));
        }
    }

    /// Moves what the command has left running into the cgroup that it would have been in. What
    /// ends meanwhile cannot be moved, and need not be.
    fn send_processes_home(&self) {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let home = self.root.join(own_path(&own)).join("cgroup.procs");
        let left = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        for id in left.lines() {
            let _ = fs::write(&home, id);
        }
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let directory = self.directory.display();
        if self.in_use {
            output::tell(format_args!(
                "the cgroup {directory} is left behind: a pass still hangs in it"
            ));
        } else if let Err(error) = self.remove() {
            output::tell(format_args!(
                "cannot remove the cgroup {directory}: {error}; rmdir it when it is empty"
            ));
        } else {
            self.switch_off();
        }
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whether the cgroup at `directory` has none below it: each is a directory. Not known is no.
fn is_without_children(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| {
        entries.all(|entry| {
            entry
                .and_then(|entry| entry.file_type())
                .is_ok_and(|kind| !kind.is_dir())
        })
    })
}

fn has_controller(list: &str) -> bool {
    list.split_whitespace().any(|name| name == CONTROLLER)
}

/// Where the whole hierarchy of cgroup v2 is mounted (proc(5): root and mount point are the fourth
/// and fifth field, the type follows a field of one dash).
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (root == "/" && filesystem.starts_with("cgroup2 ")).then(|| unescape(point).into())
    })
}

/// Undoes what `mangle_path()` (`fs/seq_file.c`) does for `show_mountinfo()`.
fn unescape(path: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (escaped, plain)| {
        path.replace(escaped, plain)
    })
}

/// The cgroup of version 2 in a `/proc/PID/cgroup`, relative to the root.
fn own_path(cgroups: &str) -> &str {
    cgroups
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found() {
        let mounts = "\
22 1 0:21 / /proc rw,relatime shared:5 - proc proc rw
30 23 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
31 23 0:27 /user.slice /mnt rw shared:9 - cgroup2 cgroup2 rw
32 23 0:27 / /sys/fs/cgroup\\040two rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
";
        assert_eq!(
            mount_point(mounts),
            Some(PathBuf::from("/sys/fs/cgroup two"))
        );
        let (without, _) = mounts.split_once("32 ").unwrap();
        assert_eq!(mount_point(without), None);
        assert_eq!(mount_point("odd\n"), None);
    }

    #[test]
    fn memory_is_taken_back_only_where_nobody_may_use_it() {
        let root = tempfile::tempdir().unwrap();
        let handed_out = |switched_on: bool| {
            let subtree = root.path().join(SUBTREE_CONTROL);
            fs::write(&subtree, "memory").unwrap();
            let directory = root.path().join("lastref-1");
            fs::create_dir(&directory).unwrap();
            drop(MemoryCgroup {
                directory,
                root: root.path().to_owned(),
                in_use: false,
                switched_on,
                _ancestor: File::open(root.path()).unwrap(),
            });
            fs::read_to_string(&subtree).unwrap()
        };
        assert_eq!(handed_out(true), "-memory");
        assert_eq!(handed_out(false), "memory");
        fs::create_dir(root.path().join("other")).unwrap();
        assert_eq!(handed_out(true), "memory");
    }

    #[test]
    fn controllers_are_whole_words() {
        assert!(has_controller("cpuset cpu io memory pids\n"));
        assert!(!has_controller("cpuset memory2\n"));
        assert!(!has_controller("\n"));
    }

    #[test]
    fn ones_own_cgroup_is_that_of_version_2() {
        assert_eq!(own_path("4:memory:/a\n0::/b/c\n"), "b/c");
        assert_eq!(own_path("0::/\n"), "");
        assert_eq!(own_path(""), "");
    }
}
