//! `lastref schema`: prints the JSON Schema of a report.

use std::process::ExitCode;

use lastref::report::schema;

use super::output;

/// Print the JSON Schema of a report.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {}

impl SchemaArgs {
    /// Prints the schema.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    #[expect(
        clippy::unused_self,
        reason = "every subcommand is run in the same way"
    )]
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        output::print(&schema::text()?)
    }
}
