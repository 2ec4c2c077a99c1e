//! What an earlier report knows: sites that need not be told again, and where puts were final.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::model::{Context, Report, Severity, Site};
use crate::report::{again, order};

/// The sites of an earlier report, by id; none without one.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    sites: BTreeMap<String, Known>,
}

/// What is known of a site.
#[derive(Clone, Debug, Default)]
struct Known {
    /// What was found.
    found: BTreeSet<Found>,
    /// Whether a call was stuck.
    was_stuck: bool,
    /// Final puts, by the name of the filesystem.
    final_puts: BTreeMap<String, u64>,
}

/// A rule that matched, as bad as that, and as bad as it would be if the put were final.
type Found = (String, Severity, Option<Severity>);

impl Baseline {
    /// The sites of `report`, but those without any function's name: they are not the same as
    /// others without.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let sites = report.findings.iter().chain(&report.other_sites);
        Self {
            sites: sites
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
            // By what its own run found: other rules may be in force by now.
            site.known = self.knows(site);
            let is_final_elsewhere = self.sites.get(&site.id).is_some_and(Known::has_final_puts);
            if is_final_elsewhere && site.counts.non_final > 0 {
                let (id, severity) = (site.id.clone(), site.severity);
                again::judge(site, |filesystem| self.final_puts(&id, filesystem));
                site.known &= site.severity == severity;
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

    /// Whether it has all that is found at the site.
    pub(super) fn knows(&self, site: &Site) -> bool {
        self.sites.get(&site.id).is_some_and(|known| {
            found(site).all(|found| known.found.contains(&found))
                && (site.stuck.is_empty() || known.was_stuck)
        })
    }
}

impl Known {
    /// Whether it was seen to drop a last reference.
    fn has_final_puts(&self) -> bool {
        self.final_puts.values().any(|puts| *puts > 0)
    }

    fn of(site: &Site) -> Self {
        let mut known = Self {
            found: found(site).collect(),
            was_stuck: !site.stuck.is_empty(),
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

/// What makes the site a finding. A design that is recognised besides is no news.
fn found(site: &Site) -> impl Iterator<Item = Found> {
    site.contexts
        .iter()
        .flat_map(|context| &context.hazards)
        .filter(|hazard| hazard.severity >= order::FINDING)
        .map(|hazard| (hazard.rule.clone(), hazard.severity, hazard.if_final))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_is_new_at_a_site_is_not_known() {
        let report = sample::report();
        let baseline = Baseline::of(&report);
        for site in &report.findings {
            assert!(baseline.knows(site), "{}", site.id);
        }
        let mut worse = report.findings[0].clone();
        worse.contexts[0].hazards[0].rule = "another".into();
        assert!(!baseline.knows(&worse));
        worse.id = "another".into();
        assert!(!baseline.knows(&worse));
        let mut stuck = report.findings[0].clone();
        assert!(!stuck.stuck.is_empty());
        let mut before = report.clone();
        before.findings[0].stuck.clear();
        assert!(!Baseline::of(&before).knows(&stuck));
        stuck.stuck.clear();
        assert!(Baseline::of(&before).knows(&stuck));
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
