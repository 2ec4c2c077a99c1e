//! Checks of a run, and those that every run has to stand: nothing lost, every finding explained.

use serde::Serialize;

use super::findings::Finding;
use super::report::Report;
use crate::lab::Severity;
use crate::tally::Tally;

/// What a report says that a guest left which hangs, as it must where that is the proof.
const INTERIM: &str = "watching went on when this was written";

/// Checks, in order.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Checks(Vec<Check>);

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    /// What was checked.
    what: &'static str,
    /// What is wrong.
    problems: Vec<String>,
}

impl Checks {
    /// Adds a check that found these problems.
    pub fn add(&mut self, what: &'static str, problems: impl IntoIterator<Item = String>) {
        self.0.push(Check {
            what,
            problems: problems.into_iter().collect(),
        });
    }

    /// Nothing was lost that can hide a call or weaken a verdict: the report itself says so.
    pub fn add_losses(&mut self, report: &Report) {
        let because = report.capture.incomplete_because.iter();
        let lost = because.filter(|reason| *reason != INTERIM).cloned();
        self.add("losses", lost);
    }

    /// Every finding that a kernel developer would have to act upon is an explained one.
    pub fn add_findings(&mut self, findings: &[Finding]) {
        let unexplained = findings
            .iter()
            .filter(|finding| finding.severity >= Severity::Unsafe && finding.explained.is_none())
            .map(Finding::describe);
        self.add("findings", unexplained);
    }

    /// How many checks passed and failed.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for check in &self.0 {
            tally.add(Tally::of(check.problems.is_empty()));
        }
        tally
    }

    /// What is wrong, a line for each check that failed.
    pub fn problems(&self) -> Vec<String> {
        self.failed()
            .map(|check| format!("{}: {}", check.what, check.problems.join("; ")))
            .collect()
    }

    fn failed(&self) -> impl Iterator<Item = &Check> {
        self.0.iter().filter(|check| !check.problems.is_empty())
    }

    /// The names of the checks that failed.
    #[cfg(test)]
    pub fn names_of_failed(&self) -> Vec<&'static str> {
        self.failed().map(|check| check.what).collect()
    }
}
