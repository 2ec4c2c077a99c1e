//! Checks of a run, and those that every run has to stand: nothing lost, every finding explained.

use serde::Serialize;

use super::findings::Finding;
use super::report::Report;
use crate::lab::Severity;
use crate::tally::Tally;

/// Losses that can hide a call or weaken a verdict.
const FATAL_LOSSES: [&str; 5] = [
    "sites_full",
    "stacks_full",
    "tasks_full",
    "marks_full",
    "no_stack",
];

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

    /// Nothing was lost that can hide a call or weaken a verdict.
    pub fn add_losses(&mut self, report: &Report) {
        let fatal = report
            .lost()
            .filter(|(name, _)| FATAL_LOSSES.contains(name))
            .map(|(name, count)| format!("{name} {count}"));
        self.add("losses", fatal);
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
