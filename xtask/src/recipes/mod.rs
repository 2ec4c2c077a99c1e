//! `cargo xtask recipes`: runs every recipe of `docs/ci.md` as it stands there.

mod configuration;
mod document;
mod guests;
mod reports;
mod surroundings;
mod whole_kernel;
mod workflow;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;

use self::document::Document;
use self::surroundings::{Boots, Surroundings};
use crate::context::Context;
use crate::kernels::{self, Kernel};
use crate::progress::elapsed;
use crate::tally::Tally;
use crate::{agent, module};

/// The kernel that guests boot, unless another is named.
pub const KERNEL: &str = "7.3";
const DOCUMENT: &str = "docs/ci.md";
/// The kernel of the cache, its command line as it is.
const AS_CACHED: Boots = Boots::Cached(&[]);

/// Options of `recipes`.
#[derive(Debug, Args)]
pub struct Recipes {
    /// Kernel that the guests boot (see kernels.toml)
    #[arg(long, default_value = KERNEL)]
    kernel: String,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
    /// Steps to run; all but `build`, which takes long, if none is named
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
    fn surroundings(&self, name: &str, boots: Boots) -> Result<Surroundings> {
        let place = self.output.join(name);
        Surroundings::new(self.context, &self.kernel, &self.lastref, &place, boots)
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
    /// Why it is only run if it is named, where that is so.
    only_named: Option<&'static str>,
    run: fn(&Bench) -> Result<End>,
}

/// All steps; later ones use what earlier ones left.
const STEPS: &[Step] = &[
    Step {
        name: "workflow",
        recipes: &["workflow"],
        only_named: None,
        run: workflow::check,
    },
    Step {
        name: "configure",
        recipes: &["configure", "configure-own"],
        only_named: None,
        run: configuration::configure,
    },
    Step {
        name: "build",
        recipes: &["configure", "build", "run"],
        only_named: Some("a whole kernel takes too long"),
        run: whole_kernel::build_and_run,
    },
    Step {
        name: "run",
        recipes: &["run"],
        only_named: None,
        run: guests::a_finding_fails,
    },
    Step {
        name: "baseline",
        recipes: &["baseline"],
        only_named: None,
        run: guests::a_known_one_does_not,
    },
    Step {
        name: "run-clean",
        recipes: &["run"],
        only_named: None,
        run: guests::no_finding_passes,
    },
    Step {
        name: "run-locked-down",
        recipes: &["run"],
        only_named: None,
        run: guests::a_locked_kernel_is_skipped,
    },
    Step {
        name: "kselftest",
        recipes: &["kselftest"],
        only_named: None,
        run: guests::kselftest,
    },
    Step {
        name: "fstests",
        recipes: &["fstests", "fstests-guest"],
        only_named: None,
        run: guests::fstests,
    },
    Step {
        name: "reports",
        recipes: &["reports"],
        only_named: None,
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
    let surroundings = Surroundings::new(
        context,
        &kernel,
        &lastref,
        &output.join("common"),
        AS_CACHED,
    )?;
    let bench = Bench {
        context,
        kernel,
        lastref,
        module,
        document,
        output,
        surroundings,
    };
    let mut tally = Tally::default();
    for step in STEPS {
        if options.steps.iter().any(|name| name == step.name) {
            tally.add(run_step(step, || (step.run)(&bench)));
        } else if options.steps.is_empty() {
            tally.add(run_step(step, || match step.only_named {
                Some(reason) => Ok(End::Skipped(format!(
                    "{reason}; `cargo xtask recipes {}` runs it",
                    step.name
                ))),
                None => (step.run)(&bench),
            }));
        }
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

fn run_step(step: &Step, run: impl FnOnce() -> Result<End>) -> Tally {
    let start = Instant::now();
    let (verdict, tally) = match run() {
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
