//! The table of filesystems: how each is made and mounted, and what it is given to do.

use anyhow::{Result, ensure};

use super::ceph;
use super::session::Provoke;

/// One filesystem to watch.
#[derive(Debug)]
pub struct Filesystem {
    /// Its name here, on the command line and in files.
    pub name: &'static str,
    /// What it is mounted as.
    pub kind: &'static str,
    /// What reports call it: the name that the kernel gives its superblocks.
    pub reported: &'static str,
    /// Modules that it takes, besides those that the kernel loads itself.
    pub modules: &'static [&'static str],
    /// What it lies on.
    pub backing: Backing,
    /// Mount options.
    pub options: &'static str,
    /// Options to remount it with while it is in use.
    pub remounts: &'static [&'static str],
    /// Whether it keeps the dentries of closed files, so that reclaim can drop them.
    pub reclaims_dentries: bool,
    /// Files of the largest piece of counted work.
    pub files: u64,
    /// Stressors that cannot run on it.
    pub without: &'static [&'static str],
    /// How much is written through the memory cgroup, to make it reclaim.
    pub stream_mib: u64,
    /// Sessions besides the one that only watches.
    pub provoked: &'static [Provoke],
}

/// What a filesystem lies on.
#[derive(Debug)]
pub enum Backing {
    /// A loop device over a sparse file of so many MiB in memory, formatted by a program.
    Loop {
        /// The file's size.
        mib: u64,
        /// The program and its arguments before the file.
        format: &'static [&'static str],
    },
    /// Memory.
    Memory,
    /// Directories of an ext4.
    Layers,
    /// A directory of the host, in place of the mount that the guest booted with.
    Host,
    /// An ext4 exported by the kernel's NFS server in the same guest.
    Server,
}

/// Discarding when it is made would only take time: the file is sparse.
const EXT4: Backing = Backing::Loop {
    mib: 256,
    format: &["mkfs.ext4", "-q", "-F", "-E", "nodiscard"],
};

const LOCAL_FILES: u64 = 240;
/// Every operation is a request to somebody else and back.
const REMOTE_FILES: u64 = 80;

impl Filesystem {
    /// How many of so many operations on a local filesystem it is given to do.
    pub fn share_of(&self, operations: u64) -> u64 {
        (operations * self.files).div_ceil(LOCAL_FILES)
    }
}

/// Every filesystem, in the order in which they run.
pub const FILESYSTEMS: [Filesystem; 7] = [
    Filesystem {
        name: "ext4",
        kind: "ext4",
        reported: "ext4",
        modules: &[],
        backing: EXT4,
        options: "rw",
        remounts: &["noatime", "commit=1", "lazytime"],
        reclaims_dentries: true,
        files: LOCAL_FILES,
        without: &[],
        stream_mib: 48,
        provoked: &[],
    },
    Filesystem {
        name: "xfs",
        kind: "xfs",
        reported: "xfs",
        modules: &[],
        // mkfs.xfs makes nothing below 300 MiB.
        backing: Backing::Loop {
            mib: 320,
            format: &["mkfs.xfs", "-q", "-f", "-K"],
        },
        options: "rw",
        remounts: &["noatime", "relatime", "lazytime"],
        reclaims_dentries: true,
        files: LOCAL_FILES,
        without: &[],
        stream_mib: 48,
        provoked: &[],
    },
    Filesystem {
        name: "btrfs",
        kind: "btrfs",
        reported: "btrfs",
        modules: &[],
        backing: Backing::Loop {
            mib: 320,
            format: &["mkfs.btrfs", "-q", "-f", "-K"],
        },
        options: "rw",
        remounts: &["noatime", "commit=1", "compress=zstd:1"],
        reclaims_dentries: true,
        files: LOCAL_FILES,
        without: &[],
        stream_mib: 48,
        provoked: &[],
    },
    Filesystem {
        name: "tmpfs",
        kind: "tmpfs",
        reported: "tmpfs",
        modules: &[],
        backing: Backing::Memory,
        options: "size=192m",
        remounts: &["size=200m", "noatime", "relatime"],
        // Its dentries are all that knows of its files: they are pinned (fs/libfs.c,
        // simple_link()).
        reclaims_dentries: false,
        files: LOCAL_FILES,
        without: &[],
        stream_mib: 48,
        provoked: &[],
    },
    Filesystem {
        name: "overlayfs",
        kind: "overlay",
        reported: "overlay",
        modules: &["overlay"],
        backing: Backing::Layers,
        options: "rw",
        remounts: &["noatime", "relatime"],
        reclaims_dentries: true,
        files: LOCAL_FILES,
        without: &[],
        stream_mib: 48,
        provoked: &[],
    },
    Filesystem {
        name: "9p",
        kind: "9p",
        reported: "9p",
        modules: &[],
        backing: Backing::Host,
        // With `loose` it has a page cache and keeps dentries, as a local filesystem does.
        options: "trans=virtio,version=9p2000.L,msize=512000,cache=loose",
        remounts: &["noatime", "relatime"],
        reclaims_dentries: true,
        files: REMOTE_FILES,
        // QEMU's server truncates by name, and these truncate a file that has none left.
        without: &["msync", "sync-file"],
        stream_mib: 32,
        provoked: &[],
    },
    Filesystem {
        name: "nfs",
        kind: "nfs",
        reported: "nfs4",
        modules: &["nfsd", "nfsv4"],
        backing: Backing::Server,
        options: "vers=4.2,sec=sys,addr=127.0.0.1,clientaddr=127.0.0.1",
        remounts: &["noatime", "relatime"],
        reclaims_dentries: true,
        files: REMOTE_FILES,
        without: &[],
        stream_mib: 32,
        provoked: &[Provoke::DropCaches, Provoke::Memory],
    },
];

/// What lies below other filesystems.
pub const LOWER: &str = "ext4";

/// Debian packages with the programs that make and load filesystems, and what each is for.
pub const PACKAGES: [(&str, &str); 4] = [
    ("btrfs-progs", "making a btrfs"),
    ("e2fsprogs", "making an ext4"),
    ("stress-ng", "load on filesystems"),
    ("xfsprogs", "making an xfs"),
];

/// The filesystems of these names, in the order of the table; all if none is named.
pub fn named(names: &[impl AsRef<str>]) -> Result<Vec<&'static Filesystem>> {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    for name in &names {
        ensure!(
            FILESYSTEMS
                .iter()
                .any(|filesystem| filesystem.name == *name),
            "there is no filesystem {name}: there are {}, and {} for itself",
            FILESYSTEMS.map(|filesystem| filesystem.name).join(", "),
            ceph::NAME
        );
    }
    Ok(FILESYSTEMS
        .iter()
        .filter(|filesystem| names.is_empty() || names.contains(&filesystem.name))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_the_tables_order() {
        let names = |list: &[&str]| -> Vec<String> { list.iter().map(|n| (*n).into()).collect() };
        let found: Vec<&str> = named(&names(&["nfs", "ext4"]))
            .unwrap()
            .iter()
            .map(|filesystem| filesystem.name)
            .collect();
        assert_eq!(found, ["ext4", "nfs"]);
        assert_eq!(named(&names(&[])).unwrap().len(), FILESYSTEMS.len());
        let error = named(&names(&["ext5"])).unwrap_err().to_string();
        assert!(error.contains("ext4, xfs, btrfs"), "{error}");
    }

    #[test]
    fn what_lies_below_can_be_made() {
        let lower = &named(&[LOWER]).unwrap()[0];
        assert!(matches!(lower.backing, Backing::Loop { .. }));
    }
}
