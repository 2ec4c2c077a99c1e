//! The facts: what is true of the calling context at the call, each *yes*, *no* or *unknown*.

/// Declares every fact once: its bit, its name in reports and what it means.
macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $variant:ident = $bit:literal, $name:literal;)+) => {
        /// One thing that is true, false or unknown of the context that called `iput()`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Fact {
            $($(#[doc = $doc])+ $variant = $bit,)+
        }

        /// Every fact, in the order of its bit.
        pub const ALL_FACTS: &[Fact] = &[$(Fact::$variant,)+];

        impl Fact {
            /// The name used in reports, rules and documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Fact::$variant => $name,)+
                }
            }

            /// What a *yes* means, in words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Fact::$variant => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

facts! {
    /// The task is a kernel thread (`PF_KTHREAD`).
    Kthread = 0, "kthread";
    /// The task is a workqueue worker (`PF_WQ_WORKER`) running a work item.
    WorkqueueWorker = 1, "workqueue_worker";
    /// The worker's queue is `WQ_MEM_RECLAIM`: memory reclaim may wait for it.
    MemReclaimWorker = 2, "mem_reclaim_worker";
    /// The worker's queue is ordered: nothing else queued there runs until this item ends.
    OrderedWorker = 3, "ordered_worker";
    /// The task is inside writeback of the very inode that it puts.
    WritebackThisInode = 4, "writeback_this_inode";
    /// The task is inside `do_writepages()` of another inode.
    WritebackOtherInode = 5, "writeback_other_inode";
    /// The task is a flusher: inside `wb_workfn()`.
    Flusher = 6, "flusher";
    /// The task is kswapd (`PF_KSWAPD`).
    Kswapd = 7, "kswapd";
    /// The task reclaims memory for itself (`reclaim_state` is set and it is not kswapd).
    DirectReclaim = 8, "direct_reclaim";
    /// The task may use memory reserves (`PF_MEMALLOC`): reclaim, or a path that reclaim needs.
    Memalloc = 9, "memalloc";
    /// The task is in a `memalloc_nofs_save()` scope.
    Nofs = 10, "nofs";
    /// The task is in a `memalloc_noio_save()` scope.
    Noio = 11, "noio";
    /// `current->journal_info` is set: a filesystem transaction is open.
    Journal = 12, "journal";
    /// In a hard interrupt.
    Hardirq = 13, "hardirq";
    /// Serving a soft interrupt.
    Softirq = 14, "softirq";
    /// In a non-maskable interrupt.
    Nmi = 15, "nmi";
    /// Bottom halves are disabled by the caller.
    BhDisabled = 16, "bh_disabled";
    /// Preemption is disabled by the caller (a spinlock held, or `preempt_disable()`).
    PreemptDisabled = 17, "preempt_disabled";
    /// Interrupts are disabled on this CPU.
    InterruptsOff = 18, "interrupts_off";
    /// In an RCU read-side section (on `PREEMPT_RT` a held spinlock is one, too).
    RcuReader = 19, "rcu_reader";
    /// The caller holds at least one lock, as lockdep or `--track-locks` knows.
    LockHeld = 20, "lock_held";
    /// The caller holds this inode's `i_rwsem`.
    OwnInodeLock = 21, "own_i_rwsem";
    /// The caller holds this inode's `i_mapping->invalidate_lock`.
    OwnInvalidateLock = 22, "own_invalidate_lock";
    /// The caller holds this superblock's `s_umount` for write.
    OwnSuperblockLock = 23, "own_s_umount";
    /// Less than 4 KiB of the task's kernel stack is left.
    StackBelow4K = 24, "stack_below_4k";
    /// Less than 2 KiB of the task's kernel stack is left.
    StackBelow2K = 25, "stack_below_2k";
    /// The inode is under writeback (`I_SYNC`): eviction will wait for it.
    InodeSync = 26, "inode_sync";
    /// The inode is dirty: dropping it may write it back first.
    InodeDirty = 27, "inode_dirty";
    /// The inode is already being freed (`I_FREEING` or `I_WILL_FREE`).
    InodeFreeing = 28, "inode_freeing";
    /// The inode has no link left (`i_nlink == 0`): the final put evicts it.
    Unlinked = 29, "unlinked";
    /// The superblock is not `SB_ACTIVE` (mount or unmount): the final put evicts and writes.
    SuperblockInactive = 30, "sb_inactive";
    /// The put was made from inside the eviction of another inode.
    NestedEviction = 31, "nested_eviction";
    /// Other references to the inode are left: the put is not the last.
    NonFinal = 32, "non_final";
    /// The references that are left are unused dentries, and nothing else: once the dentry cache
    /// is shrunk, a put here is the last.
    OneShrinkAway = 33, "one_shrink_away";
    /// `--provoke` has dropped a dentry's reference to the inode before, or makes this put itself.
    Provoked = 34, "provoked";
}

impl Fact {
    /// The fact's bit in [`Facts::known`] and [`Facts::yes`].
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// A set of facts; a fact that is not in `known` is *unknown*, never *no*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Facts {
    /// The facts that this kernel could tell at the call.
    pub known: u64,
    /// Of those, the ones that are true. Always a subset of `known`.
    pub yes: u64,
}

impl Facts {
    /// What is known of a final put before anything is read: no reference is left.
    pub const OF_FINAL_PUT: Self = Self {
        known: OF_REFERENCES,
        yes: 0,
    };

    /// Records `fact` as *yes* or *no*.
    #[inline(always)]
    pub const fn set(&mut self, fact: Fact, yes: bool) {
        self.known |= fact.bit();
        if yes {
            self.yes |= fact.bit();
        } else {
            self.yes &= !fact.bit();
        }
    }

    /// Takes back what was recorded of `fact`: it is *unknown* from here on.
    #[inline(always)]
    pub const fn forget(&mut self, fact: Fact) {
        self.known &= !fact.bit();
        self.yes &= !fact.bit();
    }

    /// `Some(yes)` when the fact is known.
    #[must_use]
    pub const fn get(self, fact: Fact) -> Option<bool> {
        if self.known & fact.bit() == 0 {
            None
        } else {
            Some(self.yes & fact.bit() != 0)
        }
    }

    /// Whether the fact is known to be true.
    #[must_use]
    pub const fn is(self, fact: Fact) -> bool {
        self.yes & fact.bit() != 0
    }

    /// Whether any of `facts` is known to be true.
    #[must_use]
    pub fn any(self, facts: &[Fact]) -> bool {
        facts.iter().any(|fact| self.is(*fact))
    }
}

/// The facts that say nothing about danger by themselves: they describe the inode, and are
/// true of most puts by design.
const INNOCENT: u64 = Fact::InodeDirty.bit() | Fact::Unlinked.bit() | OF_REFERENCES;

/// The facts about an inode's other references. Of a final put they are known: there are none.
const OF_REFERENCES: u64 = Fact::NonFinal.bit() | Fact::OneShrinkAway.bit() | Fact::Provoked.bit();

impl Fact {
    /// Whether the fact says nothing about danger by itself.
    #[must_use]
    pub const fn is_innocent(self) -> bool {
        INNOCENT & self.bit() != 0
    }
}

impl Facts {
    /// Whether nothing that is known speaks against the call: a user task that holds nothing
    /// and is in no special scope. Such calls are counted without a stack.
    #[inline(always)]
    #[must_use]
    pub const fn are_benign(self) -> bool {
        self.yes & !INNOCENT == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_distinct_and_in_order() {
        for (index, fact) in ALL_FACTS.iter().enumerate() {
            assert_eq!(*fact as usize, index, "{}", fact.name());
        }
    }

    #[test]
    fn unknown_is_not_no() {
        let mut facts = Facts::default();
        assert_eq!(facts.get(Fact::Nofs), None);
        facts.set(Fact::Nofs, false);
        assert_eq!(facts.get(Fact::Nofs), Some(false));
        facts.set(Fact::Nofs, true);
        assert_eq!(facts.get(Fact::Nofs), Some(true));
        facts.forget(Fact::Nofs);
        assert_eq!(facts.get(Fact::Nofs), None);
        assert!(!facts.is(Fact::Nofs));
    }

    #[test]
    fn only_inode_facts_are_innocent() {
        let mut facts = Facts::default();
        facts.set(Fact::Unlinked, true);
        facts.set(Fact::InodeDirty, true);
        assert!(facts.are_benign());
        facts.set(Fact::Journal, true);
        assert!(!facts.are_benign());
    }
}
