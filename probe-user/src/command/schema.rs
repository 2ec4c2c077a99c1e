//! `lastref schema`: prints the JSON Schema of a report, or of a stream's lines.

use std::process::ExitCode;

use lastref::report::schema;

use super::output;

/// Print the JSON Schema of a report.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// Of the lines that --format jsonl prints, instead
    #[arg(long)]
    jsonl: bool,
}

impl SchemaArgs {
    /// Prints the schema.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let text = if self.jsonl {
            schema::text_of_line()?
        } else {
            schema::text()?
        };
        output::print(&text)
    }
}
