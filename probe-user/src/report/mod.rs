//! The report: its model, which is the JSON schema, and one rendering a file.

pub mod again;
pub mod changes;
pub mod checks;
pub mod diff;
pub mod file;
pub mod flamegraph;
pub mod folded;
pub mod format;
pub mod found;
pub mod gate;
pub mod html;
pub mod jsonl;
pub mod junit;
pub mod ktap;
pub mod losses;
pub mod markdown;
pub mod merge;
pub mod model;
pub mod order;
pub mod page;
pub mod parts;
pub mod prometheus;
pub mod rules;
pub mod sarif;
pub mod schema;
pub mod suppress;
pub mod text;
pub mod units;

#[cfg(test)]
pub(crate) mod sample;
