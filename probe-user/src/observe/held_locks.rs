//! Held locks, from the kernel half's records to the report's words; and how well what was
//! followed agrees with lockdep.

use probe_common::{ABSENT, HeldLock, LockKind, SampleRecord, TakenLock, TrackedLock, UNKNOWN};

use super::calls;
use crate::{
    kernel::lock_fields::{LockFields, LockMaps},
    report::model::{Lock, LockAgreement, LockSource},
    symbol::Symbolizer,
};

/// Kinds of locks in words: kind, mode.
const KINDS: &[(LockKind, &str, &str)] = &[
    (LockKind::Mutex, "mutex", "write"),
    (LockKind::RwsemRead, "rwsem", "read"),
    (LockKind::RwsemWrite, "rwsem", "write"),
    (LockKind::PercpuRwsemWrite, "percpu-rwsem", "write"),
];

/// What is needed to name locks.
pub struct LockNames {
    /// Where the report's locks come from.
    pub source: LockSource,
    /// The names of lock fields.
    pub fields: LockFields,
    /// Where lockdep's map is in a lock.
    pub maps: LockMaps,
}

/// The locks of a call, outermost first, and how many more there were.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HeldLocks {
    /// Those that were kept.
    pub locks: Vec<Lock>,
    /// How many were not.
    pub left_out: u32,
}

impl LockNames {
    /// The locks that the sample's caller held, from the best source.
    pub fn held(&self, sample: &SampleRecord, symbolizer: &mut Symbolizer) -> HeldLocks {
        let knows = sample.readings.held_locks != UNKNOWN;
        if self.source == LockSource::Lockdep && knows {
            let (kept, left_out) = by_lockdep(sample);
            return HeldLocks {
                locks: kept
                    .iter()
                    .map(|lock| lockdep_lock(lock, symbolizer))
                    .collect(),
                left_out,
            };
        }
        let (kept, left_out) = by_tracking(sample);
        HeldLocks {
            locks: kept
                .map(|lock| self.tracked_lock(lock, symbolizer))
                .collect(),
            left_out,
        }
    }

    /// A lock that a thread was seen to take, by itself.
    pub fn taken(&self, lock: &TakenLock, symbolizer: &mut Symbolizer) -> Lock {
        let tracked = TrackedLock {
            taken: *lock,
            ..TrackedLock::default()
        };
        self.tracked_lock(&tracked, symbolizer)
    }

    fn tracked_lock(&self, lock: &TrackedLock, symbolizer: &mut Symbolizer) -> Lock {
        let (kind, mode) = words(lock.taken.kind);
        let field = self.fields.find(lock);
        Lock {
            class: match &field {
                Some(field) => field.name.clone(),
                None => symbolizer
                    .variable_name(lock.taken.address)
                    .unwrap_or_default()
                    .to_owned(),
            },
            mode: mode.to_owned(),
            kind: Some(kind.to_owned()),
            part_of: field.map(|field| field.part_of.to_owned()),
            taken_by: symbolizer.caller_name(lock.taken.taken_at),
        }
    }

    /// Compares what lockdep and tracking say of the same call.
    pub fn compare(
        &self,
        sample: &SampleRecord,
        symbolizer: &mut Symbolizer,
        agreement: &mut LockAgreement,
    ) {
        if sample.readings.held_locks == UNKNOWN {
            // lockdep has given up.
            return;
        }
        let (lockdep, left_out) = by_lockdep(sample);
        let (tracked, tracked_left_out) = by_tracking(sample);
        if left_out > 0 || tracked_left_out > 0 {
            return;
        }
        agreement.calls += 1;
        let mut open: Vec<&HeldLock> = lockdep.iter().collect();
        for lock in tracked {
            let map = lock
                .taken
                .address
                .wrapping_add(u64::from(self.map_in(lock.taken.kind)));
            let (_, mode) = words(lock.taken.kind);
            let same = open
                .iter()
                .position(|held| held.map == map && (held.read != 0) == (mode == "read"));
            if let Some(same) = same {
                open.remove(same);
                agreement.same += 1;
            } else {
                let words = self.tracked_lock(lock, symbolizer).describe();
                *agreement.only_tracking.entry(words).or_default() += 1;
            }
        }
        for lock in open.into_iter().filter(|lock| lock.sleeps != 0) {
            let words = lockdep_lock(lock, symbolizer).describe();
            *agreement.only_lockdep.entry(words).or_default() += 1;
        }
    }

    fn map_in(&self, kind: u32) -> u32 {
        let is = |wanted: LockKind| kind == wanted as u32;
        if is(LockKind::Mutex) {
            self.maps.mutex
        } else if is(LockKind::PercpuRwsemWrite) {
            self.maps.percpu_rwsem
        } else if is(LockKind::RwsemRead) || is(LockKind::RwsemWrite) {
            self.maps.rwsem
        } else {
            ABSENT
        }
    }
}

fn by_lockdep(sample: &SampleRecord) -> (&[HeldLock], u32) {
    let held = if sample.readings.held_locks == UNKNOWN {
        0
    } else {
        sample.readings.held_locks
    };
    let kept = (held as usize).min(sample.held_locks.len());
    let left_out = held.saturating_sub(u32::try_from(kept).unwrap_or(u32::MAX));
    (&sample.held_locks[..kept], left_out)
}

fn by_tracking(sample: &SampleRecord) -> (impl Iterator<Item = &TrackedLock>, u32) {
    let kept = (sample.tracked as usize).min(sample.tracked_locks.len());
    let left_out = sample
        .tracked
        .saturating_sub(u32::try_from(kept).unwrap_or(u32::MAX));
    let held = sample.tracked_locks[..kept]
        .iter()
        .filter(|lock| lock.taken.kind != 0);
    (held, left_out)
}

/// A kind of lock, and how it is held.
fn words(kind: u32) -> (&'static str, &'static str) {
    KINDS
        .iter()
        .find(|(known, ..)| *known as u32 == kind)
        .map_or(("lock", "write"), |(_, kind, mode)| (kind, mode))
}

fn lockdep_lock(held: &HeldLock, symbolizer: &mut Symbolizer) -> Lock {
    // `held_lock.read` (include/linux/lockdep.h).
    let mode = match held.read {
        0 => "write",
        1 => "read",
        _ => "recursive-read",
    };
    Lock {
        class: calls::name(&held.name),
        mode: mode.to_owned(),
        taken_by: symbolizer.caller_name(held.taken_at),
        ..Lock::default()
    }
}
