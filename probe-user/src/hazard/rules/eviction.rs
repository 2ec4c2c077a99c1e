//! Rules about the eviction itself: nested, stuck, slow, twice, and on a superblock that comes or
//! goes.

use probe_common::Fact;

use super::{
    Accounts, All, Any, Chain, Filesystem, IN_RECLAIM, LongestAtLeast, Rule, SLOW_EVICTION_MS,
    Severity, Stuck, any_mode, case, filesystems, frames, is, words,
};

pub const FREEING: Rule = Rule {
    id: "freeing-inode",
    title: "Put of an inode that is already being freed",
    means: "I_FREEING or I_WILL_FREE was set before the put: the count is wrong, and the inode \
            will be freed twice.",
    cases: &[case(Severity::Unsafe, is(Fact::InodeFreeing))],
    accounts_for: Accounts::NONE,
    why: "Nobody may hold a reference once I_FREEING or I_WILL_FREE is set: igrab() refuses \
          (fs/inode.c). A put then means one reference too few taken or one put too many, and \
          the inode is freed twice. iput() asserts this on kernels with DEBUG_VFS \
          (VFS_BUG_ON_INODE, fs/inode.c).",
    says: &[words(
        "somebody is calling igrab while the inode is getting freed",
        "fs/inode.c, igrab()",
    )],
    seen_in: "The switch of an inode's writeback domain took a reference with ihold() where the \
              count was already zero; commit 745249555560, \"writeback: inode cgroup wb switch \
              should not call ihold()\" (2016).",
    way_out: "Find the unbalanced reference: take it with igrab() and check for NULL, never \
              with ihold() or a bare increment of i_count on an inode found without one.",
    expected_when: "Never.",
};

pub const NESTED: Rule = Rule {
    id: "nested-eviction",
    title: "Final put from inside the eviction of another inode",
    means: "overlayfs, f2fs and ext4 have inodes that hold others. The inner put is judged, in the \
            context that the outer one made.",
    cases: &[
        case(
            Severity::Risky,
            All(&[
                is(Fact::NestedEviction),
                Any(&[IN_RECLAIM, is(Fact::StackBelow4K)]),
            ]),
        ),
        case(Severity::Expected, is(Fact::NestedEviction)),
    ],
    accounts_for: Accounts::NONE,
    why: "An inode that holds another puts it when it goes: overlayfs puts the upper dentry \
          (fs/overlayfs/super.c, ovl_destroy_inode()), f2fs its copy-on-write inode, ext4 \
          inodes of large attributes. By design; but two evictions share one stack, the inner \
          runs with what the outer holds, and in reclaim it starts the transactions of a \
          second filesystem.",
    says: &[words(
        "Maximum number of layers of fs stack. Needs to be limited to prevent kernel stack \
         overflow",
        "include/linux/fs.h, FILESYSTEM_MAX_STACK_DEPTH",
    )],
    seen_in: "In reclaim, f2fs's copy-on-write inode (history:f2fs-cow-inode-nested-2025) and \
              overlayfs over btrfs (history:overlayfs-nested-iput-2024) start a second \
              filesystem's transactions.",
    way_out: "Put the held inode before the outer eviction takes locks or a transaction. In \
              reclaim, or with little stack left, hand it to a workqueue.",
    expected_when: "Anywhere but in reclaim, with stack to spare.",
};

pub const STUCK: Rule = Rule {
    id: "stuck",
    title: "A final put does not come back",
    means: "The call was still inside after --stuck-after. The report has the thread's stack and \
            what it waits for, if the stack tells. What tells slow storage from a hang is whether \
            anybody is left to end what is waited for.",
    cases: &[case(Severity::Risky, Stuck)],
    accounts_for: Accounts::NONE,
    why: "The put has been inside iput() for longer than the threshold. It sleeps \
          uninterruptibly, with everything that its callers hold, and everybody who looks this \
          inode up waits with it (fs/inode.c, __wait_on_freeing_inode()). Slow storage looks \
          the same at first.",
    says: &[words(
        "If we try to find an inode in the inode hash while it is being deleted, we have to wait \
         until the filesystem completes its deletion",
        "fs/inode.c, __wait_on_freeing_inode()",
    )],
    seen_in: "nilfs2's log writer waited for the flusher, who waited for it: nothing else in its \
              context gave it away; commit 7ef3ff2fea8b, \"nilfs2: fix deadlock of segment \
              constructor over I_SYNC flag\" (history:nilfs2-segctor-isync-2015). A bystander: \
              unlink on slow storage (history:victim-xfs-large-folio-2024).",
    way_out: "Read the thread's stack: what it waits for, and whether anybody is left to end \
              that. Look for that one's thread next (echo w > /proc/sysrq-trigger).",
    expected_when: "Never for long.",
};

pub const SLOW: Rule = Rule {
    id: "slow-eviction",
    title: "An eviction took a second or more",
    means: "It ended, anywhere: in a task, a worker, a kernel thread.",
    cases: &[case(Severity::Latent, LongestAtLeast(SLOW_EVICTION_MS))],
    accounts_for: Accounts::NONE,
    why: "It ended this time. With a larger file or slower storage the same call is a hung \
          task, and where truncation runs without sleeping it keeps every other work item of a \
          per-CPU queue from running (fs/inode.c, evict(); truncate_inode_pages_final()).",
    says: &[words(
        "runnable CPU intensive work items will not prevent other work items in the same \
         worker-pool from starting execution",
        "Documentation/core-api/workqueue.rst, WQ_CPU_INTENSIVE",
    )],
    seen_in: "An NFS release truncated a file of 5 TB and kept all others of its CPU from running, \
              until nfsiod became WQ_UNBOUND (history:nfs-nfsiod-truncate-2020).",
    way_out: "See what is waited for while it lasts (lastref watch with a short --stuck-after). \
              Long truncations belong on an unbound workqueue, as NFS moved nfsiod to WQ_UNBOUND.",
    expected_when: "For very large files, where nothing waits for the thread.",
};

pub const INACTIVE_SUPERBLOCK: Rule = Rule {
    id: "inactive-superblock",
    title: "Final put on a superblock that is not active",
    means: "SB_ACTIVE is not set, so that the last put always evicts, and writes the inode \
            synchronously first; and it is not mount or unmount that puts.",
    cases: &[case(Severity::Latent, is(Fact::SuperblockInactive))],
    accounts_for: Accounts::NONE,
    why: "Without SB_ACTIVE nothing is kept on the LRU: iput_final() writes the inode \
          synchronously and evicts it at once (fs/inode.c, iput_final(), write_inode_now()). \
          Mount and unmount do that by design; anybody else who still puts inodes then races \
          with the shutdown of what the eviction needs.",
    says: &[words(
        "Defer calling iput() to avoid deadlocks if i_nlink == 0 or mount is not yet finished.",
        "fs/nilfs2/segment.c, nilfs_segctor_drop_written_files()",
    )],
    seen_in: "ext4's orphan cleanup at mount wrote an inode back under a handle \
              (history:ext4-ea-inode-writepages-2026); nilfs2's deferred puts ran after the thread \
              that they need had ended (history:nilfs2-detach-writer-2024); btrfs woke a cleaner \
              that was already freed; commit f10bef73fb35 (history:btrfs-delayed-iput-uaf-2024).",
    way_out: "Flush the one who puts before generic_shutdown_super() clears SB_ACTIVE: cancel \
              its work in ->kill_sb() or ->put_super(), before its threads are stopped.",
    expected_when: "During mount and unmount: see mount-unmount.",
};

pub const MOUNT_UNMOUNT: Rule = Rule {
    id: "mount-unmount",
    title: "By design: mount or unmount",
    means: "A filesystem puts its own inodes while it is set up, recovered or shut down.",
    cases: &[case(
        Severity::Expected,
        All(&[
            Any(&[
                is(Fact::SuperblockInactive),
                is(Fact::OwnSuperblockLock),
                is(Fact::LockHeld),
            ]),
            Chain(&frames::MOUNT),
        ]),
    )],
    accounts_for: Accounts {
        facts: &[Fact::SuperblockInactive, Fact::OwnSuperblockLock],
        locks: &[any_mode("&type->s_umount_key"), any_mode("&fc->uapi_mutex")],
    },
    why: "A filesystem puts its own inodes while it is set up, recovered or shut down, with \
          s_umount held for write and before or after SB_ACTIVE (fs/super.c, vfs_get_tree(), \
          generic_shutdown_super()).",
    says: &[words(
        "Evict all inodes with zero refcount.",
        "fs/super.c, generic_shutdown_super()",
    )],
    seen_in: "Unmount waits for whatever eviction waits for: a locked page of NFS \
              (history:victim-nfs-umount-2023).",
    way_out: "Nothing to do.",
    expected_when: "Always.",
};

pub const NOTHING_BEHIND: Rule = Rule {
    id: "nothing-to-evict",
    title: "By design: an inode with nothing behind it",
    means: "A socket's or a pipe's inode is put in a scope or by a worker where an eviction would be \
            dangerous; this one has nothing to write, to truncate or to wait for.",
    cases: &[case(
        Severity::Expected,
        All(&[
            Any(&[
                is(Fact::Nofs),
                is(Fact::Noio),
                is(Fact::Memalloc),
                is(Fact::MemReclaimWorker),
            ]),
            Filesystem(&filesystems::NOTHING_BEHIND),
        ]),
    )],
    accounts_for: Accounts {
        facts: &[
            Fact::Nofs,
            Fact::Noio,
            Fact::Memalloc,
            Fact::MemReclaimWorker,
        ],
        locks: &[],
    },
    why: "Network filesystems and block devices shut sockets down from their own workers, in scopes \
          without I/O (net/sunrpc/xprtsock.c, xs_reset_transport()). The eviction of such an inode \
          frees memory through RCU (net/socket.c, sockfs_ops; fs/pipe.c, pipefs_ops): it enters no \
          filesystem, starts no I/O and allocates nothing.",
    says: &[words(
        "Free with RCU, since the xattr might still get accessed by the hash compare function",
        "fs/xattr.c, simple_xattrs_free()",
    )],
    seen_in: "None is on record.",
    way_out: "Nothing to do.",
    expected_when: "Always, as far as these scopes and queues go; where sleeping is forbidden, \
                    iput() is forbidden for these inodes, too.",
};
