//! What a guest leaves behind, whatever ran in it: its output, the reports, the summary of it all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::checks::Checks;
use super::report::Report;
use crate::guest::{Guest, Outcome};
use crate::tally::Tally;

/// What is said of one `lastref run`.
pub trait Verdict: Serialize {
    /// Its checks.
    fn checks(&self) -> &Checks;

    /// What was run, and what was seen, in one line.
    fn title(&self) -> String;

    /// What was found, a line each.
    fn details(&self) -> Vec<String>;
}

/// All that was found on one kernel.
#[derive(Debug, Serialize)]
pub struct Summary<V> {
    /// As `kernels.toml` names it.
    pub kernel: String,
    /// What went wrong with the guest.
    pub problems: Vec<String>,
    /// In the order in which they ran.
    pub verdicts: Vec<V>,
}

impl<V: Verdict> Summary<V> {
    /// How many checks passed and failed.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for verdict in &self.verdicts {
            tally.add(verdict.checks().tally());
        }
        for _ in &self.problems {
            tally.add(Tally::of(false));
        }
        tally
    }

    /// Prints it for people.
    pub fn print(&self) {
        for verdict in &self.verdicts {
            let checks = verdict.checks();
            let bad = checks.tally().failed > 0;
            println!(
                "  {} {} {}",
                if bad { "FAIL" } else { "ok  " },
                self.kernel,
                verdict.title()
            );
            for line in checks.problems().into_iter().chain(verdict.details()) {
                println!("         {line}");
            }
        }
        for problem in &self.problems {
            println!("  FAIL {}: {problem}", self.kernel);
        }
    }

    /// Keeps it beside the directory `output`, and says where.
    pub fn keep(&self, output: &Path) -> Result<PathBuf> {
        let path = output.with_added_extension("json");
        fs::write(&path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }
}

/// Runs a guest and keeps its output in the directory `output`; what became of it, if that is a
/// problem.
pub fn run(guest: &Guest, output: &Path) -> Result<Option<String>> {
    let result = guest.run()?;
    let log = output.join("guest.log");
    fs::write(&log, format!("{}{}", result.stdout, result.stderr))
        .with_context(|| format!("{} cannot be written", log.display()))?;
    Ok(match result.outcome {
        Outcome::Exited(0) => None,
        _ => Some(result.describe()),
    })
}

/// The report that `lastref` left, or why there is none.
pub fn report(path: &Path) -> Result<Report, String> {
    fs::read_to_string(path)
        .map_err(|error| format!("there is no report: {error}"))
        .and_then(|text| {
            serde_json::from_str(&text)
                .map_err(|error| format!("the report cannot be understood: {error}"))
        })
}
