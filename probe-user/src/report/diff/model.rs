//! The comparison of two reports, as `lastref diff --json` prints it.

use serde::{Deserialize, Serialize};

use crate::report::model::{Attach, Frame, Level, Report, Severity, Site};

/// The version of the comparison's form; it grows as a report's does.
pub const SCHEMA_VERSION: u32 = 1;

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// What became of the sites of an old report in a new one.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Diff {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The old report.
    pub old: Side,
    /// The new report.
    pub new: Side,
    /// In what the two were not watched the same way, and what that makes doubtful.
    pub caveats: Vec<Caveat>,
    /// How many sites are new, gone and so on.
    pub numbers: Numbers,
    /// All sites of both: new ones first, then worse, gone, better and the same, each the worst
    /// first.
    pub sites: Vec<SiteChange>,
}

/// One of the two reports.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Side {
    /// The version of lastref that wrote it.
    pub tool_version: String,
    /// The kernel's release.
    pub kernel: String,
    /// When watching began, UTC.
    pub started: String,
    /// For how long, in milliseconds; of a merged report all together.
    pub duration_ms: u64,
    /// What was watched.
    pub level: Level,
    /// How the probes were attached.
    pub attach: Attach,
    /// Whether nothing was lost.
    pub complete: bool,
    /// How many reports it was merged from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_from: Option<u64>,
}

/// A difference in how was watched.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Caveat {
    /// What it is, in a sentence.
    pub what: String,
    /// The changes that may come of it alone.
    pub doubts: Vec<Change>,
}

/// What became of a site.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only the new report has it.
    New,
    /// Its severity grew, or more was found there.
    Worse,
    /// Only the old report has it.
    Gone,
    /// Its severity fell, or less was found there.
    Better,
    /// What was found is the same. How often it was called may not be.
    Same,
}

/// How many sites changed how.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "they are the changes, which are explained there"
)]
pub struct Numbers {
    pub new: u64,
    pub worse: u64,
    pub gone: u64,
    pub better: u64,
    pub same: u64,
}

/// A site of either report.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct SiteChange {
    /// What became of it.
    pub change: Change,
    /// True if a caveat doubts such changes.
    pub is_doubtful: bool,
    /// Its id in the new report, else in the old one.
    pub id: String,
    /// Its id in the old report, where it is another one: the same functions called each other,
    /// but the compiler inlined others of them, or the kernel is entered in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_id: Option<String>,
    /// The worst that is found, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The rule that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The rules that make it a finding and did not before, or not as bad; suppressed ones are left
    /// out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules_appeared: Vec<String>,
    /// The rules that made it a finding and do not any more, or not as bad.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules_gone: Vec<String>,
    /// Its calls in the old report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Calls>,
    /// Its calls in the new report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Calls>,
    /// True if the new report's baseline has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
    /// Why the new report's suppressions excuse it, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// The worst of it that neither a baseline knows nor a suppression excuses; of a site that
    /// became worse, the worst of what did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Severity>,
    /// A site of the other report that it may be, for a new or gone finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<Similar>,
    /// The stack, `iput`'s caller first; of the new report, where it has one.
    pub frames: Vec<Frame>,
    /// True if the stack may go on.
    #[serde(default)]
    pub truncated: bool,
}

/// A site's calls in a report.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
pub struct Calls {
    /// How bad it was found to be.
    pub severity: Severity,
    /// Final puts.
    pub final_puts: u64,
    /// The same in an hour of watching; absent if the report is of no time at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_puts_per_hour: Option<f64>,
    /// Puts that were not final.
    pub non_final: u64,
    /// The same in an hour of watching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_final_per_hour: Option<f64>,
    /// Calls that were stuck.
    pub stuck: u64,
}

/// A site that may be the same one.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Similar {
    /// Its id, in the other report.
    pub id: String,
    /// In what the stacks differ.
    pub how: String,
}

impl Side {
    /// What is told of `report`.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let capture = &report.capture;
        Self {
            tool_version: report.tool.version.clone(),
            kernel: report.kernel.release.clone(),
            started: capture.started.clone(),
            duration_ms: capture.duration_ms,
            level: capture.level,
            attach: capture.attach,
            complete: capture.complete,
            merged_from: report.merged.as_ref().map(|merged| merged.reports),
        }
    }
}

impl Calls {
    /// The calls of `site`, which was watched for so long.
    #[must_use]
    pub fn of(site: &Site, duration_ms: u64) -> Self {
        let counts = &site.counts;
        Self {
            severity: site.severity,
            final_puts: counts.final_puts,
            final_puts_per_hour: per_hour(counts.final_puts, duration_ms),
            non_final: counts.non_final,
            non_final_per_hour: per_hour(counts.non_final, duration_ms),
            stuck: site.stuck_left_out.saturating_add(site.stuck.len() as u64),
        }
    }

    /// All puts.
    #[must_use]
    pub const fn puts(&self) -> u64 {
        self.final_puts.saturating_add(self.non_final)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate need not be exact to the last digit"
)]
fn per_hour(number: u64, duration_ms: u64) -> Option<f64> {
    (duration_ms > 0).then(|| number as f64 * HOUR_MS / duration_ms as f64)
}

impl Change {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Worse => "worse",
            Self::Gone => "gone",
            Self::Better => "better",
            Self::Same => "same",
        }
    }
}

impl Numbers {
    /// The number of such changes.
    pub const fn of(&mut self, change: Change) -> &mut u64 {
        match change {
            Change::New => &mut self.new,
            Change::Worse => &mut self.worse,
            Change::Gone => &mut self.gone,
            Change::Better => &mut self.better,
            Change::Same => &mut self.same,
        }
    }
}

impl SiteChange {
    /// The worst severity that it has or had.
    #[must_use]
    pub fn severity(&self) -> Severity {
        let calls = [self.old, self.new].into_iter().flatten();
        calls
            .map(|calls| calls.severity)
            .max()
            .unwrap_or(Severity::Benign)
    }
}
