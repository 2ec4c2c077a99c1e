//! `lastref run`: watches this kernel while a command runs.

use std::{ffi::OsString, process::ExitCode};

use super::{
    observe::{self, ObserveArgs, Stage, WorkloadArgs},
    provoke::ProvokeArgs,
};

/// Watch this kernel while a command runs.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    observe: ObserveArgs,
    #[command(flatten)]
    provoke: ProvokeArgs,
    /// Return the command's own exit status instead of the verdict
    #[arg(long)]
    passthrough: bool,
    /// The command and its arguments; if watching ends first it is sent SIGTERM, and so are its
    /// children unless there is a terminal, where ^C reaches them
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl RunArgs {
    /// Runs the command, watches and reports.
    ///
    /// # Errors
    /// If the options do not go together, the command cannot be started, or the report cannot be
    /// made or written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let workload = WorkloadArgs {
            command: &self.command,
            passthrough: self.passthrough,
            provocation: self.provoke.plan(self.observe.level())?,
        };
        // The terminal is the command's.
        observe::run(&self.observe, Stage::Lines, Some(&workload))
    }
}
