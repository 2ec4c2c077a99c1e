//! `lastref watch`: watches this kernel until interrupted, or for a time.

use std::process::ExitCode;

use super::observe::{self, ObserveArgs, Stage};

/// Watch this kernel until interrupted, or for a time.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    #[command(flatten)]
    observe: ObserveArgs,
    /// Tell what is new in lines of text, also on a terminal
    #[arg(long)]
    plain: bool,
}

impl WatchArgs {
    /// Watches and reports.
    ///
    /// # Errors
    /// If the report cannot be made or written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let stage = if self.plain {
            Stage::Lines
        } else {
            Stage::Screen
        };
        observe::run(&self.observe, stage, None)
    }
}
