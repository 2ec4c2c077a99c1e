//! `lastref report`: shows a report that was saved.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lastref::observe::Baseline;
use lastref::report::file;
use lastref::report::format::{Format, Options};
use lastref::report::html::{HtmlOptions, SourceUrl};
use lastref::report::model::Severity;

use super::{output, suppress, verdict};

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
    /// Link source lines in HTML to this address, with {file} and {line} in place of them
    #[arg(long, value_name = "TEMPLATE")]
    source_url: Option<SourceUrl>,
    /// Show every site, also those that are no findings, and those that are suppressed.
    #[arg(long)]
    all: bool,
    /// A report of an earlier run: what it has is marked as known.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// A file with findings that are excused, each for a reason (docs/report.md).
    #[arg(long, value_name = "FILE")]
    suppress: Option<PathBuf>,
    /// Exit with status 1 if a finding that is neither known nor excused is at least as bad as
    /// this, with 5 if none is and the report is incomplete; without it, with 0.
    #[arg(long, value_enum)]
    fail_on: Option<Severity>,
}

impl ReportArgs {
    /// Reads and shows the report. Without `--fail-on` what it says does not change the exit
    /// status: the run that wrote it has told.
    ///
    /// # Errors
    ///
    /// When the file is no report, or its new form cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let suppressions = suppress::read(self.suppress.as_deref())?;
        let mut report = file::read(&self.file)?;
        if let Some(path) = &self.baseline {
            Baseline::of(&file::read(path)?).mark(&mut report);
        }
        suppress::apply(suppressions.as_ref(), &mut report);
        let options = Options {
            all: self.all,
            colour: self.output.is_none() && output::is_coloured(),
            html: HtmlOptions {
                source_url: self.source_url.clone(),
            },
        };
        let content = |out: &mut dyn Write| self.format.write(&report, &options, out);
        match &self.output {
            Some(path) => file::write_with(path, content)?,
            None => drop(output::stream(content)?),
        }
        if suppressions.is_some() {
            suppress::tell_idle(&report);
        }
        Ok(match self.fail_on {
            Some(fail_on) => ExitCode::from(verdict(&report, fail_on)),
            None => ExitCode::SUCCESS,
        })
    }
}
