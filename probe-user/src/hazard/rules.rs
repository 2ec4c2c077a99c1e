//! The table of rules: one entry each, and nothing about a rule anywhere else in the code.

use probe_common::Fact;

use super::condition::Condition::{
    self, All, Any, Caller, Chain, Despite, HeldLock, InFlight, LongestAtLeast, Not, Slept, Stuck,
};
use super::frames;
use super::locks::{LockPattern, any_mode};
use crate::report::model::Severity;

/// The longest that reclaim ever throttles itself for writeback, `HZ/10` (mm/vmscan.c,
/// `reclaim_throttle()`, `VMSCAN_THROTTLE_WRITEBACK`): an eviction that sleeps for longer holds
/// reclaim up more than reclaim itself would.
pub const RECLAIM_SLEEP_MS: u64 = 100;

/// An eviction this long is worth a look even where it is allowed to take its time.
pub const SLOW_EVICTION_MS: u64 = 1000;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name in reports and documentation.
    pub id: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// When it matches and how bad that is; the first case that matches counts.
    pub cases: &'static [Case],
    /// What it explains, if it is a design.
    pub accounts_for: Accounts,
    /// Why that is dangerous, or how the design goes, by the kernel's own source.
    pub why: &'static str,
    /// What to do about it.
    pub way_out: &'static str,
}

/// A condition and its severity.
#[derive(Debug)]
pub struct Case {
    /// How bad it is.
    pub severity: Severity,
    /// When.
    pub when: Condition,
}

/// What a design accounts for: rules of severity `risky` and `latent` do not see it.
#[derive(Debug)]
pub struct Accounts {
    /// Facts that are part of the design.
    pub facts: &'static [Fact],
    /// Lock classes that are part of the design.
    pub locks: &'static [LockPattern],
}

impl Accounts {
    /// Nothing.
    const NONE: Self = Self {
        facts: &[],
        locks: &[],
    };
}

impl Rule {
    /// The rule of that id.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.id == id)
    }

    /// The worst that it can be.
    #[must_use]
    pub fn worst(&self) -> Severity {
        self.cases
            .iter()
            .map(|case| case.severity)
            .max()
            .unwrap_or(Severity::Benign)
    }
}

/// The fact is true and nothing accounts for it.
const fn is(fact: Fact) -> Condition {
    Condition::Fact(fact)
}

/// A case of `severity`.
const fn case(severity: Severity, when: Condition) -> Case {
    Case { severity, when }
}

/// Memory is being reclaimed, by kswapd or by the task for itself.
const IN_RECLAIM: Condition = Any(&[is(Fact::Kswapd), is(Fact::DirectReclaim)]);

/// The dentry cache's shrinker drops an unused dentry, and with it the inode.
const DCACHE_RECLAIM: Condition = All(&[
    Caller(&frames::DCACHE_PUT),
    Chain(&frames::DCACHE_SHRINKER),
    Not(&is(Fact::NestedEviction)),
]);

/// The chain comes from where replies and completions are handled.
const IN_COMPLETION: Condition = Any(&[
    Chain(&frames::BIO_COMPLETION),
    Chain(&frames::CEPH_MESSENGER),
    Chain(&frames::VIRTIOFS_COMPLETION),
    Chain(&frames::FUSE_COMPLETION),
    Chain(&frames::RPC_COMPLETION),
    Chain(&frames::NETFS_COMPLETION),
    Chain(&frames::SMB_COMPLETION),
    Chain(&frames::P9_COMPLETION),
]);

/// Every rule, the worst first.
pub const RULES: &[Rule] = &[
    Rule {
        id: "writeback-self-wait",
        title: "Final put from inside writeback of the very inode",
        cases: &[
            case(
                Severity::Deadlock,
                All(&[
                    is(Fact::WritebackThisInode),
                    is(Fact::InodeSync),
                    Any(&[InFlight, Stuck]),
                ]),
            ),
            // It came back: the inode was kept, or nothing had set I_SYNC (fsync of pages alone,
            // mm/filemap.c, filemap_writeback()). Where it is unlinked and I_SYNC is set, it
            // does not.
            case(Severity::Unsafe, is(Fact::WritebackThisInode)),
        ],
        accounts_for: Accounts::NONE,
        why: "Writeback pins the inode with I_SYNC instead of a reference (fs/fs-writeback.c, \
              writeback_sb_inodes()), and evict() waits uninterruptibly until I_SYNC clears \
              (fs/inode.c, inode_wait_for_writeback()). It clears only when this thread returns \
              from the writeback that it is in: the thread waits for itself, for ever, and with a \
              flusher all writeback of the device stops.",
        way_out: "Do not drop the last reference here. Let a worker that writeback does not wait \
                  for do the iput(), as btrfs_add_delayed_iput() and ext4_put_ea_inode() do, and \
                  only when iput_if_not_last() or atomic_add_unless(&inode->i_count, -1, 1) says \
                  that this reference is the last.",
    },
    Rule {
        id: "atomic-context",
        title: "Final put where sleeping is forbidden",
        cases: &[case(
            Severity::Unsafe,
            Any(&[
                is(Fact::Hardirq),
                is(Fact::Nmi),
                is(Fact::Softirq),
                is(Fact::InterruptsOff),
                is(Fact::PreemptDisabled),
                is(Fact::BhDisabled),
            ]),
        )],
        accounts_for: Accounts::NONE,
        why: "A final put may sleep: it waits for writeback, truncates pages and starts \
              transactions. iput() says so itself with might_sleep() since 6.18 (fs/inode.c), \
              which nothing checks without DEBUG_ATOMIC_SLEEP. Sleeping here is \"scheduling while \
              atomic\": a crash or a CPU that hangs.",
        way_out: "Drop the reference after the lock is released or the section has ended: put it \
                  on a list and iput() from there, or from a work item (mm/shmem.c collects inodes \
                  on a second list and puts them after the unlock).",
    },
    Rule {
        id: "rcu-reader",
        title: "Final put inside an RCU read-side section",
        cases: &[case(Severity::Unsafe, is(Fact::RcuReader))],
        accounts_for: Accounts::NONE,
        why: "A final put may sleep, and a reader of RCU must not: what it points to can be freed \
              meanwhile, and every grace period waits for it \
              (Documentation/RCU/checklist.rst). might_sleep() in iput() (fs/inode.c, since 6.18) \
              checks this only with DEBUG_ATOMIC_SLEEP. On PREEMPT_RT a held spinlock is such a \
              section, too.",
        way_out: "Leave the read-side section first, then iput(). Inside, take only what can be \
                  given back without a final put.",
    },
    Rule {
        id: "journal-transaction",
        title: "Final put with a filesystem transaction open",
        // The MDS client of CephFS keeps the request there while it handles a reply, and that
        // is no transaction (fs/ceph/mds_client.c, handle_reply()).
        cases: &[case(
            Severity::Unsafe,
            All(&[is(Fact::Journal), Not(&Chain(&frames::CEPH_MESSENGER))]),
        )],
        accounts_for: Accounts::NONE,
        why: "Eviction starts transactions of its own and may wait for a commit, which waits for \
              this very transaction to end; another filesystem's eviction finds a \
              current->journal_info that is not its own. xfs states the rule (fs/xfs/scrub/common.c, \
              xchk_irele()): in a transaction the inode cannot be dropped, because the VFS will \
              trigger writeback, which can require a transaction.",
        way_out: "End the transaction first, or defer the put as ext4_put_ea_inode() (fs/ext4/\
                  xattr.c) and btrfs_add_delayed_iput() (fs/btrfs/inode.c) do.",
    },
    Rule {
        id: "own-lock-held",
        title: "Final put of an inode whose own lock the caller holds",
        cases: &[case(
            Severity::Unsafe,
            Any(&[is(Fact::OwnInodeLock), is(Fact::OwnInvalidateLock)]),
        )],
        accounts_for: Accounts::NONE,
        why: "After a final put the inode may be freed, with the lock inside it: the unlock that \
              follows writes to freed memory. And an ->evict_inode() that takes this lock to \
              truncate waits for its own caller. A reference must outlive the lock (fs/inode.c, \
              iput(): the inode may be deallocated by the time the call returns).",
        way_out: "Unlock first, then iput(): put in the reverse order of igrab() and lock.",
    },
    Rule {
        id: "writeback-other-inode",
        title: "Final put from inside writeback of another inode",
        cases: &[case(Severity::Unsafe, is(Fact::WritebackOtherInode))],
        accounts_for: Accounts::NONE,
        why: "evict() waits for I_SYNC of the inode that is put (fs/inode.c, \
              inode_wait_for_writeback()), while this thread keeps I_SYNC and locked or \
              PG_writeback pages of the one that it writes. Two such threads wait for each other, \
              and so do this one and anybody whom the eviction needs and who needs these pages.",
        way_out: "Collect the references while writing and drop them after do_writepages() has \
                  returned, or defer the put to a work item on a queue of its own.",
    },
    Rule {
        id: "freeing-inode",
        title: "Put of an inode that is already being freed",
        cases: &[case(Severity::Unsafe, is(Fact::InodeFreeing))],
        accounts_for: Accounts::NONE,
        why: "Nobody may hold a reference once I_FREEING or I_WILL_FREE is set: igrab() refuses \
              (fs/inode.c). A put then means one reference too few taken or one put too many, and \
              the inode is freed twice. iput() asserts this on kernels with DEBUG_VFS \
              (VFS_BUG_ON_INODE, fs/inode.c).",
        way_out: "Find the unbalanced reference: take it with igrab() and check for NULL, never \
                  with ihold() or a bare increment of i_count on an inode found without one.",
    },
    Rule {
        id: "low-stack",
        title: "Final put with little kernel stack left",
        cases: &[
            case(Severity::Unsafe, is(Fact::StackBelow2K)),
            case(Severity::Risky, is(Fact::StackBelow4K)),
        ],
        accounts_for: Accounts::NONE,
        why: "Eviction goes through truncation, a transaction, the block layer and possibly \
              direct reclaim: several KiB of stack. There is no check before it; with VMAP_STACK \
              an overrun kills the kernel (arch/x86/kernel/traps.c, handle_stack_overflow()), \
              without it memory is corrupted silently.",
        way_out: "Defer the put to a work item, which starts with an empty stack; or make the \
                  path into it shorter, above all nested evictions and reclaim below a filesystem.",
    },
    Rule {
        id: "completion-worker",
        title: "Final put where replies or I/O completions are handled",
        cases: &[
            case(Severity::Unsafe, All(&[IN_COMPLETION, Stuck])),
            case(Severity::Risky, IN_COMPLETION),
        ],
        accounts_for: Accounts::NONE,
        why: "Eviction waits for locked pages, for PG_writeback and for the filesystem's own \
              requests, and this thread is the one that handles the replies that end them. If one \
              of them is outstanding for this inode, nobody is left to end it, and all other \
              traffic of the mount stops, too. fs/fuse/file.c marks such releases may_block and \
              lets another worker end them.",
        way_out: "Let a work item on another queue do the iput(). Where several workers share the \
                  load this is rare, not safe: they can all get here at once.",
    },
    Rule {
        id: "flusher",
        title: "Final put by a flusher, outside do_writepages()",
        cases: &[case(
            Severity::Risky,
            All(&[
                is(Fact::Flusher),
                Not(&is(Fact::WritebackThisInode)),
                Not(&is(Fact::WritebackOtherInode)),
            ]),
        )],
        accounts_for: Accounts::NONE,
        why: "While the flusher evicts, no writeback of the device happens, and an ->evict_inode() \
              that waits for the flusher (for space, for a sync) waits for ever. The flusher \
              itself holds no reference for that reason, only I_SYNC (fs/fs-writeback.c, \
              writeback_sb_inodes()). From ->write_inode() the inode being written still has \
              I_SYNC set, so that its own last put deadlocks.",
        way_out: "Keep ->write_inode() free of igrab() and iput(); what it needs is pinned by \
                  I_SYNC. Otherwise defer the put. ntfs puts inodes here by design \
                  (fs/ntfs/inode.c, __ntfs_write_inode()).",
    },
    Rule {
        id: "reclaim-eviction-slept",
        title: "Reclaim was held up by an eviction",
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
        way_out: "Make ->evict_inode() not wait in reclaim (PF_MEMALLOC): no dirty inode left for \
                  reclaim (fuse writes it at release), GFP_NOFS in transactions, slow parts handed \
                  to a worker (xfs inodegc).",
    },
    Rule {
        id: "reclaim-not-dcache",
        title: "Final put in memory reclaim, not by the dentry cache",
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
        way_out: "Pin the inode without a reference, use igrab() only together with a deferred \
                  put, or move the shrinker's work to a worker.",
    },
    Rule {
        id: "nested-eviction",
        title: "Final put from inside the eviction of another inode",
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
        way_out: "Drop the held inode before the outer eviction takes locks or a transaction. In \
                  reclaim, or with little stack left, hand it to a worker.",
    },
    Rule {
        id: "mem-reclaim-worker",
        title: "Final put by a worker that memory reclaim may wait for",
        cases: &[case(Severity::Risky, is(Fact::MemReclaimWorker))],
        accounts_for: Accounts::NONE,
        why: "WQ_MEM_RECLAIM promises that the queue makes progress under memory pressure, with \
              one rescuer thread if need be (Documentation/core-api/workqueue.rst). Eviction \
              allocates memory and waits for other work; when the rescuer waits there, nothing \
              queued behind it runs, and reclaim waits for that.",
        way_out: "Put the inode from a queue without WQ_MEM_RECLAIM (Ceph has one for its \
                  inodes), or show that this eviction neither allocates nor waits.",
    },
    Rule {
        id: "nofs-scope",
        title: "Final put inside a memalloc_nofs_save() scope",
        cases: &[case(Severity::Risky, is(Fact::Nofs))],
        accounts_for: Accounts::NONE,
        why: "The scope says that the filesystem must not be entered again: its locks or a \
              transaction are held (include/linux/sched/mm.h, memalloc_nofs_save()). A final put \
              enters it through ->evict_inode(), which takes them again. The shrinkers of the VFS \
              refuse to run there for the same reason (fs/super.c, super_cache_scan()).",
        way_out: "Drop the reference after memalloc_nofs_restore(), or defer the put. If nothing \
                  that eviction takes is held, the scope is too wide: narrow it.",
    },
    Rule {
        id: "noio-scope",
        title: "Final put inside a memalloc_noio_save() scope",
        cases: &[case(Severity::Risky, is(Fact::Noio))],
        accounts_for: Accounts::NONE,
        why: "The scope says that I/O started here may wait for the one who started it: a block \
              device's own worker, a device being resumed (include/linux/sched/mm.h, \
              memalloc_noio_save()). A final put writes the inode and its pages and waits for them.",
        way_out: "Drop the reference after memalloc_noio_restore(), or defer the put to a worker \
                  outside the I/O path.",
    },
    Rule {
        id: "memory-allocation-context",
        title: "Final put with PF_MEMALLOC set, outside reclaim",
        cases: &[case(
            Severity::Risky,
            All(&[is(Fact::Memalloc), Not(&IN_RECLAIM)]),
        )],
        accounts_for: Accounts::NONE,
        why: "PF_MEMALLOC gives the task the memory reserves because memory will be freed very \
              shortly (include/linux/sched/mm.h, memalloc_noreclaim_save()); network and block \
              paths that reclaim needs run so. Eviction can eat the reserves, allocations in it \
              fail at once instead of reclaiming, and reclaim may be waiting for this task.",
        way_out: "Put the inode outside the scope, or from a worker.",
    },
    Rule {
        id: "superblock-lock-held",
        title: "Final put with the superblock's s_umount held for write",
        cases: &[case(Severity::Risky, is(Fact::OwnSuperblockLock))],
        accounts_for: Accounts::NONE,
        why: "Mount, remount and unmount hold s_umount for write by design; anybody else who does \
              keeps sync, writeback and reclaim from this superblock for as long as the eviction \
              takes, and an eviction that waits for one of them never ends (fs/super.c, \
              super_trylock_shared() in super_cache_scan()).",
        way_out: "Release s_umount before the put, or hold it for read.",
    },
    Rule {
        id: "held-lock",
        title: "Final put with locks held",
        cases: &[case(Severity::Risky, HeldLock)],
        accounts_for: Accounts::NONE,
        why: "Eviction takes the filesystem's locks, starts transactions and waits for pages. A \
              lock that is held across it must never be taken on any of those ways, nor by anybody \
              they wait for. ext4 states that for its xattr_sem (fs/ext4/xattr.c, \
              ext4_put_ea_inode()); a filesystem's own lock is a frequent form of this bug.",
        way_out: "Release the lock first, or defer the put. If the order is intended, lockdep has \
                  to have seen it: run the eviction under PROVE_LOCKING.",
    },
    Rule {
        id: "stuck",
        title: "A final put does not come back",
        cases: &[case(Severity::Risky, Stuck)],
        accounts_for: Accounts::NONE,
        why: "The put has been inside iput() for longer than the threshold. It sleeps \
              uninterruptibly, with everything that its callers hold, and everybody who looks this \
              inode up waits with it (fs/inode.c, __wait_on_freeing_inode()). Slow storage looks \
              the same at first.",
        way_out: "Read the thread's stack: what it waits for, and whether anybody is left to end \
                  that. Look for that one's thread next (echo w > /proc/sysrq-trigger).",
    },
    Rule {
        id: "slow-eviction",
        title: "An eviction took a second or more",
        cases: &[case(Severity::Latent, LongestAtLeast(SLOW_EVICTION_MS))],
        accounts_for: Accounts::NONE,
        why: "It ended this time. With a larger file or slower storage the same call is a hung \
              task, and where truncation runs without sleeping it keeps every other work item of a \
              per-CPU queue from running (fs/inode.c, evict(); truncate_inode_pages_final()).",
        way_out: "See what is waited for while it lasts (lastref watch with a short --stuck-after). \
                  Long truncations belong on an unbound queue, as NFS moved nfsiod to WQ_UNBOUND.",
    },
    Rule {
        id: "inactive-superblock",
        title: "Final put on a superblock that is not active",
        cases: &[case(Severity::Latent, is(Fact::SuperblockInactive))],
        accounts_for: Accounts::NONE,
        why: "Without SB_ACTIVE nothing is kept on the LRU: iput_final() writes the inode \
              synchronously and evicts it at once (fs/inode.c, iput_final(), write_inode_now()). \
              Mount and unmount do that by design; anybody else who still puts inodes then races \
              with the shutdown of what the eviction needs.",
        way_out: "Flush the one who puts before generic_shutdown_super() clears SB_ACTIVE: cancel \
                  its work in ->kill_sb() or ->put_super(), before its threads are stopped.",
    },
    Rule {
        id: "dcache-reclaim",
        title: "By design: the dentry cache's shrinker",
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
        way_out: "Nothing to do, as long as the eviction does not sleep on the filesystem's \
                  journal, servers or workers: see reclaim-eviction-slept.",
    },
    Rule {
        id: "dcache-put",
        title: "By design: a dentry's inode, under the directory's lock",
        cases: &[case(
            Severity::Expected,
            All(&[is(Fact::LockHeld), Caller(&frames::DCACHE_PUT)]),
        )],
        accounts_for: Accounts {
            facts: &[],
            locks: &[
                any_mode("&type->i_mutex_dir_key"),
                // Directories that no one called unlock_new_inode() on (debugfs, tracefs). The
                // put inode's own lock is looked at by its owner.
                any_mode("&sb->s_type->i_mutex_key"),
                any_mode("&type->s_vfs_rename_key"),
            ],
        },
        why: "Lookup, rmdir and rename drop dentries with the directory locked; the VFS allows \
              ->d_iput() to block there (Documentation/filesystems/locking.rst, d_iput; fs/dcache.c, \
              dentry_unlink_inode()). Any other lock that is held is not accounted for.",
        way_out: "Nothing to do.",
    },
    Rule {
        id: "mount-unmount",
        title: "By design: mount or unmount",
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
        way_out: "Nothing to do.",
    },
    Rule {
        id: "delayed-fput",
        title: "By design: the delayed fput worker",
        cases: &[case(Severity::Expected, Chain(&frames::DELAYED_FPUT))],
        accounts_for: Accounts::NONE,
        why: "Files that a kernel thread or an interrupt closes are ended by a work item, where \
              nothing is held (fs/file_table.c, delayed_fput()).",
        way_out: "Nothing to do.",
    },
    Rule {
        id: "inode-under-writeback",
        title: "By design: eviction waits for a writeback by somebody else",
        cases: &[case(
            Severity::Expected,
            All(&[is(Fact::InodeSync), Not(&is(Fact::WritebackThisInode))]),
        )],
        accounts_for: Accounts::NONE,
        why: "Another thread is writing the inode; evict() waits until it has done so \
              (fs/inode.c, evict(): wait for the flusher thread to be done with the inode). That \
              ends, unless the one who writes waits for this thread.",
        way_out: "Nothing to do, unless the put is reported as stuck.",
    },
    Rule {
        id: "worker",
        title: "By design: a work item",
        cases: &[case(
            Severity::Expected,
            Any(&[is(Fact::WorkqueueWorker), is(Fact::OrderedWorker)]),
        )],
        accounts_for: Accounts::NONE,
        why: "A work item is where puts are deferred to: it starts with an empty stack, no lock \
              and no transaction. What is queued behind it on an ordered queue waits for the \
              eviction (kernel/workqueue.c, process_one_work()).",
        way_out: "Nothing to do, as long as the eviction does not wait for this queue.",
    },
    Rule {
        id: "kthread",
        title: "By design: a kernel thread",
        cases: &[case(
            Severity::Expected,
            All(&[
                is(Fact::Kthread),
                Not(&is(Fact::WorkqueueWorker)),
                Not(&is(Fact::Kswapd)),
            ]),
        )],
        accounts_for: Accounts::NONE,
        why: "A kernel thread may put inodes like any task (btrfs's cleaner runs all its delayed \
              puts: fs/btrfs/inode.c, btrfs_run_delayed_iputs()). Its name proves nothing either \
              way.",
        way_out: "Nothing to do, as long as the eviction does not wait for this thread.",
    },
];
