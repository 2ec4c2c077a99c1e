//! The table of rules, and what a rule is; the rules themselves are in files by theme. Nothing
//! about a rule is anywhere else in the code, and `docs/hazards.md` is made of it.

mod atomic;
mod eviction;
mod latent;
mod locks;
mod reclaim;
mod scope;
mod worker;
mod writeback;

use probe_common::Fact;

use super::condition::Condition::{
    self, All, Any, Caller, Chain, Despite, Filesystem, FinalElsewhere, HeldLock, InFlight,
    LongestAtLeast, Not, Slept, Stuck, UnsafeIfFinal, WaitsForOwnLock,
};
use super::condition::Need;
use super::locks::{LockPattern, any_mode};
use super::{filesystems, frames};
use crate::report::model::Severity;

/// The longest that reclaim ever throttles itself for writeback, `HZ/10` (mm/vmscan.c,
/// `reclaim_throttle()`, `VMSCAN_THROTTLE_WRITEBACK`): an eviction that sleeps for longer holds
/// reclaim up more than reclaim itself would.
pub const RECLAIM_SLEEP_MS: u64 = 100;

/// An eviction this long is worth a look even where it is allowed to take its time.
pub const SLOW_EVICTION_MS: u64 = 1000;

/// Every rule, the worst first.
pub const RULES: &[Rule] = &[
    writeback::SELF_WAIT,
    locks::SELF_WAIT,
    atomic::ATOMIC_CONTEXT,
    atomic::RCU_READER,
    scope::JOURNAL_TRANSACTION,
    locks::OWN_LOCK,
    writeback::OTHER_INODE,
    eviction::FREEING,
    atomic::LOW_STACK,
    worker::COMPLETION,
    writeback::FLUSHER,
    reclaim::EVICTION_SLEPT,
    reclaim::NOT_DCACHE,
    eviction::NESTED,
    reclaim::WORKER,
    scope::NOFS,
    scope::NOIO,
    scope::MEMALLOC,
    locks::SUPERBLOCK,
    locks::HELD,
    eviction::STUCK,
    latent::ONE_SHRINK_AWAY,
    latent::FINAL_ELSEWHERE,
    eviction::SLOW,
    eviction::INACTIVE_SUPERBLOCK,
    reclaim::DCACHE,
    locks::DCACHE_PUT,
    eviction::MOUNT_UNMOUNT,
    worker::DELAYED_FPUT,
    eviction::NOTHING_BEHIND,
    writeback::BY_SOMEBODY_ELSE,
    worker::WORK_ITEM,
    worker::KTHREAD,
];

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name in reports and documentation.
    pub id: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it says of a call.
    pub means: &'static str,
    /// When it matches and how bad that is; the first case that matches counts.
    pub cases: &'static [Case],
    /// What it explains, if it is a design.
    pub accounts_for: Accounts,
    /// Why that is dangerous, or how the design goes, by the kernel's own source.
    pub why: &'static str,
    /// The kernel's own words for it, as of 7.3.
    pub says: &'static [Words],
    /// Real bugs of this kind, or that none is known; `history:ID` is a record of
    /// `probe-user/tests/history.jsonl`.
    pub seen_in: &'static str,
    /// What to do about it.
    pub way_out: &'static str,
    /// When it is by design, or harmless.
    pub expected_when: &'static str,
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

/// A sentence, or the part of one that matters, from the kernel's source.
#[derive(Debug)]
pub struct Words {
    /// What it says.
    pub words: &'static str,
    /// File, and function or thing that it is said of.
    pub place: &'static str,
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

    /// Whether it is about puts that are not final; all others are about final ones.
    #[must_use]
    pub fn is_of_non_final_puts(&self) -> bool {
        self.cases.iter().any(|case| {
            case.when
                .mentions(&|condition| matches!(condition, UnsafeIfFinal))
        })
    }

    /// Whether something that `test` accepts can make a difference to it.
    pub fn depends_on(&self, test: impl Fn(Need) -> bool) -> bool {
        let needs = |condition: &Condition| condition.need().is_some_and(&test);
        self.cases.iter().any(|case| case.when.mentions(&needs))
    }

    /// Whether it can match at all where only that can be told which `is_told` accepts.
    pub fn can_match(&self, is_told: &dyn Fn(Need) -> bool) -> bool {
        self.cases.iter().any(|case| case.when.can_hold(is_told))
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

/// What the kernel says, and where.
const fn words(words: &'static str, place: &'static str) -> Words {
    Words { words, place }
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
