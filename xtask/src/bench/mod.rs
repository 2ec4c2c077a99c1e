//! `cargo xtask bench`: what watching costs, in instructions for each call, counted in guests.

mod calls;
pub mod inside;
mod limits;
mod table;
mod watcher;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use self::inside::{Measured, Plan};
use self::table::Table;
use self::watcher::WATCHERS;
use crate::context::{Context, fresh_directory};
use crate::guest::Outcome;
use crate::progress::{elapsed, read_lossy};
use crate::tally::Tally;
use crate::{agent, guest_plan, host_packages, kernels, module};

/// The kernels that it runs on unless one is named.
pub const KERNELS: [&str; 2] = ["6.1", "7.3"];
/// What the guests need of this machine besides what all guests do.
const PACKAGES: [(&str, &str); 1] = [("bpftrace", "what lastref's cost is compared with")];
/// From boot to the end of the last measurement, with instructions counted.
const TIMEOUT: Duration = Duration::from_mins(20);

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Kernel to measure on (see kernels.toml); 6.1 and 7.3 if none is named
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// Measure lastref alone; limits that compare it with others are skipped
    #[arg(long)]
    alone: bool,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Costs<'a> {
    unit: &'static str,
    tables: &'a [Table],
}

/// Measures on all kernels, prints a table for each, compares them with the limits and prints the
/// tally last; 1 if a limit is not kept or something could not be measured.
///
/// Leaves `target/bench/cost.json` and `cost.md`, with the guests' consoles in `target/bench/KERNEL/`.
pub fn run(context: &Context, options: &Bench) -> Result<u8> {
    let lastref = match &options.lastref {
        Some(path) => path.clone(),
        None => agent::build(context)?,
    };
    if !options.alone {
        host_packages::install(context, &PACKAGES)?;
    }
    let names = if options.kernels.is_empty() {
        KERNELS.map(String::from).to_vec()
    } else {
        options.kernels.clone()
    };
    let mut tally = Tally::default();
    let mut tables = Vec::new();
    for name in &names {
        let start = Instant::now();
        let table = measure(context, name, &lastref, options.alone, &mut tally)?;
        println!("{}", table.markdown());
        tally.add(judge(&table));
        println!("costs on {name}: {}", elapsed(start));
        tables.push(table);
    }
    let costs = Costs {
        unit: "instructions per call; `added` is the median's difference to nobody's",
        tables: &tables,
    };
    let texts: Vec<String> = tables.iter().map(Table::markdown).collect();
    let shares: Vec<String> = tables.iter().map(Table::shares).collect();
    for (name, text) in [
        (
            "cost.md",
            format!("{}\n{}", texts.join("\n"), shares.join("\n")),
        ),
        ("cost.json", serde_json::to_string_pretty(&costs)?),
    ] {
        let path = context.target().join("bench").join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    println!("{tally}");
    Ok(u8::from(tally.failed > 0))
}

/// Measures all in one guest.
fn measure(
    context: &Context,
    name: &str,
    lastref: &Path,
    alone: bool,
    tally: &mut Tally,
) -> Result<Table> {
    let kernel = kernels::named(context, name)?;
    let output = fresh_directory(&context.target().join("bench").join(name))?;
    let plan = Plan {
        module: module::build_lab(context, &kernel)?,
        lastref: fs::canonicalize(lastref)
            .with_context(|| format!("{} is not there", lastref.display()))?,
        output: output.clone(),
        watchers: WATCHERS
            .iter()
            .copied()
            .filter(|watcher| !alone || watcher.script().is_none())
            .collect(),
    };
    let result = guest_plan::guest(context, &kernel, "guest-bench", &plan, &output)?
        .timeout(TIMEOUT)
        .count_instructions()
        .run()?;
    if result.outcome != Outcome::Exited(0) {
        println!("  FAIL {name}: {}", result.describe());
        tally.add(Tally::of(false));
    }
    let measured: Vec<Measured> =
        serde_json::from_str(&read_lossy(&plan.results())).unwrap_or_default();
    Ok(Table::new(name, &kernel.manifest.release, measured))
}

/// Compares a table with the limits; says what they are and whether they are kept.
fn judge(table: &Table) -> Tally {
    let mut tally = Tally::default();
    for problem in table.problems() {
        println!("  FAIL {}: {problem}", table.kernel);
        tally.add(Tally::of(false));
    }
    for verdict in limits::check(table) {
        let (word, counted) = match verdict.kept {
            Some(true) => ("ok  ", Tally::of(true)),
            Some(false) => ("FAIL", Tally::of(false)),
            None => (
                "skip",
                Tally {
                    skipped: 1,
                    ..Tally::default()
                },
            ),
        };
        println!("  {word} {}: {}", table.kernel, verdict.what);
        tally.add(counted);
    }
    tally
}
