//! Which site of the old report is which of the new one.
//!
//! The id is of the functions' names without what compilers append, so that it stays the same over
//! most rebuilds. If a function was inlined in one of the kernels, and debug information tells so, or
//! the kernels are entered in other ways, the chain of the source is the same, and so is the site. All else is a hint at most: a stack
//! that was cut short may be the beginning of several.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::model::Similar;
use super::source_names;
use crate::report::model::{Report, Site};
use crate::report::order::FINDING;
use crate::report::units::count;

/// How much of two stacks must be the same for them to be similar.
const SIMILAR: f64 = 0.7;

/// By how many of the innermost functions similar stacks are looked for: one of them must be the
/// same.
const INNERMOST: usize = 3;

/// To how many others a site is compared at most.
const CANDIDATES: usize = 64;

/// The sites of two reports.
pub struct Pairing<'a> {
    /// Sites of both.
    pub pairs: Vec<(&'a Site, &'a Site)>,
    /// Sites of the old report only.
    pub gone: Vec<(&'a Site, Option<Similar>)>,
    /// Sites of the new report only.
    pub added: Vec<(&'a Site, Option<Similar>)>,
}

type Names = Vec<(String, String)>;

/// Pairs the sites of `old` and `new`.
pub fn pair<'a>(old: &'a Report, new: &'a Report) -> Pairing<'a> {
    let mut pairs = Vec::new();
    let mut by_id: BTreeMap<&str, VecDeque<&Site>> = BTreeMap::new();
    for site in old.sites() {
        by_id.entry(&site.id).or_default().push_back(site);
    }
    let mut added = Vec::new();
    for site in new.sites() {
        match by_id
            .get_mut(site.id.as_str())
            .and_then(VecDeque::pop_front)
        {
            Some(before) => pairs.push((before, site)),
            None => added.push(site),
        }
    }
    let mut gone: Vec<&Site> = by_id.into_values().flatten().collect();
    pair_by_source(&mut pairs, &mut gone, &mut added);
    let before: Vec<(&Site, Names)> = named(&gone);
    let now: Vec<(&Site, Names)> = named(&added);
    Pairing {
        pairs,
        gone: hints(&before, &now),
        added: hints(&now, &before),
    }
}

fn named<'a>(sites: &[&'a Site]) -> Vec<(&'a Site, Names)> {
    sites
        .iter()
        .map(|site| (*site, source_names(site)))
        .collect()
}

/// Pairs those whose stacks are the same in the source, if there is only one on either side.
fn pair_by_source<'a>(
    pairs: &mut Vec<(&'a Site, &'a Site)>,
    gone: &mut Vec<&'a Site>,
    added: &mut Vec<&'a Site>,
) {
    let mut by_names: BTreeMap<Names, [Vec<usize>; 2]> = BTreeMap::new();
    for (side, sites) in [&*gone, &*added].into_iter().enumerate() {
        for (at, (_, names)) in named(sites).into_iter().enumerate() {
            by_names.entry(names).or_default()[side].push(at);
        }
    }
    let mut paired = [BTreeSet::new(), BTreeSet::new()];
    for sides in by_names.values() {
        if let [[before], [now]] = [sides[0].as_slice(), sides[1].as_slice()] {
            pairs.push((gone[*before], added[*now]));
            paired[0].insert(*before);
            paired[1].insert(*now);
        }
    }
    for (sites, paired) in [gone, added].into_iter().zip(paired) {
        let mut at = 0..;
        sites.retain(|_| at.next().is_some_and(|at| !paired.contains(&at)));
    }
}

/// Each of `sites` with the most similar of the `others`.
fn hints<'a>(
    sites: &[(&'a Site, Names)],
    others: &[(&'a Site, Names)],
) -> Vec<(&'a Site, Option<Similar>)> {
    let mut by_function: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, (_, names)) in others.iter().enumerate() {
        for (function, _) in names.iter().take(INNERMOST) {
            by_function.entry(function).or_default().push(at);
        }
    }
    sites
        .iter()
        .map(|(site, names)| {
            if site.severity < FINDING {
                return (*site, None);
            }
            let candidates: BTreeSet<usize> = names
                .iter()
                .take(INNERMOST)
                .filter_map(|(function, _)| by_function.get(function.as_str()))
                .flatten()
                .copied()
                .take(CANDIDATES)
                .collect();
            let best = candidates
                .into_iter()
                .map(|at| (similarity(names, &others[at].1), at))
                .filter(|(similarity, _)| *similarity >= SIMILAR)
                .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
            let similar = best.map(|(_, at)| {
                let (other, other_names) = &others[at];
                Similar {
                    id: other.id.clone(),
                    how: difference((site, names), (other, other_names)),
                }
            });
            (*site, similar)
        })
        .collect()
}

/// From 0, nothing is the same, to 1. A stack that is the beginning of the other is all the same.
fn similarity(one: &Names, other: &Names) -> f64 {
    if is_beginning(one, other) || is_beginning(other, one) {
        1.0
    } else {
        let longest = one.len().max(other.len());
        1.0 - proportion(strsim::generic_levenshtein(one, other), longest)
    }
}

#[expect(clippy::cast_precision_loss, reason = "stacks have few functions")]
fn proportion(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn is_beginning(short: &Names, long: &Names) -> bool {
    !short.is_empty() && long.starts_with(short)
}

/// In what two similar stacks differ.
fn difference(one: (&Site, &Names), other: (&Site, &Names)) -> String {
    let is_cut = |short: (&Site, &Names), long: (&Site, &Names)| {
        short.0.truncated && is_beginning(short.1, long.1)
    };
    if is_cut(one, other) || is_cut(other, one) {
        return "the same as far as the shorter stack goes, which was cut short".to_owned();
    }
    let edits = strsim::generic_levenshtein(one.1, other.1) as u64;
    let frames = one.1.len().max(other.1.len()) as u64;
    format!(
        "the stacks differ in {edits} of {}",
        count(frames, "function")
    )
}
