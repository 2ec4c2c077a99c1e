//! Rules about memory reclaim: from inside it, and in workers that it waits for.

use probe_common::Fact;

use super::{
    Accounts, All, Any, DCACHE_RECLAIM, Despite, IN_RECLAIM, LongestAtLeast, Not, RECLAIM_SLEEP_MS,
    Rule, Severity, Slept, Stuck, any_mode, case, is, words,
};

pub const EVICTION_SLEPT: Rule = Rule {
    id: "reclaim-eviction-slept",
    title: "Reclaim was held up by an eviction",
    means: "The dentry cache's shrinker, in kswapd or direct reclaim, dropped an inode whose \
            eviction slept and took 100 ms or more, or has not come back. A site's counts do not \
            say which of its evictions slept; the rule asks that one slept and the longest was \
            that long.",
    cases: &[case(
        Severity::Risky,
        All(&[
            // The design that accounts for reclaim ends where the eviction sleeps.
            Despite(&IN_RECLAIM),
            DCACHE_RECLAIM,
            Any(&[Stuck, All(&[Slept, LongestAtLeast(RECLAIM_SLEEP_MS)])]),
        ]),
    )],
    accounts_for: Accounts::NONE,
    why: "The dentry cache may be shrunk from reclaim, but reclaim must not wait there: what \
          the eviction waits for (a transaction, a server, a worker) may itself be waiting for \
          memory. Reclaim never throttles itself for more than HZ/10 (mm/vmscan.c, \
          reclaim_throttle()), and kswapd stuck here is a stuck machine.",
    says: &[words(
        "Deadlock avoidance. We may hold various FS locks, and we don't want to recurse into the \
         FS that called us",
        "fs/super.c, super_cache_scan()",
    )],
    seen_in: "A quarter of the record. kswapd waited for the writeback of a FUSE inode, whose \
              server waited for memory; commit 5c791fe1e2a4 writes inodes at release \
              (history:fuse-kswapd-2021). It waited for an ext4 transaction, by way of lazytime \
              (history:lazytime-iput-reclaim-ext4), and for one of nilfs2 \
              (history:nilfs2-evict-kswapd-2023).",
    way_out: "Make ->evict_inode() not wait in reclaim (PF_MEMALLOC): no dirty inode left for \
              reclaim (fuse writes it at release), GFP_NOFS in transactions, slow parts handed \
              to a workqueue (xfs inodegc).",
    expected_when: "Never; while the evictions do not wait, it is dcache-reclaim.",
};

pub const NOT_DCACHE: Rule = Rule {
    id: "reclaim-not-dcache",
    title: "Final put in memory reclaim, not by the dentry cache",
    means: "A shrinker other than the dentry cache's took a reference, and found itself with the \
            last one.",
    cases: &[case(
        Severity::Risky,
        All(&[IN_RECLAIM, Not(&is(Fact::NestedEviction))]),
    )],
    accounts_for: Accounts::NONE,
    why: "Only the dentry cache's shrinker puts inodes in reclaim by design. Another shrinker \
          that takes a reference may end up with the last one and evict: it takes the \
          filesystem's locks and starts transactions where the allocating task may hold the \
          same. inode_lru_isolate() gave up its temporary reference for this reason \
          (fs/inode.c, I_LRU_ISOLATING).",
    says: &[words(
        "Inode is pinned being isolated from LRU without holding i_count.",
        "include/linux/fs.h, I_LRU_ISOLATING",
    )],
    seen_in: "The inode cache's own shrinker, until commit 2a0629834cd8, \"vfs: Don't evict inode \
              under the inode lru traversing context\" (history:vfs-lru-isolate-iput-2024). \
              btrfs's extent-map shrinker (history:btrfs-extent-map-shrinker-2024).",
    way_out: "Pin the inode without a reference, use igrab() only together with a delayed \
              iput(), or move the shrinker's work to a workqueue.",
    expected_when: "Never.",
};

pub const DCACHE: Rule = Rule {
    id: "dcache-reclaim",
    title: "By design: the dentry cache's shrinker",
    means: "Reclaim, or drop_caches, shrinks the dentry cache, which puts the inodes of unused \
            dentries.",
    cases: &[case(Severity::Expected, DCACHE_RECLAIM)],
    accounts_for: Accounts {
        facts: &[
            Fact::Kswapd,
            Fact::DirectReclaim,
            Fact::Memalloc,
            // Reclaim takes place in any task that allocates, a worker of any queue, too.
            Fact::MemReclaimWorker,
        ],
        locks: &[
            any_mode("fs_reclaim"),
            any_mode("shrinker_rwsem"),
            any_mode("shrinker_mutex"),
        ],
    },
    why: "Reclaim and drop_caches shrink the dentry cache, and an unused dentry gives up its \
          inode (fs/super.c, super_cache_scan(); fs/dcache.c, prune_dcache_sb()). It runs only \
          where the allocation allows entering the filesystem (__GFP_FS).",
    says: &[words(
        "prune the dcache first as the icache is pinned by it",
        "fs/super.c, super_cache_scan()",
    )],
    seen_in: "See reclaim-eviction-slept for those who waited here.",
    way_out: "Nothing to do, as long as the eviction does not sleep on the filesystem's \
              journal, servers or workers: see reclaim-eviction-slept.",
    expected_when: "Always, until an eviction sleeps: reclaim-eviction-slept.",
};

pub const WORKER: Rule = Rule {
    id: "mem-reclaim-worker",
    title: "Final put by a worker that memory reclaim may wait for",
    means: "The worker's queue is WQ_MEM_RECLAIM: it has promised progress under memory pressure, \
            which no eviction does.",
    cases: &[case(Severity::Risky, is(Fact::MemReclaimWorker))],
    accounts_for: Accounts::NONE,
    why: "WQ_MEM_RECLAIM promises that the queue makes progress under memory pressure, with \
          one rescuer thread if need be (Documentation/core-api/workqueue.rst). Eviction \
          allocates memory and waits for other work; when the rescuer waits there, nothing \
          queued behind it runs, and reclaim waits for that.",
    says: &[words(
        "The wq is guaranteed to have at least one execution context regardless of memory \
         pressure.",
        "Documentation/core-api/workqueue.rst, WQ_MEM_RECLAIM",
    )],
    seen_in: "Ceph's messenger is such a queue (net/ceph/messenger.c, ceph_msgr_init()), and hung \
              in evictions: history:ceph-msgr-truncate-2019, history:ceph-msgr-netfs-wait-2025. \
              xfs's queue that evictions are handed to waited for itself by way of reclaim \
              (history:xfs-inodegc-reclaim-2022).",
    way_out: "Put the inode from a workqueue without WQ_MEM_RECLAIM (Ceph has inode_wq for its \
              inodes, fs/ceph/super.c), or show that this eviction neither allocates nor waits.",
    expected_when: "In the dentry cache's shrinker, where the worker only happened to allocate: \
                    see dcache-reclaim.",
};
