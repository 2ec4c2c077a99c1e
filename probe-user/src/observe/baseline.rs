//! What an earlier report knows: sites that need not be told again, and where puts were final.

use std::collections::BTreeMap;

use crate::report::model::{Report, Severity, Site};

/// The sites of an earlier report, by id; none without one.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    sites: BTreeMap<String, Known>,
}

/// What is known of a site.
#[derive(Clone, Copy, Debug)]
struct Known {
    severity: Severity,
    final_puts: u64,
}

impl Baseline {
    /// The sites of `report`.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let sites = report.findings.iter().chain(&report.other_sites);
        Self {
            sites: sites
                .map(|site| {
                    let known = Known {
                        severity: site.severity,
                        final_puts: site.counts.final_puts,
                    };
                    (site.id.clone(), known)
                })
                .collect(),
        }
    }

    /// How many puts at the site `id` were final.
    pub(super) fn final_puts(&self, id: &str) -> u64 {
        self.sites.get(id).map_or(0, |known| known.final_puts)
    }

    /// Whether it has the site, at least as bad.
    pub(super) fn knows(&self, site: &Site) -> bool {
        self.sites
            .get(&site.id)
            .is_some_and(|known| known.severity >= site.severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_site_that_became_worse_is_not_known() {
        let mut report = sample::empty();
        let site = sample::site("id", Severity::Risky);
        report.findings = vec![site.clone()];
        let baseline = Baseline::of(&report);
        assert!(baseline.knows(&site));
        assert!(!baseline.knows(&sample::site("id", Severity::Unsafe)));
        assert!(!baseline.knows(&sample::site("other", Severity::Risky)));
        assert_eq!(baseline.final_puts("id"), site.counts.final_puts);
        assert_eq!(Baseline::default().final_puts("id"), 0);
    }
}
