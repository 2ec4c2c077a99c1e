//! The report: its model, which is the JSON schema, and one rendering a file.

pub mod again;
pub mod changes;
pub mod diff;
pub mod file;
pub mod format;
pub mod gate;
pub mod html;
pub mod jsonl;
pub mod losses;
pub mod merge;
pub mod model;
pub mod order;
pub mod page;
pub mod prometheus;
pub mod rules;
pub mod schema;
pub mod suppress;
pub mod text;
pub mod units;

#[cfg(test)]
pub(crate) mod sample;
