//! The forms that a report can be shown in, one file each.

use std::io::{self, Write};

use clap::ValueEnum;

use super::html::{self, HtmlOptions};
use super::model::Report;
use super::text;

/// How to show a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// The report itself, indented
    Json,
    /// A page for a browser, in one file
    Html,
}

/// What to show, where a form leaves a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Every site, also those that are no findings.
    pub all: bool,
    /// With colours, for a terminal.
    pub colour: bool,
    /// For the page for a browser.
    pub html: HtmlOptions,
}

impl Format {
    /// Writes `report` in this form to `out`, with a final newline, piece by piece: what is
    /// written takes no more memory than its largest piece.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub fn write(self, report: &Report, options: &Options, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text => text::write(report, options, out),
            Self::Json => json(report, out),
            Self::Html => html::write(report, &options.html, out),
        }
    }
}

/// The report itself.
fn json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}
