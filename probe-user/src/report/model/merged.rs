//! The report's words for a merged report: what it was made from, and what does not go together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attach, Kernel, Level, Provocation};

/// What a merged report was made from. It has no marks of a baseline or of suppressions.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct Merged {
    /// Reports of single runs that are in it.
    pub reports: u64,
    /// Of those, reports that were not complete by themselves.
    pub incomplete: u64,
    /// Files that could not be read, and so are not in it.
    pub unreadable: u64,
    /// The kernels, and how each was watched.
    pub sources: Vec<ReportSource>,
    /// In what the reports differ, so that their sum says less than each of them; one sentence
    /// each.
    pub conflicts: Vec<String>,
}

/// Reports of the same kernel, watched the same way.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportSource {
    /// The kernel, without the host's name.
    pub kernel: Kernel,
    /// What was watched.
    pub level: Level,
    /// How the probes were attached.
    pub attach: Attach,
    /// Why so.
    pub attach_reason: String,
    /// The filesystem types that the sites were limited to; empty for all.
    pub filesystems: Vec<String>,
    /// The form of the reports, their `schema_version`.
    pub schema_version: u32,
    /// The version of lastref that wrote them.
    pub tool_version: String,
    /// How final puts were provoked, if they were, in all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provocation: Option<Provocation>,
    /// The hosts' names, where the reports have them.
    pub hosts: Vec<String>,
    /// How many reports.
    pub reports: u64,
    /// Of those, how many whose kernel does not count the probe hits that it skips.
    pub hits_not_counted: u64,
    /// When the first was started, UTC.
    pub first_started: String,
    /// When the last was started, UTC.
    pub last_started: String,
    /// How long they took together, in milliseconds.
    pub duration_ms: u64,
}

/// Where a site of a merged report was seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct SeenIn {
    /// In how many reports.
    pub reports: u64,
    /// On which kernels, by their releases.
    pub kernels: Vec<String>,
}
