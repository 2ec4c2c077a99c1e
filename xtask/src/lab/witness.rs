//! The independent witness: what the kernel itself complains of in a scenario, compared with what
//! `lastref` says of it, both ways. Every difference must be explained in `lab/witness.toml`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::kernel_log::Kind;
use super::report::Report;
use super::scenarios::{Outcome, Scenarios, Severity};
use super::session::PlannedScenario;
use super::witness_inside::{NAME, Statement, WATCH, WitnessPlan};
use crate::context::{Context, fresh_directory};
use crate::guest;
use crate::guest_plan;
use crate::progress::{elapsed, read_lossy};
use crate::{host_packages, kernels, module};

/// From boot to the end, under emulation.
const TIMEOUT: Duration = Duration::from_mins(15);

/// `lab/witness.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explanations {
    /// Scenarios in which lockdep is known to report something, and then knows no locks any more:
    /// each has a guest of its own, whether the lab runs it on this kernel or not.
    ends_lockdep: BTreeSet<String>,
    difference: Vec<Difference>,
}

/// A difference that must be there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    scenario: String,
    /// What the kernel complains of; nothing if it is silent.
    #[serde(default)]
    kernel: BTreeSet<Kind>,
    lastref: Severity,
    why: String,
}

/// What both say of one scenario.
#[derive(Debug, PartialEq, Eq)]
struct Testimony {
    kernel: BTreeSet<Kind>,
    lastref: Severity,
}

impl Testimony {
    /// Whether the kernel complains of exactly what `lastref` calls a broken rule, or worse.
    fn agrees(&self) -> bool {
        self.kernel.is_empty() == (self.lastref < Severity::Unsafe)
    }
}

/// How a comparison ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comparison {
    /// Scenarios of which both say the same, or differ as explained.
    pub good: u64,
    /// Others, and what went wrong besides.
    pub bad: u64,
}

/// Scenarios of one guest, and those of them that hang, which come last.
#[derive(Debug, Default)]
struct Round {
    scenarios: Vec<PlannedScenario>,
    stuck: Vec<PlannedScenario>,
}

/// Has the kernel and `lastref` testify on all scenarios, or on those named, and compares.
pub fn run(context: &Context, kernel: &str, lastref: &Path, only: &[String]) -> Result<Comparison> {
    host_packages::install(context, &super::PACKAGES)?;
    let start = Instant::now();
    let lab = context.root.join("lab");
    let table = super::table_with(context, only)?;
    let explanations = Explanations::read(&lab.join("witness.toml"))?;
    let mut rounds = rounds(&table, &explanations, kernel, only);
    ensure!(
        !rounds.is_empty(),
        "{kernel} can run none of these scenarios"
    );
    let output = fresh_directory(
        &context
            .target()
            .join("lab")
            .join(format!("{kernel}-{NAME}")),
    )?;
    let mut heard = Heard::default();
    let mut guests = 0;
    while let Some(round) = rounds.pop_front() {
        guests += 1;
        let directory = output.join(guests.to_string());
        fs::create_dir(&directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
        let (statement, report) = boot(context, kernel, lastref, &directory, &round)?;
        heard.add(&statement, &report);
        rounds.extend(round.after(&statement));
    }
    let comparison = compare(&explanations, &heard, only);
    println!("{NAME} on {kernel}: {guests} guests, {}", elapsed(start));
    Ok(comparison)
}

/// All but those that end lockdep go into one guest.
fn rounds(
    table: &Scenarios,
    explanations: &Explanations,
    kernel: &str,
    only: &[String],
) -> VecDeque<Round> {
    let wanted = |name: &String| only.is_empty() || only.contains(name);
    let mut first = Round::default();
    let mut rounds = VecDeque::new();
    for expectation in table.expectations(kernel, WATCH) {
        // Of a put that is not the last, this level says nothing, and might_sleep() what it says
        // of any.
        if wanted(&expectation.name)
            && !expectation.non_final
            && !explanations.ends_lockdep.contains(&expectation.name)
        {
            let list = match expectation.outcome {
                Outcome::Stuck => &mut first.stuck,
                _ => &mut first.scenarios,
            };
            list.push(PlannedScenario {
                name: expectation.name,
                // What the guest does may need several runs.
                count: expectation.guest.map_or(1, |_| expectation.count),
                guest: expectation.guest,
            });
        }
    }
    if !first.scenarios.is_empty() || !first.stuck.is_empty() {
        rounds.push_back(first);
    }
    for name in explanations.ends_lockdep.iter().filter(|name| wanted(name)) {
        rounds.push_back(Round {
            scenarios: vec![PlannedScenario {
                name: name.clone(),
                count: 1,
                guest: None,
            }],
            stuck: Vec::new(),
        });
    }
    rounds
}

impl Round {
    /// What is left of it where lockdep was ended before its end.
    fn after(self, statement: &Statement) -> Option<Self> {
        let is_left = |scenario: &PlannedScenario| {
            let heard = &statement.heard;
            !heard.is_empty() && heard.iter().all(|one| one.scenario != scenario.name)
        };
        let left = Self {
            scenarios: self.scenarios.into_iter().filter(is_left).collect(),
            stuck: self.stuck.into_iter().filter(is_left).collect(),
        };
        let any = !left.scenarios.is_empty() || !left.stuck.is_empty();
        (any && statement.lockdep_ended_in.is_some()).then_some(left)
    }
}

/// Runs a round in a guest of its own.
fn boot(
    context: &Context,
    name: &str,
    lastref: &Path,
    output: &Path,
    round: &Round,
) -> Result<(Statement, Report)> {
    let kernel = kernels::named(context, name)?;
    let plan = WitnessPlan {
        module: module::build_lab(context, &kernel)?,
        lastref: fs::canonicalize(lastref)
            .with_context(|| format!("{} is not there", lastref.display()))?,
        output: output.to_path_buf(),
        scenarios: round.scenarios.clone(),
        stuck: round.stuck.clone(),
    };
    let result = guest_plan::guest(context, &kernel, "guest-witness", &plan, output)?
        .timeout(TIMEOUT)
        .run()?;
    ensure!(
        result.outcome == guest::Outcome::Exited(0),
        "{}",
        result.describe()
    );
    let read = |suffix: &str| read_lossy(&output.join(format!("{NAME}{suffix}.json")));
    let statement = serde_json::from_str(&read(".statement"))
        .context("the guest's statement cannot be understood")?;
    let report = Report::parse(&read("")).context("the guest's report cannot be understood")?;
    Ok((statement, report))
}

/// What both said in all guests.
#[derive(Debug, Default)]
struct Heard {
    testimonies: BTreeMap<String, Testimony>,
    lockdep_ended_in: BTreeSet<String>,
    problems: Vec<String>,
}

impl Heard {
    fn add(&mut self, statement: &Statement, report: &Report) {
        for one in &statement.heard {
            let sites = report.findings.iter().chain(&report.other_sites);
            let lastref = sites
                .filter(|site| site.scenario() == Some(one.scenario.as_str()))
                .map(|site| site.severity)
                .max()
                .unwrap_or(Severity::Benign);
            let kernel = one
                .complaints
                .iter()
                .map(|complaint| complaint.kind)
                .collect();
            self.testimonies
                .insert(one.scenario.clone(), Testimony { kernel, lastref });
        }
        self.lockdep_ended_in
            .extend(statement.lockdep_ended_in.clone());
        self.problems.extend(statement.problems.iter().cloned());
    }
}

/// Prints a line for each scenario.
fn compare(explanations: &Explanations, heard: &Heard, only: &[String]) -> Comparison {
    let mut comparison = Comparison::default();
    for (name, testimony) in &heard.testimonies {
        let explained = explanations
            .difference
            .iter()
            .find(|difference| difference.scenario == *name);
        let (good, remark) = judge(testimony, explained);
        println!(
            "  {} {name:<23} kernel: {:<45} lastref: {:<8}  {remark}",
            if good { "ok  " } else { "FAIL" },
            testimony.kernel_says(),
            testimony.lastref,
        );
        *(if good {
            &mut comparison.good
        } else {
            &mut comparison.bad
        }) += 1;
    }
    let mut problems = heard.problems.clone();
    if only.is_empty() {
        problems.extend(
            explanations
                .difference
                .iter()
                .map(|difference| &difference.scenario)
                .filter(|name| !heard.testimonies.contains_key(*name))
                .map(|name| format!("{name} is explained and was not run")),
        );
    }
    let ended = &heard.lockdep_ended_in;
    let listed = &explanations.ends_lockdep;
    problems.extend(
        (ended - listed)
            .iter()
            .map(|name| format!("lockdep ended in {name}, which ends_lockdep does not list")),
    );
    problems.extend(
        (listed - ended)
            .iter()
            .filter(|name| heard.testimonies.contains_key(*name))
            .map(|name| format!("lockdep did not end in {name}, which ends_lockdep lists")),
    );
    for problem in &problems {
        println!("  FAIL {problem}");
    }
    comparison.bad += problems.len() as u64;
    comparison
}

/// Whether a testimony is as it must be, and what is to be said of it.
fn judge(testimony: &Testimony, explained: Option<&Difference>) -> (bool, String) {
    match (testimony.agrees(), explained) {
        (true, None) => (true, "agree".to_string()),
        (true, Some(_)) => (false, "agree, but a difference is explained".to_string()),
        (false, None) => (false, "differ, which nothing explains".to_string()),
        (false, Some(difference)) => {
            let as_explained =
                difference.kernel == testimony.kernel && difference.lastref == testimony.lastref;
            let remark = if as_explained {
                &difference.why
            } else {
                "differ otherwise than is explained"
            };
            (as_explained, remark.to_string())
        }
    }
}

impl Testimony {
    fn kernel_says(&self) -> String {
        if self.kernel.is_empty() {
            return "nothing".to_string();
        }
        let kinds: Vec<String> = self.kernel.iter().map(ToString::to_string).collect();
        kinds.join(", ")
    }
}

impl Explanations {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text)
            .with_context(|| format!("{} is not a table of differences", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for difference in &table.difference {
            let name = &difference.scenario;
            ensure!(names.insert(name), "{name} is explained twice");
            ensure!(!difference.why.is_empty(), "{name} is not explained");
            let testimony = Testimony {
                kernel: difference.kernel.clone(),
                lastref: difference.lastref,
            };
            ensure!(!testimony.agrees(), "{name} is no difference");
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn testimony(kernel: &[Kind], lastref: Severity) -> Testimony {
        Testimony {
            kernel: kernel.iter().copied().collect(),
            lastref,
        }
    }

    #[test]
    fn both_or_neither() {
        assert!(testimony(&[Kind::SleepingFunction], Severity::Unsafe).agrees());
        assert!(testimony(&[], Severity::Risky).agrees());
        assert!(!testimony(&[Kind::HungTask], Severity::Risky).agrees());
        assert!(!testimony(&[], Severity::Deadlock).agrees());
    }

    #[test]
    fn only_what_is_explained_may_differ_and_must() {
        let table = Explanations::parse(
            r#"
            ends_lockdep = []
            [[difference]]
            scenario = "low_stack_2k"
            lastref = "unsafe"
            why = "nothing checks the stack"
            "#,
        )
        .unwrap();
        let explained = table.difference.first();
        let silent = testimony(&[], Severity::Unsafe);
        assert!(judge(&silent, explained).0);
        assert!(!judge(&silent, None).0);
        assert!(!judge(&testimony(&[], Severity::Deadlock), explained).0);
        assert!(!judge(&testimony(&[Kind::Other], Severity::Unsafe), explained).0);
        assert!(judge(&testimony(&[Kind::Other], Severity::Unsafe), None).0);
    }

    #[test]
    fn every_difference_of_the_file_is_one_and_in_the_lab() {
        let table = Explanations::parse(include_str!("../../../lab/witness.toml")).unwrap();
        let module = include_str!("../../../lab/module/table.c");
        for name in table.ends_lockdep.iter().chain(
            table
                .difference
                .iter()
                .map(|difference| &difference.scenario),
        ) {
            assert!(module.contains(name.as_str()), "{name}");
        }
    }

    #[test]
    fn the_document_explains_every_difference() {
        let table = Explanations::parse(include_str!("../../../lab/witness.toml")).unwrap();
        let document = include_str!("../../../docs/accuracy.md");
        for difference in &table.difference {
            let row = format!("`{}`", difference.scenario);
            let severity = format!("| {} |", difference.lastref);
            assert!(
                document.lines().any(|line| line.starts_with("| `")
                    && line.contains(&row)
                    && line.contains(&severity)),
                "{row}"
            );
        }
    }

    #[test]
    fn what_lockdep_cut_off_is_run_again() {
        let round = || Round {
            scenarios: ["a", "b"]
                .map(|name| PlannedScenario {
                    name: name.to_string(),
                    count: 1,
                    guest: None,
                })
                .into(),
            stuck: Vec::new(),
        };
        let statement = |ended: Option<&str>| -> Statement {
            serde_json::from_value(serde_json::json!({
                "heard": [{ "scenario": "a", "complaints": [] }],
                "lockdep_ended_in": ended,
                "problems": [],
            }))
            .unwrap()
        };
        let left = round().after(&statement(Some("a"))).unwrap();
        assert_eq!(left.scenarios[0].name, "b");
        assert!(round().after(&statement(None)).is_none());
    }
}
