//! What is new in a report since the one before, as lines of a stream.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher as _},
};

use super::{
    jsonl::{Change, End, Line, LossesLine, SiteLine, Start, StuckLine},
    model::{Losses, Report, Severity, Site},
};

/// Which sites are told of.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The mildest severity, unless all are.
    pub mildest: Severity,
    /// Every site, also those that are no findings, or that `--suppress` excuses.
    pub all: bool,
}

impl Wanted {
    /// Whether `site` is one of them.
    #[must_use]
    pub fn has(self, site: &Site) -> bool {
        self.all || site.severity >= self.mildest && site.suppressed.is_none()
    }
}

/// What has been told so far. Reports are given to it in their order; some may be left out, and
/// what they had is then told with the next one.
#[derive(Debug)]
pub struct Changes {
    wanted: Wanted,
    begun: bool,
    sites: HashMap<String, Told>,
    stuck: BTreeMap<StuckId, StuckLine>,
    losses: Losses,
}

/// What has been told of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    severity: Severity,
    /// A hash of its contexts: their facts and rules.
    contexts: u64,
    /// A hash of its counts.
    counts: u64,
}

/// What tells one stuck call from another: site, thread, device, inode.
type StuckId = (String, u32, String, u64);

impl Changes {
    /// Of the sites that are wanted.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            begun: false,
            sites: HashMap::new(),
            stuck: BTreeMap::new(),
            losses: Losses::default(),
        }
    }

    /// What `report` has that the one before it had not. `last` if no other follows.
    pub fn since(&mut self, report: &Report, last: bool) -> Vec<Line> {
        let mut lines = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            lines.push(Line::Start(start(report)));
        }
        let at_ms = report.capture.duration_ms;
        for site in report.sites() {
            if self.wanted.has(site) {
                lines.extend(self.site(at_ms, site));
            }
        }
        self.stuck(at_ms, report, &mut lines);
        if report.losses != self.losses {
            self.losses = report.losses.clone();
            if report.losses.named().any(|loss| loss.number > 0) {
                let losses = self.losses.clone();
                lines.push(Line::Losses(LossesLine { at_ms, losses }));
            }
        }
        if last {
            lines.push(Line::End(end(report)));
        }
        lines
    }

    fn site(&mut self, at_ms: u64, site: &Site) -> Option<Line> {
        let now = Told::of(site);
        let change = match self.sites.get(&site.id) {
            None => Change::New,
            Some(told) if *told == now => return None,
            Some(told) if told.severity < now.severity => Change::Worse,
            Some(told) if told.severity != now.severity || told.contexts != now.contexts => {
                Change::Contexts
            }
            Some(_) => Change::Counts,
        };
        self.sites.insert(site.id.clone(), now);
        Some(Line::Site(SiteLine {
            at_ms,
            change,
            id: site.id.clone(),
            severity: site.severity,
            rule: site.rule().map(ToOwned::to_owned),
            counts: site.counts.clone(),
            site: (change != Change::Counts).then(|| Box::new(site.clone())),
        }))
    }

    fn stuck(&mut self, at_ms: u64, report: &Report, lines: &mut Vec<Line>) {
        let before = std::mem::take(&mut self.stuck);
        for site in report.sites() {
            for call in &site.stuck {
                let id = (site.id.clone(), call.thread, call.device.clone(), call.ino);
                let line = StuckLine {
                    at_ms,
                    site: site.id.clone(),
                    severity: site.severity,
                    over: false,
                    call: call.clone(),
                };
                if !before.contains_key(&id) {
                    lines.push(Line::Stuck(line.clone()));
                }
                self.stuck.insert(id, line);
            }
        }
        let mut absent = before;
        absent.retain(|id, _| !self.stuck.contains_key(id));
        for (id, line) in absent {
            // A thread that runs at this very moment has no stack to show, and its call is not
            // among the stuck ones: as long as the site has evictions for all of them, none is
            // known to be over.
            if may_be_inside(report, &id.0, &self.stuck) {
                self.stuck.insert(id, line);
            } else {
                lines.push(Line::Stuck(StuckLine {
                    at_ms,
                    over: true,
                    ..line
                }));
            }
        }
    }
}

/// Whether a site has more evictions that have not ended than there are `stuck` calls of it.
fn may_be_inside(report: &Report, site: &str, stuck: &BTreeMap<StuckId, StuckLine>) -> bool {
    let told = stuck.keys().filter(|(id, ..)| id == site).count() as u64;
    report
        .sites()
        .any(|other| other.id == site && other.counts.in_flight > told)
}

impl Told {
    fn of(site: &Site) -> Self {
        // Their order is that of their counts, and says nothing new.
        let contexts = site.contexts.iter().map(|context| {
            let hazards: Vec<_> = context
                .hazards
                .iter()
                .map(|hazard| (&hazard.rule, hazard.severity, hazard.if_final))
                .collect();
            let facts = &context.facts;
            hash(&(context.severity, &facts.yes, &facts.unknown, hazards))
        });
        Self {
            severity: site.severity,
            contexts: contexts.fold(hash(&site.known), u64::wrapping_add),
            counts: hash(&site.counts),
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn start(report: &Report) -> Start {
    let capture = &report.capture;
    Start {
        schema_version: report.schema_version,
        tool: report.tool.clone(),
        kernel: report.kernel.clone(),
        started: capture.started.clone(),
        level: capture.level,
        attach: capture.attach,
        attach_reason: capture.attach_reason.clone(),
        filesystems: capture.filesystems.clone(),
    }
}

fn end(report: &Report) -> End {
    let capture = &report.capture;
    let mut sites = BTreeMap::new();
    for site in report.sites() {
        *sites.entry(site.severity.name().to_owned()).or_default() += 1;
    }
    End {
        at_ms: capture.duration_ms,
        complete: capture.complete,
        incomplete_because: capture.incomplete_because.clone(),
        provocation: capture.provocation.clone(),
        workload: capture.workload.clone(),
        totals: report.totals.clone(),
        losses: report.losses.clone(),
        sites,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{jsonl, sample};

    fn from(mildest: Severity) -> Changes {
        let all = mildest == Severity::Benign;
        Changes::new(Wanted { mildest, all })
    }

    /// What kinds of lines there are, in short.
    fn kinds(lines: &[Line]) -> Vec<String> {
        lines
            .iter()
            .map(|line| match line {
                Line::Start(_) => "start".to_owned(),
                Line::Site(line) => format!("{:?} {}", line.change, line.id),
                Line::Stuck(line) if line.over => format!("over {}", line.site),
                Line::Stuck(line) => format!("stuck {}", line.site),
                Line::Losses(_) => "losses".to_owned(),
                Line::End(_) => "end".to_owned(),
            })
            .collect()
    }

    #[test]
    fn all_is_told_once() {
        let mut changes = from(Severity::Latent);
        let report = sample::report();
        let first = changes.since(&report, false);
        assert_eq!(
            kinds(&first),
            [
                "start",
                "New 0f3a5b7c9d1e2f40",
                "New 00000000000000aa",
                "New 1a2b3c4d5e6f7081",
                "stuck 0f3a5b7c9d1e2f40",
                "losses"
            ]
        );
        assert!(changes.since(&report, false).is_empty());
        assert_eq!(kinds(&changes.since(&report, true)), ["end"]);
    }

    #[test]
    fn what_changes_is_told_again() {
        let mut changes = from(Severity::Risky);
        let mut report = sample::report();
        changes.since(&report, false);
        report.findings[0].counts.final_puts += 1;
        // Milder than what is asked for.
        report.findings[2].counts.final_puts += 1;
        let lines = changes.since(&report, false);
        assert_eq!(kinds(&lines), ["Counts 0f3a5b7c9d1e2f40"]);
        let Line::Site(line) = &lines[0] else {
            panic!("{lines:?}");
        };
        assert_eq!((line.site.as_ref(), line.counts.final_puts), (None, 4));

        report.findings[1].severity = Severity::Unsafe;
        report.findings[0].contexts[0].facts.yes.pop();
        report.findings[0].stuck.clear();
        report.findings[0].counts.in_flight = 0;
        report.losses.ring_full = 1;
        let lines = changes.since(&report, false);
        assert_eq!(
            kinds(&lines),
            [
                "Contexts 0f3a5b7c9d1e2f40",
                "Worse 00000000000000aa",
                "over 0f3a5b7c9d1e2f40",
                "losses"
            ]
        );
        report.findings[1].severity = Severity::Risky;
        let lines = changes.since(&report, false);
        assert_eq!(kinds(&lines), ["Contexts 00000000000000aa"]);

        report.findings[1].counts.final_puts += 1;
        report.findings[1].suppressed = Some("known for long".to_owned());
        assert!(changes.since(&report, false).is_empty());
    }

    #[test]
    fn contexts_in_another_order_are_no_news() {
        let mut changes = from(Severity::Risky);
        let mut report = sample::report();
        let site = &mut report.findings[0];
        let mut other = site.contexts[0].clone();
        other.facts.yes.pop();
        site.contexts.push(other);
        changes.since(&report, false);
        report.findings[0].contexts.reverse();
        assert!(changes.since(&report, false).is_empty());
        let hazard = &mut report.findings[0].contexts[0].hazards[0];
        hazard.if_final = Some(Severity::Deadlock);
        assert_eq!(
            kinds(&changes.since(&report, false)),
            ["Contexts 0f3a5b7c9d1e2f40"]
        );
    }

    #[test]
    fn a_stuck_call_that_runs_for_a_moment_is_not_over() {
        let mut changes = from(Severity::Risky);
        let mut report = sample::report();
        changes.since(&report, false);
        let stuck = std::mem::take(&mut report.findings[0].stuck);
        assert!(changes.since(&report, false).is_empty());
        report.findings[0].stuck = stuck;
        assert!(changes.since(&report, false).is_empty());
        report.findings[0].stuck.clear();
        assert!(changes.since(&report, false).is_empty());
        report.findings[0].counts.in_flight = 0;
        assert_eq!(
            kinds(&changes.since(&report, false)),
            ["Counts 0f3a5b7c9d1e2f40", "over 0f3a5b7c9d1e2f40"]
        );
    }

    #[test]
    fn every_line_is_valid_and_read_again() {
        let schema = serde_json::to_value(jsonl::schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let mut changes = from(Severity::Benign);
        let mut text = Vec::new();
        let mut report = sample::report();
        let mut lines = changes.since(&report, false);
        report.findings[0].counts.kept += 1;
        report.findings[0].stuck.clear();
        report.findings[0].counts.in_flight = 0;
        lines.extend(changes.since(&report, true));
        for line in &lines {
            line.write(&mut text).unwrap();
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with('\n'));
        let mut read = Vec::new();
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{line}: {errors:#?}");
            read.push(serde_json::from_str::<Line>(line).unwrap());
        }
        assert!(read == lines);
        assert!(!validator.is_valid(&serde_json::json!({"type": "rumour"})));
    }
}
