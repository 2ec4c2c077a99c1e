//! What the judge reads of a report of `lastref`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::lab::{References, Severity};

/// A report.
#[derive(Debug, Default, Deserialize)]
pub struct Report {
    #[serde(default)]
    pub capture: Capture,
    pub losses: BTreeMap<String, Option<u64>>,
    pub totals: Totals,
    pub findings: Vec<Site>,
    pub other_sites: Vec<Site>,
}

/// How it was watched.
#[derive(Debug, Default, Deserialize)]
pub struct Capture {
    /// Why the picture is not complete.
    #[serde(default)]
    pub incomplete_because: Vec<String>,
    pub provocation: Option<Provocation>,
}

/// What `--provoke` did.
#[derive(Debug, Deserialize)]
pub struct Provocation {
    /// By which of the kernel's files.
    pub by: String,
    pub passes: u64,
    /// Why there were no more, if they failed.
    pub failure: Option<String>,
    /// A pass did not come back.
    pub stuck: bool,
}

/// All puts in numbers.
#[derive(Debug, Default, Deserialize)]
pub struct Totals {
    pub final_puts: u64,
    pub benign_final_puts: u64,
    pub evictions: u64,
    #[serde(default)]
    pub non_final_puts: u64,
    #[serde(default)]
    pub benign_non_final_puts: u64,
}

/// One call chain.
#[derive(Debug, Deserialize)]
pub struct Site {
    pub id: String,
    pub frames: Vec<Frame>,
    pub contexts: Vec<Context>,
    /// Calls that were stuck at the end.
    #[serde(default)]
    pub stuck: Vec<IgnoredAny>,
}

/// One frame of it.
#[derive(Debug, Deserialize)]
pub struct Frame {
    pub function: Option<String>,
}

/// One context that it was called in.
#[derive(Debug, Deserialize)]
pub struct Context {
    pub severity: Severity,
    pub hazards: Vec<Hazard>,
    pub counts: Counts,
    /// Who held the other references, at puts that were not the last.
    pub references: Option<References>,
    pub facts: FactSheet,
    pub example: Option<Example>,
}

/// A rule that matched.
#[derive(Debug, Deserialize)]
pub struct Hazard {
    pub rule: String,
    pub severity: Severity,
    /// How bad it would be if the put were the last, where it was not.
    pub if_final: Option<Severity>,
}

/// Exact counts of calls.
#[derive(Debug, Deserialize)]
pub struct Counts {
    pub final_puts: u64,
    #[serde(default)]
    pub evicted: u64,
    #[serde(default)]
    pub eviction_longest_ns: u64,
    /// Evictions that have not ended.
    #[serde(default)]
    pub in_flight: u64,
    /// Puts that found other references.
    #[serde(default)]
    pub non_final: u64,
}

/// Facts that are true.
#[derive(Debug, Deserialize)]
pub struct FactSheet {
    pub yes: BTreeSet<String>,
}

/// One call as an example.
#[derive(Debug, Deserialize)]
pub struct Example {
    pub inode: InodeExample,
}

/// The inode of that call.
#[derive(Debug, Deserialize)]
pub struct InodeExample {
    pub filesystem: String,
}

impl Report {
    /// What was lost, by name, where anything was.
    pub fn lost(&self) -> impl Iterator<Item = (&str, u64)> {
        self.losses
            .iter()
            .filter_map(|(name, count)| Some((name.as_str(), (*count)?)))
            .filter(|(_, count)| *count > 0)
    }

    /// Every site with each of its contexts.
    pub fn contexts(&self) -> impl Iterator<Item = (&Site, &Context)> {
        self.findings
            .iter()
            .chain(&self.other_sites)
            .flat_map(|site| site.contexts.iter().map(move |context| (site, context)))
    }
}

impl Site {
    /// Names of the functions, `iput`'s caller first; what the kernel or its compiler appended to a
    /// name (`.isra.0`, `.cold`) is left out.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.frames
            .iter()
            .map(|frame| frame.function.as_deref().unwrap_or("?"))
            .map(|name| name.split_once('.').map_or(name, |(plain, _)| plain))
    }
}

impl Context {
    /// The filesystem that the inode was on.
    pub fn filesystem(&self) -> &str {
        self.example
            .as_ref()
            .map_or("?", |example| &example.inode.filesystem)
    }
}
