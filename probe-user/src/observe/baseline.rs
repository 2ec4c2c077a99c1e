//! What an earlier report knows: sites that need not be told again, and where puts were final.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::model::{Context, Report, Severity, Site};

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
                *known.final_puts.entry(name).or_default() += counts.final_puts;
            }
        }
        known
    }
}

fn found(site: &Site) -> impl Iterator<Item = Found> {
    site.contexts
        .iter()
        .flat_map(|context| &context.hazards)
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
    fn final_puts_are_those_of_the_filesystem() {
        let report = sample::report();
        let site = &report.findings[0];
        let baseline = Baseline::of(&report);
        assert_eq!(baseline.final_puts(&site.id, "cephlike"), 3);
        assert_eq!(baseline.final_puts(&site.id, "ext4"), 0);
        assert_eq!(Baseline::default().final_puts(&site.id, "cephlike"), 0);
    }
}
