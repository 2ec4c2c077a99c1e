//! What a guest leaves behind, whatever ran in it: its output, the reports, the summary of it all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::report::Report;
use crate::guest::{Guest, Outcome};

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

/// Keeps a summary beside the directory `output`, and says where.
pub fn keep(summary: &impl Serialize, output: &Path) -> Result<PathBuf> {
    let path = output.with_added_extension("json");
    fs::write(&path, serde_json::to_string_pretty(summary)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}
