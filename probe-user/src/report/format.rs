//! The forms that a report can be shown in, one file each.

use std::io::{self, Write};

use clap::ValueEnum;

use super::html::{self, HtmlOptions};
use super::model::{Report, Severity};
use super::{flamegraph, folded, junit, ktap, markdown, sarif, text};

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
    /// Findings to paste into a mail or an issue, in less than 80 columns
    Markdown,
    /// Stacks in a line each with their number of puts, for flame graph tools
    Folded,
    /// A flame graph of the puts, coloured by severity (SVG)
    Flamegraph,
    /// A test for each rule, for kernel test harnesses (KTAP version 1)
    Ktap,
    /// The same as XML, for CI servers
    Junit,
    /// Findings whose file and line are known, for code scanning (SARIF 2.1.0)
    Sarif,
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
    /// Findings milder than this are no failed tests; without it, all are.
    pub fail_on: Option<Severity>,
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
            Self::Markdown => markdown::write(report, out),
            Self::Folded => folded::write(report, out),
            Self::Flamegraph => flamegraph::write(report, out),
            Self::Ktap => ktap::write(report, options, out),
            Self::Junit => junit::write(report, options, out),
            Self::Sarif => sarif::write(report, out),
        }
    }
}

/// The report itself.
fn json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests;
