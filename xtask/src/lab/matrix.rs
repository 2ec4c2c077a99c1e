//! The matrix: for every scenario and kernel what was expected and what was got, and how precise
//! and complete the findings are. Made of the results that runs of the lab leave behind.

mod markdown;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::verdict::{Benign, Score, Verdict};
use super::{Summary, directory, result_file};
use crate::context::Context;
use crate::progress::read_lossy;

/// The whole of it.
#[derive(Debug, Serialize)]
pub struct Matrix {
    /// Every kernel of `kernels.toml`, in its order.
    kernels: Vec<Column>,
    /// Every scenario that ran, in the table's order.
    scenarios: Vec<Row>,
    /// Over all kernels that were run.
    all: Ratios,
}

/// What was found on one kernel.
#[derive(Debug, Serialize)]
struct Column {
    kernel: String,
    /// Without it nothing is known of this kernel; it has not passed.
    run: bool,
    /// Scenarios that this kernel does not run.
    absent: BTreeSet<String>,
    /// Scenarios as expected, over all sessions.
    good: usize,
    /// What is wrong, in scenarios and outside of them.
    problems: Vec<String>,
    ratios: Ratios,
    sessions: Vec<Session>,
}

/// Findings, and how many of them are right.
#[derive(Debug, Default, Serialize)]
struct Ratios {
    #[serde(flatten)]
    score: Score,
    precision: String,
    recall: String,
}

/// What one session's report says of itself.
#[derive(Debug, Serialize)]
struct Session {
    name: String,
    unknown_facts: BTreeMap<String, String>,
    losses: BTreeMap<String, u64>,
    benign_puts: Benign,
}

/// What was found of one scenario.
#[derive(Debug, Serialize)]
struct Row {
    scenario: String,
    cells: Vec<Cell>,
}

/// What was found of one scenario on one kernel, watched one way.
#[derive(Debug, Serialize)]
struct Cell {
    kernel: String,
    /// The way to watch: a session's name.
    way: String,
    #[serde(flatten)]
    verdict: Verdict,
    /// Facts that are true of this scenario where they can be told, and that were unknown here.
    unknown_here: BTreeSet<String>,
}

impl Ratios {
    fn of(score: Score) -> Self {
        Self {
            score,
            precision: score.precision(),
            recall: score.recall(),
        }
    }
}

impl Matrix {
    /// Of the results that the lab left since `since`; older ones tell nothing of this run.
    pub fn collect(context: &Context, since: SystemTime) -> Result<Self> {
        let mut columns = Vec::new();
        for spec in context.kernels(&[])? {
            let path = result_file(context, &spec.name);
            columns.push((spec.name.clone(), fresh(&path, since)));
        }
        Ok(Self::of(columns))
    }

    /// Of one result for each kernel, if it has any.
    fn of(results: Vec<(String, Option<Summary>)>) -> Self {
        let mut matrix = Self {
            kernels: Vec::new(),
            scenarios: Vec::new(),
            all: Ratios::default(),
        };
        let mut all = Score::default();
        for (kernel, result) in results {
            let run = result.is_some();
            let summary = result.unwrap_or_default();
            all.add(summary.score);
            matrix.kernels.push(Column {
                kernel: kernel.clone(),
                run,
                absent: summary.absent.clone(),
                good: summary.tally().0,
                problems: summary.all_problems(),
                ratios: Ratios::of(summary.score),
                sessions: Vec::new(),
            });
            for judged in summary.sessions {
                let judgement = judged.judgement;
                for verdict in judgement.verdicts {
                    let cell = Cell {
                        kernel: kernel.clone(),
                        way: judged.way.clone(),
                        unknown_here: judgement.unknown_facts.keys().cloned().collect(),
                        verdict,
                    };
                    matrix.add(cell);
                }
                if let Some(column) = matrix.kernels.last_mut() {
                    column.sessions.push(Session {
                        name: judged.name,
                        unknown_facts: judgement.unknown_facts,
                        losses: judgement.losses,
                        benign_puts: judgement.benign_puts,
                    });
                }
            }
        }
        matrix.all = Ratios::of(all);
        matrix.scenarios.iter_mut().for_each(Row::limit_unknown);
        matrix
    }

    fn add(&mut self, cell: Cell) {
        let name = &cell.verdict.scenario;
        match self.scenarios.iter_mut().find(|row| row.scenario == *name) {
            Some(row) => row.cells.push(cell),
            None => self.scenarios.push(Row {
                scenario: name.clone(),
                cells: vec![cell],
            }),
        }
    }

    /// Writes `matrix.md` and `matrix.json`; the path of the former.
    pub fn write(&self, context: &Context) -> Result<PathBuf> {
        let directory = directory(context);
        fs::create_dir_all(&directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text)
                .with_context(|| format!("{} cannot be written", path.display()))?;
            Ok::<_, anyhow::Error>(path)
        };
        write("matrix.json", &serde_json::to_string_pretty(self)?)?;
        write("matrix.md", &self.markdown())
    }

    /// Whether on this kernel everything was found and nothing else.
    pub fn is_perfect_on(&self, kernel: &str) -> bool {
        self.kernels.iter().any(|column| {
            column.kernel == kernel
                && column.run
                && column.problems.is_empty()
                && column.ratios.score.is_perfect()
        })
    }

    /// A line for each kernel, and one for all.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for column in &self.kernels {
            let _ = writeln!(text, "{}", column.line());
        }
        let _ = write!(text, "{}", line("all", &self.all));
        text
    }
}

impl Column {
    fn line(&self) -> String {
        if self.run {
            format!(
                "{}; {} as expected, {} problems",
                line(&self.kernel, &self.ratios),
                self.good,
                self.problems.len()
            )
        } else {
            format!("{}: not run", self.kernel)
        }
    }
}

fn line(name: &str, ratios: &Ratios) -> String {
    let Ratios {
        score,
        precision,
        recall,
    } = ratios;
    format!(
        "{name}: precision {precision}, recall {recall} (findings: {} right, {} missed, {} wrong)",
        score.right, score.missed, score.wrong
    )
}

impl Row {
    /// Leaves of the unknown facts those that are true where they can be told.
    fn limit_unknown(&mut self) {
        let gots = self
            .cells
            .iter()
            .filter_map(|cell| cell.verdict.got.as_ref());
        let yes: BTreeSet<String> = gots.flat_map(|got| got.yes.clone()).collect();
        for cell in &mut self.cells {
            let got = cell.verdict.got.as_ref();
            let unknown = got.map(|got| got.unknown.clone()).unwrap_or_default();
            cell.unknown_here = &(&cell.unknown_here | &unknown) & &yes;
        }
    }
}

/// The result in `path`, if it is of this run.
fn fresh(path: &Path, since: SystemTime) -> Option<Summary> {
    let written = fs::metadata(path).and_then(|file| file.modified()).ok()?;
    if written < since {
        return None;
    }
    serde_json::from_str(&read_lossy(path)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(change: impl FnOnce(&mut serde_json::Value)) -> Summary {
        let verdict = |rule: &str, yes: &[&str], unknown: &[&str]| {
            json!({
                "scenario": "spinlock",
                "expected": { "severity": "unsafe", "rule": "atomic-context", "count": 3,
                              "outcome": "evicted", "only_counted": false },
                "got": { "sites": 1, "severity": "unsafe", "rules": [rule], "yes": yes,
                         "unknown": unknown,
                         "counts": { "final_puts": 3, "evicted": 3, "kept": 0, "in_flight": 0 } },
                "problems": [],
            })
        };
        let session = |name: &str, verdict: serde_json::Value| {
            json!({ "name": name, "way": name, "judgement": {
                "verdicts": [verdict], "problems": [], "losses": {},
                "unknown_facts": { "lock_held": "no lockdep" },
                "benign_puts": { "made": 0, "counted": 9 },
                "score": { "right": 1, "missed": 0, "wrong": 0 },
            }})
        };
        let mut summary = json!({
            "kernel": "6.1", "problems": [], "absent": ["rcu_sleep"],
            "score": { "right": 2, "missed": 0, "wrong": 0 },
            "sessions": [
                session("kprobe-final", verdict("atomic-context", &["preempt_disabled"], &[])),
                session("fentry-final", verdict("atomic-context", &["preempt_disabled"], &[])),
            ],
        });
        change(&mut summary);
        serde_json::from_value(summary).unwrap()
    }

    fn matrix(summary: Summary) -> Matrix {
        Matrix::of(vec![
            ("6.1".to_string(), Some(summary)),
            ("7.3".to_string(), None),
        ])
    }

    #[test]
    fn sessions_that_agree_are_told_once() {
        let matrix = matrix(summary(|_| ()));
        let text = matrix.markdown();
        assert!(
            text.contains("| `spinlock` | unsafe atomic-context, 3 evicted |\n"),
            "{text}"
        );
        assert!(
            text.contains("| 6.1 | 2 | 0 | 2 | 0 | 0 | 1.000 | 1.000 |"),
            "{text}"
        );
        assert!(
            text.contains("| 6.1 | kprobe-final | lock_held | 0 / 9 | nothing |"),
            "{text}"
        );
        assert!(matrix.is_perfect_on("6.1"));
        assert!(
            matrix
                .summary()
                .contains("6.1: precision 1.000, recall 1.000 (findings: 2 right, 0 missed, 0 wrong); 2 as expected, 0 problems")
        );
    }

    #[test]
    fn a_kernel_that_was_not_run_has_not_passed() {
        let matrix = matrix(summary(|_| ()));
        assert!(!matrix.is_perfect_on("7.3"));
        assert!(!matrix.is_perfect_on("none"));
        assert!(matrix.markdown().contains("| 7.3 | not run |"));
        assert!(matrix.summary().contains("7.3: not run"));
    }

    #[test]
    fn what_differs_is_told_apart() {
        let text = matrix(summary(|summary| {
            let verdict = &mut summary["sessions"][1]["judgement"]["verdicts"][0];
            verdict["got"]["rules"] = json!(["rcu-reader"]);
            verdict["problems"] = json!(["rule atomic-context did not match"]);
        }));
        let markdown = text.markdown();
        assert!(
            markdown.contains(
                "kprobe-final: unsafe atomic-context, 3 evicted<br>fentry-final: **FAIL** \
                 unsafe atomic-context, 3 evicted / unsafe rcu-reader, 3 evicted |"
            ),
            "{markdown}"
        );
        assert!(
            markdown.contains("- 6.1: fentry-final: spinlock: rule atomic-context did not match"),
            "{markdown}"
        );
        assert!(!text.is_perfect_on("6.1"));
    }

    #[test]
    fn facts_are_unknown_where_they_would_be_true() {
        let text = matrix(summary(|summary| {
            let judgement = &mut summary["sessions"][1]["judgement"];
            judgement["unknown_facts"]["preempt_disabled"] = json!("no PREEMPT_COUNT");
            judgement["verdicts"][0]["got"]["yes"] = json!([]);
        }))
        .markdown();
        assert!(
            text.contains("fentry-final: unsafe atomic-context, 3 evicted ?preempt_disabled"),
            "{text}"
        );
    }

    #[test]
    fn problems_outside_of_scenarios_count() {
        let matrix = matrix(summary(|summary| {
            summary["problems"] = json!(["the guest panicked"]);
        }));
        assert!(!matrix.is_perfect_on("6.1"));
        assert!(matrix.markdown().contains("- 6.1: the guest panicked"));
    }

    #[test]
    fn a_result_of_an_earlier_run_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("6.1.json");
        let text = serde_json::to_string(&summary(|_| ())).unwrap();
        fs::write(&path, text).unwrap();
        let hour = std::time::Duration::from_hours(1);
        assert!(fresh(&path, SystemTime::now() - hour).is_some());
        assert!(fresh(&path, SystemTime::now() + hour).is_none());
        assert!(fresh(&directory.path().join("7.3.json"), SystemTime::now() - hour).is_none());
    }
}
