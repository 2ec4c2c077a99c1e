//! Sessions: one `lastref` watching one way at one level while scenarios run.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::scenarios::{Elsewhere, Expectation, Outcome, Scenarios};
use super::step::Step;

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
    /// Every final put, and others where a final one would be unsafe.
    Latent,
}

/// One way to watch.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Watch {
    /// How the probes are attached.
    pub attach: Attach,
    /// What is watched.
    pub level: Level,
    /// Whether the locks that tasks take are followed.
    pub track_locks: bool,
    /// Whether `lastref` keeps shrinking the dentry cache.
    pub provoke: bool,
}

/// One run of `lastref` and the scenarios in it.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// How it watches.
    pub watch: Watch,
    /// The scenarios of it never return.
    pub stuck: bool,
    /// The kernel may skip probe hits, and counts them.
    pub lossy: bool,
    /// The kernel knows by lockdep which locks are held.
    pub has_lockdep: bool,
    /// What must be reported.
    pub expectations: Vec<Expectation>,
    /// What may be reported besides.
    pub elsewhere: Vec<Elsewhere>,
}

/// What the guest is to do; it knows nothing of what is expected.
#[derive(Debug, Deserialize, Serialize)]
pub struct Plan {
    /// The lab's module.
    pub module: PathBuf,
    /// The `lastref` binary.
    pub lastref: PathBuf,
    /// The configuration that the kernel was built with.
    pub kernel_config: PathBuf,
    /// Where all results go.
    pub output: PathBuf,
    /// Sessions, in order.
    pub sessions: Vec<PlannedSession>,
    /// Scenarios that this kernel's module must refuse.
    pub refused: BTreeSet<String>,
}

/// One session of a plan.
#[derive(Debug, Deserialize, Serialize)]
pub struct PlannedSession {
    /// Its name, also of its files.
    pub name: String,
    /// How `lastref` is to watch.
    pub watch: Watch,
    /// Whether to wait until `lastref` counts the calls as stuck.
    pub stuck: bool,
    /// Scenarios, in order.
    pub scenarios: Vec<PlannedScenario>,
}

/// One scenario of a session.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PlannedScenario {
    /// Its name.
    pub name: String,
    /// How often to run it.
    pub count: u64,
    /// What the guest does besides.
    pub guest: Option<Step>,
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
            Self::Latent => "latent",
        })
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.attach, self.level)?;
        if self.track_locks {
            formatter.write_str("-locks")?;
        }
        if self.provoke {
            formatter.write_str("-provoke")?;
        }
        Ok(())
    }
}

impl Session {
    /// Its name, also of its files.
    pub fn name(&self) -> String {
        let stuck = if self.stuck { "-stuck" } else { "" };
        format!("{}{stuck}", self.watch)
    }

    /// What the guest is told of it.
    pub fn planned(&self) -> PlannedSession {
        PlannedSession {
            name: self.name(),
            watch: self.watch,
            stuck: self.stuck,
            scenarios: self
                .expectations
                .iter()
                .map(|expectation| PlannedScenario {
                    name: expectation.name.clone(),
                    count: expectation.count,
                    guest: expectation.guest,
                })
                .collect(),
        }
    }
}

/// Every way to watch that is judged, but those that the table skips.
const WATCHES: &[Watch] = &[
    watch(Attach::Kprobe, Level::Final),
    watch(Attach::Kprobe, Level::Evictions),
    watch(Attach::Fentry, Level::Final),
    watch(Attach::Fentry, Level::Evictions),
    Watch {
        track_locks: true,
        ..watch(Attach::Kprobe, Level::Final)
    },
    Watch {
        track_locks: true,
        ..watch(Attach::Fentry, Level::Final)
    },
    watch(Attach::Kprobe, Level::Latent),
    watch(Attach::Fentry, Level::Latent),
    Watch {
        provoke: true,
        ..watch(Attach::Kprobe, Level::Latent)
    },
];

const fn watch(attach: Attach, level: Level) -> Watch {
    Watch {
        attach,
        level,
        track_locks: false,
        provoke: false,
    }
}

/// The sessions of a kernel. Those with scenarios that hang come last: what hangs stays.
pub fn sessions(table: &Scenarios, kernel: &str, only: &[String]) -> Vec<Session> {
    let mut sessions = Vec::new();
    for stuck in [false, true] {
        for watch in WATCHES {
            let expectations: Vec<Expectation> = table
                .expectations(kernel, *watch)
                .into_iter()
                .filter(|expectation| (expectation.outcome == Outcome::Stuck) == stuck)
                .filter(|expectation| only.is_empty() || only.contains(&expectation.name))
                .collect();
            if !expectations.is_empty() {
                sessions.push(Session {
                    watch: *watch,
                    stuck,
                    lossy: table.is_lossy(kernel, *watch),
                    has_lockdep: table.has_lockdep(kernel, *watch),
                    expectations,
                    elsewhere: table.elsewhere().to_vec(),
                });
            }
        }
    }
    sessions
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../../lab/scenarios.toml");

    fn named(kernel: &str, name: &str) -> Option<Session> {
        let table = Scenarios::parse(TABLE).unwrap();
        let mut sessions = sessions(&table, kernel, &[]).into_iter();
        sessions.find(|session| session.name() == name)
    }

    #[test]
    fn level_latent_has_its_own_scenarios_only() {
        let latent = named("7.3", "kprobe-latent").unwrap();
        let has = |name| latent.expectations.iter().any(|one| one.name == name);
        assert!(has("latent_spinlock") && has("process_nonfinal") && !has("mutex_held"));
        assert!(named("7.3", "fentry-latent").is_none());
        assert!(named("6.12", "fentry-latent").is_some());
    }

    #[test]
    fn what_hangs_once_it_is_provoked_comes_last() {
        let stuck = named("7.3", "kprobe-latent-provoke-stuck").unwrap();
        assert_eq!(stuck.expectations.len(), 1);
        let before = named("7.3", "kprobe-latent-provoke").unwrap();
        assert!(before.expectations.len() > 10);
        assert!(named("7.3", "kprobe-latent-stuck").is_none());
    }
}
