//! Inside a guest: whether each function that a rule recognises still exists on this kernel, as
//! `lastref doctor` sees it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::diagnosis::{Check, Diagnosis, State};
use crate::progress::output_of;

/// What its result is called among those of the sessions.
pub const NOTE: &str = "frames";
/// The checks' group in `lastref doctor --json`.
const GROUP: &str = "functions that rules recognise";

/// The module that must be loaded to know.
fn module(check: &Check) -> Option<&str> {
    let remedy = check.remedy.as_deref()?;
    (check.state == State::Unknown)
        .then(|| remedy.strip_prefix("modprobe "))
        .flatten()
}

/// Loads what modules the kernel has of those that the rules know, and says which of their
/// functions are missing.
pub fn check(lastref: &Path) -> Result<Vec<String>> {
    for module in diagnose(lastref)?.iter().filter_map(module) {
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
    let checks = of_group(Diagnosis::of(lastref)?);
    ensure!(!checks.is_empty(), "lastref doctor has no {GROUP}");
    Ok(checks)
}

fn of_group(mut diagnosis: Diagnosis) -> Vec<Check> {
    diagnosis.checks.retain(|check| check.group == GROUP);
    diagnosis.checks
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
            State::Unknown => module(check).is_none_or(can_be_loaded),
        })
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_a_problem() {
        let text = r#"{ "release": "6.1", "watchable": true, "checks": [
            { "group": "host", "name": "x", "state": "bad", "detail": "" },
            { "group": "functions that rules recognise", "name": "a", "state": "ok", "detail": "f" },
            { "group": "functions that rules recognise", "name": "b", "state": "bad", "detail": "rule r is blind here" },
            { "group": "functions that rules recognise", "name": "c", "state": "unknown", "detail": "module c is not loaded", "remedy": "modprobe c" }
        ] }"#;
        let checks = of_group(Diagnosis::parse(text).unwrap());
        assert_eq!(checks.len(), 3);
        assert_eq!(problems(&checks, &|_| false), ["b: rule r is blind here"]);
        assert_eq!(problems(&checks, &|module| module == "c").len(), 2);
    }
}
