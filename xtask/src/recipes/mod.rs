//! `cargo xtask recipes`: runs every recipe of `docs/ci.md` as it stands there.

mod configuration;
mod document;
mod guests;
mod reports;
mod surroundings;
mod workflow;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;

use self::document::Document;
use self::surroundings::Surroundings;
use crate::context::Context;
use crate::kernels::{self, Kernel};
use crate::progress::elapsed;
use crate::tally::Tally;
use crate::{agent, module};

/// The kernel that guests boot, unless another is named.
pub const KERNEL: &str = "7.3";
const DOCUMENT: &str = "docs/ci.md";
/// Recipes that are not run, and why.
const NOT_RUN: [(&str, &str); 1] = [("build", "a whole kernel takes too long")];

/// Options of `recipes`.
#[derive(Debug, Args)]
pub struct Recipes {
    /// Kernel that the guests boot (see kernels.toml)
    #[arg(long, default_value = KERNEL)]
    kernel: String,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
    /// Steps to run; all if none is named
    steps: Vec<String>,
}

/// What a step has to go by.
struct Bench<'a> {
    context: &'a Context,
    kernel: Kernel,
    lastref: PathBuf,
    module: PathBuf,
    document: Document,
    /// Where everything of it is left.
    output: PathBuf,
    /// What the steps that follow each other have around them.
    surroundings: Surroundings,
}

impl Bench<'_> {
    /// Surroundings of a step's own, below `output`.
    fn surroundings(&self, name: &str, kernel_arguments: &[&str]) -> Result<Surroundings> {
        let place = self.output.join(name);
        Surroundings::new(
            self.context,
            &self.kernel,
            &self.lastref,
            &place,
            kernel_arguments,
        )
    }
}

/// How a step ended that did not fail.
enum End {
    Passed,
    /// It could not be made here, for this reason.
    Skipped(String),
}

/// A step: some recipes, and what must come of them.
struct Step {
    name: &'static str,
    recipes: &'static [&'static str],
    run: fn(&Bench) -> Result<End>,
}

/// All steps; later ones use what earlier ones left.
const STEPS: &[Step] = &[
    Step {
        name: "workflow",
        recipes: &["workflow"],
        run: workflow::check,
    },
    Step {
        name: "configure",
        recipes: &["configure", "configure-own"],
        run: configuration::configure,
    },
    Step {
        name: "run",
        recipes: &["run"],
        run: guests::a_finding_fails,
    },
    Step {
        name: "baseline",
        recipes: &["baseline"],
        run: guests::a_known_one_does_not,
    },
    Step {
        name: "run-clean",
        recipes: &["run"],
        run: guests::no_finding_passes,
    },
    Step {
        name: "run-locked-down",
        recipes: &["run"],
        run: guests::a_locked_kernel_is_skipped,
    },
    Step {
        name: "kselftest",
        recipes: &["kselftest"],
        run: guests::kselftest,
    },
    Step {
        name: "fstests",
        recipes: &["fstests", "fstests-guest"],
        run: guests::fstests,
    },
    Step {
        name: "reports",
        recipes: &["reports"],
        run: reports::check,
    },
];

/// Runs them and prints the tally last; 1 if anything is not as the document says.
pub fn run(context: &Context, options: &Recipes) -> Result<u8> {
    if let Some(name) = unknown_step(&options.steps) {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("there is no step {name}; there are {}", names.join(", "));
    }
    let document = Document::read(&context.root.join(DOCUMENT))?;
    every_recipe_is_run(&document)?;
    let lastref = match &options.lastref {
        Some(path) => std::path::absolute(path)?,
        None => agent::build(context)?,
    };
    let kernel = kernels::named(context, &options.kernel)?;
    let module = module::build_lab(context, &kernel)?;
    let output = output(context);
    let surroundings = Surroundings::new(context, &kernel, &lastref, &output.join("common"), &[])?;
    let bench = Bench {
        context,
        kernel,
        lastref,
        module,
        document,
        output,
        surroundings,
    };
    let wanted = |step: &&Step| {
        options.steps.is_empty() || options.steps.iter().any(|name| name == step.name)
    };
    let mut tally = Tally::default();
    for step in STEPS.iter().filter(wanted) {
        tally.add(run_step(&bench, step));
    }
    println!("{tally}");
    Ok(u8::from(tally.failed > 0))
}

fn unknown_step(names: &[String]) -> Option<&String> {
    let has = |name: &&String| STEPS.iter().any(|step| step.name == **name);
    names.iter().find(|name| !has(name))
}

fn output(context: &Context) -> PathBuf {
    context.target().join("recipes")
}

fn run_step(bench: &Bench, step: &Step) -> Tally {
    let start = Instant::now();
    let (verdict, tally) = match (step.run)(bench) {
        Ok(End::Passed) => ("ok".to_string(), Tally::of(true)),
        Ok(End::Skipped(reason)) => (
            format!("skipped: {reason}"),
            Tally {
                skipped: 1,
                ..Tally::default()
            },
        ),
        Err(error) => (format!("FAIL: {error:#}"), Tally::of(false)),
    };
    println!("  {}, {}: {verdict}", step.name, elapsed(start));
    tally
}

/// A recipe that no step runs, or a step without its recipe, is a mistake in either.
fn every_recipe_is_run(document: &Document) -> Result<()> {
    let there: BTreeSet<&str> = document.names().collect();
    let run: BTreeSet<&str> = STEPS
        .iter()
        .flat_map(|step| step.recipes)
        .chain(NOT_RUN.iter().map(|(name, _)| name))
        .copied()
        .collect();
    let differ: Vec<&&str> = there.symmetric_difference(&run).collect();
    ensure!(
        differ.is_empty(),
        "{DOCUMENT} and the steps that run its recipes do not have the same: {differ:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_recipe_of_the_document_is_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        every_recipe_is_run(&Document::read(&root.join(DOCUMENT)).unwrap()).unwrap();
    }
}
