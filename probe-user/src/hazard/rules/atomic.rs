//! Rules about contexts that cannot afford an eviction: atomic, in RCU, short of stack.

use probe_common::Fact;

use super::{Accounts, Any, Rule, Severity, case, is, words};

pub const ATOMIC_CONTEXT: Rule = Rule {
    id: "atomic-context",
    title: "Final put where sleeping is forbidden",
    means: "Which kind it is, the evidence says: a hard interrupt, a non-maskable one, a soft \
            interrupt, interrupts off, preemption disabled (a spinlock, a read-write lock, the \
            write side of a seqlock, or preempt_disable()), or bottom halves disabled. On \
            PREEMPT_RT a spinlock is none of these: there it sleeps.",
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
    says: &[words(
        "Consequently, iput() can sleep.",
        "fs/inode.c, iput()",
    )],
    seen_in: "shmem's huge-page shrinker put inodes under a spinlock; commit 253fd0f02040, \"shmem: \
              fix sleeping from atomic context\" (history:shmem-shrinklist-2017). f2fs called \
              iput() from ->drop_inode(), under i_lock; \"f2fs: don't call iput() from \
              f2fs_drop_inode()\", October 2025 (history:f2fs-drop-inode-2025).",
    way_out: "Put after the unlock: move the inode to a list of your own and iput() when the \
              section has ended (mm/shmem.c, shmem_unused_huge_shrink()), or from a work item if \
              it was an interrupt.",
    expected_when: "Never. Kernels without PREEMPT_COUNT cannot tell a held spinlock; the fact is \
                    then unknown.",
};

pub const RCU_READER: Rule = Rule {
    id: "rcu-reader",
    title: "Final put inside an RCU read-side section",
    means: "The caller is between rcu_read_lock() and rcu_read_unlock(), or in what counts as such \
            a section.",
    cases: &[case(Severity::Unsafe, is(Fact::RcuReader))],
    accounts_for: Accounts::NONE,
    why: "A final put may sleep, and a reader of RCU must not: what it points to can be freed \
          meanwhile, and every grace period waits for it \
          (Documentation/RCU/checklist.rst). might_sleep() in iput() (fs/inode.c, since 6.18) \
          checks this only with DEBUG_ATOMIC_SLEEP. On PREEMPT_RT a held spinlock is such a \
          section, too.",
    says: &[words(
        "It is illegal to block while in an RCU read-side critical section",
        "Documentation/RCU/whatisRCU.rst, rcu_read_lock()",
    )],
    seen_in: "The path walk dropped dentries, and with them inodes, before it had left its RCU \
              mode; commit e5c832d55588, \"vfs: fix dentry RCU to refcounting possibly sleeping \
              dput()\" (3.12).",
    way_out: "Put after rcu_read_unlock(). Inside, take only what can be given back without a \
              final put.",
    expected_when: "Never. Without PREEMPT_RCU the fact is unknown.",
};

pub const LOW_STACK: Rule = Rule {
    id: "low-stack",
    title: "Final put with little kernel stack left",
    means: "At the put, less than 2 KiB or less than 4 KiB of the task's kernel stack is left.",
    cases: &[
        case(Severity::Unsafe, is(Fact::StackBelow2K)),
        case(Severity::Risky, is(Fact::StackBelow4K)),
    ],
    accounts_for: Accounts::NONE,
    why: "Eviction goes through truncation, a transaction, the block layer and possibly \
          direct reclaim: several KiB of stack. There is no check before it; with VMAP_STACK \
          an overrun kills the kernel (arch/x86/kernel/traps.c, handle_stack_overflow()), \
          without it memory is corrupted silently.",
    says: &[words(
        "Kernel stack overflows are often hard to debug and make the kernel susceptible to \
         exploits.",
        "Documentation/mm/vmalloced-kernel-stacks.rst",
    )],
    seen_in: "No overrun by a put is on record. overlayfs puts the inode of the filesystem below \
              it from its own eviction: two complete evictions on one stack, in reclaim \
              (history:overlayfs-nested-iput-2024).",
    way_out: "Defer the put to a workqueue: a work item starts with an empty stack. Or make the \
              path into it shorter, above all nested evictions and reclaim below a filesystem.",
    expected_when: "Never.",
};
