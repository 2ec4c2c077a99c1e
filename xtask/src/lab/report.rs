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

/// Rules that go by how long an eviction took. Guests are emulated and share their host: there
/// they say something of the machine, not of the put. The rules' own tests judge them.
const TIMED_RULES: [&str; 2] = ["reclaim-eviction-slept", "slow-eviction"];

impl Report {
    /// Reads a report and leaves out of it what depends on the machine's speed.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        let mut report: Self = serde_json::from_str(json)?;
        for site in report.findings.iter_mut().chain(&mut report.other_sites) {
            for context in &mut site.contexts {
                context
                    .hazards
                    .retain(|hazard| !TIMED_RULES.contains(&hazard.rule.as_str()));
                context.severity = worst(context.hazards.iter().map(|hazard| hazard.severity));
            }
            site.severity = worst(site.contexts.iter().map(|context| context.severity));
        }
        let (findings, others) = report
            .findings
            .into_iter()
            .chain(report.other_sites)
            .partition(|site| site.severity.is_finding());
        report.findings = findings;
        report.other_sites = others;
        Ok(report)
    }
}

fn worst(severities: impl Iterator<Item = Severity>) -> Severity {
    severities.max().unwrap_or(Severity::Benign)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_by_time_is_left_out() {
        let context = |rules: &str| {
            format!(
                r#"{{"severity": "risky", "hazards": [{rules}], "facts": {{"yes": [], "unknown": []}},
                    "counts": {{"final_puts": 1, "evicted": 1, "kept": 0, "in_flight": 0}}}}"#
            )
        };
        let slept = r#"{"rule": "reclaim-eviction-slept", "severity": "risky"}"#;
        let design = r#"{"rule": "dcache-reclaim", "severity": "expected"}"#;
        let real = r#"{"rule": "nofs-scope", "severity": "risky"}"#;
        let site = |rules: &str| {
            format!(
                r#"{{"severity": "risky", "frames": [], "contexts": [{}]}}"#,
                context(rules)
            )
        };
        let json = format!(
            r#"{{"losses": {{}}, "totals": {{"benign_final_puts": 0, "benign_evictions": 0}},
                "findings": [{}, {}], "other_sites": []}}"#,
            site(&format!("{slept}, {design}")),
            site(&format!("{slept}, {real}"))
        );
        let report = Report::parse(&json).unwrap();
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].contexts[0].hazards.len(), 1);
        assert_eq!(report.other_sites.len(), 1);
        assert_eq!(report.other_sites[0].severity, Severity::Expected);
    }
}
