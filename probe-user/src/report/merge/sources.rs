//! Where merged reports came from: kernels and how they were watched, and in what these differ.

use std::collections::{BTreeMap, BTreeSet};

use super::lists;
use crate::report::model::{
    Attach, Capture, Kernel, Level, LockSource, Provocation, ProvocationMethod, Report,
    ReportSource,
};
use crate::report::units::sum;

/// The sources of all merged reports.
#[derive(Debug, Default)]
pub struct Sources {
    sources: Vec<ReportSource>,
}

/// What tells one source from another.
#[derive(PartialEq, Eq)]
struct Way<'a> {
    kernel: &'a Kernel,
    watched: (Level, Attach, &'a str, &'a [String]),
    written: (u32, &'a str),
    provoked: Option<(ProvocationMethod, &'a str, &'a str, u8)>,
}

impl<'a> Way<'a> {
    fn of(source: &'a ReportSource) -> Self {
        Self {
            kernel: &source.kernel,
            watched: (
                source.level,
                source.attach,
                &source.attach_reason,
                &source.filesystems,
            ),
            written: (source.schema_version, &source.tool_version),
            provoked: source.provocation.as_ref().map(labels),
        }
    }
}

/// What must be the same for provocations to add up.
fn labels(provocation: &Provocation) -> (ProvocationMethod, &str, &str, u8) {
    (
        provocation.method,
        &provocation.by,
        &provocation.reach,
        provocation.duty_percent,
    )
}

impl Sources {
    /// Adds the sources of `report`; returns the releases of their kernels.
    pub fn add(&mut self, report: &Report) -> Vec<String> {
        let sources = match &report.merged {
            Some(merged) => merged.sources.clone(),
            None => vec![of_single(report)],
        };
        let releases: BTreeSet<String> = sources
            .iter()
            .map(|source| source.kernel.release.clone())
            .collect();
        for source in sources {
            let way = Way::of(&source);
            match self.sources.iter_mut().find(|sum| Way::of(sum) == way) {
                Some(sum) => add(sum, &source),
                None => self.sources.push(source),
            }
        }
        releases.into_iter().collect()
    }

    /// How many reports of single runs there are.
    pub fn reports(&self) -> u64 {
        sum(self.sources.iter().map(|source| source.reports))
    }

    /// The sources, in an order of their own.
    pub fn finish(mut self) -> Vec<ReportSource> {
        self.sources.sort();
        self.sources
    }

    /// In what they differ, one sentence each.
    pub fn conflicts(&self) -> Vec<String> {
        let mut conflicts: Vec<String> = DIFFERENCES
            .iter()
            .filter_map(|(what, value)| lists::difference(what, &self.values(value)))
            .collect();
        let uncounted = sum(self.sources.iter().map(|source| source.hits_not_counted));
        if uncounted > 0 && uncounted < self.reports() {
            conflicts.push(format!(
                "probe hits that the kernel skipped are not counted in {uncounted} of {} reports",
                self.reports()
            ));
        }
        conflicts
    }

    /// In how many reports each value is.
    fn values(&self, value: &dyn Fn(&ReportSource) -> String) -> BTreeMap<String, u64> {
        let mut values: BTreeMap<String, u64> = BTreeMap::new();
        for source in &self.sources {
            let reports = values.entry(value(source)).or_default();
            *reports = reports.saturating_add(source.reports);
        }
        values
    }

    /// One kernel for all: what is the same is told, what differs is listed.
    pub fn kernel(&self) -> Kernel {
        let all =
            |value: &dyn Fn(&ReportSource) -> String| lists::in_words(self.values(value).keys());
        Kernel {
            host: None,
            release: all(&|source| source.kernel.release.clone()),
            version: all(&|source| source.kernel.version.clone()),
            machine: all(&|source| source.kernel.machine.clone()),
            unknown_facts: self.unknown_facts(),
            // The worst: what is said of locks must hold for all reports.
            lock_source: self
                .sources
                .iter()
                .map(|source| source.kernel.lock_source)
                .max()
                .unwrap_or(LockSource::Owners),
            debug_information: Vec::new(),
        }
    }

    /// The facts that at least one kernel cannot tell, and which, if it is not all of them.
    fn unknown_facts(&self) -> BTreeMap<String, String> {
        let mut reasons: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        let mut kernels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let everywhere: BTreeSet<&str> = self
            .sources
            .iter()
            .map(|source| source.kernel.release.as_str())
            .collect();
        for ReportSource { kernel, .. } in &self.sources {
            for (fact, reason) in &kernel.unknown_facts {
                let release = kernel.release.as_str();
                let by_reason = reasons.entry(fact).or_default();
                by_reason.entry(reason).or_default().insert(release);
                kernels.entry(fact).or_default().insert(release);
            }
        }
        reasons
            .into_iter()
            .map(|(fact, by_reason)| {
                let is_same = by_reason.len() == 1 && kernels.get(fact) == Some(&everywhere);
                let told: Vec<String> = by_reason
                    .into_iter()
                    .map(|(reason, releases)| {
                        let releases: Vec<String> =
                            releases.into_iter().map(str::to_owned).collect();
                        if is_same {
                            reason.to_owned()
                        } else {
                            format!("{reason} (on {})", lists::in_words(releases.iter()))
                        }
                    })
                    .collect();
                (fact.to_owned(), told.join("; "))
            })
            .collect()
    }

    /// How all of them were watched: the level that sees most, and the time of all together.
    pub fn capture(&self) -> Capture {
        let sources = || self.sources.iter();
        let mut filesystems = BTreeSet::new();
        for source in sources() {
            filesystems.extend(source.filesystems.iter().cloned());
        }
        if sources().any(|source| source.filesystems.is_empty()) {
            filesystems.clear();
        }
        Capture {
            started: sources()
                .map(|source| source.first_started.clone())
                .min()
                .unwrap_or_default(),
            duration_ms: sum(sources().map(|source| source.duration_ms)),
            level: sources()
                .map(|source| source.level)
                .max()
                .unwrap_or(Level::Evictions),
            attach: sources()
                .map(|source| source.attach)
                .min()
                .unwrap_or(Attach::Kprobe),
            attach_reason: lists::in_words(
                self.values(&|source| source.attach_reason.clone()).keys(),
            ),
            filesystems: filesystems.into_iter().collect(),
            complete: true,
            incomplete_because: Vec::new(),
            lock_tracking: None,
            provocation: self.provocation(),
            workload: None,
            cost: None,
            suppressions: Vec::new(),
        }
    }

    /// The provocation of all reports, if all had the same.
    fn provocation(&self) -> Option<Provocation> {
        let mut all = self.sources.iter().map(|source| &source.provocation);
        let mut sum = all.next()?.clone()?;
        for provocation in all {
            let provocation = provocation.as_ref()?;
            if labels(provocation) != labels(&sum) {
                return None;
            }
            add_provocation(&mut sum, provocation);
        }
        Some(sum)
    }
}

/// A value of a source, in words.
type Value = fn(&ReportSource) -> String;

/// In what sources may differ, so that it must be told.
const DIFFERENCES: &[(&str, Value)] = &[
    ("kernels", |source| source.kernel.release.clone()),
    ("machines", |source| source.kernel.machine.clone()),
    ("levels", |source| source.level.name().to_owned()),
    ("ways of attaching", |source| {
        source.attach.name().to_owned()
    }),
    ("limits on filesystems", |source| {
        match source.filesystems.as_slice() {
            [] => "none".to_owned(),
            filesystems => filesystems.join("+"),
        }
    }),
    ("sources of locks", |source| {
        source.kernel.lock_source.name().to_owned()
    }),
    ("provocations", |source| match &source.provocation {
        Some(provocation) => format!(
            "{} at {} %",
            provocation.method.name(),
            provocation.duty_percent
        ),
        None => "none".to_owned(),
    }),
    ("schema versions", |source| {
        source.schema_version.to_string()
    }),
    ("versions of lastref", |source| source.tool_version.clone()),
];

/// The source that a report of a single run is.
fn of_single(report: &Report) -> ReportSource {
    let capture = &report.capture;
    let mut kernel = report.kernel.clone();
    kernel.debug_information.clear();
    ReportSource {
        hosts: kernel.host.take().into_iter().collect(),
        kernel,
        level: capture.level,
        attach: capture.attach,
        attach_reason: capture.attach_reason.clone(),
        filesystems: capture.filesystems.clone(),
        schema_version: report.schema_version,
        tool_version: report.tool.version.clone(),
        provocation: capture.provocation.clone(),
        reports: 1,
        hits_not_counted: u64::from(report.losses.probe_hits_missed.is_none()),
        first_started: capture.started.clone(),
        last_started: capture.started.clone(),
        duration_ms: capture.duration_ms,
    }
}

/// Adds another source that is the same but for its numbers.
fn add(sum: &mut ReportSource, other: &ReportSource) {
    for host in &other.hosts {
        lists::insert(&mut sum.hosts, host);
    }
    sum.reports = sum.reports.saturating_add(other.reports);
    sum.hits_not_counted = sum.hits_not_counted.saturating_add(other.hits_not_counted);
    sum.duration_ms = sum.duration_ms.saturating_add(other.duration_ms);
    if other.first_started < sum.first_started {
        sum.first_started.clone_from(&other.first_started);
    }
    if other.last_started > sum.last_started {
        sum.last_started.clone_from(&other.last_started);
    }
    if let (Some(sum), Some(other)) = (&mut sum.provocation, &other.provocation) {
        add_provocation(sum, other);
    }
}

fn add_provocation(sum: &mut Provocation, other: &Provocation) {
    sum.passes = sum.passes.saturating_add(other.passes);
    sum.busy_ms = sum.busy_ms.saturating_add(other.busy_ms);
    sum.unfinished_ms = sum.unfinished_ms.max(other.unfinished_ms);
    sum.stuck |= other.stuck;
    sum.failure = match (sum.failure.take(), other.failure.clone()) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}
