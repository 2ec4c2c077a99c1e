//! Sessions: one `lastref` watching one way at one level while scenarios run.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::scenarios::{Expectation, Outcome, Scenarios};

/// How the probes are attached.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Attach {
    /// kprobes.
    Kprobe,
    /// BPF trampolines.
    Fentry,
}

/// What is watched.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every final put.
    Final,
    /// Final puts that evict.
    Evictions,
}

/// One run of `lastref` and the scenarios in it.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// How the probes are attached.
    pub attach: Attach,
    /// What is watched.
    pub level: Level,
    /// The scenarios of it never return.
    pub stuck: bool,
    /// What must be reported.
    pub expectations: Vec<Expectation>,
}

/// What the guest is to do; it knows nothing of what is expected.
#[derive(Debug, Deserialize, Serialize)]
pub struct Plan {
    /// The lab's module.
    pub module: PathBuf,
    /// The `lastref` binary.
    pub lastref: PathBuf,
    /// Where all results go.
    pub output: PathBuf,
    /// Sessions, in order.
    pub sessions: Vec<PlannedSession>,
    /// Scenarios that this kernel's module must refuse.
    pub impossible: BTreeSet<String>,
}

/// One session of a plan.
#[derive(Debug, Deserialize, Serialize)]
pub struct PlannedSession {
    /// Its name, also of its files.
    pub name: String,
    /// `--attach`.
    pub attach: Attach,
    /// `--level`.
    pub level: Level,
    /// Whether to wait until `lastref` counts the calls as stuck.
    pub stuck: bool,
    /// Scenarios and how often to run each.
    pub scenarios: Vec<(String, u64)>,
}

/// What became of a session inside the guest.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct SessionResult {
    /// Its name.
    pub name: String,
    /// What went wrong, if anything.
    pub problems: Vec<String>,
}

impl fmt::Display for Attach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kprobe => "kprobe",
            Self::Fentry => "fentry",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Final => "final",
            Self::Evictions => "evictions",
        })
    }
}

impl Session {
    /// Its name, also of its files.
    pub fn name(&self) -> String {
        let suffix = if self.stuck { "-stuck" } else { "" };
        format!("{}-{}{suffix}", self.attach, self.level)
    }

    /// What the guest is told of it.
    pub fn planned(&self) -> PlannedSession {
        PlannedSession {
            name: self.name(),
            attach: self.attach,
            level: self.level,
            stuck: self.stuck,
            scenarios: self
                .expectations
                .iter()
                .map(|expectation| (expectation.name.clone(), expectation.count))
                .collect(),
        }
    }
}

/// The sessions of a kernel. Those with scenarios that hang come last: what hangs stays.
pub fn sessions(table: &Scenarios, kernel: &str, only: &[String]) -> Vec<Session> {
    let mut sessions = Vec::new();
    for stuck in [false, true] {
        for attach in [Attach::Kprobe, Attach::Fentry] {
            for level in [Level::Final, Level::Evictions] {
                let expectations: Vec<Expectation> = table
                    .expectations(kernel, attach, level)
                    .into_iter()
                    .filter(|expectation| (expectation.outcome == Outcome::Stuck) == stuck)
                    .filter(|expectation| only.is_empty() || only.contains(&expectation.name))
                    .collect();
                if !expectations.is_empty() {
                    sessions.push(Session {
                        attach,
                        level,
                        stuck,
                        expectations,
                    });
                }
            }
        }
    }
    sessions
}
