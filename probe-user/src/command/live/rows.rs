//! Which sites are listed, and in which order.

use std::cmp::{Ordering, Reverse};

use lastref::report::{
    changes::Wanted,
    model::{Report, Site},
};

use super::rates::Rates;

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The worst, of those the most frequent at present.
    #[default]
    Severity,
    /// The most frequent at present.
    Rate,
    /// The most frequent since the start.
    Puts,
    /// The longest eviction.
    Longest,
}

impl Sort {
    /// The next one, in a circle.
    pub const fn next(self) -> Self {
        match self {
            Self::Severity => Self::Rate,
            Self::Rate => Self::Puts,
            Self::Puts => Self::Longest,
            Self::Longest => Self::Severity,
        }
    }

    /// Its name, to follow "by".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Severity => "severity and rate",
            Self::Rate => "rate",
            Self::Puts => "puts",
            Self::Longest => "longest eviction",
        }
    }

    fn compare(self, rates: &Rates, a: &Site, b: &Site) -> Ordering {
        let severity = || Reverse(a.severity).cmp(&Reverse(b.severity));
        let rate = || rates.of(b).total_cmp(&rates.of(a));
        let puts = || b.counts.puts().cmp(&a.counts.puts());
        let longest = || {
            let longest = |site: &Site| Reverse(site.counts.eviction_longest_ns);
            longest(a).cmp(&longest(b))
        };
        let order = match self {
            Self::Severity => severity().then_with(rate).then_with(puts),
            Self::Rate => rate().then_with(severity).then_with(puts),
            Self::Puts => puts().then_with(severity),
            Self::Longest => longest().then_with(severity).then_with(puts),
        };
        order.then_with(|| a.id.cmp(&b.id))
    }
}

/// Whether `site` has `filter` somewhere; every site has nothing. Case does not matter.
fn matches(site: &Site, filter: &str) -> bool {
    let wanted = filter.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let has_any = |texts: &[Option<&str>]| texts.iter().flatten().copied().any(has);
    wanted.is_empty()
        || has_any(&[Some(&site.id), Some(site.severity.name())])
        || site
            .frames
            .iter()
            .any(|frame| has_any(&[frame.function.as_deref(), frame.module.as_deref()]))
        || site.contexts.iter().any(|context| {
            let filesystem = context.example.as_ref();
            let filesystem = filesystem.map(|example| example.inode.filesystem.as_str());
            has_any(&[filesystem])
                || context.hazards.iter().any(|hazard| has(&hazard.rule))
                || context.facts.yes.iter().any(|fact| has(fact))
        })
}

/// A site of `report` by its index: findings first, then the others.
pub fn site(report: &Report, index: usize) -> Option<&Site> {
    let findings = report.findings.len();
    report
        .findings
        .get(index)
        .or_else(|| report.other_sites.get(index.checked_sub(findings)?))
}

/// The indices of the sites to list, in their order.
pub fn list(
    report: &Report,
    rates: &Rates,
    sort: Sort,
    wanted: Wanted,
    filter: &str,
) -> Vec<usize> {
    let mut listed: Vec<(usize, &Site)> = report
        .sites()
        .enumerate()
        .filter(|(_, site)| wanted.has(site) && matches(site, filter))
        .collect();
    listed.sort_by(|(_, a), (_, b)| sort.compare(rates, a, b));
    listed.into_iter().map(|(index, _)| index).collect()
}
