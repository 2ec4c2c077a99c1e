//! A run as it goes on, in lines of JSON: what each line can be.
//!
//! Each line is one object, complete in itself; `type` says what it is. They are made from
//! reports by [`Changes`](super::changes::Changes).

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::model::{
    Attach, Counts, Kernel, Level, Losses, Provocation, Severity, Site, StuckCall, Tool, Totals,
    Workload,
};

/// One line of the stream. Ignore lines of a type that you do not know.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Line {
    /// The first line: what is watched, and how.
    Start(Start),
    /// A site is new, or there is more of it.
    Site(SiteLine),
    /// A final put does not come back, or one of those has come back after all.
    Stuck(StuckLine),
    /// Something more was lost.
    Losses(LossesLine),
    /// The last line. Without it the stream is cut short.
    End(End),
}

/// What is watched, and how.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Start {
    /// The version of the form: that of reports.
    pub schema_version: u32,
    /// The program that writes the lines.
    pub tool: Tool,
    /// The kernel that is watched.
    pub kernel: Kernel,
    /// When the probes were attached and calibrated, UTC. The other lines count from then.
    pub started: String,
    /// What is watched.
    pub level: Level,
    /// How the probes are attached.
    pub attach: Attach,
    /// Why so.
    pub attach_reason: String,
    /// The filesystem types that the sites are limited to; empty for all.
    pub filesystems: Vec<String>,
}

/// A site that is new, or of which there is more.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct SiteLine {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// What is new of it.
    pub change: Change,
    /// The site's id.
    pub id: String,
    /// Its severity now.
    pub severity: Severity,
    /// The worst rule that matched, if any did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// All its calls since the start.
    pub counts: Counts,
    /// All of it, unless only the counts have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Box<Site>>,
}

/// What is new of a site.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It has not been seen before.
    New,
    /// Its severity is worse than before.
    Worse,
    /// It was called in other contexts, or is judged differently, but not worse.
    Contexts,
    /// It was called again.
    Counts,
}

/// A final put that does not come back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct StuckLine {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// The site's id.
    pub site: String,
    /// The site's severity.
    pub severity: Severity,
    /// True once it has come back: the call is then given as it was last seen.
    pub over: bool,
    /// The call.
    pub call: StuckCall,
}

/// What could not be kept so far.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct LossesLine {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// All losses since the start.
    pub losses: Losses,
}

/// The whole run in numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct End {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// False when something was lost.
    pub complete: bool,
    /// Why the picture is not complete, one sentence each.
    pub incomplete_because: Vec<String>,
    /// How final puts were provoked, with `--provoke`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provocation: Option<Provocation>,
    /// The workload of `lastref run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// All puts in numbers.
    pub totals: Totals,
    /// What could not be kept.
    pub losses: Losses,
    /// How many sites there are of each severity, by its name, shown or not.
    pub sites: BTreeMap<String, u64>,
}

impl Line {
    /// Writes the line, with its end, in one piece.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }
}

/// The JSON Schema of one line.
#[must_use]
pub fn schema() -> Schema {
    schemars::schema_for!(Line)
}
