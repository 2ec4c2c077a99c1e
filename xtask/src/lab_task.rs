//! `cargo xtask lab`: the lab on one kernel or on all, whole or some of its scenarios.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, ensure};
use clap::Args;

use crate::context::Context;
use crate::lab::matrix::Matrix;
use crate::tally::Tally;
use crate::{agent, lab};

/// Options of `lab`.
#[derive(Debug, Args)]
pub struct Lab {
    /// Kernel to run it on (see kernels.toml); all in turn if none is named
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Scenario to run (see lab/scenarios.toml); all if none is named
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Compare what the kernel itself complains of with what lastref says; by default on the kernel
    /// that checks itself
    #[arg(long)]
    witness: bool,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
}

/// Runs it and prints the matrix, and the tally last; 1 if anything is not as it must be.
pub fn run(context: &Context, options: &Lab) -> Result<u8> {
    let start = SystemTime::now();
    let lastref = match &options.lastref {
        Some(path) => path.clone(),
        None => agent::build(context)?,
    };
    if options.witness {
        return witness(context, options, &lastref);
    }
    let names: Vec<String> = options.kernel.iter().cloned().collect();
    let kernels = context.kernels(&names)?;
    let mut tally = Tally::default();
    for kernel in kernels {
        let name = &kernel.name;
        let summary = match lab::run(context, name, &lastref, &options.scenarios) {
            Ok(Some(summary)) => summary,
            Ok(None) => {
                println!("{name}: cannot run these scenarios");
                continue;
            }
            // The other kernels can be run; the matrix shows that this one was not.
            Err(error) => {
                println!("{name}: {error:#}");
                tally.add(Tally::of(false));
                continue;
            }
        };
        let (passed, failed) = summary.tally();
        tally.add(Tally {
            passed: u64::try_from(passed)?,
            failed: u64::try_from(failed)?,
            skipped: 0,
        });
    }
    ensure!(
        tally != Tally::default(),
        "lab/scenarios.toml has nothing to run: {}",
        options.scenarios.join(", ")
    );
    let matrix = Matrix::collect(context, start)?;
    let path = matrix.write(context)?;
    println!("{}", matrix.markdown());
    println!("{}", path.display());
    println!("{tally}");
    Ok(u8::from(tally.failed > 0))
}

/// Prints what the kernel and `lastref` say of each scenario; 1 if they differ without a reason.
fn witness(context: &Context, options: &Lab, lastref: &Path) -> Result<u8> {
    let kernel = options.kernel.as_deref().unwrap_or(lab::WITNESS_KERNEL);
    let lab::witness::Comparison { good, bad } =
        lab::witness::run(context, kernel, lastref, &options.scenarios)?;
    let tally = Tally {
        passed: good,
        failed: bad,
        skipped: 0,
    };
    println!("{tally}");
    Ok(u8::from(bad > 0))
}
