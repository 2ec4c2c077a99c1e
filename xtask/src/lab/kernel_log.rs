//! The kernel's own complaints in its log: which there are, and which scenario's put they are about.

use std::fmt;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::progress::output_of;

/// What the lab's functions that make a put are called, with the scenario's name after it.
const PUT: &str = "lab_put_in_";

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
    /// The scenario whose put is in its text.
    pub scenario: Option<String>,
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
                scenario: None,
            });
        } else if let Some(last) = found.last_mut()
            && last.scenario.is_none()
        {
            last.scenario = put_in(line);
        }
    }
    found
}

fn put_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(PUT)?;
    let name: String = rest
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    Some(name)
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
 evict+0x100/0x270
 lab_put_in_writeback_self+0xe/0x20 [lastref_lab]
 lab_put_self+0x2e/0x50 [lastref_lab]
";

    #[test]
    fn complaints_and_whose_they_are() {
        let found: Vec<_> = complaints(LOG)
            .into_iter()
            .map(|complaint| (complaint.kind, complaint.scenario))
            .collect();
        assert_eq!(
            found,
            [
                (Kind::SleepingFunction, Some("spinlock".to_string())),
                (Kind::LockState, None),
                (Kind::HungTask, Some("writeback_self".to_string())),
            ]
        );
        assert_eq!(complaints("all is well\nINFO: lockdep is on\n"), []);
    }
}
