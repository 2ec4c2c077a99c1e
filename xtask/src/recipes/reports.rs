//! The recipe that makes other forms of a report.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{AS_CACHED, Bench, End};
use crate::progress::tail;

/// The forms, each with what must be in it when there is a finding.
const FORMS: [(&str, &str); 3] = [
    ("out/report.md", "spinlock"),
    ("out/junit.xml", "<failure"),
    ("out/report.ktap", "not ok "),
];

/// With a finding and without.
pub fn check(bench: &Bench) -> Result<End> {
    for (report, has_finding) in [("finding.json", true), ("clean.json", false)] {
        let name = format!("reports-{report}");
        let surroundings = bench.surroundings(&name, AS_CACHED)?;
        let source = bench.output.join(report);
        let prepare = format!("mkdir out && cp {} out/report.json\n", source.display());
        ensure!(
            surroundings.run("prepare", &prepare)?.status == 0,
            "{} is not there: run all steps",
            source.display()
        );
        let ran = surroundings.run("reports", bench.document.recipe("reports")?)?;
        ensure!(
            ran.status == 0,
            "status {}:\n{}",
            ran.status,
            tail(&ran.output, 20)
        );
        for (form, word) in FORMS {
            let text = surroundings.read(form);
            ensure!(!text.is_empty(), "{form} is empty");
            ensure!(
                text.contains(word) == has_finding,
                "{report}: {form} has {word:?} where it should not, or has not:\n{}",
                tail(&text, 40)
            );
        }
        let sarif: Value = serde_json::from_str(&surroundings.read("out/report.sarif"))
            .context("the SARIF is no JSON")?;
        ensure!(sarif["runs"].is_array(), "the SARIF has no runs");
    }
    Ok(End::Passed)
}
