//! The report's words for locks: which are held, where that is known from, how well.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the held locks were learned from, best first.
#[derive(
    Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
#[serde(rename_all = "kebab-case")]
pub enum LockSource {
    /// lockdep's `held_locks`: every lock, by class.
    Lockdep,
    /// What tasks were seen to take and release (`--track-locks`), since the probes were attached.
    Tracking,
    /// Owner fields of the locks that eviction meets, held for write.
    Owners,
}

impl LockSource {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lockdep => "lockdep",
            Self::Tracking => "tracking",
            Self::Owners => "owners",
        }
    }
}

/// How locks were followed. Those that were taken before the probes were attached, and those
/// that no probe sees (spinlocks; a percpu-rwsem for read, which is taken inline), are unknown.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct LockTracking {
    /// The functions that were watched.
    pub functions: Vec<String>,
    /// What lockdep says of the same calls, where the kernel has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockdep: Option<LockAgreement>,
}

/// The mutexes and rwsems held at example calls, by lockdep and by what was followed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct LockAgreement {
    /// Calls that were compared.
    pub calls: u64,
    /// Locks that both know, held the same way.
    pub same: u64,
    /// Locks that only lockdep knows, or knows to be held otherwise: each with its number.
    pub only_lockdep: BTreeMap<String, u64>,
    /// Locks that lockdep does not know so.
    pub only_tracking: BTreeMap<String, u64>,
}

impl LockAgreement {
    /// The numbers in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let only = |source: &str, locks: &BTreeMap<String, u64>| {
            let number = crate::report::units::sum(locks.values().copied());
            let names: Vec<&str> = locks.keys().map(String::as_str).collect();
            match number {
                0 => format!("none only by {source}"),
                _ => format!("{number} only by {source} ({})", names.join("; ")),
            }
        };
        format!(
            "{} calls compared: {} locks known the same, {}, {}",
            self.calls,
            self.same,
            only("lockdep", &self.only_lockdep),
            only("tracking", &self.only_tracking)
        )
    }
}

/// A held lock.
#[derive(
    Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
pub struct Lock {
    /// Its class, as lockdep names it. By tracking, the field that it is (`inode.i_rwsem`) or
    /// the variable (`trace_types_lock`); empty if neither is known.
    pub class: String,
    /// `write`, `read` or `recursive-read`. A mutex is held for write.
    pub mode: String,
    /// `mutex`, `rwsem` or `percpu-rwsem`, by tracking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whose field it is, by tracking: this inode's or superblock's, or another one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// The function that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<String>,
}

impl Lock {
    /// The lock in a few words.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut words = match (self.class.as_str(), &self.kind) {
            ("", Some(kind)) => format!("a {kind}"),
            (class, _) => format!("`{class}`"),
        };
        if let Some(whole) = &self.part_of {
            words = format!("{words} of {whole}");
        }
        if let Some(function) = &self.taken_by {
            words = format!("{words}, taken by `{function}`");
        }
        words
    }
}
