//! What the judge reads of a report of `lastref`; the rest of it may be as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::held::IfFinal;
use super::scenarios::{Expectation, Outcome, Severity};

/// What the lab's functions that make a put are called, with the scenario's name after it.
const PUT: &str = "lab_put_in_";
/// The modules that they are in.
const MODULES: [&str; 2] = ["lastref_lab", "lastref_lab_unloadable"];

/// A report.
#[derive(Debug, Default, Deserialize)]
pub struct Report {
    #[serde(default)]
    pub kernel: Kernel,
    #[serde(default)]
    pub capture: Capture,
    pub losses: BTreeMap<String, u64>,
    pub totals: Totals,
    pub findings: Vec<Site>,
    pub other_sites: Vec<Site>,
}

/// The kernel that was watched.
#[derive(Debug, Default, Deserialize)]
pub struct Kernel {
    pub unknown_facts: BTreeMap<String, String>,
}

/// How it was watched.
#[derive(Debug, Default, Deserialize)]
pub struct Capture {
    pub lock_tracking: Option<LockTracking>,
    pub provocation: Option<Provocation>,
}

/// How the dentry cache was shrunk.
#[derive(Debug, Deserialize)]
pub struct Provocation {
    pub passes: u64,
}

/// How locks were followed.
#[derive(Debug, Deserialize)]
pub struct LockTracking {
    pub lockdep: Option<LockAgreement>,
}

/// How what was followed agrees with lockdep.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LockAgreement {
    pub calls: u64,
    pub same: u64,
    pub only_lockdep: BTreeMap<String, u64>,
    pub only_tracking: BTreeMap<String, u64>,
}

impl fmt::Display for LockAgreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, same, .. } = self;
        write!(formatter, "{calls} calls, {same} locks the same")?;
        for (who, locks) in [
            ("lockdep", &self.only_lockdep),
            ("tracking", &self.only_tracking),
        ] {
            let number: u64 = locks.values().sum();
            write!(formatter, ", {number} only by {who}")?;
            if number > 0 {
                let names: Vec<&str> = locks.keys().map(String::as_str).collect();
                write!(formatter, " ({})", names.join("; "))?;
            }
        }
        Ok(())
    }
}

/// What was only counted.
#[derive(Debug, Default, Deserialize)]
pub struct Totals {
    pub benign_final_puts: u64,
    pub benign_evictions: u64,
    #[serde(default)]
    pub non_final_puts: u64,
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
    pub references: Option<References>,
}

/// A rule that matched.
#[derive(Debug, Deserialize)]
pub struct Hazard {
    pub rule: String,
    pub severity: Severity,
    /// What it would be if the put were final.
    pub if_final: Option<Severity>,
}

/// Exact counts of calls.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Counts {
    pub final_puts: u64,
    pub evicted: u64,
    pub kept: u64,
    pub in_flight: u64,
    #[serde(default)]
    pub non_final: u64,
}

/// The references that were left by puts that were not final.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct References {
    /// How many puts found an `i_count`, least first.
    pub i_count: Vec<CountBucket>,
    pub unused_dentries: u64,
    pub used_dentries: u64,
    pub others: u64,
    pub not_known: u64,
}

/// Puts that found an `i_count`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct CountBucket {
    pub at_least: u64,
    pub count: u64,
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
    #[serde(default)]
    pub held_locks: Vec<Lock>,
}

/// A held lock.
#[derive(Debug, Deserialize)]
pub struct Lock {
    class: String,
    mode: String,
    kind: Option<String>,
    part_of: Option<String>,
    taken_by: Option<String>,
}

impl Lock {
    /// As `lab/scenarios.toml` names locks: name, whose it is, how it is held.
    pub fn words(&self) -> String {
        let name = match &self.kind {
            Some(kind) if self.class.is_empty() => format!("a {kind}"),
            _ => self.class.clone(),
        };
        let mode = &self.mode;
        match &self.part_of {
            Some(whole) => format!("{name} of {whole} for {mode}"),
            None => format!("{name} for {mode}"),
        }
    }

    /// The same, and which function took it.
    pub fn describe(&self) -> String {
        let taken_by = self.taken_by.as_deref().unwrap_or("nobody known");
        format!("{}, taken by {taken_by}", self.words())
    }
}

/// The inode of that call.
#[derive(Debug, Deserialize)]
pub struct InodeExample {
    pub filesystem: String,
    pub dentries: Option<Dentries>,
}

/// The dentries that were seen of it.
#[derive(Debug, Deserialize)]
pub struct Dentries {
    pub aliases: u64,
    pub unused: u64,
    pub complete: bool,
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
            .filter(|frame| {
                frame
                    .module
                    .as_deref()
                    .is_some_and(|name| MODULES.contains(&name))
            })
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

impl Context {
    /// What its puts would be if they were final, if it says that.
    pub fn if_final(&self) -> Option<IfFinal> {
        let severities = self.hazards.iter().filter_map(|hazard| hazard.if_final);
        let severity = severities.max()?;
        let worst = self.hazards.iter();
        let worst = worst.filter(|hazard| hazard.if_final == Some(severity));
        Some(IfFinal {
            severity,
            rules: worst.map(|hazard| hazard.rule.clone()).collect(),
        })
    }
}

impl Counts {
    /// Whether none of them is more than it must be.
    pub fn are_some_of(self, wanted: Self) -> bool {
        self.final_puts <= wanted.final_puts
            && self.evicted <= wanted.evicted
            && self.in_flight <= wanted.in_flight
            && self.kept <= wanted.final_puts
            && self.non_final <= wanted.non_final
    }

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
            final_puts: count - when(Outcome::Held),
            evicted: when(Outcome::Evicted) + when(Outcome::Stuck),
            kept: when(Outcome::Kept),
            in_flight: when(Outcome::Stuck),
            non_final: when(Outcome::Held),
        }
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        Self {
            final_puts: self.final_puts + other.final_puts,
            evicted: self.evicted + other.evicted,
            kept: self.kept + other.kept,
            in_flight: self.in_flight + other.in_flight,
            non_final: self.non_final + other.non_final,
        }
    }
}

impl References {
    /// The sum.
    pub fn plus(mut self, other: &Self) -> Self {
        for bucket in &other.i_count {
            let mut own = self.i_count.iter_mut();
            match own.find(|own| own.at_least == bucket.at_least) {
                Some(own) => own.count += bucket.count,
                None => self.i_count.push(*bucket),
            }
        }
        self.unused_dentries += other.unused_dentries;
        self.used_dentries += other.used_dentries;
        self.others += other.others;
        self.not_known += other.not_known;
        self
    }
}

impl fmt::Display for References {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for CountBucket { at_least, count } in &self.i_count {
            write!(formatter, "i_count {at_least} {count} times, ")?;
        }
        write!(
            formatter,
            "held by unused dentries {}, used ones {}, others {}, not known {}",
            self.unused_dentries, self.used_dentries, self.others, self.not_known
        )
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} final, {} evicted, {} kept, {} in flight",
            self.final_puts, self.evicted, self.kept, self.in_flight
        )?;
        match self.non_final {
            0 => Ok(()),
            number => write!(formatter, ", {number} not final"),
        }
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
