//! `lastref report`: shows a report that was saved.

use std::path::PathBuf;
use std::process::ExitCode;

use lastref::report::file;
use lastref::report::format::Format;
use lastref::report::text::TextOptions;

use super::output;

/// Show a saved report.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The report: a file that `watch` or `run` wrote with --output.
    file: PathBuf,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show every site, also those that are no findings.
    #[arg(long)]
    all: bool,
}

impl ReportArgs {
    /// Reads and shows the report. What it says does not change the exit status: the run that
    /// wrote it has told.
    ///
    /// # Errors
    ///
    /// When the file is no report, or standard output cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let report = file::read(&self.file)?;
        let options = TextOptions {
            all: self.all,
            colour: output::colour(),
        };
        output::print(&self.format.render(&report, &options)?)
    }
}
