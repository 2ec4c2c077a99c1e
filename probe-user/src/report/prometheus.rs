//! A running watch in numbers: the Prometheus text format, for the textfile collector of
//! `node_exporter`.
//!
//! Counters never go down while a run lasts, also when a site is judged anew: what is added
//! at each interval counts for the rule and severity that the site has then. They begin at 0
//! with each run, as Prometheus expects of a counter.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::{Display, Write as _},
};

use jiff::Timestamp;

use super::{
    gate,
    losses::INTERIM,
    model::{Level, Report, Severity, Site},
    order::FINDING,
};

/// How many series the findings have at most, each a site with a rule and a severity. The puts of
/// those that come later are summed, by severity.
pub const FINDING_SERIES: usize = 100;

/// The label of what has no series of its own.
const OTHER: &str = "other";

/// The rule of a site without any.
const NO_RULE: &str = "none";

/// What has been counted so far.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The puts of each site at the last interval.
    puts: HashMap<String, u64>,
    by_rule: BTreeMap<(Severity, String), u64>,
    by_site: BTreeMap<SeriesId, u64>,
    others: BTreeMap<Severity, u64>,
}

/// What a series of a finding is told by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SeriesId {
    site: String,
    rule: String,
    severity: Severity,
}

impl Metrics {
    /// Counts what `report` has more than the one before, and writes all metrics as text. `up`
    /// while watching goes on.
    pub fn render(&mut self, report: &Report, now: Timestamp, up: bool) -> String {
        for site in report.sites() {
            self.add(site);
        }
        let mut page = Exposition::default();
        run(&mut page, report, now, up);
        totals(&mut page, report);
        self.sites(&mut page);
        findings(&mut page, report);
        stuck(&mut page, report);
        losses(&mut page, report);
        page.text
    }

    fn add(&mut self, site: &Site) {
        let puts = site.counts.puts();
        let before = self.puts.insert(site.id.clone(), puts).unwrap_or(0);
        // A site without puts does not come to be; one with fewer than before was left out of
        // the counts meanwhile, as its filesystem is not wanted.
        let more = puts.saturating_sub(before);
        if more == 0 {
            return;
        }
        let rule = site.rule().unwrap_or(NO_RULE).to_owned();
        let severity = site.severity;
        *self.by_rule.entry((severity, rule.clone())).or_default() += more;
        if severity < FINDING {
            return;
        }
        let series = SeriesId {
            site: site.id.clone(),
            rule,
            severity,
        };
        if self.by_site.len() < FINDING_SERIES || self.by_site.contains_key(&series) {
            *self.by_site.entry(series).or_default() += more;
        } else {
            *self.others.entry(severity).or_default() += more;
        }
    }

    fn sites(&self, page: &mut Exposition) {
        page.family(
            "lastref_puts_total",
            Kind::Counter,
            "Puts at sites, by the worst rule that matched the site.",
        );
        for ((severity, rule), puts) in self.by_rule.iter().rev() {
            page.sample(&[("severity", severity.name()), ("rule", rule)], puts);
        }
        page.family(
            "lastref_finding_puts_total",
            Kind::Counter,
            "Puts at findings, by site; those beyond the first 100 are summed as site \"other\".",
        );
        for (series, puts) in &self.by_site {
            let labels = [
                ("site", series.site.as_str()),
                ("severity", series.severity.name()),
                ("rule", &series.rule),
            ];
            page.sample(&labels, puts);
        }
        for (severity, puts) in &self.others {
            let labels = [
                ("site", OTHER),
                ("severity", severity.name()),
                ("rule", OTHER),
            ];
            page.sample(&labels, puts);
        }
    }
}

/// What writes the file, and whether it does.
fn run(page: &mut Exposition, report: &Report, now: Timestamp, up: bool) {
    let capture = &report.capture;
    page.family(
        "lastref_build_info",
        Kind::Gauge,
        "What writes this file, on which kernel, and how it watches.",
    );
    page.sample(
        &[
            ("version", report.tool.version.as_str()),
            ("kernel", &report.kernel.release),
            ("attach", capture.attach.name()),
            ("level", capture.level.name()),
        ],
        1,
    );
    page.single(
        "lastref_up",
        Kind::Gauge,
        "1 while the kernel is watched, 0 when watching has ended.",
        u8::from(up),
    );
    if let Ok(started) = capture.started.parse::<Timestamp>() {
        page.single(
            "lastref_start_time_seconds",
            Kind::Gauge,
            "When watching began, in Unix time.",
            started.as_second(),
        );
    }
    page.single(
        "lastref_last_drain_timestamp_seconds",
        Kind::Gauge,
        "When the numbers were last read from the kernel, in Unix time.",
        seconds(now.as_millisecond()),
    );
    let is_whole = capture
        .incomplete_because
        .iter()
        .all(|reason| reason == INTERIM);
    page.single(
        "lastref_complete",
        Kind::Gauge,
        "1 if nothing was lost so far that a finding may hide in.",
        u8::from(is_whole),
    );
}

/// All puts, at sites or not.
fn totals(page: &mut Exposition, report: &Report) {
    let totals = &report.totals;
    for (name, help, number) in [
        (
            "lastref_final_puts_total",
            "Puts of a last reference to an inode.",
            totals.final_puts,
        ),
        (
            "lastref_benign_final_puts_total",
            "Of those, benign by their facts alone.",
            totals.benign_final_puts,
        ),
        (
            "lastref_evictions_total",
            "Evictions begun by final puts.",
            totals.evictions,
        ),
    ] {
        page.single(name, Kind::Counter, help, number);
    }
    if report.capture.level == Level::Latent {
        page.single(
            "lastref_non_final_puts_total",
            Kind::Counter,
            "Puts that left other references.",
            totals.non_final_puts,
        );
    }
}

/// How many sites are findings now.
fn findings(page: &mut Exposition, report: &Report) {
    let mut numbers: BTreeMap<(Severity, bool), u64> = BTreeMap::new();
    for severity in [
        Severity::Latent,
        Severity::Risky,
        Severity::Unsafe,
        Severity::Deadlock,
    ] {
        numbers.insert((severity, false), 0);
    }
    for site in &report.findings {
        let charge = gate::charge(site);
        let severity = charge.unwrap_or(site.severity);
        *numbers.entry((severity, charge.is_none())).or_default() += 1;
    }
    page.family(
        "lastref_findings",
        Kind::Gauge,
        "Sites that are findings, by the worst that neither a baseline knows nor a suppression excuses, and by whether all of it is.",
    );
    for ((severity, known), number) in numbers.iter().rev() {
        let known = if *known { "true" } else { "false" };
        page.sample(&[("severity", severity.name()), ("known", known)], number);
    }
}

/// What does not come back.
fn stuck(page: &mut Exposition, report: &Report) {
    page.single(
        "lastref_stuck_puts",
        Kind::Gauge,
        "Final puts that are inside for longer than --stuck-after.",
        report.totals.stuck,
    );
    let oldest = report
        .sites()
        .flat_map(|site| &site.stuck)
        .map(|call| call.age_ms)
        .max()
        .unwrap_or(0);
    page.single(
        "lastref_stuck_longest_seconds",
        Kind::Gauge,
        "For how long the oldest of them is; 0 if there are none.",
        seconds(i64::try_from(oldest).unwrap_or(i64::MAX)),
    );
}

/// What could not be kept.
fn losses(page: &mut Exposition, report: &Report) {
    page.family(
        "lastref_losses_total",
        Kind::Counter,
        "What could not be kept, by the name of the report's field.",
    );
    for loss in report.losses.named() {
        if loss.kind != "probe_hits_missed" || report.losses.probe_hits_missed.is_some() {
            page.sample(&[("kind", loss.kind)], loss.number);
        }
    }
}

/// Milliseconds as a decimal number of seconds.
fn seconds(milliseconds: i64) -> String {
    format!(
        "{}.{:03}",
        milliseconds.div_euclid(1000),
        milliseconds.rem_euclid(1000)
    )
}

/// What kind of metric a family is.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// A text under construction.
#[derive(Default)]
struct Exposition {
    text: String,
    /// The family whose samples come next.
    family: &'static str,
}

impl Exposition {
    /// Begins a family.
    fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self.family = name;
    }

    /// A family of one sample without labels.
    fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// One sample of the family.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.family);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escape(text));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// A label's value in the text format.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
