//! What the judge reads of a report of `lastref`; the rest of it may be as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

use super::scenarios::{Expectation, Outcome, Severity};

/// What the lab's functions that make a put are called, with the scenario's name after it.
const PUT: &str = "lab_put_in_";

/// A report.
#[derive(Debug, Default, Deserialize)]
pub struct Report {
    pub losses: BTreeMap<String, u64>,
    pub totals: Totals,
    pub findings: Vec<Site>,
    pub other_sites: Vec<Site>,
}

/// What was only counted.
#[derive(Debug, Default, Deserialize)]
pub struct Totals {
    pub benign_final_puts: u64,
    pub benign_evictions: u64,
}

/// One call chain.
#[derive(Debug, Deserialize)]
pub struct Site {
    pub severity: Severity,
    pub frames: Vec<Frame>,
    pub contexts: Vec<Context>,
    #[serde(default)]
    pub stuck: Vec<Stuck>,
}

/// One frame of it.
#[derive(Debug, Deserialize)]
pub struct Frame {
    pub function: Option<String>,
    pub module: Option<String>,
}

/// One context that it was called in.
#[derive(Debug, Deserialize)]
pub struct Context {
    pub severity: Severity,
    pub hazards: Vec<Hazard>,
    pub counts: Counts,
    pub facts: FactSheet,
    pub example: Option<Example>,
}

/// A rule that matched.
#[derive(Debug, Deserialize)]
pub struct Hazard {
    pub rule: String,
    pub severity: Severity,
}

/// Exact counts of calls.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Counts {
    pub final_puts: u64,
    pub evicted: u64,
    pub kept: u64,
    pub in_flight: u64,
}

/// Facts that are true, and that could not be told.
#[derive(Debug, Deserialize)]
pub struct FactSheet {
    pub yes: BTreeSet<String>,
    pub unknown: BTreeSet<String>,
}

/// One call as an example.
#[derive(Debug, Deserialize)]
pub struct Example {
    pub inode: InodeExample,
}

/// The inode of that call.
#[derive(Debug, Deserialize)]
pub struct InodeExample {
    pub filesystem: String,
}

/// A call that has not returned.
#[derive(Debug, Deserialize)]
pub struct Stuck {
    pub stack: Vec<String>,
}

impl Site {
    /// The scenario that made the put.
    pub fn scenario(&self) -> Option<&str> {
        self.frames
            .iter()
            .filter(|frame| frame.module.as_deref() == Some("lastref_lab"))
            .find_map(|frame| frame.function.as_deref()?.strip_prefix(PUT))
    }

    /// For people.
    pub fn describe(&self) -> String {
        let frames: Vec<&str> = self
            .frames
            .iter()
            .map(|frame| frame.function.as_deref().unwrap_or("?"))
            .take(8)
            .collect();
        let rules: Vec<&str> = self
            .contexts
            .iter()
            .flat_map(|context| &context.hazards)
            .map(|hazard| hazard.rule.as_str())
            .collect();
        format!(
            "{} {} < {}",
            self.severity,
            rules.join(", "),
            frames.join(" < ")
        )
    }
}

impl Counts {
    /// What a scenario's calls must add up to.
    pub fn expected(expectation: &Expectation) -> Self {
        let count = expectation.count;
        let when = |outcome| {
            if expectation.outcome == outcome {
                count
            } else {
                0
            }
        };
        Self {
            final_puts: count,
            evicted: when(Outcome::Evicted) + when(Outcome::Stuck),
            kept: when(Outcome::Kept),
            in_flight: when(Outcome::Stuck),
        }
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        Self {
            final_puts: self.final_puts + other.final_puts,
            evicted: self.evicted + other.evicted,
            kept: self.kept + other.kept,
            in_flight: self.in_flight + other.in_flight,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} final, {} evicted, {} kept, {} in flight",
            self.final_puts, self.evicted, self.kept, self.in_flight
        )
    }
}
