//! The process that makes the passes, one for each line on its standard input.
//!
//! It is a process and no thread: a pass that gets behind a stuck eviction never comes back, and a
//! thread that does not come back keeps its whole process, and the probes that it holds, alive.

use std::{
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::means::Means;

/// The subcommand that it is started by.
pub const SUBCOMMAND: &str = "provoke-passes";

/// Reclaim once for each line on standard input (started by `run --provoke`).
#[derive(Debug, clap::Args)]
pub struct PassesArgs {
    #[arg(value_enum)]
    means: Means,
    /// The cgroup to reclaim in, for means that need one
    cgroup: Option<PathBuf>,
}

/// What became of a pass: one line of JSON on standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It took so many nanoseconds.
    TookNs(u64),
    /// It was not made, for this reason.
    Failed(String),
}

impl PassesArgs {
    /// Makes passes until there are no more orders.
    ///
    /// # Errors
    /// If whoever gives the orders has gone.
    pub fn run(&self) -> Result<ExitCode> {
        // The report names threads; this one would be called `exe`. It is a matter of looks only.
        let _ = rustix::thread::set_name(c"lastref-provoke");
        let cgroup = self.cgroup.as_deref().unwrap_or_else(|| Path::new(""));
        let mut answers = io::stdout().lock();
        for order in io::stdin().lock().lines() {
            order.context("cannot read the orders")?;
            let began = Instant::now();
            let answer = match self.means.pass(cgroup) {
                Ok(()) => {
                    Answer::TookNs(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
                }
                Err(error) => Answer::Failed(format!("{error:#}")),
            };
            let mut line = serde_json::to_vec(&answer)?;
            line.push(b'\n');
            answers
                .write_all(&line)
                .and_then(|()| answers.flush())
                .context("cannot answer")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
