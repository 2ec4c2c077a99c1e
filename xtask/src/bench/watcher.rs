//! Who watches `iput()` while its cost is measured, and by which command.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::lab::{Attach, Level, PlannedSession, Watch};

/// One way to watch, or nobody.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Watcher {
    /// Nobody: what calls cost by themselves.
    Nobody,
    /// A program that returns at once: what being entered costs.
    Empty(Attach),
    /// What one would type instead of using `lastref`.
    Bpftrace(Attach),
    /// `lastref` itself.
    Lastref(Watch),
}

/// Every row of the table, in its order. The first is what the others are compared with.
pub const WATCHERS: &[Watcher] = &[
    Watcher::Nobody,
    lastref(Attach::Kprobe, Level::Evictions, false),
    lastref(Attach::Kprobe, Level::Final, false),
    lastref(Attach::Kprobe, Level::Latent, false),
    lastref(Attach::Kprobe, Level::Final, true),
    lastref(Attach::Fentry, Level::Evictions, false),
    lastref(Attach::Fentry, Level::Final, false),
    lastref(Attach::Fentry, Level::Latent, false),
    lastref(Attach::Fentry, Level::Final, true),
    Watcher::Empty(Attach::Kprobe),
    Watcher::Empty(Attach::Fentry),
    Watcher::Bpftrace(Attach::Kprobe),
    Watcher::Bpftrace(Attach::Fentry),
];

/// `lastref` at one level.
pub const fn lastref(attach: Attach, level: Level, track_locks: bool) -> Watcher {
    Watcher::Lastref(Watch {
        attach,
        level,
        track_locks,
        provoke: false,
    })
}

impl Watcher {
    /// The script for bpftrace, if it is what watches.
    pub fn script(self) -> Option<&'static str> {
        match self {
            // An expression is the least that an action can be: the program only returns.
            Self::Empty(Attach::Kprobe) => Some("kprobe:iput { 1 }"),
            Self::Empty(Attach::Fentry) => Some("kfunc:iput { 1 }"),
            Self::Bpftrace(Attach::Kprobe) => Some(
                "kprobe:iput /((struct inode *)arg0)->i_count.counter == 1/ { @[kstack] = count(); }",
            ),
            Self::Bpftrace(Attach::Fentry) => {
                Some("kfunc:iput /args->inode->i_count.counter == 1/ { @[kstack] = count(); }")
            }
            Self::Nobody | Self::Lastref(_) => None,
        }
    }

    /// How `lastref` is to be started, if it is what watches.
    pub fn session(self) -> Option<PlannedSession> {
        let Self::Lastref(watch) = self else {
            return None;
        };
        Some(PlannedSession {
            name: watch.to_string(),
            watch,
            stuck: false,
            scenarios: Vec::new(),
        })
    }

    /// Where the output of its command goes.
    pub fn log(self, output: &Path) -> PathBuf {
        output.join(format!("{}.log", self.to_string().replace([' ', ','], "-")))
    }
}

impl fmt::Display for Watcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => formatter.write_str("nobody"),
            Self::Empty(attach) => write!(formatter, "an empty {attach} program"),
            Self::Bpftrace(attach) => write!(formatter, "bpftrace, {attach}"),
            Self::Lastref(watch) => {
                write!(formatter, "lastref, {}, {}", watch.attach, watch.level)?;
                if watch.track_locks {
                    formatter.write_str(", --track-locks")?;
                }
                Ok(())
            }
        }
    }
}
