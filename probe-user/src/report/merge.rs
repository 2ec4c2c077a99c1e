//! Many reports as one: exact sums, the verdicts on them, and what does not go together.
//!
//! What is kept while merging grows with different sites, contexts, kernels and hosts, not with
//! the number of reports. In which order reports are merged, and whether some were merged before,
//! makes no difference. What a baseline knew and a suppression excused is not merged: both are to
//! be said of the sum.

mod lists;
mod sites;
mod sources;

use std::collections::BTreeSet;

use super::model::{
    Capture, Counts, Kernel, LockAgreement, LockTracking, Losses, Merged, Report, SCHEMA_VERSION,
    Tool, Totals, Workload,
};
use super::order;
use super::units::count;
use sites::Sites;
use sources::Sources;

/// How many reasons for being incomplete are kept: some have times in them, and are as many as
/// the reports.
const REASONS: usize = 32;

/// Stands for those that are not kept.
const MORE_REASONS: &str = "there are further reasons: the merged reports have them";

/// A merged report under construction.
#[derive(Debug, Default)]
pub struct Merger {
    sources: Sources,
    incomplete: u64,
    unreadable: u64,
    /// Why reports are incomplete, but for what follows from numbers.
    reasons: BTreeSet<String>,
    has_more_reasons: bool,
    losses: Losses,
    totals: Totals,
    debug_information: BTreeSet<String>,
    lock_tracking: Option<LockTracking>,
    workload: CommonWorkload,
    sites: Sites,
}

/// The workload that all merged reports have.
#[derive(Debug, Default)]
enum CommonWorkload {
    /// Nothing has been merged.
    #[default]
    OfNothing,
    /// They have the same.
    Of(Workload),
    /// They do not.
    None,
}

impl CommonWorkload {
    fn add(&mut self, workload: Option<&Workload>) {
        *self = match (std::mem::take(self), workload) {
            (Self::OfNothing, Some(workload)) => Self::Of(workload.clone()),
            (Self::Of(same), Some(workload)) if same == *workload => Self::Of(same),
            _ => Self::None,
        };
    }
}

impl Merger {
    /// Adds a report.
    pub fn add(&mut self, report: Report) {
        let told = reasons_in_numbers(&report.losses, report.merged.as_ref());
        let Report {
            kernel,
            capture,
            merged,
            ..
        } = &report;
        for reason in &capture.incomplete_because {
            if !told.contains(reason) {
                self.add_reason(reason);
            }
        }
        let (incomplete, unreadable) = match merged {
            Some(merged) => (merged.incomplete, merged.unreadable),
            None => (u64::from(!capture.complete), 0),
        };
        self.incomplete = self.incomplete.saturating_add(incomplete);
        self.unreadable = self.unreadable.saturating_add(unreadable);
        self.losses.add(&report.losses);
        self.totals.add(&report.totals);
        self.debug_information
            .extend(kernel.debug_information.iter().cloned());
        if let Some(tracking) = &capture.lock_tracking {
            add_tracking(self.lock_tracking.get_or_insert_default(), tracking);
        }
        self.workload.add(capture.workload.as_ref());
        let kernels = self.sources.add(&report);
        for site in report.findings.into_iter().chain(report.other_sites) {
            self.sites.add(site, &kernels);
        }
    }

    /// Notes that a report could not be read: the sums are without it.
    pub const fn note_unreadable(&mut self) {
        self.unreadable = self.unreadable.saturating_add(1);
    }

    /// How many reports of single runs were merged.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.sources.reports()
    }

    /// The sum of all reports.
    #[must_use]
    pub fn finish(self) -> Report {
        let mut conflicts = self.sources.conflicts();
        conflicts.extend(self.sites.conflicts());
        let sites = self.sites.finish();
        let numbers = sites.iter().map(|site| &site.counts);
        if self.losses.is_saturated()
            || self.losses.probe_hits_missed == Some(u64::MAX)
            || self.totals.is_saturated()
            || numbers.into_iter().any(Counts::is_saturated)
        {
            conflicts.push(format!(
                "a sum is larger than a report can hold: {} stands for that or more",
                u64::MAX
            ));
        }
        let (findings, other_sites) = order::assemble(sites);
        let merged = Merged {
            reports: self.sources.reports(),
            incomplete: self.incomplete,
            unreadable: self.unreadable,
            conflicts,
            sources: Vec::new(),
        };
        let mut incomplete_because = reasons_in_numbers(&self.losses, Some(&merged));
        incomplete_because.extend(self.reasons);
        if self.has_more_reasons {
            incomplete_because.push(MORE_REASONS.to_owned());
        }
        let kernel = self.sources.kernel();
        Report {
            schema_version: SCHEMA_VERSION,
            tool: Tool {
                name: "lastref".into(),
                version: env!("CARGO_PKG_VERSION").into(),
            },
            capture: Capture {
                complete: incomplete_because.is_empty(),
                incomplete_because,
                lock_tracking: self.lock_tracking,
                workload: match self.workload {
                    CommonWorkload::Of(workload) => Some(workload),
                    CommonWorkload::OfNothing | CommonWorkload::None => None,
                },
                ..self.sources.capture()
            },
            kernel: Kernel {
                debug_information: self.debug_information.into_iter().collect(),
                ..kernel
            },
            losses: self.losses,
            totals: self.totals,
            findings,
            other_sites,
            // It is of the time since each report's own begin.
            timeline: Vec::new(),
            merged: Some(Merged {
                sources: self.sources.finish(),
                ..merged
            }),
        }
    }

    /// Keeps the reason why a report is incomplete, or notes that there are more.
    fn add_reason(&mut self, reason: &str) {
        if reason == MORE_REASONS {
            self.has_more_reasons = true;
        } else if !self.reasons.contains(reason) {
            self.reasons.insert(reason.to_owned());
        }
        if self.reasons.len() > REASONS {
            self.reasons.pop_last();
            self.has_more_reasons = true;
        }
    }
}

/// Why a report with these numbers is incomplete.
fn reasons_in_numbers(losses: &Losses, merged: Option<&Merged>) -> Vec<String> {
    let mut reasons = losses.gaps();
    if let Some(merged) = merged {
        if merged.unreadable > 0 {
            reasons.push(format!(
                "{} could not be read, and is not in the sums",
                count(merged.unreadable, "report")
            ));
        }
        if merged.incomplete > 0 {
            reasons.push(format!(
                "{} of {} not complete",
                merged.incomplete,
                count(merged.reports, "merged report")
            ));
        }
    }
    reasons
}

fn add_tracking(sum: &mut LockTracking, tracking: &LockTracking) {
    for function in &tracking.functions {
        lists::insert(&mut sum.functions, function);
    }
    if let Some(agreement) = &tracking.lockdep {
        add_agreement(sum.lockdep.get_or_insert_default(), agreement);
    }
}

fn add_agreement(sum: &mut LockAgreement, other: &LockAgreement) {
    sum.calls = sum.calls.saturating_add(other.calls);
    sum.same = sum.same.saturating_add(other.same);
    for (sum, other) in [
        (&mut sum.only_lockdep, &other.only_lockdep),
        (&mut sum.only_tracking, &other.only_tracking),
    ] {
        for (lock, number) in other {
            let sum = sum.entry(lock.clone()).or_default();
            *sum = sum.saturating_add(*number);
        }
    }
}

#[cfg(test)]
mod tests;
