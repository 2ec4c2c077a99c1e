//! The workflow for GitHub's runners: what can be known of it without one.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, End};
use crate::progress::output_of;
use crate::python_program;

/// It has GitHub's own schema of workflows inside.
const CHECKER: (&str, &str) = ("check-jsonschema", "0.39.0");
/// Steps that only the hosted runner can run.
const HOSTED: [&str; 2] = ["Tools", "Let this user use KVM, where there is one"];
/// Steps that are recipes.
const RECIPES: [(&str, &str); 4] = [
    ("Configure", "configure"),
    ("Build", "build"),
    ("Run the test under lastref", "run"),
    ("Reports", "reports"),
];

/// Checks its form, and that its steps are the recipes.
pub fn check(bench: &Bench) -> Result<End> {
    let workflow = bench.document.recipe("workflow")?;
    let steps = scripts(workflow);
    let names: Vec<&str> = steps.iter().map(|(name, _)| *name).collect();
    let expected = [&HOSTED[..], &RECIPES.map(|(name, _)| name)[..]].concat();
    ensure!(
        names == expected,
        "the steps that run commands are {names:?}"
    );
    for (name, recipe) in RECIPES {
        let script = steps.iter().find(|(own, _)| *own == name);
        let recipe = bench.document.recipe(recipe)?;
        ensure!(
            script.is_some_and(|(_, script)| script == recipe),
            "the step {name:?} is not the recipe:\n{recipe}"
        );
    }
    let file = bench.output.join("workflow.yml");
    fs::write(&file, workflow).with_context(|| format!("{} cannot be written", file.display()))?;
    let (package, version) = CHECKER;
    let programs = python_program::ensure(bench.context, package, version)?;
    output_of(
        Command::new(programs.join(package))
            .args(["--builtin-schema", "vendor.github-workflows"])
            .arg(&file),
    )?;
    Ok(End::Passed)
}

/// The steps of a workflow that run commands (`run: |`): name and commands.
fn scripts(workflow: &str) -> Vec<(&str, String)> {
    const NAME: &str = "      - name: ";
    const RUN: &str = "        run: |";
    const INDENT: &str = "          ";
    let mut scripts = Vec::new();
    let mut name = "";
    let mut lines = workflow.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix(NAME) {
            name = rest;
        }
        if line == RUN {
            let mut script = String::new();
            while let Some(command) = lines.peek().and_then(|line| line.strip_prefix(INDENT)) {
                script = script + command + "\n";
                lines.next();
            }
            scripts.push((name, script));
        }
    }
    scripts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_taken_out_of_a_workflow() {
        let workflow = "jobs:\n  a:\n    steps:\n      - uses: x\n      - name: One\n        \
             run: |\n          a\n            b\n      - name: Two\n        run: |\n          c\n";
        assert_eq!(
            scripts(workflow),
            [("One", "a\n  b\n".to_string()), ("Two", "c\n".to_string())]
        );
    }
}
