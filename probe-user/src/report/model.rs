//! The report: what was watched, what was found, what was lost. Every rendering is made from it.
//!
//! Its JSON form is the contract with machines; `docs/report.schema.json` is generated from
//! these types. Times are UTC in RFC 3339, durations are numbers with the unit in the name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod cost;
mod locks;
mod merged;
mod provocation;
mod references;
mod sums;
mod suppression;
mod timeline;

pub use cost::{Cost, ProgramCost};
pub use locks::{Lock, LockAgreement, LockSource, LockTracking};
pub use merged::{Merged, ReportSource, SeenIn};
pub use provocation::{Provocation, ProvocationMethod};
pub use references::{CountBucket, Dentries, References};
pub use suppression::{Suppression, SuppressionState};
pub use timeline::Moment;

/// The version of the report's form. It grows when a reader of the old form would misread
/// the new one; added fields do not change it.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything one run of the agent saw.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The program that wrote the report.
    pub tool: Tool,
    /// The kernel that was watched.
    pub kernel: Kernel,
    /// How it was watched.
    pub capture: Capture,
    /// What could not be kept. All zero when the picture is complete.
    pub losses: Losses,
    /// All final puts in numbers.
    pub totals: Totals,
    /// Sites of severity `latent` or worse, most severe first, then most frequent.
    pub findings: Vec<Site>,
    /// The sites that are no findings, in the same order.
    pub other_sites: Vec<Site>,
    /// What the report was merged from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
    /// What happened when, in at most 240 parts; empty in merged reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Moment>,
}

/// The program that wrote a report.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Tool {
    /// Always `lastref`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The kernel that was watched.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    /// The host's name, `uname -n`; absent in merged reports, which have all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// Facts that this kernel cannot tell at all, with the reason.
    pub unknown_facts: BTreeMap<String, String>,
    /// Where the held locks were learned from.
    pub lock_source: LockSource,
    /// Where debug information for source lines was looked for, and what came of it.
    #[serde(default)]
    pub debug_information: Vec<String>,
}

/// How the kernel was watched.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Capture {
    /// When the probes were attached and calibrated, UTC.
    pub started: String,
    /// How long they were, in milliseconds.
    pub duration_ms: u64,
    /// What was watched.
    pub level: Level,
    /// How the probes were attached.
    pub attach: Attach,
    /// Why so.
    pub attach_reason: String,
    /// The filesystem types that the sites were limited to; empty for all.
    pub filesystems: Vec<String>,
    /// False while the report is an interim one, or when something was lost.
    pub complete: bool,
    /// Why the picture is not complete, one sentence each.
    pub incomplete_because: Vec<String>,
    /// How locks were followed, with `--track-locks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_tracking: Option<LockTracking>,
    /// How final puts were provoked, with `--provoke`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provocation: Option<Provocation>,
    /// The workload of `lastref run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// What watching cost, with `--cost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The entries of `--suppress`, and what came of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressions: Vec<Suppression>,
}

/// What is watched, and paid for.
#[derive(
    Clone,
    Copy,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Final puts that evict, by a probe on `evict` alone.
    Evictions,
    /// Every final put, kept or evicted.
    Final,
    /// Besides, puts that are not final, where a final one would be unsafe.
    Latent,
}

/// How probes are attached.
#[derive(
    Clone,
    Copy,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Attach {
    /// Breakpoint or ftrace-based kprobes and kretprobes.
    Kprobe,
    /// BPF trampolines.
    Fentry,
}

/// The command that ran while the kernel was watched.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct Workload {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Its exit status, if it exited.
    pub status: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

impl Attach {
    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kprobe => "kprobe",
            Self::Fentry => "fentry",
        }
    }
}

impl Level {
    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evictions => "evictions",
            Self::Final => "final",
            Self::Latent => "latent",
        }
    }
}

impl Counts {
    /// All puts, final or not.
    #[must_use]
    pub const fn puts(&self) -> u64 {
        self.final_puts.saturating_add(self.non_final)
    }
}

impl Workload {
    /// How it ended, in words.
    #[must_use]
    pub fn end(&self) -> String {
        match (self.status, self.signal) {
            (Some(status), _) => format!("exited with status {status}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "did not end".to_owned(),
        }
    }
}

/// What could not be kept; every number is exact.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct Losses {
    /// Probe hits that the kernel skipped because another BPF program was running on that
    /// CPU (`recursion_misses`); absent on kernels that do not count them: of
    /// trampolines before 5.12, of kprobes before 6.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_hits_missed: Option<u64>,
    /// Calls at sites for which the table of sites had no room.
    pub sites_full: u64,
    /// Calls whose new stack had no room.
    pub stacks_full: u64,
    /// Sites without an example, for want of room.
    pub samples_full: u64,
    /// Further examples dropped because the ring buffer was full. Counts are not affected.
    pub ring_full: u64,
    /// Entries into eviction or writeback that could not be followed: too many tasks at once.
    pub tasks_full: u64,
    /// The same: nested too deeply on one task.
    pub marks_full: u64,
    /// Returns that were not seen, as more tasks were inside than a kretprobe can follow: how
    /// long those evictions took is missing. Counts are not affected.
    pub exits_missed: u64,
    /// Calls for which the kernel gave no stack.
    pub no_stack: u64,
    /// Locks that were not followed: too many of one task, or of all tasks.
    #[serde(default)]
    pub locks_full: u64,
    /// Locks whose release was not seen; noticed by their owner fields, and left out.
    #[serde(default)]
    pub locks_stale: u64,
}

/// All final puts in numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct Totals {
    /// Puts that found `i_count == 1`; at level `evictions`, those of them that evicted.
    pub final_puts: u64,
    /// Of those, benign by their facts alone: counted, not looked at further.
    pub benign_final_puts: u64,
    /// Evictions begun by final puts.
    pub evictions: u64,
    /// Of those, evictions begun by benign final puts.
    pub benign_evictions: u64,
    /// Final puts still inside for longer than the threshold when the report was made.
    pub stuck: u64,
    /// Puts that were not final; counted at level `latent` only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub non_final_puts: u64,
    /// Of those, benign by their facts alone: a final one would be, too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub benign_non_final_puts: u64,
}

/// How bad a finding is, worst first.
#[derive(
    Clone,
    Copy,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing speaks against the call.
    Benign,
    /// By design; the report says which design.
    Expected,
    /// Went well this time: it was not the last reference, but in an unsafe context, or it was slow.
    Latent,
    /// Can go wrong, under conditions that the report names.
    Risky,
    /// Breaks a rule that the kernel itself states.
    Unsafe,
    /// The call waits for itself, proved by facts.
    Deadlock,
}

/// One distinct call chain into `iput()`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Site {
    /// Hash of the chain's function and module names, the same across boots and hosts.
    pub id: String,
    /// The worst severity of its contexts.
    pub severity: Severity,
    /// True if the baseline has it, at least as bad: it does not make the run fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
    /// Why `--suppress` excuses it, if it does so for all that makes it a finding: it does not
    /// make the run fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// Where it was seen, in a merged report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_in: Option<SeenIn>,
    /// All its calls.
    pub counts: Counts,
    /// The chain, `iput`'s caller first.
    pub frames: Vec<Frame>,
    /// True if the chain may go on: the kernel's limit on stack depth was reached, or a
    /// kretprobe's trampoline hid what is further out (up to 5.14).
    #[serde(default)]
    pub truncated: bool,
    /// The different contexts it was called in, most severe first.
    pub contexts: Vec<Context>,
    /// Calls still inside for longer than the threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<StuckCall>,
    /// How many more there were; a merged report keeps the longest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stuck_left_out: u64,
}

/// One frame of a call chain.
#[derive(
    Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct Frame {
    /// The function's name as the kernel has it; absent if the address has no symbol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Bytes into the function.
    pub offset: u64,
    /// The function's size in bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The module it belongs to; absent for the kernel itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Source file and line, where debug information was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Functions inlined at this place, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inlined: Vec<Inlined>,
    /// The return address, only with `--addresses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A place in the kernel's source.
#[derive(
    Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct Source {
    /// File, as the debug information names it.
    pub file: String,
    /// Line, counted from 1.
    pub line: u32,
}

/// A function inlined into a frame.
#[derive(
    Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct Inlined {
    /// Its name.
    pub function: String,
    /// Where in it the call is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// Exact counts of calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Puts that found `i_count == 1`; at level `evictions`, those of them that evicted.
    pub final_puts: u64,
    /// Of those, evicted.
    pub evicted: u64,
    /// Of those, kept on the inode LRU (or raced: another CPU took a reference meanwhile).
    pub kept: u64,
    /// Evictions that slept, of the ended ones.
    pub slept: u64,
    /// Evictions that have not ended yet, as far as is known.
    pub in_flight: u64,
    /// Total time of the ended evictions, in nanoseconds.
    pub eviction_total_ns: u64,
    /// Longest ended eviction, in nanoseconds.
    pub eviction_longest_ns: u64,
    /// Ended evictions by duration: `n` of them took at least `at_least_us` and less than
    /// twice that (the first bucket: less than 2 µs). Empty buckets are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eviction_histogram: Vec<Bucket>,
    /// Puts that were not final; they are in none of the numbers above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub non_final: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One bucket of a histogram of durations.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Lower bound, in microseconds, a power of two.
    pub at_least_us: u64,
    /// How many.
    pub count: u64,
}

/// A context that a site was called in: the same facts, locks and filesystem.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Context {
    /// The worst severity of its hazards.
    pub severity: Severity,
    /// The rules that matched, most severe first.
    pub hazards: Vec<Hazard>,
    /// Its calls.
    pub counts: Counts,
    /// What is known of it.
    pub facts: FactSheet,
    /// What the innermost frame called, where that was not `iput` itself but a function that ended
    /// in a jump to it, perhaps over others, and so has no frame. Not part of the site's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// One call as an example; absent if there was no room for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Example>,
    /// The references that the puts left, if they were not final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<References>,
}

/// Facts by name; a fact that is in neither list is *no*.
#[derive(
    Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
pub struct FactSheet {
    /// Facts that are true.
    pub yes: Vec<String>,
    /// Facts that the kernel could not tell.
    pub unknown: Vec<String>,
}

/// A rule that matched.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hazard {
    /// The rule's id.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// How bad it would be if the put were final, and did not come back; absent if it is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_final: Option<Severity>,
    /// What it is, in a few words.
    pub title: String,
    /// What it matched on, one sentence each.
    pub evidence: Vec<String>,
    /// What the call waits for, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Why that is dangerous.
    pub why: String,
    /// What to do about it.
    pub way_out: String,
    /// True if the baseline has it, at least as bad.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
    /// Why `--suppress` excuses it, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

/// One call as an example.
#[derive(
    Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
pub struct Example {
    /// The thread's name.
    pub comm: String,
    /// Process id.
    pub process: u32,
    /// Thread id.
    pub thread: u32,
    /// The inode that was put.
    pub inode: InodeExample,
    /// The inode that the task was writing, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_ino: Option<u64>,
    /// The workqueue item, if the task was a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// Bytes of kernel stack left, if it ran on the task's stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_left_bytes: Option<u32>,
    /// Locks that the caller held, outermost first, as far as they were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_locks: Vec<Lock>,
    /// How many more there were.
    #[serde(default)]
    pub held_locks_left_out: u32,
}

/// An inode as an example.
#[derive(
    Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
pub struct InodeExample {
    /// The filesystem's type.
    pub filesystem: String,
    /// The superblock's `s_id`: the device or instance.
    pub superblock: String,
    /// `s_dev` as `major:minor`.
    pub device: String,
    /// Inode number.
    pub ino: u64,
    /// `i_nlink`.
    pub nlink: u32,
    /// `i_count` at the call, if it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub i_count: Option<u32>,
    /// `i_state` in hexadecimal.
    pub i_state: String,
    /// Its dentries, if the put was not final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dentries: Option<Dentries>,
}

/// A workqueue item.
#[derive(
    Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
pub struct Work {
    /// The function that the worker runs.
    pub function: String,
    /// The queue's name.
    pub workqueue: String,
    /// The queue's flags that matter here, by name.
    pub flags: Vec<String>,
}

/// A final put that was still inside when the report was made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub struct StuckCall {
    /// The thread's name.
    pub comm: String,
    /// Thread id.
    pub thread: u32,
    /// For how long, in milliseconds.
    pub age_ms: u64,
    /// The inode's device as `major:minor`.
    pub device: String,
    /// Inode number.
    pub ino: u64,
    /// The thread's kernel stack when the report was made, innermost first.
    pub stack: Vec<String>,
    /// What it waits on, if its stack tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The lock that it waits for and holds itself, as far as locks were followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_lock: Option<Lock>,
}
