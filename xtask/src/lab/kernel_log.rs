//! The kernel's own complaints in its log.

use std::collections::BTreeSet;
use std::fmt;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::progress::output_of;

/// What the kernel complains of.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `might_sleep()` where nothing may sleep.
    SleepingFunction,
    /// The scheduler was called where nothing may sleep.
    SchedulingWhileAtomic,
    /// A lock of a class whose other lock is held.
    RecursiveLocking,
    /// Locks taken in an order that closes a circle.
    CircularLocking,
    /// A lock taken in an interrupt and with interrupts enabled.
    LockState,
    /// A lock that sleeps, inside one that spins.
    WaitContext,
    /// A lock freed while it is held, kept beyond its task's time, or released without being held.
    LockUsage,
    /// A context switch, or an access, against the rules of RCU.
    Rcu,
    /// A task that sleeps uninterruptibly for long.
    HungTask,
    /// Any other warning or bug.
    Other,
}

/// How complaints begin (`kernel/sched/core.c`, `kernel/locking/lockdep.c`, `kernel/rcu/`,
/// `kernel/hung_task.c`); the first that fits counts.
const HEADINGS: [(&str, Kind); 17] = [
    (
        "BUG: sleeping function called from invalid context",
        Kind::SleepingFunction,
    ),
    ("BUG: scheduling while atomic", Kind::SchedulingWhileAtomic),
    (
        "WARNING: possible recursive locking detected",
        Kind::RecursiveLocking,
    ),
    (
        "WARNING: possible circular locking dependency detected",
        Kind::CircularLocking,
    ),
    ("WARNING: inconsistent lock state", Kind::LockState),
    (
        "WARNING: possible irq lock inversion dependency detected",
        Kind::LockState,
    ),
    ("-unsafe lock order detected", Kind::LockState),
    ("[ BUG: Invalid wait context ]", Kind::WaitContext),
    ("WARNING: held lock freed!", Kind::LockUsage),
    ("WARNING: bad unlock balance detected!", Kind::LockUsage),
    ("still has locks held!", Kind::LockUsage),
    (
        "WARNING: lock held when returning to user space!",
        Kind::LockUsage,
    ),
    ("WARNING: suspicious RCU usage", Kind::Rcu),
    ("Illegal context switch in RCU", Kind::Rcu),
    (" blocked for more than ", Kind::HungTask),
    ("WARNING: ", Kind::Other),
    ("BUG: ", Kind::Other),
];

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::SleepingFunction => "sleeping function called from invalid context",
            Self::SchedulingWhileAtomic => "scheduling while atomic",
            Self::RecursiveLocking => "possible recursive locking",
            Self::CircularLocking => "possible circular locking",
            Self::LockState => "inconsistent lock state",
            Self::WaitContext => "invalid wait context",
            Self::LockUsage => "wrong use of a lock",
            Self::Rcu => "suspicious RCU usage",
            Self::HungTask => "hung task",
            Self::Other => "other",
        })
    }
}

/// One complaint.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Complaint {
    /// What of.
    pub kind: Kind,
    /// Its first line.
    pub heading: String,
    /// The functions of the stacks in its text, without what only lies about on them.
    pub functions: BTreeSet<String>,
}

impl Complaint {
    /// Whether a task that hangs does so in the eviction that a scenario's put has led to. The put's
    /// own frame may be missing: a kretprobe puts another return address in its place.
    pub fn hangs_in(&self, scenario: &str) -> bool {
        let own = format!("_{scenario}");
        self.kind == Kind::HungTask
            && self.functions.contains("evict")
            && self
                .functions
                .iter()
                .any(|name| name.starts_with("lab_") && name.ends_with(&own))
    }
}

/// All complaints of a piece of the log.
pub fn complaints(log: &str) -> Vec<Complaint> {
    let mut found: Vec<Complaint> = Vec::new();
    for line in log.lines() {
        let heading = HEADINGS
            .iter()
            .find(|(heading, _)| line.contains(heading))
            .map(|(_, kind)| *kind);
        if let Some(kind) = heading {
            found.push(Complaint {
                kind,
                heading: line.trim().to_string(),
                functions: BTreeSet::new(),
            });
        } else if let Some(last) = found.last_mut() {
            last.functions.extend(function(line));
        }
    }
    found
}

/// The function of a line of a stack, ` name+0x1/0x2 [module]`. One with a question mark is a return
/// address that was found on the stack and belongs to no call (`arch/x86/kernel/dumpstack.c`).
fn function(line: &str) -> Option<String> {
    let (name, _) = line.trim().split_once("+0x")?;
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
        .then(|| name.to_string())
}

/// The log since the last line that contains `mark`.
pub fn since(mark: &str) -> Result<String> {
    let log = output_of(Command::new("dmesg").arg("--notime"))
        .context("the kernel's log cannot be read")?;
    Ok(log
        .rsplit_once(mark)
        .map_or_else(|| log.clone(), |(_, rest)| rest.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
BUG: sleeping function called from invalid context at fs/inode.c:2037
in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 80, name: xtask
Call Trace:
 __might_resched+0x1a0/0x2b0
 iput+0x1d/0x80
 lab_put_in_spinlock+0xe/0x20 [lastref_lab]
 lab_run_spinlock+0x5b/0x90 [lastref_lab]

================================
WARNING: inconsistent lock state
7.3.4 #1 Tainted: G
--------------------------------
INFO: task kworker/u8:2:38 blocked for more than 5 seconds.
 ? lab_put_in_evict_lock+0x10/0x10 [lastref_lab]
 evict+0x100/0x270
 arch_rethook_trampoline+0x10/0x10
 lab_hook_writeback_self+0x2e/0x50 [lastref_lab]
INFO: task lastref_lab_han:85 blocked for more than 6 seconds.
 lab_thread_writeback_self+0xe/0x10 [lastref_lab]
";

    #[test]
    fn complaints_and_whose_they_are() {
        let found = complaints(LOG);
        let kinds: Vec<Kind> = found.iter().map(|complaint| complaint.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::SleepingFunction,
                Kind::LockState,
                Kind::HungTask,
                Kind::HungTask
            ]
        );
        assert!(found[0].functions.contains("lab_put_in_spinlock"));
        assert!(!found[0].hangs_in("spinlock"));
        assert!(found[2].hangs_in("writeback_self"));
        assert!(!found[2].hangs_in("evict_lock"));
        assert!(!found[3].hangs_in("writeback_self"));
        assert_eq!(complaints("all is well\nINFO: lockdep is on\n"), []);
    }
}
