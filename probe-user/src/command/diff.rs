//! `lastref diff`: compares two saved reports.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use lastref::report::diff::{self, Diff};
use lastref::report::file;
use lastref::report::format::Options;
use lastref::report::model::Severity;

use super::{FINDINGS, INCOMPLETE, output};

/// Compare two saved reports: what is new, gone, worse, better.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Sites are compared by their ids, which are of names and so the same on any kernel. Whether a site is
worse is told by its severity, by the rules that it breaks and by calls that are stuck; how often it
was called in an hour is shown, and decides nothing.

Examples:
  lastref diff 6.12.json 7.3.json
  lastref diff --fail-on unsafe before.json after.json")]
pub struct DiffArgs {
    /// The old report
    old: PathBuf,
    /// The new report
    new: PathBuf,
    /// Print the comparison as JSON instead of text
    #[arg(long)]
    json: bool,
    /// Show every site, also those that are the same, and those that are no findings
    #[arg(long)]
    all: bool,
    /// Exit with status 1 if a site that is new or worse is at least as bad as this, with 5 if none
    /// is and the new report is incomplete; without it, with 0
    #[arg(long, value_enum)]
    fail_on: Option<Severity>,
}

impl DiffArgs {
    /// Compares and shows.
    ///
    /// # Errors
    ///
    /// When a file is no report, or standard output cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let diff = diff::diff(&file::read(&self.old)?, &file::read(&self.new)?);
        let options = Options {
            all: self.all,
            colour: std::io::stdout().is_terminal(),
            ..Options::default()
        };
        output::stream(|out| self.write(&diff, &options, out))?;
        let Some(fail_on) = self.fail_on else {
            return Ok(ExitCode::SUCCESS);
        };
        Ok(ExitCode::from(if diff::worst(&diff) >= Some(fail_on) {
            FINDINGS
        } else if diff.new.complete {
            0
        } else {
            INCOMPLETE
        }))
    }

    fn write(&self, diff: &Diff, options: &Options, out: &mut dyn Write) -> std::io::Result<()> {
        if self.json {
            serde_json::to_writer_pretty(&mut *out, diff)?;
            out.write_all(b"\n")
        } else {
            diff::text::write(diff, options, out)
        }
    }
}
