//! `lastref merge`: many reports as one.

mod inputs;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lastref::report::file::{self, ReportError};
use lastref::report::format::{Format, Options};
use lastref::report::merge::Merger;

use super::{FAILED, files, output};
use inputs::{Inputs, Origin};

/// Merge the reports of many hosts or runs into one.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// Reports, or directories with reports in them (*.json, at any depth)
    #[arg(value_name = "REPORT", required_unless_present = "files_from")]
    reports: Vec<PathBuf>,
    /// A file with further names, one a line; - for standard input
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// The names in --files-from end with a null byte, as find -print0 writes them
    #[arg(long, requires = "files_from")]
    null: bool,
    /// How to show the merged report
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Write it here instead of to standard output; created with mode 0600
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show every site, also those that are no findings
    #[arg(long)]
    all: bool,
}

impl MergeArgs {
    /// Merges and shows.
    ///
    /// # Errors
    ///
    /// When no report can be read, or the merged one cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let mut merger = Merger::default();
        let mut unreadable: u64 = 0;
        let mut passed_over: u64 = 0;
        let mut files: u64 = 0;
        let separator = if self.null { 0 } else { b'\n' };
        let list = self.files_from.as_deref().map(|list| (list, separator));
        for input in Inputs::new(&self.reports, list)? {
            files += 1;
            let read = input.and_then(|input| self.read(&input.path, input.origin));
            match read {
                Ok(Some(report)) => merger.add(report),
                Ok(None) => passed_over += 1,
                Err(error) => {
                    output::tell(format_args!("{error:#}; it is left out"));
                    merger.note_unreadable();
                    unreadable += 1;
                }
            }
        }
        if passed_over > 0 {
            output::tell(format_args!(
                "{passed_over} of {files} files are no reports, or are what --output replaces: \
                 passed over"
            ));
        }
        if merger.reports() == 0 {
            anyhow::bail!(
                "none of {files} files is a report; name files that `lastref watch --output` wrote"
            );
        }
        let report = merger.finish();
        let options = Options {
            all: self.all,
            colour: self.output.is_none() && output::colour(),
            ..Options::default()
        };
        let content = |out: &mut dyn Write| self.format.write(&report, &options, out);
        match &self.output {
            Some(path) => file::write_with(path, content)?,
            None => drop(output::stream(content)?),
        }
        Ok(if unreadable > 0 {
            output::tell(format_args!("{unreadable} of {files} files were left out"));
            ExitCode::from(FAILED)
        } else {
            ExitCode::SUCCESS
        })
    }

    /// The report in `path`; `None` if it is to be passed over.
    fn read(
        &self,
        path: &Path,
        origin: Origin,
    ) -> anyhow::Result<Option<lastref::report::model::Report>> {
        if let Some(output) = &self.output
            && files::is_same(path, output)
        {
            if origin == Origin::Directory {
                return Ok(None);
            }
            anyhow::bail!(
                "{} is what --output replaces: merged again, it would count twice; name another \
                 file",
                path.display()
            );
        }
        match file::read(path) {
            Err(ReportError::Foreign { .. }) if origin == Origin::Directory => Ok(None),
            report => Ok(Some(report?)),
        }
    }
}
