//! What an earlier report knows: sites that need not be told again, and where puts were final.

use std::collections::BTreeMap;

use crate::report::found::Found;
use crate::report::model::{Context, Report, Site};
use crate::report::{again, order};

/// The sites of an earlier report, by id; none without one.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    sites: BTreeMap<String, Known>,
}

/// What is known of a site.
#[derive(Clone, Debug, Default)]
struct Known {
    found: Found,
    /// Final puts, by the name of the filesystem.
    final_puts: BTreeMap<String, u64>,
}

impl Baseline {
    /// The sites of `report`, but those without any function's name: they are not the same as
    /// others without.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        Self {
            sites: report
                .sites()
                .filter(|site| site.frames.iter().any(|frame| frame.function.is_some()))
                .map(|site| (site.id.clone(), Known::of(site)))
                .collect(),
        }
    }

    /// Says of every site of `report` what a run with this baseline would have said of it.
    pub fn mark(&self, report: &mut Report) {
        let mut sites = std::mem::take(&mut report.findings);
        sites.append(&mut report.other_sites);
        for site in &mut sites {
            self.mark_site(site);
            let is_final_elsewhere = self.sites.get(&site.id).is_some_and(Known::has_final_puts);
            if is_final_elsewhere && site.counts.non_final > 0 {
                let (id, known, severity) = (site.id.clone(), site.known, site.severity);
                again::judge(site, |filesystem| self.final_puts(&id, filesystem));
                self.mark_site(site);
                // By what its own run found: other rules may be in force by now.
                site.known |= known && site.severity == severity;
            }
        }
        (report.findings, report.other_sites) = order::assemble(sites);
    }

    /// How many puts of inodes of `filesystem` at the site `id` were final.
    pub(super) fn final_puts(&self, id: &str, filesystem: &str) -> u64 {
        self.sites
            .get(id)
            .and_then(|known| known.final_puts.get(filesystem))
            .copied()
            .unwrap_or(0)
    }

    /// Marks what it has of what is found at `site`, at least as bad; nothing if calls are stuck
    /// there that were not, and the site itself if that is all.
    pub(super) fn mark_site(&self, site: &mut Site) {
        let known = self.sites.get(&site.id);
        let found = known
            .map(|known| &known.found)
            .filter(|found| !found.is_stuck_anew(site));
        site.known = found.is_some();
        for context in &mut site.contexts {
            let known: Vec<bool> = context
                .hazards
                .iter()
                .map(|hazard| {
                    hazard.severity >= order::FINDING
                        && found.is_some_and(|found| found.has(context, hazard))
                })
                .collect();
            for (hazard, known) in context.hazards.iter_mut().zip(known) {
                hazard.known = known;
                site.known &= known || hazard.severity < order::FINDING;
            }
        }
    }
}

impl Known {
    /// Whether it was seen to drop a last reference.
    fn has_final_puts(&self) -> bool {
        self.final_puts.values().any(|puts| *puts > 0)
    }

    fn of(site: &Site) -> Self {
        let mut known = Self {
            found: Found::of(site),
            ..Self::default()
        };
        for Context {
            example, counts, ..
        } in &site.contexts
        {
            if let Some(example) = example {
                let name = example.inode.filesystem.clone();
                let sum = known.final_puts.entry(name).or_default();
                *sum = sum.saturating_add(counts.final_puts);
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Severity;
    use crate::report::{gate, sample};

    /// Whether all of the site is known to `baseline`.
    fn knows(baseline: &Baseline, site: &Site) -> bool {
        let mut site = site.clone();
        baseline.mark_site(&mut site);
        site.known
    }

    /// A site of the run, and what it is charged with where `before` was found.
    fn charge(before: &Site, now: &Site) -> Option<Severity> {
        let mut report = sample::empty();
        report.findings = vec![before.clone()];
        let mut now = now.clone();
        Baseline::of(&report).mark_site(&mut now);
        gate::charge(&now)
    }

    #[test]
    fn a_site_that_got_better_is_known() {
        let site = sample::report().findings[0].clone();
        let before = sample::with_hazard(&site, "low-stack", Severity::Unsafe);
        let after = sample::with_hazard(&site, "low-stack", Severity::Risky);
        assert_eq!(charge(&before, &after), None);
        assert_eq!(charge(&after, &before), Some(Severity::Unsafe));
        let latent = sample::report().findings.last().unwrap().clone();
        let mut last = latent.clone();
        let hazards = &mut last.contexts[0].hazards;
        hazards.retain(|hazard| hazard.if_final.is_some());
        for hazard in hazards {
            hazard.severity = hazard.if_final.take().unwrap();
        }
        assert_eq!(charge(&last, &latent), None);
        assert_eq!(charge(&latent, &last), Some(Severity::Unsafe));
    }

    #[test]
    fn a_new_rule_is_charged_alone() {
        let before = sample::report().findings[0].clone();
        let mut after = sample::with_hazard(&before, "another", Severity::Risky);
        assert_eq!(charge(&before, &after), Some(Severity::Risky));
        // Not where nothing of it is new but what is excused.
        let hazards = &mut after.contexts[0].hazards;
        hazards.last_mut().unwrap().suppressed = Some("by design".into());
        assert_eq!(charge(&before, &after), None);
        // A call that hangs is charged with all that is found there.
        let mut before = before;
        before.stuck.clear();
        assert_eq!(charge(&before, &after), Some(Severity::Deadlock));
    }

    #[test]
    fn what_is_new_at_a_site_is_not_known() {
        let report = sample::report();
        let baseline = Baseline::of(&report);
        for site in &report.findings {
            assert!(knows(&baseline, site), "{}", site.id);
        }
        let mut worse = report.findings[0].clone();
        worse.contexts[0].hazards[0].rule = "another".into();
        assert!(!knows(&baseline, &worse));
        worse.id = "another".into();
        assert!(!knows(&baseline, &worse));
        let mut stuck = report.findings[0].clone();
        assert!(!stuck.stuck.is_empty());
        let mut before = report.clone();
        before.findings[0].stuck.clear();
        assert!(!knows(&Baseline::of(&before), &stuck));
        stuck.stuck.clear();
        assert!(knows(&Baseline::of(&before), &stuck));
    }

    #[test]
    fn a_saved_report_is_marked_as_a_run_would_have_been() {
        let mut report = sample::report();
        report.other_sites.push(sample::held_elsewhere());
        let before = report.clone();
        Baseline::default().mark(&mut report);
        assert_eq!(report.findings, before.findings);
        Baseline::of(&sample::report()).mark(&mut report);
        assert!(report.findings.iter().all(|site| site.known));

        let mut elsewhere = sample::held_elsewhere();
        elsewhere.contexts[0].counts.final_puts = 2;
        let mut baseline = sample::empty();
        baseline.other_sites.push(elsewhere);
        let mut report = sample::empty();
        report.other_sites.push(sample::held_elsewhere());
        Baseline::of(&baseline).mark(&mut report);
        assert_eq!(report.findings[0].severity, Severity::Latent);
        assert!(!report.findings[0].known);
    }

    #[test]
    fn final_puts_are_those_of_the_filesystem() {
        let report = sample::report();
        let site = &report.findings[0];
        let baseline = Baseline::of(&report);
        assert_eq!(baseline.final_puts(&site.id, "cephlike"), 3);
        assert_eq!(baseline.final_puts(&site.id, "ext4"), 0);
        assert_eq!(Baseline::default().final_puts(&site.id, "cephlike"), 0);
    }
}
