//! What the page's script gets: the report, with everything that is in it often put in tables.
//!
//! Ten thousand sites have a few thousand different frames, and a few dozen different
//! explanations, so that the page is a tenth of the report's size.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use probe_common::ALL_FACTS;
use serde::Serialize;

use super::HtmlOptions;
use crate::hazard::Rule;
use crate::report::model::{
    Context, Counts, Example, FactSheet, Frame, Hazard, Inlined, Kernel, Level, Lock, Moment,
    Report, SeenIn, Severity, Site, Source, StuckCall, Tool, Totals, Work,
};
use crate::report::parts;
use crate::report::text::{self, frames};

/// All that the page shows.
#[derive(Serialize)]
pub(super) struct Data<'a> {
    tool: &'a Tool,
    host: Option<&'a str>,
    release: &'a str,
    machine: &'a str,
    started: &'a str,
    duration_ms: u64,
    level: Level,
    complete: bool,
    incomplete_because: &'a [String],
    losses: Vec<String>,
    totals: &'a Totals,
    /// How the kernel was watched: labels and texts.
    run: Vec<(&'static str, String)>,
    /// How many reports this one was merged from, and which, if it was.
    merged: Option<(u64, Vec<(&'static str, String)>)>,
    source_url: Option<&'a str>,
    /// What facts mean, by their names.
    meanings: BTreeMap<&'static str, &'static str>,
    strings: Vec<&'a str>,
    frames: Vec<FrameRow<'a>>,
    rules: Vec<RuleRow<'a>>,
    fact_sheets: Vec<&'a FactSheet>,
    timeline: &'a [Moment],
    /// The findings and the other sites, in the report's order.
    sites: Vec<SiteRow<'a>>,
}

/// A frame.
#[derive(Serialize)]
struct FrameRow<'a> {
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a str>,
    /// As the kernel prints it.
    printed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a Source>,
    #[serde(skip_serializing_if = "<[Inlined]>::is_empty")]
    inlined: &'a [Inlined],
}

/// A rule, as the report explains it, and the kernel's own words for it.
#[derive(Serialize)]
struct RuleRow<'a> {
    id: &'a str,
    title: &'a str,
    why: &'a str,
    way_out: &'a str,
    says: Vec<(&'static str, &'static str)>,
}

/// A site. `frames` are indices, as are `rule`, `evidence`, `waits_for` and `facts` below.
#[derive(Serialize)]
struct SiteRow<'a> {
    id: &'a str,
    severity: Severity,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    known: bool,
    /// Why it is suppressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_in: Option<&'a SeenIn>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    counts: &'a Counts,
    frames: Vec<usize>,
    contexts: Vec<ContextRow<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stuck: Vec<StuckRow<'a>>,
    stuck_left_out: u64,
}

#[derive(Serialize)]
struct ContextRow<'a> {
    severity: Severity,
    /// Absent where they are those of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<&'a Counts>,
    hazards: Vec<HazardRow<'a>>,
    facts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    called: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<ExampleRow<'a>>,
    /// Which `i_count` the puts found, and what held the inode besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    references: Option<(String, String)>,
}

#[derive(Serialize)]
struct HazardRow<'a> {
    rule: usize,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_final: Option<Severity>,
    evidence: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<usize>,
    /// Whether the baseline has it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    known: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<&'a str>,
}

/// An example. Inode numbers are text: a script's numbers have 53 bits.
#[derive(Serialize)]
struct ExampleRow<'a> {
    comm: &'a str,
    process: u32,
    thread: u32,
    filesystem: &'a str,
    superblock: &'a str,
    device: &'a str,
    /// The inode in words.
    inode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<&'a Work>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_left_bytes: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    locks: String,
}

#[derive(Serialize)]
struct StuckRow<'a> {
    comm: &'a str,
    thread: u32,
    age_ms: u64,
    device: &'a str,
    ino: String,
    stack: &'a [String],
    waits_for: Option<&'a str>,
    own_lock: Option<String>,
}

impl<'a> Data<'a> {
    /// What the page shows of `report`.
    pub(super) fn of(report: &'a Report, options: &'a HtmlOptions) -> Self {
        let mut tables = Tables::default();
        let sites = report.sites().map(|site| tables.site(site)).collect();
        let Report {
            tool,
            kernel:
                Kernel {
                    host,
                    release,
                    machine,
                    ..
                },
            capture,
            ..
        } = report;
        Self {
            tool,
            host: host.as_deref(),
            release,
            machine,
            started: &capture.started,
            duration_ms: capture.duration_ms,
            level: capture.level,
            complete: capture.complete,
            incomplete_because: &capture.incomplete_because,
            losses: report
                .losses
                .named()
                .filter(|loss| loss.number > 0)
                .map(|loss| loss.sentence())
                .collect(),
            totals: &report.totals,
            run: text::how_watched(report),
            merged: report
                .merged
                .as_ref()
                .map(|merged| (merged.reports, text::made_from(merged))),
            source_url: options.source_url.as_ref().map(|url| url.0.as_str()),
            meanings: ALL_FACTS
                .iter()
                .map(|fact| (fact.name(), fact.meaning()))
                .collect(),
            strings: tables.strings.rows,
            frames: tables.frames.rows.into_iter().map(FrameRow::of).collect(),
            rules: tables.rules.rows.into_iter().map(RuleRow::of).collect(),
            fact_sheets: tables.fact_sheets,
            timeline: &report.timeline,
            sites,
        }
    }
}

/// The tables under construction.
#[derive(Default)]
struct Tables<'a> {
    strings: Table<&'a str>,
    frames: Table<&'a Frame>,
    rules: Table<Explanation<'a>>,
    fact_sheets: Vec<&'a FactSheet>,
    fact_sheet_rows: HashMap<(&'a [String], &'a [String]), usize>,
}

/// What a report says of a rule: it may have been made by another version's rules.
type Explanation<'a> = [&'a str; 4];

impl<'a> Tables<'a> {
    fn site(&mut self, site: &'a Site) -> SiteRow<'a> {
        let only = site.contexts.len() == 1;
        SiteRow {
            id: &site.id,
            severity: site.severity,
            known: site.known,
            suppressed: site.suppressed.as_deref(),
            seen_in: site.seen_in.as_ref(),
            truncated: site.truncated,
            counts: &site.counts,
            frames: site
                .frames
                .iter()
                .map(|frame| self.frames.row(frame))
                .collect(),
            contexts: site
                .contexts
                .iter()
                .map(|context| self.context(context, only))
                .collect(),
            stuck: site.stuck.iter().map(StuckRow::of).collect(),
            stuck_left_out: site.stuck_left_out,
        }
    }

    fn context(&mut self, context: &'a Context, only: bool) -> ContextRow<'a> {
        ContextRow {
            severity: context.severity,
            counts: (!only).then_some(&context.counts),
            hazards: context
                .hazards
                .iter()
                .map(|hazard| self.hazard(hazard))
                .collect(),
            facts: self.fact_sheet(&context.facts),
            called: context.called.as_deref(),
            example: context.example.as_ref().map(ExampleRow::of),
            references: context
                .references
                .as_ref()
                .map(|references| (references.i_counts(), references.holders())),
        }
    }

    fn hazard(&mut self, hazard: &'a Hazard) -> HazardRow<'a> {
        HazardRow {
            rule: self
                .rules
                .row([&hazard.rule, &hazard.title, &hazard.why, &hazard.way_out]),
            severity: hazard.severity,
            if_final: hazard.if_final,
            evidence: hazard
                .evidence
                .iter()
                .map(|sentence| self.strings.row(sentence))
                .collect(),
            waits_for: hazard
                .waits_for
                .as_deref()
                .map(|waits_for| self.strings.row(waits_for)),
            known: hazard.known,
            suppressed: hazard.suppressed.as_deref(),
        }
    }

    fn fact_sheet(&mut self, sheet: &'a FactSheet) -> usize {
        *self
            .fact_sheet_rows
            .entry((&sheet.yes, &sheet.unknown))
            .or_insert_with(|| {
                self.fact_sheets.push(sheet);
                self.fact_sheets.len() - 1
            })
    }
}

/// Rows without repetition.
struct Table<Row> {
    rows: Vec<Row>,
    places: HashMap<Row, usize>,
}

impl<Row> Default for Table<Row> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<Row: Copy + Eq + Hash> Table<Row> {
    /// Where `row` is.
    fn row(&mut self, row: Row) -> usize {
        *self.places.entry(row).or_insert_with(|| {
            self.rows.push(row);
            self.rows.len() - 1
        })
    }
}

impl<'a> FrameRow<'a> {
    fn of(frame: &'a Frame) -> Self {
        Self {
            function: frame.function.as_deref(),
            module: frame.module.as_deref(),
            printed: frames::name(frame, false),
            source: frame.source.as_ref(),
            inlined: &frame.inlined,
        }
    }
}

impl<'a> RuleRow<'a> {
    fn of([id, title, why, way_out]: Explanation<'a>) -> Self {
        Self {
            id,
            title,
            why,
            way_out,
            says: Rule::find(id)
                .map(|rule| rule.says.iter().map(|says| (says.words, says.place)))
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}

impl<'a> ExampleRow<'a> {
    fn of(example: &'a Example) -> Self {
        Self {
            comm: &example.comm,
            process: example.process,
            thread: example.thread,
            filesystem: &example.inode.filesystem,
            superblock: &example.inode.superblock,
            device: &example.inode.device,
            inode: parts::inode(example),
            work: example.work.as_ref(),
            stack_left_bytes: example.stack_left_bytes,
            locks: parts::locks(example),
        }
    }
}

impl<'a> StuckRow<'a> {
    fn of(call: &'a StuckCall) -> Self {
        Self {
            comm: &call.comm,
            thread: call.thread,
            age_ms: call.age_ms,
            device: &call.device,
            ino: call.ino.to_string(),
            stack: &call.stack,
            waits_for: call.waits_for.as_deref(),
            own_lock: call.own_lock.as_ref().map(Lock::describe),
        }
    }
}
