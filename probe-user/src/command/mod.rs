//! The subcommands, one file each, and the exit statuses that they share.

mod diff;
mod display;
mod doctor;
mod hazards;
mod live;
mod merge;
mod observe;
mod output;
mod outputs;
mod provoke;
mod report;
mod run;
mod schema;
mod stop;
mod suppress;
mod watch;
mod workload;

use std::process::ExitCode;

pub use output::tell;

use clap::{Parser, Subcommand};
use lastref::report::gate;
use lastref::report::model::{Report, Severity};

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
    /// Compare two saved reports: what is new, gone, worse, better
    Diff(diff::DiffArgs),
    /// Merge the reports of many hosts or runs into one
    Merge(merge::MergeArgs),
    /// Say whether and how well this kernel can be watched
    Doctor(doctor::DoctorArgs),
    /// Explain the rules
    Hazards(hazards::HazardsArgs),
    /// Print the JSON Schema of reports
    Schema(schema::SchemaArgs),
    #[command(name = provoke::SUBCOMMAND, hide = true)]
    ProvokePasses(provoke::PassesArgs),
}

/// The exit status for `report`: whether anything that is neither known nor excused is as bad as
/// `fail_on`.
fn verdict(report: &Report, fail_on: Severity) -> u8 {
    if gate::worst(report) >= Some(fail_on) {
        FINDINGS
    } else if report.capture.complete {
        0
    } else {
        INCOMPLETE
    }
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
            Command::Diff(args) => args.run(),
            Command::Merge(args) => args.run(),
            Command::Doctor(args) => args.run(),
            Command::Hazards(args) => args.run(),
            Command::Schema(args) => args.run(),
            Command::ProvokePasses(args) => args.run(),
        }
    }
}
