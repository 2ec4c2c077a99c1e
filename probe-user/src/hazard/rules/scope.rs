//! Rules about scopes of the task: a transaction, allocations without filesystem or I/O, reserves.

use probe_common::Fact;

use super::{Accounts, All, Chain, IN_RECLAIM, Not, Rule, Severity, case, frames, is, words};

pub const JOURNAL_TRANSACTION: Rule = Rule {
    id: "journal-transaction",
    title: "Final put with a filesystem transaction open",
    means: "current->journal_info is set: a handle of jbd2, a transaction of btrfs, nilfs2 or xfs. \
            Ceph keeps a request there while it handles a server's reply, which is no transaction \
            (fs/ceph/mds_client.c, handle_reply()); its messenger is left to completion-worker.",
    // The MDS client of CephFS keeps the request there while it handles a reply, and that
    // is no transaction (fs/ceph/mds_client.c, handle_reply()).
    cases: &[case(
        Severity::Unsafe,
        All(&[is(Fact::Journal), Not(&Chain(&frames::CEPH_MESSENGER))]),
    )],
    accounts_for: Accounts::NONE,
    why: "Eviction starts transactions of its own and may wait for a commit, which waits for \
          this very transaction to end; another filesystem's eviction finds a \
          current->journal_info that is not its own. xfs states the rule for its scrubber, ext4 \
          for large extended attributes, whose inodes it puts from a worker (fs/ext4/xattr.c, \
          ext4_put_ea_inode()).",
    says: &[
        words(
            "If we are in a transaction, we /cannot/ drop the inode ourselves, because the VFS \
             will trigger writeback, which can require a transaction.",
            "fs/xfs/scrub/common.c, xchk_irele()",
        ),
        words(
            "Must be used instead of iput() in any context where xattr_sem or a jbd2 handle is \
             held.",
            "fs/ext4/xattr.c, ext4_put_ea_inode()",
        ),
    ],
    seen_in: "ext4 wrote back the inode of a large attribute under a handle \
              (history:ext4-ea-inode-writepages-2026), hung with another one \
              (history:ext4-evict-ea-inode-hung-2023), and put a whiteout in the middle of a \
              rename; commit 5dccdc5a1916, \"ext4: do not iput inode under running transaction in \
              ext4_rename()\" (history:ext4-rename-whiteout-2021). btrfs got its delayed puts for \
              this reason (history:btrfs-delayed-iput-origin-2009).",
    way_out: "Put after the transaction has ended, or delay the last iput() as \
              ext4_put_ea_inode() (fs/ext4/xattr.c) and btrfs_add_delayed_iput() (fs/btrfs/\
              inode.c) do.",
    expected_when: "Never.",
};

pub const NOFS: Rule = Rule {
    id: "nofs-scope",
    title: "Final put inside a memalloc_nofs_save() scope",
    means: "The task has said that the filesystem must not be entered again, and the put enters \
            it. Reclaim does not explain it: the shrinkers of the VFS refuse to run in such a \
            scope.",
    cases: &[case(Severity::Risky, is(Fact::Nofs))],
    accounts_for: Accounts::NONE,
    why: "The scope says that the filesystem must not be entered again: its locks or a \
          transaction are held (include/linux/sched/mm.h, memalloc_nofs_save()). A final put \
          enters it through ->evict_inode(), which takes them again. The shrinkers of the VFS \
          refuse to run there for the same reason (fs/super.c, super_cache_scan()).",
    says: &[words(
        "All further allocations will implicitly drop __GFP_FS flag and so they are safe for the \
         FS critical section from the allocation recursion point of view.",
        "include/linux/sched/mm.h, memalloc_nofs_save()",
    )],
    seen_in: "Transactions of ext4 and xfs are such scopes (fs/jbd2/transaction.c, \
              start_this_handle()), so every put inside one of theirs is an example: \
              history:ext4-rename-whiteout-2021, history:xfs-scrub-irele-transaction-2023. A put \
              in a scope without a transaction is not on record.",
    way_out: "Put after memalloc_nofs_restore(), or defer the put to a workqueue. If nothing \
              that eviction takes is held, the scope is too wide: narrow it.",
    expected_when: "Never; it is harmless where the scope is wider than what it protects.",
};

pub const NOIO: Rule = Rule {
    id: "noio-scope",
    title: "Final put inside a memalloc_noio_save() scope",
    means: "The task has said that no I/O may be started, and the put may write and wait for it. \
            The scope belongs to a block device's own path, or to one that is being resumed.",
    cases: &[case(Severity::Risky, is(Fact::Noio))],
    accounts_for: Accounts::NONE,
    why: "The scope says that I/O started here may wait for the one who started it: a block \
          device's own worker, a device being resumed (include/linux/sched/mm.h, \
          memalloc_noio_save()). A final put writes the inode and its pages and waits for them.",
    says: &[words(
        "All further allocations will implicitly drop __GFP_IO flag and so they are safe for the \
         IO critical section from the allocation recursion point of view.",
        "include/linux/sched/mm.h, memalloc_noio_save()",
    )],
    seen_in: "No put is on record. What the scope is against is: the loop device's worker \
              waited in reclaim for I/O that only it could do; commit d0a255e795ab, \"loop: set \
              PF_MEMALLOC_NOIO for the worker thread\" (5.3).",
    way_out: "Put after memalloc_noio_restore(), or defer the put to a worker \
              outside the I/O path.",
    expected_when: "Never; it is harmless where the inode's device is not the one of the scope.",
};

pub const MEMALLOC: Rule = Rule {
    id: "memory-allocation-context",
    title: "Final put with PF_MEMALLOC set, outside reclaim",
    means: "The task may use the memory reserves because it is about to free memory; network and \
            block paths that reclaim needs run so.",
    cases: &[case(
        Severity::Risky,
        All(&[is(Fact::Memalloc), Not(&IN_RECLAIM)]),
    )],
    accounts_for: Accounts::NONE,
    why: "PF_MEMALLOC gives the task the memory reserves because memory will be freed very \
          shortly (include/linux/sched/mm.h, memalloc_noreclaim_save()); network and block \
          paths that reclaim needs run so. Eviction can eat the reserves, allocations in it \
          fail at once instead of reclaiming, and reclaim may be waiting for this task.",
    says: &[words(
        "Users of this scope have to be extremely careful to not deplete the reserves completely",
        "include/linux/sched/mm.h, memalloc_noreclaim_save()",
    )],
    seen_in: "No put outside reclaim is on record. In reclaim, a put of ext4 allocated with \
              __GFP_NOFAIL under PF_MEMALLOC, and the machine stood still for seconds \
              (history:ext4-lazytime-nofail-2026).",
    way_out: "Put outside the scope, or from a worker.",
    expected_when: "Never outside reclaim.",
};
