//! `lastref watch`: watches this kernel until interrupted, or for a time.

use std::process::ExitCode;

use super::observe::{self, ObserveArgs};

/// Watch this kernel until interrupted, or for a time.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    #[command(flatten)]
    observe: ObserveArgs,
}

impl WatchArgs {
    /// Watches and reports.
    ///
    /// # Errors
    /// If the report cannot be made or written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        observe::run(&self.observe, None)
    }
}
