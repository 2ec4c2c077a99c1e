//! The costs on one kernel: what each watcher adds to calls of each kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::calls::{CALLS, NON_FINAL, NOTHING, Steps};
use super::inside::Measured;
use super::watcher::Watcher;

/// How many puts a second hosts make, from quiet to as many as a file server can.
const RATES: [(u32, &str); 3] = [(10_000, "10 k"), (100_000, "100 k"), (1_000_000, "1 M")];
/// The instructions that a CPU is taken to do in a second.
const PER_SECOND: f64 = 3e9;

/// The table of one kernel.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The kernel's name in `kernels.toml`.
    pub kernel: String,
    /// Its release.
    pub release: String,
    /// One for each watcher.
    rows: Vec<Row>,
}

/// What was measured under one watcher.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    watcher: Watcher,
    /// The instructions that it adds to a call, by the call's name in the module.
    added: BTreeMap<String, i64>,
    /// The instructions of a call, and of reading the counter.
    steps: BTreeMap<String, Steps>,
    problem: Option<String>,
}

impl Table {
    /// Makes it of what a guest measured. What watchers add is what they add to the first of them:
    /// nobody.
    pub fn new(kernel: &str, release: &str, measured: Vec<Measured>) -> Self {
        let base = measured
            .first()
            .map(|first| first.steps.clone())
            .unwrap_or_default();
        let rows = measured
            .into_iter()
            .map(|one| Row {
                name: one.watcher.to_string(),
                watcher: one.watcher,
                added: one
                    .steps
                    .iter()
                    .filter_map(|(name, steps)| {
                        let without = base.get(name)?.median;
                        Some((
                            name.clone(),
                            steps.median.cast_signed() - without.cast_signed(),
                        ))
                    })
                    .collect(),
                steps: one.steps,
                problem: one.problem,
            })
            .collect();
        Self {
            kernel: kernel.to_string(),
            release: release.to_string(),
            rows,
        }
    }

    /// What a watcher adds to a call, if that was measured.
    pub fn added(&self, watcher: Watcher, call: &str) -> Option<i64> {
        let row = self.rows.iter().find(|row| row.watcher == watcher)?;
        row.added.get(call).copied()
    }

    /// What could not be measured, and why.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.rows.iter().filter_map(|row| {
            let problem = row.problem.as_ref()?;
            Some(format!("{}: {problem}", row.name))
        })
    }

    /// What share of a CPU watching takes, by the puts a second that are not final, for people.
    pub fn shares(&self) -> String {
        let rates = RATES.map(|(_, rate)| format!("{rate} puts/s"));
        let mut text = format!(
            "| Linux {}, watched by | {} |\n|---|{}\n",
            self.kernel,
            rates.join(" | "),
            "---:|".repeat(RATES.len())
        );
        for row in self
            .rows
            .iter()
            .filter(|row| row.watcher != Watcher::Nobody)
        {
            let added = row
                .added
                .get(NON_FINAL)
                .and_then(|&added| u32::try_from(added).ok());
            let Some(added) = added else { continue };
            let shares = RATES.map(|(rate, _)| {
                format!(
                    "{:.2} %",
                    f64::from(added) * f64::from(rate) / PER_SECOND * 100.0
                )
            });
            let _ = writeln!(text, "| {} | {} |", row.name, shares.join(" | "));
        }
        text
    }

    /// The table for people. The first row is what calls cost by themselves.
    pub fn markdown(&self) -> String {
        let titles: Vec<&str> = CALLS.iter().map(|call| call.title).collect();
        let mut text = format!(
            "Linux {} ({})\n\n| watched by | {} |\n|---|{}\n",
            self.kernel,
            self.release,
            titles.join(" | "),
            "---:|".repeat(titles.len())
        );
        for row in &self.rows {
            let _ = write!(text, "| {} |", row.name);
            for call in CALLS {
                let cell = if row.watcher == Watcher::Nobody {
                    row.by_itself(call.name).map(|steps| steps.to_string())
                } else {
                    row.added.get(call.name).map(|added| format!("{added:+}"))
                };
                let _ = write!(text, " {} |", cell.unwrap_or_else(|| "?".to_string()));
            }
            text.push('\n');
        }
        text
    }
}

impl Row {
    /// A call's instructions without those of reading the counter.
    fn by_itself(&self, call: &str) -> Option<u64> {
        let counting = self.steps.get(NOTHING)?.median;
        Some(self.steps.get(call)?.median.saturating_sub(counting))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::lab::Attach;

    /// A table in which calls cost 1000 by themselves, and reading the counter 3.
    pub fn table(rows: &[(Watcher, &[(&str, i64)])]) -> Table {
        let steps = |median| Steps {
            median,
            least: median,
            most: median,
            calls: 1,
        };
        let by_themselves = CALLS
            .iter()
            .map(|call| (call.name.to_string(), steps(1003)))
            .chain([(NOTHING.to_string(), steps(3))]);
        let mut measured = vec![Measured {
            watcher: Watcher::Nobody,
            steps: by_themselves.collect(),
            problem: None,
        }];
        for (watcher, added) in rows {
            let steps = added.iter().map(|(name, added)| {
                (
                    (*name).to_string(),
                    steps(1003_u64.saturating_add_signed(*added)),
                )
            });
            measured.push(Measured {
                watcher: *watcher,
                steps: steps.collect(),
                problem: None,
            });
        }
        Table::new("6.1", "6.1.0", measured)
    }

    #[test]
    fn rows_say_what_they_add() {
        let watcher = Watcher::Empty(Attach::Kprobe);
        let table = table(&[(watcher, &[(NON_FINAL, 342)])]);
        assert_eq!(table.added(watcher, NON_FINAL), Some(342));
        assert_eq!(table.added(watcher, "kept"), None);
        assert!(
            table
                .shares()
                .contains("| an empty kprobe program | 0.11 % | 1.14 % | 11.40 % |"),
            "{}",
            table.shares()
        );
        let text = table.markdown();
        assert!(text.contains("| nobody | 1000 | 1000 |"), "{text}");
        assert!(
            text.contains("| an empty kprobe program | +342 | ? |"),
            "{text}"
        );
    }
}
