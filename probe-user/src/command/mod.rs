//! The command line: its definition, the subcommands, one file each, and the exit statuses that
//! they share.

mod diff;
mod display;
mod doctor;
mod files;
mod generate;
mod hazards;
mod live;
mod manual;
mod merge;
mod observe;
mod output;
mod outputs;
mod privileges;
mod provoke;
mod report;
mod run;
mod schema;
mod stop;
mod suppress;
mod watch;
mod workload;

use std::process::ExitCode;

pub use output::{PATIENCE, settle, tell};

use anstream::ColorChoice;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
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
#[command(name = "lastref", version, long_about = manual::ABOUT)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[arg(
        long,
        help = "When to colour output; auto: on a terminal, unless NO_COLOR is set",
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t = clap::ColorChoice::Auto,
        // Else it would come before a subcommand's own.
        display_order = 900
    )]
    color: clap::ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch this kernel until interrupted, or for a time
    Watch(watch::WatchArgs),
    /// Watch this kernel while a command runs
    Run(run::RunArgs),
    /// Show a saved report
    Report(report::ReportArgs),
    /// Compare two saved reports: what is new, gone, worse, better
    ///
    /// Sites are compared by their ids, which are of names and so the same on any kernel. Whether a
    /// site is worse is told by its severity, by the rules that it breaks and by calls that are
    /// stuck; how often it was called in an hour is shown, and decides nothing.
    Diff(diff::DiffArgs),
    /// Merge the reports of many hosts or runs into one
    ///
    /// A file that cannot be read is told and left out; the others are merged all the same, the
    /// merged report says how many are missing, and the exit status is 2. In a directory, JSON
    /// files that are no reports are passed over.
    Merge(merge::MergeArgs),
    /// Say whether and how well this kernel can be watched
    Doctor(doctor::DoctorArgs),
    /// Explain the rules
    Hazards(hazards::HazardsArgs),
    /// Print the JSON Schema of reports
    Schema(schema::SchemaArgs),
    /// Write man pages or completions for shells
    Generate(generate::GenerateArgs),
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

/// The whole command line as clap has it, with what the manual adds to `--help`.
pub fn definition() -> clap::Command {
    let command = Cli::command();
    let heading = *command.get_styles().get_header();
    let explain = |command: clap::Command, name: &str| match manual::page(name) {
        Some(page) => command.after_help(page.after_help(&heading)),
        None => command,
    };
    explain(command, manual::TOP).mut_subcommands(|subcommand| {
        let name = subcommand.get_name().to_owned();
        explain(subcommand, &name)
    })
}

impl Cli {
    /// What the command line says; ends the program if that is an error, or `--help`.
    pub fn parse_or_exit() -> Self {
        Self::from_arg_matches(&definition().get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// Runs the subcommand.
    ///
    /// # Errors
    /// If it fails; the exit status is then [`FAILED`].
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match self.color {
            clap::ColorChoice::Auto => ColorChoice::Auto,
            clap::ColorChoice::Always => ColorChoice::Always,
            clap::ColorChoice::Never => ColorChoice::Never,
        }
        .write_global();
        match &self.command {
            Command::Watch(args) => args.run(),
            Command::Run(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Diff(args) => args.run(),
            Command::Merge(args) => args.run(),
            Command::Doctor(args) => args.run(),
            Command::Hazards(args) => args.run(),
            Command::Schema(args) => args.run(),
            Command::Generate(args) => args.run(),
            Command::ProvokePasses(args) => args.run(),
        }
    }
}
