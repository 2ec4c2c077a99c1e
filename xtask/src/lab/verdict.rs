//! What is said of a session: for each scenario what was expected and what the report had.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::held::IfFinal;
use super::report::{Context, Counts, LockAgreement, Site};
use super::scenarios::{Expectation, Outcome, Severity};

/// What is to be said of one session's report.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Judgement {
    /// One for each scenario.
    pub verdicts: Vec<Verdict>,
    /// What is wrong with the report as a whole.
    pub problems: Vec<String>,
    /// How the findings compare with those that must be there.
    pub score: Score,
    /// Facts that the report says this kernel cannot tell, with the reasons that it gives.
    pub unknown_facts: BTreeMap<String, String>,
    /// What the report says was lost; what it lost nothing of is left out.
    pub losses: BTreeMap<String, u64>,
    /// Benign final puts that the scenarios made, and that the report counts; the rest of the
    /// system makes some, too.
    pub benign_puts: Benign,
    /// How the locks that were followed agree with lockdep, where both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_agreement: Option<LockAgreement>,
}

/// Puts that are only counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Benign {
    /// By the scenarios.
    pub made: u64,
    /// By the report.
    pub counted: u64,
}

/// What is to be said of one scenario.
#[derive(Debug, Deserialize, Serialize)]
pub struct Verdict {
    /// The scenario.
    pub scenario: String,
    /// What must be reported.
    pub expected: Expected,
    /// What was reported; nothing where there is no report.
    pub got: Option<Got>,
    /// How they differ.
    pub problems: Vec<String>,
}

/// What must be reported of a scenario in one session.
#[derive(Debug, Deserialize, Serialize)]
pub struct Expected {
    /// The severity.
    pub severity: Severity,
    /// The rule that must have matched.
    pub rule: Option<String>,
    /// How often it ran, a prime number.
    pub count: u64,
    /// What became of its inodes, as far as this session can see it.
    pub outcome: Outcome,
    /// Its puts are added to a number, and no call chain is kept.
    pub only_counted: bool,
    /// What they would be if they were final, where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_final: Option<IfFinal>,
}

/// What a report says of a scenario.
#[derive(Debug, Deserialize, Serialize)]
pub struct Got {
    /// Its call chains.
    pub sites: usize,
    /// The worst of their severities.
    pub severity: Severity,
    /// The rules that matched with that severity.
    pub rules: BTreeSet<String>,
    /// What they would be if they were final, where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_final: Option<IfFinal>,
    /// All their calls.
    pub counts: Counts,
    /// Facts that were true in any of them.
    pub yes: BTreeSet<String>,
    /// Facts that were unknown in any of them.
    pub unknown: BTreeSet<String>,
}

/// Findings that must be there and are, that are missing, and that must not be there.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Score {
    /// Scenarios that are findings, rightly, by the right rule and severity.
    pub right: u64,
    /// Scenarios that are not such findings, wrongly.
    pub missed: u64,
    /// Scenarios and sites that are findings, wrongly, or by the wrong rule or severity.
    pub wrong: u64,
}

impl Score {
    /// Adds another session's.
    pub fn add(&mut self, other: Self) {
        self.right += other.right;
        self.missed += other.missed;
        self.wrong += other.wrong;
    }

    /// How many of the findings are right.
    pub fn precision(self) -> String {
        ratio(self.right, self.right + self.wrong)
    }

    /// How many of those that must be there are.
    pub fn recall(self) -> String {
        ratio(self.right, self.right + self.missed)
    }

    /// Whether there were findings, all of them right, and none missing.
    pub fn is_perfect(self) -> bool {
        self.right > 0 && self.missed == 0 && self.wrong == 0
    }
}

/// Three decimals, cut off and not rounded: 1.000 means all of them.
fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_string();
    }
    let thousandths = part * 1000 / whole;
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

impl Expected {
    /// By the table; `seen` says whether the session can see such puts at all.
    pub fn of(expectation: &Expectation, seen: bool) -> Self {
        Self {
            severity: expectation.severity,
            rule: expectation.rule.clone(),
            count: expectation.count,
            outcome: if seen {
                expectation.outcome
            } else {
                Outcome::Unseen
            },
            only_counted: expectation.is_only_counted(),
            if_final: expectation.held.as_ref().map(|held| held.if_final.clone()),
        }
    }
}

impl Got {
    /// All that the report has of the scenario whose sites these are.
    pub fn of(sites: &[&Site]) -> Self {
        let contexts = || sites.iter().flat_map(|site| &site.contexts);
        let severity = sites
            .iter()
            .map(|site| site.severity)
            .max()
            .unwrap_or(Severity::Benign);
        Self {
            sites: sites.len(),
            severity,
            rules: contexts()
                .flat_map(|context| &context.hazards)
                .filter(|hazard| hazard.severity == severity && hazard.if_final.is_none())
                .map(|hazard| hazard.rule.clone())
                .collect(),
            if_final: contexts()
                .filter_map(Context::if_final)
                .max_by_key(|if_final| if_final.severity),
            counts: contexts().fold(Counts::default(), |sum, context| sum.plus(context.counts)),
            yes: contexts()
                .flat_map(|context| context.facts.yes.clone())
                .collect(),
            unknown: contexts()
                .flat_map(|context| context.facts.unknown.clone())
                .collect(),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity, count, ..
        } = self;
        let outcome = match self.outcome {
            Outcome::Unseen => return formatter.write_str("no site"),
            _ if self.only_counted => return write!(formatter, "{severity}, {count} counted"),
            Outcome::Evicted => "evicted",
            Outcome::Kept => "kept",
            Outcome::Stuck => "stuck",
            Outcome::Held => "held",
        };
        let rule = self.rule.as_deref().unwrap_or_default();
        write!(formatter, "{}, {count} {outcome}", words(*severity, rule))?;
        write_if_final(self.if_final.as_ref(), formatter)
    }
}

impl fmt::Display for Got {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sites == 0 {
            return formatter.write_str("no site");
        }
        let rules: Vec<&str> = self.rules.iter().map(String::as_str).collect();
        let counts = self.counts;
        let ended = counts.evicted.saturating_sub(counts.in_flight);
        let numbers: Vec<String> = [
            (ended, "evicted"),
            (counts.kept, "kept"),
            (counts.in_flight, "stuck"),
            (counts.non_final, "held"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
        write!(
            formatter,
            "{}, {}",
            words(self.severity, &rules.join(" and ")),
            numbers.join(" and ")
        )?;
        if counts.final_puts != counts.evicted + counts.kept {
            write!(formatter, " of {}", counts.final_puts)?;
        }
        write_if_final(self.if_final.as_ref(), formatter)
    }
}

fn write_if_final(if_final: Option<&IfFinal>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    if_final.map_or(Ok(()), |if_final| write!(formatter, " ({if_final})"))
}

fn words(severity: Severity, rules: &str) -> String {
    format!("{severity} {rules}").trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_one_means_all() {
        assert_eq!(ratio(3, 3), "1.000");
        assert_eq!(ratio(9999, 10000), "0.999");
        assert_eq!(ratio(0, 0), "-");
    }

    #[test]
    fn nothing_found_is_not_perfect() {
        assert!(!Score::default().is_perfect());
        let score = |right, missed, wrong| Score {
            right,
            missed,
            wrong,
        };
        assert!(score(1, 0, 0).is_perfect());
        assert!(!score(1, 1, 0).is_perfect());
        assert!(!score(1, 0, 1).is_perfect());
    }

    #[test]
    fn what_was_got_is_told_in_full() {
        let got = |counts| Got {
            sites: 1,
            severity: Severity::Risky,
            rules: ["a".to_string(), "b".to_string()].into(),
            if_final: None,
            counts,
            yes: BTreeSet::new(),
            unknown: BTreeSet::new(),
        };
        let counts = Counts {
            final_puts: 3,
            evicted: 3,
            kept: 0,
            in_flight: 1,
            non_final: 0,
        };
        assert_eq!(
            got(counts).to_string(),
            "risky a and b, 2 evicted and 1 stuck"
        );
        let lost = Counts {
            final_puts: 4,
            in_flight: 0,
            ..counts
        };
        assert_eq!(got(lost).to_string(), "risky a and b, 3 evicted of 4");
        assert_eq!(Got::of(&[]).to_string(), "no site");
    }
}
