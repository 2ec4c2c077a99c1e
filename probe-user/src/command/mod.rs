//! The subcommands, one file each, and the exit statuses that they share.

mod display;
mod doctor;
mod hazards;
mod live;
mod observe;
mod output;
mod outputs;
mod provoke;
mod report;
mod run;
mod schema;
mod stop;
mod watch;
mod workload;

use std::process::ExitCode;

pub use output::tell;

use clap::{Parser, Subcommand};

/// Findings at or above `--fail-on`.
const FINDINGS: u8 = 1;
/// Usage, bad input, or a failure of lastref's own (clap uses the same for usage).
pub const FAILED: u8 = 2;
/// This kernel or host cannot be watched; kselftest's skip.
const CANNOT_WATCH: u8 = 4;
/// No findings, but the picture is incomplete.
const INCOMPLETE: u8 = 5;

/// Find the places where this kernel drops the last reference to an inode where it must not.
#[derive(Debug, Parser)]
#[command(name = "lastref", version, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  nothing at or above --fail-on
  1  findings at or above --fail-on
  2  usage, bad input, or a failure of lastref itself
  4  this kernel or host cannot be watched; the message says what is missing
  5  no such findings, but the picture is incomplete";

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch this kernel until interrupted, or for a time
    Watch(watch::WatchArgs),
    /// Watch this kernel while a command runs
    Run(run::RunArgs),
    /// Show a saved report
    Report(report::ReportArgs),
    /// Say whether and how well this kernel can be watched
    Doctor(doctor::DoctorArgs),
    /// Explain the rules
    Hazards(hazards::HazardsArgs),
    /// Print the JSON Schema of reports
    Schema(schema::SchemaArgs),
    #[command(name = provoke::SUBCOMMAND, hide = true)]
    ProvokePasses(provoke::PassesArgs),
}

impl Cli {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If it fails; the exit status is then [`FAILED`].
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Watch(args) => args.run(),
            Command::Run(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Doctor(args) => args.run(),
            Command::Hazards(args) => args.run(),
            Command::Schema(args) => args.run(),
            Command::ProvokePasses(args) => args.run(),
        }
    }
}
