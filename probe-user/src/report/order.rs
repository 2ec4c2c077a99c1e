//! The order of a report: what is a finding and what is not, the worst first.

use std::cmp::Reverse;

use super::model::{Report, Severity, Site};
use super::parts;

/// The mildest severity that makes a site a finding.
pub const FINDING: Severity = Severity::Latent;

impl Report {
    /// Every site, the findings first.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        self.findings.iter().chain(&self.other_sites)
    }
}

impl Site {
    /// The worst rule that matched, if any did.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        parts::worst(self).map(|hazard| hazard.rule.as_str())
    }
}

/// Splits `sites` into findings and others, each sorted: most severe first, then most frequent,
/// then by id, so that two reports of the same calls are the same.
#[must_use]
pub fn assemble(sites: Vec<Site>) -> (Vec<Site>, Vec<Site>) {
    let (mut findings, mut others): (Vec<_>, Vec<_>) =
        sites.into_iter().partition(|site| site.severity >= FINDING);
    for sites in [&mut findings, &mut others] {
        for site in sites.iter_mut() {
            site.contexts
                .sort_by_key(|context| (Reverse(context.severity), Reverse(context.counts.puts())));
        }
        sites.sort_by(|a, b| {
            let rank = |site: &Site| (Reverse(site.severity), Reverse(site.counts.puts()));
            rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
        });
    }
    (findings, others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn findings_come_worst_first_then_most_frequent() {
        let site = |id: &str, severity, puts| {
            let mut site = sample::site(id, severity);
            site.counts.final_puts = puts;
            site
        };
        let (findings, others) = assemble(vec![
            site("e", Severity::Expected, 9),
            site("b", Severity::Benign, 99),
            site("l", Severity::Latent, 5),
            site("r1", Severity::Risky, 1),
            site("r3", Severity::Risky, 3),
            site("r2", Severity::Risky, 3),
            site("d", Severity::Deadlock, 1),
        ]);
        let ids = |sites: &[Site]| sites.iter().map(|site| site.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&findings), ["d", "r2", "r3", "r1", "l"]);
        assert_eq!(ids(&others), ["e", "b"]);
    }
}
