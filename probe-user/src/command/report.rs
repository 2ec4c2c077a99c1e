//! `lastref report`: shows a report that was saved.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lastref::report::file;
use lastref::report::format::{Format, Options};

use super::output;

/// Show a saved report.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The report: a file that `watch` or `run` wrote with --output.
    file: PathBuf,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write it here instead of to standard output; created with mode 0600.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
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
    /// When the file is no report, or its new form cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let report = file::read(&self.file)?;
        let options = Options {
            all: self.all,
            colour: self.output.is_none() && output::is_coloured(),
        };
        let content = |out: &mut dyn Write| self.format.write(&report, &options, out);
        match &self.output {
            Some(path) => {
                file::write_with(path, content)?;
                Ok(ExitCode::SUCCESS)
            }
            None => output::stream(content),
        }
    }
}
