//! `cargo xtask fire` and `soak`: `lastref` under load while everything goes wrong, in guests, with
//! numbers.

mod checks;
mod guest_state;
mod hooks;
pub mod inside;
mod load;
mod memory;
mod mishaps;
mod watch;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use self::checks::CHECKS;
use self::inside::{Amounts, CheckResult, Plan};
use crate::context::{Context, fresh_directory};
use crate::guest::Outcome;
use crate::progress::{elapsed, read_lossy};
use crate::tally::Tally;
use crate::{agent, guest_plan, kernels, module};

/// The kernel unless one is named.
pub const KERNEL: &str = "7.3";
const TIMEOUT: Duration = Duration::from_hours(6);

/// Options of `fire`.
#[derive(Debug, Args)]
pub struct Fire {
    /// Kernel to run on (see kernels.toml); 7.3 if none is named
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// Check to make; all if none is named
    #[arg(long = "check", value_name = "NAME")]
    checks: Vec<String>,
    /// As much as the test of everything can afford, and a short soak
    #[arg(long, conflicts_with_all = ["puts", "kills", "attachments", "stopped"])]
    brief: bool,
    /// How many puts to count
    #[arg(long, default_value_t = 10_000_000)]
    puts: u64,
    /// How often to kill it
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// How often to attach and detach it
    #[arg(long, default_value_t = 1000)]
    attachments: u32,
    /// For how many seconds to stop it
    #[arg(long, default_value_t = 60)]
    stopped: u64,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
}

/// Options of `soak`.
#[derive(Debug, Args)]
pub struct Soak {
    /// Kernel to run on (see kernels.toml); 7.3 if none is named
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// For how long
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
}

/// Makes the checks and prints the tally last; 1 if one failed.
///
/// Leaves `target/fire/KERNEL.json` and `KERNEL.md`, a table, with the reports and the guest's console in
/// `target/fire/KERNEL/`.
pub fn run(context: &Context, options: &Fire) -> Result<u8> {
    for name in &options.checks {
        ensure!(
            CHECKS.iter().any(|check| check.name == name),
            "there is no check {name}; there are {}",
            CHECKS
                .iter()
                .map(|check| check.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    let soak = options.brief.then_some(&checks::SOAK);
    let checks: Vec<String> = CHECKS
        .iter()
        .chain(soak)
        .map(|check| check.name.to_string())
        .filter(|name| options.checks.is_empty() || options.checks.contains(name))
        .collect();
    let amounts = if options.brief {
        Amounts::BRIEF
    } else {
        Amounts {
            puts: options.puts,
            kills: options.kills,
            attachments: options.attachments,
            stopped: Duration::from_secs(options.stopped),
            soak: Duration::ZERO,
        }
    };
    on_all(
        context,
        &options.kernels,
        options.lastref.as_deref(),
        &checks,
        amounts,
    )
}

/// Keeps `lastref` watching under load; 1 if its memory grows or its counts are not exact.
pub fn soak(context: &Context, options: &Soak) -> Result<u8> {
    let amounts = Amounts {
        soak: Duration::from_mins(options.minutes),
        ..Amounts::BRIEF
    };
    let checks = [checks::SOAK.name.to_string()];
    on_all(
        context,
        &options.kernels,
        options.lastref.as_deref(),
        &checks,
        amounts,
    )
}

fn on_all(
    context: &Context,
    kernels: &[String],
    lastref: Option<&Path>,
    checks: &[String],
    amounts: Amounts,
) -> Result<u8> {
    let default = [KERNEL.to_string()];
    let kernels = if kernels.is_empty() {
        &default
    } else {
        kernels
    };
    context.kernels(kernels)?;
    let lastref = match lastref {
        Some(path) => {
            fs::canonicalize(path).with_context(|| format!("{} is not there", path.display()))?
        }
        None => agent::build(context)?,
    };
    let mut tally = Tally::default();
    for kernel in kernels {
        tally.add(on_one(context, kernel, &lastref, checks, amounts)?);
    }
    println!("{tally}");
    Ok(u8::from(tally.failed > 0))
}

fn on_one(
    context: &Context,
    name: &str,
    lastref: &Path,
    checks: &[String],
    amounts: Amounts,
) -> Result<Tally> {
    let start = Instant::now();
    let kernel = kernels::named(context, name)?;
    let directory = context.target().join("fire");
    let output = fresh_directory(&directory.join(name))?;
    let plan = Plan {
        module: module::build_lab(context, &kernel)?,
        lastref: lastref.to_path_buf(),
        output: output.clone(),
        checks: checks.to_vec(),
        amounts,
    };
    let result = guest_plan::guest(context, &kernel, "guest-fire", &plan, &output)?
        .timeout(TIMEOUT)
        .run()?;
    let results: Vec<CheckResult> =
        serde_json::from_str(&read_lossy(&plan.results())).unwrap_or_default();
    fs::copy(plan.results(), directory.join(format!("{name}.json")))
        .context("the guest left no results")?;
    let mut tally = Tally::default();
    let mut table =
        "| check | what happens, and what must hold | measured |\n|---|---|---|\n".to_string();
    for check in checks {
        let (passed, line) = match results.iter().find(|result| &result.name == check) {
            Some(CheckResult {
                measured: Ok(numbers),
                ..
            }) => (true, numbers.as_str()),
            Some(CheckResult {
                measured: Err(problem),
                ..
            }) => (false, problem.as_str()),
            None => (false, "not made"),
        };
        let word = if passed { "ok  " } else { "FAIL" };
        println!("  {word} {name} {check}: {line}");
        let what = checks::named(check).map_or("", |check| check.what);
        let _ = writeln!(table, "| {check} | {what} | {line} |");
        tally.add(Tally::of(passed));
    }
    let path = directory.join(format!("{name}.md"));
    fs::write(&path, table).with_context(|| format!("{} cannot be written", path.display()))?;
    let ended = result.outcome == Outcome::Exited(0);
    if !ended {
        println!("  FAIL {name}: {}", result.describe());
    }
    tally.add(Tally::of(ended));
    println!("under fire on {name}: {}", elapsed(start));
    Ok(tally)
}
