//! The forms that a report can be shown in.

use clap::ValueEnum;

use super::model::Report;
use super::text::{self, TextOptions};

/// How to show a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// The report itself, indented.
    Json,
}

impl Format {
    /// `report` in this form, with a final newline.
    ///
    /// # Errors
    ///
    /// When the report cannot be written as JSON, which its types do not allow for.
    pub fn render(self, report: &Report, options: &TextOptions) -> serde_json::Result<String> {
        match self {
            Self::Text => Ok(text::render(report, options)),
            Self::Json => {
                let mut json = serde_json::to_string_pretty(report)?;
                json.push('\n');
                Ok(json)
            }
        }
    }
}
