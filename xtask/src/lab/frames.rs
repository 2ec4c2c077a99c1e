//! Inside a guest: whether each function that a rule recognises still exists on this kernel, as
//! `lastref doctor` sees it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::progress::output_of;

/// What its result is called among those of the sessions.
pub const NOTE: &str = "frames";
/// The checks' group in `lastref doctor --json`.
const GROUP: &str = "functions that rules recognise";

#[derive(Debug, Deserialize)]
struct Diagnosis {
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    group: String,
    name: String,
    state: State,
    detail: String,
    remedy: Option<String>,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is as it should be.
    Ok,
    /// It is not.
    Bad,
    /// It could not be found out.
    Unknown,
}

impl Check {
    /// The module that must be loaded to know.
    fn module(&self) -> Option<&str> {
        let remedy = self.remedy.as_deref()?;
        (self.state == State::Unknown)
            .then(|| remedy.strip_prefix("modprobe "))
            .flatten()
    }
}

/// Loads what modules the kernel has of those that the rules know, and says which of their
/// functions are missing.
pub fn check(lastref: &Path) -> Result<Vec<String>> {
    for module in diagnose(lastref)?.iter().filter_map(Check::module) {
        // Not every kernel has every module: what could not be loaded stays unknown.
        let _ = output_of(Command::new("modprobe").arg(module));
    }
    let checks = diagnose(lastref)?;
    for check in &checks {
        println!("frames: {:?} {}: {}", check.state, check.name, check.detail);
    }
    Ok(problems(&checks, &can_be_loaded))
}

fn diagnose(lastref: &Path) -> Result<Vec<Check>> {
    let text = output_of(Command::new(lastref).args(["doctor", "--json"]))?;
    let checks = of_group(&text)?;
    ensure!(!checks.is_empty(), "lastref doctor has no {GROUP}");
    Ok(checks)
}

fn of_group(text: &str) -> Result<Vec<Check>> {
    let mut diagnosis: Diagnosis =
        serde_json::from_str(text).context("what lastref doctor says cannot be understood")?;
    diagnosis.checks.retain(|check| check.group == GROUP);
    Ok(diagnosis.checks)
}

/// Whether the kernel has that module.
fn can_be_loaded(module: &str) -> bool {
    output_of(Command::new("modprobe").args(["--dry-run", module])).is_ok()
}

/// What is missing, where it could be there.
fn problems(checks: &[Check], can_be_loaded: &dyn Fn(&str) -> bool) -> Vec<String> {
    checks
        .iter()
        .filter(|check| match check.state {
            State::Ok => false,
            State::Bad => true,
            State::Unknown => check.module().is_none_or(can_be_loaded),
        })
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_a_problem() {
        let text = r#"{ "release": "6.1", "checks": [
            { "group": "host", "name": "x", "state": "bad", "detail": "" },
            { "group": "functions that rules recognise", "name": "a", "state": "ok", "detail": "f" },
            { "group": "functions that rules recognise", "name": "b", "state": "bad", "detail": "rule r is blind here" },
            { "group": "functions that rules recognise", "name": "c", "state": "unknown", "detail": "module c is not loaded", "remedy": "modprobe c" }
        ] }"#;
        let checks = of_group(text).unwrap();
        assert_eq!(checks.len(), 3);
        assert_eq!(problems(&checks, &|_| false), ["b: rule r is blind here"]);
        assert_eq!(problems(&checks, &|module| module == "c").len(), 2);
    }
}
