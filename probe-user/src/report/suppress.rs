//! `--suppress`: findings that are known and excused, each for a reason that is written down.

mod file;

use globset::GlobMatcher;
use jiff::civil::Date;

use super::again::filesystem;
use super::gate;
use super::model::{Context, Report, Site, Suppression, SuppressionState};
use super::order::FINDING;
use crate::kernel::symbols::plain_name;

pub use file::{SuppressError, read};

/// The entries of a file.
#[derive(Clone, Debug, Default)]
pub struct Suppressions {
    entries: Vec<Entry>,
}

/// An entry: everything that it has must match.
#[derive(Clone, Debug)]
struct Entry {
    rule: Option<GlobMatcher>,
    frame: Option<GlobMatcher>,
    filesystem: Option<GlobMatcher>,
    kernel: Option<GlobMatcher>,
    /// The last day on which it counts.
    expires: Option<Date>,
    /// The entry as reports have it.
    told: Suppression,
}

impl Suppressions {
    /// Marks what is excused in `report`, and notes there what came of each entry. Marks that it
    /// had before are gone. On `today` (UTC) depends which entries are over.
    pub fn apply(&self, report: &mut Report, today: Date) {
        let kernels = kernels(report);
        let mut told: Vec<Suppression> = self
            .entries
            .iter()
            .map(|entry| Suppression {
                state: entry.state(today, &kernels),
                sites: 0,
                ..entry.told.clone()
            })
            .collect();
        for site in report.findings.iter_mut().chain(&mut report.other_sites) {
            let kernels = match &site.seen_in {
                Some(seen_in) => &seen_in.kernels,
                None => &kernels,
            };
            let usable: Vec<usize> = (0..self.entries.len())
                .filter(|at| told[*at].state != SuppressionState::Expired)
                .filter(|at| self.entries[*at].is_for(kernels))
                .collect();
            for at in self.mark(site, &usable) {
                told[at].state = SuppressionState::Used;
                told[at].sites += 1;
            }
        }
        report.capture.suppressions = told;
    }

    /// Marks what the `usable` entries excuse at `site`; returns those that did.
    fn mark(&self, site: &mut Site, usable: &[usize]) -> Vec<usize> {
        let mut used = Vec::new();
        let frames = functions(site);
        for context in &mut site.contexts {
            let candidates: Vec<usize> = usable
                .iter()
                .copied()
                .filter(|at| self.entries[*at].is_of(context, &frames))
                .collect();
            for hazard in &mut context.hazards {
                hazard.suppressed = None;
                if hazard.severity < FINDING {
                    continue;
                }
                for at in candidates.iter().copied() {
                    let entry = &self.entries[at];
                    if entry
                        .rule
                        .as_ref()
                        .is_none_or(|rule| rule.is_match(&hazard.rule))
                    {
                        hazard
                            .suppressed
                            .get_or_insert_with(|| entry.told.reason.clone());
                        used.push(at);
                    }
                }
            }
        }
        site.suppressed = excuse(site);
        used.sort_unstable();
        used.dedup();
        used
    }
}

impl Entry {
    /// What can be said of it before any site was looked at.
    fn state(&self, today: Date, kernels: &[String]) -> SuppressionState {
        let is_for = |glob: &GlobMatcher| kernels.iter().any(|kernel| glob.is_match(kernel));
        if self.expires.is_some_and(|last| today > last) {
            SuppressionState::Expired
        } else if self.kernel.as_ref().is_none_or(is_for) {
            SuppressionState::Unused
        } else {
            SuppressionState::OtherKernel
        }
    }

    /// Whether it is for all these kernels.
    fn is_for(&self, kernels: &[String]) -> bool {
        self.kernel
            .as_ref()
            .is_none_or(|glob| kernels.iter().all(|kernel| glob.is_match(kernel)))
    }

    /// Whether it is for this filesystem and stack.
    fn is_of(&self, context: &Context, frames: &[String]) -> bool {
        let called = context.called.as_deref().map(plain_name);
        let is_in_stack = |glob: &GlobMatcher| {
            let functions = frames.iter().map(String::as_str).chain(called);
            functions
                .into_iter()
                .any(|function| glob.is_match(function))
        };
        let is_on =
            |glob: &GlobMatcher| filesystem(context).is_some_and(|name| glob.is_match(name));
        self.frame.as_ref().is_none_or(is_in_stack) && self.filesystem.as_ref().is_none_or(is_on)
    }
}

/// The functions of a site's stack, also those that were inlined.
fn functions(site: &Site) -> Vec<String> {
    site.frames
        .iter()
        .flat_map(|frame| {
            let inlined = frame.inlined.iter().map(|inlined| &inlined.function);
            inlined.chain(&frame.function)
        })
        .map(|function| plain_name(function).to_owned())
        .collect()
}

/// The kernels that a report without `seen_in` is of.
fn kernels(report: &Report) -> Vec<String> {
    match &report.merged {
        Some(merged) => merged
            .sources
            .iter()
            .map(|source| source.kernel.release.clone())
            .collect(),
        None => vec![report.kernel.release.clone()],
    }
}

/// Why a site is excused, if it is for all that makes it a finding.
fn excuse(site: &Site) -> Option<String> {
    let is_open = |context: &Context| gate::charged_of_context(context, |_| true).is_some();
    let is_open = site.contexts.iter().any(is_open);
    let mut reasons: Vec<&str> = Vec::new();
    let hazards = site.contexts.iter().flat_map(|context| &context.hazards);
    for reason in hazards.filter_map(|hazard| hazard.suppressed.as_deref()) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    (!is_open && !reasons.is_empty()).then(|| reasons.join("; "))
}

#[cfg(test)]
mod tests;
