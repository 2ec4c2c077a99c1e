//! When a rule matches: conditions as data over facts, frames, locks and outcome.
//!
//! Only what is known to be true can make a condition hold: a fact that is unknown counts as
//! one that is false, so that ignorance never accuses anybody.

use std::fmt;

use probe_common::{Fact, Facts};

use super::filesystems::FilesystemGroup;
use super::frames::FrameGroup;
use super::latent;
use super::locks::{self, LockPattern};
use super::{Call, Outcome};
use crate::kernel::symbols::plain_name;
use crate::report::model::{Example, Lock};
use crate::report::units::{count, duration, duration_ms};

/// The put's own frames: its caller, and one more for a `->d_iput()` in between.
const CALLER_FRAMES: usize = 2;

/// A condition over one call.
#[derive(Debug)]
pub enum Condition {
    /// The fact is true, and no design accounts for it.
    Fact(Fact),
    /// A function of the group is anywhere in the chain.
    Chain(&'static FrameGroup),
    /// A function of the group made the put.
    Caller(&'static FrameGroup),
    /// The inode is of a filesystem of the group.
    Filesystem(&'static FilesystemGroup),
    /// A lock is held that no design accounts for.
    HeldLock,
    /// A call was still inside after the threshold.
    Stuck,
    /// A call that is still inside waits for a lock that its own task holds.
    WaitsForOwnLock,
    /// An eviction has not ended yet.
    InFlight,
    /// At least one ended eviction gave up the CPU.
    Slept,
    /// The longest ended eviction took at least this many milliseconds.
    LongestAtLeast(u64),
    /// A put at the same site was final.
    FinalElsewhere,
    /// The put was not final, and if it were, a rule of severity `unsafe` or worse would match.
    UnsafeIfFinal,
    /// All of them hold.
    All(&'static [Condition]),
    /// At least one of them holds.
    Any(&'static [Condition]),
    /// It does not hold, whatever accounts for it.
    Not(&'static Condition),
    /// It holds, whatever accounts for it.
    Despite(&'static Condition),
}

/// What has to be told for a condition to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The fact.
    Fact(Fact),
    /// Which locks a task has taken (`--track-locks`).
    LockTracking,
}

/// What the designs that hold account for.
#[derive(Debug, Default)]
pub struct Accounted {
    /// Bits of the facts.
    pub facts: u64,
    /// The lock classes.
    pub locks: Vec<LockPattern>,
}

impl Accounted {
    /// What is accounted for in every context.
    #[must_use]
    pub fn always() -> Self {
        Self {
            facts: 0,
            locks: locks::ALWAYS.to_vec(),
        }
    }
}

impl Condition {
    /// The evidence, one sentence each, if the condition holds.
    #[must_use]
    pub fn evidence(&self, call: &Call, accounted: &Accounted) -> Option<Vec<String>> {
        match self {
            Self::Fact(fact) => {
                let open = Facts {
                    known: call.facts.known,
                    yes: call.facts.yes & !accounted.facts,
                };
                open.is(*fact).then(|| vec![sentence(*fact, call.example)])
            }
            Self::Chain(group) => frame(call.chain, group),
            Self::Caller(group) => frame(&call.chain[..call.chain.len().min(CALLER_FRAMES)], group),
            Self::Filesystem(group) => {
                let name = &call.example?.inode.filesystem;
                let found = group.names.contains(&name.as_str());
                found.then(|| vec![format!("The inode is {}: {name}.", group.what)])
            }
            Self::HeldLock => held_locks(call, accounted),
            Self::Stuck if call.outcome == Outcome::Open => Some(Vec::new()),
            Self::InFlight if call.outcome != Outcome::Seen => Some(Vec::new()),
            Self::Stuck => {
                let longest = call.stuck.iter().map(|stuck| stuck.age_ms).max()?;
                let calls = count(call.stuck.len() as u64, "call");
                let longest = duration_ms(longest);
                Some(vec![format!("{calls} still inside, for up to {longest}.")])
            }
            Self::WaitsForOwnLock => {
                let lock = call
                    .stuck
                    .iter()
                    .find_map(|stuck| stuck.own_lock.as_ref())?;
                Some(vec![format!(
                    "The eviction waits for {}, and its own task holds it.",
                    lock.describe()
                )])
            }
            Self::InFlight => (call.counts.in_flight > 0).then(|| {
                let evictions = count(call.counts.in_flight, "eviction");
                vec![format!("{evictions} not ended.")]
            }),
            Self::Slept => (call.counts.slept > 0).then(|| {
                let evictions = count(call.counts.slept, "ended eviction");
                vec![format!("{evictions} gave up the CPU.")]
            }),
            Self::LongestAtLeast(milliseconds) => {
                let longest = call.counts.eviction_longest_ns;
                (longest >= milliseconds.saturating_mul(1_000_000))
                    .then(|| vec![format!("The longest eviction took {}.", duration(longest))])
            }
            Self::FinalElsewhere => {
                let puts = [
                    (call.final_puts_of_site, "at the same site"),
                    (call.final_puts_in_baseline, "there in the baseline"),
                ];
                let told: Vec<String> = puts
                    .iter()
                    .filter(|(number, _)| *number > 0)
                    .map(|(number, place)| format!("{} {place}.", count(*number, "final put")))
                    .collect();
                (!told.is_empty()).then_some(told)
            }
            Self::UnsafeIfFinal if call.facts.is(Fact::NonFinal) => {
                latent::if_final_in_words(call).map(|words| vec![words])
            }
            // A final put is guilty of what it is.
            Self::UnsafeIfFinal => None,
            Self::All(conditions) => conditions
                .iter()
                .map(|condition| condition.evidence(call, accounted))
                .collect::<Option<Vec<_>>>()
                .map(|evidence| evidence.concat()),
            Self::Any(conditions) => {
                let matched: Vec<_> = conditions
                    .iter()
                    .filter_map(|condition| condition.evidence(call, accounted))
                    .collect();
                (!matched.is_empty()).then(|| matched.concat())
            }
            Self::Not(condition) => condition
                .evidence(call, &Accounted::default())
                .is_none()
                .then(Vec::new),
            Self::Despite(condition) => condition.evidence(call, &Accounted::default()),
        }
    }

    /// Whether `test` is true of this condition or of one inside it.
    pub fn mentions(&self, test: &dyn Fn(&Condition) -> bool) -> bool {
        test(self)
            || match self {
                Self::All(conditions) | Self::Any(conditions) => {
                    conditions.iter().any(|condition| condition.mentions(test))
                }
                Self::Not(condition) | Self::Despite(condition) => condition.mentions(test),
                _ => false,
            }
    }

    /// What it needs by itself, without the conditions inside it.
    #[must_use]
    pub const fn need(&self) -> Option<Need> {
        match self {
            Self::Fact(fact) => Some(Need::Fact(*fact)),
            Self::HeldLock => Some(Need::Fact(Fact::LockHeld)),
            Self::WaitsForOwnLock => Some(Need::LockTracking),
            _ => None,
        }
    }

    /// Whether it can hold where only that can be told which `is_told` accepts.
    pub fn can_hold(&self, is_told: &dyn Fn(Need) -> bool) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|each| each.can_hold(is_told)),
            Self::Any(conditions) => conditions.iter().any(|each| each.can_hold(is_told)),
            Self::Despite(condition) => condition.can_hold(is_told),
            _ => self.need().is_none_or(is_told),
        }
    }
}

/// What `fact` means, with the details that the example has of it.
fn sentence(fact: Fact, example: Option<&Example>) -> String {
    let meaning = fact.meaning();
    let detail = example.and_then(|example| match fact {
        Fact::WorkqueueWorker | Fact::MemReclaimWorker | Fact::OrderedWorker => {
            let work = example.work.as_ref()?;
            Some(format!("`{}` on `{}`", work.function, work.workqueue))
        }
        Fact::WritebackOtherInode => {
            let ino = example.written_ino?;
            Some(format!("it writes inode {ino}"))
        }
        Fact::NonFinal => Some(format!("`i_count` was {}", example.inode.i_count?)),
        Fact::OneShrinkAway => {
            let dentries = example.inode.dentries.as_ref()?;
            Some(count(dentries.unused.into(), "unused dentry"))
        }
        Fact::StackBelow4K | Fact::StackBelow2K => {
            let bytes = example.stack_left_bytes?;
            Some(format!("{bytes} bytes are"))
        }
        _ => None,
    });
    match detail {
        Some(detail) => format!("{} ({detail}).", meaning.trim_end_matches('.')),
        None => meaning.to_owned(),
    }
}

/// The function of `group` that is in `chain`.
fn frame(chain: &[String], group: &FrameGroup) -> Option<Vec<String>> {
    let name = chain.iter().find_map(|function| group.find(function))?;
    Some(vec![format!("`{name}` in the chain: {}.", group.what)])
}

/// Whether a lock is lockdep's stand-in for a work item, which only `process_one_work()` takes
/// (kernel/workqueue.c). Its class has the item's own name where that was declared and not
/// initialised (include/linux/workqueue.h, `__WORK_INITIALIZER()`).
fn is_work_item(lock: &Lock) -> bool {
    let taker = lock.taken_by.as_deref().map(plain_name);
    lock.kind.is_none() && taker == Some("process_one_work")
}

/// The locks that are held and that nothing accounts for.
fn held_locks(call: &Call, accounted: &Accounted) -> Option<Vec<String>> {
    if !call.facts.is(Fact::LockHeld) {
        return None;
    }
    let (held, left_out): (&[Lock], u32) = call.example.map_or((&[], 0), |example| {
        (&example.held_locks, example.held_locks_left_out)
    });
    let mut evidence: Vec<String> = held
        .iter()
        .filter(|lock| {
            let known = |pattern: &LockPattern| pattern.accounts_for(lock);
            !accounted.locks.iter().any(known) && !is_work_item(lock)
        })
        .map(|lock| format!("Held for {}: {}.", lock.mode, lock.describe()))
        .collect();
    if left_out > 0 {
        evidence.push(format!("{left_out} more, whose classes were not kept."));
    }
    // The owner fields know a lock without its class; the rules for those facts tell it.
    let told =
        Fact::OwnInodeLock.bit() | Fact::OwnInvalidateLock.bit() | Fact::OwnSuperblockLock.bit();
    if held.is_empty() && left_out == 0 && call.facts.yes & told == 0 {
        evidence.push("At least one lock, whose class was not kept.".to_owned());
    }
    (!evidence.is_empty()).then_some(evidence)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fact(fact) => f.write_str(fact.name()),
            Self::Chain(group) => write!(f, "{} in the chain", group.what),
            Self::Caller(group) => write!(f, "put by {}", group.what),
            Self::Filesystem(group) => write!(f, "the inode is {}", group.what),
            Self::HeldLock => f.write_str("a held lock that no design accounts for"),
            Self::Stuck => f.write_str("still inside after --stuck-after"),
            Self::WaitsForOwnLock => f.write_str("waiting for a lock that the same task holds"),
            Self::InFlight => f.write_str("an eviction that has not ended"),
            Self::Slept => f.write_str("an eviction slept"),
            Self::FinalElsewhere => f.write_str("another put at the same site was final"),
            Self::UnsafeIfFinal => f.write_str("a final put there would be unsafe or worse"),
            Self::LongestAtLeast(milliseconds) => {
                write!(f, "an eviction took {} or more", duration_ms(*milliseconds))
            }
            Self::All(conditions) => join(f, conditions, " and "),
            Self::Any(conditions) => join(f, conditions, " or "),
            Self::Despite(condition) => write!(f, "{condition}"),
            Self::Not(condition) => match condition {
                Self::All(_) | Self::Any(_) => write!(f, "not ({condition})"),
                _ => write!(f, "not {condition}"),
            },
        }
    }
}

/// Writes `conditions` with `word` between them, compound ones in parentheses.
fn join(f: &mut fmt::Formatter<'_>, conditions: &[Condition], word: &str) -> fmt::Result {
    for (index, condition) in conditions.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        match condition {
            Condition::All(_)
            | Condition::Any(_)
            | Condition::Despite(Condition::All(_) | Condition::Any(_)) => {
                write!(f, "({condition})")?;
            }
            _ => write!(f, "{condition}")?,
        }
    }
    Ok(())
}
