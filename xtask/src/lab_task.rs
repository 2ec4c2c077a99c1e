//! `cargo xtask lab`: the lab on one kernel, whole or some of its scenarios.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::tally::Tally;
use crate::{agent, lab};

/// Options of `lab`.
#[derive(Debug, Args)]
pub struct Lab {
    /// Kernel to run it on (see kernels.toml)
    #[arg(long)]
    kernel: String,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
    /// Scenarios to run (see lab/scenarios.toml); all if none is named
    scenarios: Vec<String>,
}

/// Runs it and prints the tally last; 1 if anything is not as it must be.
pub fn run(context: &Context, options: &Lab) -> Result<u8> {
    let lastref = match &options.lastref {
        Some(path) => path.clone(),
        None => agent::build(context)?,
    };
    let summary = lab::run(context, &options.kernel, &lastref, &options.scenarios)?;
    let (passed, failed) = summary.tally();
    let tally = Tally {
        passed: u64::try_from(passed)?,
        failed: u64::try_from(failed)?,
        skipped: 0,
    };
    println!("{tally}");
    Ok(u8::from(!summary.passed()))
}
