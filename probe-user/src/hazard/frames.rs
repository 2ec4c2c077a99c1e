//! The kernel functions that rules recognise in a chain, under every name they have had.
//!
//! A function that the compiler inlined or that tail-calls `iput()` leaves no frame, so each
//! group also names the functions around it that stand for the same thing.

use crate::kernel::symbols::plain_name;

/// Where the functions of a group are to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In every kernel: at least one name must be in its symbol table.
    Kernel,
    /// In this module, or built in; where the kernel has neither, nothing is to be recognised.
    Module(&'static str),
}

/// Versions that have none of a group's names, though they have the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Those before this one, `(major, minor)`.
    pub before: (u32, u32),
    /// Why.
    pub why: &'static str,
}

/// Functions that mean the same thing to a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct FrameGroup {
    /// What the group stands for, as in "the dentry cache's shrinker".
    pub what: &'static str,
    /// Where it lives.
    pub home: Home,
    /// Its names in any version, without compiler suffixes.
    pub names: &'static [&'static str],
    /// Where there are none of them, with reason.
    pub absent: Option<Absent>,
}

/// The dentry cache's shrinker: reclaim, or `drop_caches`, drops unused dentries.
/// `super_cache_scan()` calls it; before there were shrinkers per superblock it was
/// `shrink_dcache_memory()`.
pub const DCACHE_SHRINKER: FrameGroup = FrameGroup {
    what: "the dentry cache's shrinker",
    home: Home::Kernel,
    names: &["prune_dcache_sb", "shrink_dcache_memory"],
    absent: None,
};

/// The dentry cache gives up a dentry's inode: `dentry_unlink_inode()` (`dentry_iput()` in old
/// kernels), which ends in a call of `iput()` and may leave no frame, so its own callers stand
/// for it, too: `__dentry_kill()` to 6.12 (`dentry_kill()` on 7.3), `d_delete()`, and what those
/// are inlined into (`shrink_kill()` on 6.12 and 7.3, `finish_dput()` on 7.3).
pub const DCACHE_PUT: FrameGroup = FrameGroup {
    what: "the dentry cache",
    home: Home::Kernel,
    names: &[
        "dentry_unlink_inode",
        "dentry_iput",
        "__dentry_kill",
        "dentry_kill",
        "shrink_kill",
        "shrink_dentry_list",
        "finish_dput",
        "d_delete",
    ],
    absent: None,
};

/// A superblock is being mounted, remounted or shut down, `s_umount` held for write by the
/// VFS. `vfs_get_tree()` took the place of `mount_fs()`, `reconfigure_super()` that of
/// `do_remount_sb()`, with the mount contexts of 5.1.
pub const MOUNT: FrameGroup = FrameGroup {
    what: "mount or unmount",
    home: Home::Kernel,
    names: &[
        "vfs_get_tree",
        "mount_fs",
        "reconfigure_super",
        "do_remount_sb",
        "generic_shutdown_super",
        "deactivate_locked_super",
    ],
    absent: None,
};

/// The worker that ends files whose last reference a kernel thread or an interrupt dropped.
pub const DELAYED_FPUT: FrameGroup = FrameGroup {
    what: "the delayed fput worker",
    home: Home::Kernel,
    names: &["delayed_fput", "flush_delayed_fput"],
    absent: None,
};

/// The block layer's completion of a bio, when it runs in a task. `bio_endio()` ends in a jump to
/// `->bi_end_io` and leaves no frame; `blk_update_request()` calls it for all devices that have
/// request queues. Of a driver that completes bios itself nothing tells.
pub const BIO_COMPLETION: FrameGroup = FrameGroup {
    what: "block I/O completion",
    home: Home::Kernel,
    names: &["bio_endio", "blk_update_request"],
    absent: None,
};

/// Ceph's messenger: every reply of the servers comes through it.
/// `con_work()` in old kernels.
pub const CEPH_MESSENGER: FrameGroup = FrameGroup {
    what: "Ceph's messenger",
    home: Home::Module("libceph"),
    names: &["ceph_con_workfn", "con_work"],
    absent: None,
};

/// virtiofs' queues: the only place that ends requests of the mount. Requests marked
/// `may_block` end in `virtio_fs_complete_req_work()`, which may wait and is not listed.
pub const VIRTIOFS_COMPLETION: FrameGroup = FrameGroup {
    what: "virtiofs' request completion",
    home: Home::Module("virtiofs"),
    names: &["virtio_fs_requests_done_work"],
    absent: None,
};

/// FUSE ends a request, mostly in the file server's own write to `/dev/fuse`.
/// `request_end()` in old kernels.
pub const FUSE_COMPLETION: FrameGroup = FrameGroup {
    what: "FUSE's request completion",
    home: Home::Module("fuse"),
    names: &["fuse_request_end", "request_end"],
    absent: None,
};

/// SUNRPC's workers: they run and end NFS requests.
pub const RPC_COMPLETION: FrameGroup = FrameGroup {
    what: "SUNRPC's request completion",
    home: Home::Module("sunrpc"),
    names: &["rpc_async_release", "rpc_async_schedule"],
    absent: None,
};

/// netfs' collectors: they end reads and writes of AFS, Ceph, 9p and SMB.
pub const NETFS_COMPLETION: FrameGroup = FrameGroup {
    what: "netfs' request completion",
    home: Home::Module("netfs"),
    names: &[
        "netfs_write_collection_worker",
        "netfs_read_collection_worker",
    ],
    absent: Some(Absent {
        before: (6, 10),
        why: "netfs has collectors since its writeback of 6.10 (fs/netfs/write_collect.c)",
    }),
};

/// SMB's receiving thread: every answer of the server comes through it.
pub const SMB_COMPLETION: FrameGroup = FrameGroup {
    what: "SMB's receiving thread",
    home: Home::Module("cifs"),
    names: &["cifs_demultiplex_thread"],
    absent: None,
};

/// 9p's receiving worker for transports over a file descriptor (in `9pnet` on 5.10).
pub const P9_COMPLETION: FrameGroup = FrameGroup {
    what: "9p's receiving worker",
    home: Home::Module("9pnet_fd"),
    names: &["p9_read_work"],
    absent: None,
};

/// Every group, for checks against a kernel's symbol table.
pub const GROUPS: &[&FrameGroup] = &[
    &DCACHE_SHRINKER,
    &DCACHE_PUT,
    &MOUNT,
    &DELAYED_FPUT,
    &BIO_COMPLETION,
    &CEPH_MESSENGER,
    &VIRTIOFS_COMPLETION,
    &FUSE_COMPLETION,
    &RPC_COMPLETION,
    &NETFS_COMPLETION,
    &SMB_COMPLETION,
    &P9_COMPLETION,
];

/// Every name that a frame-based rule uses, with its group.
pub fn frame_names() -> impl Iterator<Item = (&'static FrameGroup, &'static str)> {
    GROUPS
        .iter()
        .flat_map(|group| group.names.iter().map(|name| (*group, *name)))
}

impl FrameGroup {
    /// The group's name for `function`, if it is one of the group.
    #[must_use]
    pub fn find(&self, function: &str) -> Option<&'static str> {
        let plain = plain_name(function);
        self.names.iter().find(|name| **name == plain).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_stripped() {
        for (raw, plain) in [
            ("iput", "iput"),
            ("iput.part.0", "iput"),
            ("iput.cold", "iput"),
            ("shrink_slab.part.59", "shrink_slab"),
            ("inode_reclaim.isra.0.constprop.12.cold", "inode_reclaim"),
            ("___might_sleep.part.96.cold.106", "___might_sleep"),
            ("el0_svc_common.llvm.17258447499513131576", "el0_svc_common"),
            ("odd.7", "odd.7"),
            (".cold", ".cold"),
            ("", ""),
            ("a.b.c", "a.b.c"),
            ("_ZN4core3fmt.0", "_ZN4core3fmt.0"),
        ] {
            assert_eq!(plain_name(raw), plain, "{raw}");
        }
    }

    #[test]
    fn names_are_plain_and_in_one_group_only() {
        let mut seen = std::collections::BTreeMap::new();
        for (group, name) in frame_names() {
            assert_eq!(plain_name(name), name);
            if let Some(other) = seen.insert(name, group.what) {
                panic!("{name} is in `{other}` and in `{}`", group.what);
            }
        }
    }
}
