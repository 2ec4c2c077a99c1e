//! The sites of merged reports: those of the same chain are one, with the sums of its contexts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::lists;
use crate::report::again;
use crate::report::model::{
    Context, Counts, Example, FactSheet, Frame, Hazard, Lock, References, SeenIn, Severity, Site,
    StuckCall,
};
use crate::symbol::site_names;

/// How many stuck calls of a site are kept, those that are inside for longest.
const STUCK_CALLS: usize = 8;

/// All sites, by id. More than one chain has an id only if something is wrong with a report.
#[derive(Debug, Default)]
pub struct Sites {
    by_id: BTreeMap<String, Vec<Sum>>,
}

/// A site of several reports.
#[derive(Debug)]
struct Sum {
    site: Site,
    contexts: BTreeMap<ContextKey, Context>,
}

/// What tells the contexts of a site from each other: facts, filesystem, held locks and how many
/// more there were, what the innermost frame called.
type ContextKey = (FactSheet, Option<String>, Vec<Lock>, u32, Option<String>);

impl Sites {
    /// Adds a site of a report from these kernels.
    pub fn add(&mut self, mut site: Site, kernels: &[String]) {
        site.seen_in.get_or_insert_with(|| SeenIn {
            reports: 1,
            kernels: kernels.to_vec(),
        });
        let same_id = match self.by_id.get_mut(&site.id) {
            Some(sums) => sums,
            None => self.by_id.entry(site.id.clone()).or_default(),
        };
        let same = same_id
            .iter_mut()
            .find(|sum| site_names(&sum.site.frames).eq(site_names(&site.frames)));
        match same {
            Some(sum) => sum.add(site),
            None => same_id.push(Sum::new(site)),
        }
    }

    /// Ids that stand for several chains, one sentence each.
    pub fn conflicts(&self) -> impl Iterator<Item = String> {
        self.by_id
            .iter()
            .filter(|(_, sums)| sums.len() > 1)
            .map(|(id, sums)| {
                format!(
                    "{} different stacks have the id {id}: they are kept apart",
                    sums.len()
                )
            })
    }

    /// The sites, each judged on its sums, in an order of their own.
    pub fn finish(self) -> Vec<Site> {
        self.by_id
            .into_values()
            .flat_map(|mut sums| {
                sums.sort_by(|a, b| site_names(&a.site.frames).cmp(site_names(&b.site.frames)));
                sums.into_iter().map(Sum::finish)
            })
            .collect()
    }
}

impl Sum {
    fn new(mut site: Site) -> Self {
        let mut sum = Self {
            contexts: BTreeMap::new(),
            site: Site {
                contexts: Vec::new(),
                counts: Counts::default(),
                stuck: Vec::new(),
                stuck_left_out: 0,
                known: false,
                suppressed: None,
                seen_in: None,
                frames: std::mem::take(&mut site.frames),
                id: site.id.clone(),
                ..site
            },
        };
        sum.add_numbers(site);
        sum
    }

    /// Adds a site of the same chain.
    fn add(&mut self, mut site: Site) {
        let frames = std::mem::take(&mut site.frames);
        let sum = &mut self.site;
        if telling(&frames) < telling(&sum.frames) {
            sum.frames = frames;
        }
        sum.severity = sum.severity.max(site.severity);
        sum.truncated |= site.truncated;
        self.add_numbers(site);
    }

    fn add_numbers(&mut self, other: Site) {
        let site = &mut self.site;
        site.counts.add(&other.counts);
        site.stuck_left_out = site.stuck_left_out.saturating_add(other.stuck_left_out);
        site.stuck.extend(other.stuck);
        site.stuck
            .sort_by(|a, b| stuck_order(a).cmp(&stuck_order(b)));
        let left_out = site.stuck.len().saturating_sub(STUCK_CALLS);
        site.stuck.truncate(STUCK_CALLS);
        site.stuck_left_out = site.stuck_left_out.saturating_add(left_out as u64);
        let seen_in = site.seen_in.get_or_insert_default();
        if let Some(other) = other.seen_in {
            seen_in.reports = seen_in.reports.saturating_add(other.reports);
            for kernel in &other.kernels {
                lists::insert(&mut seen_in.kernels, kernel);
            }
        }
        for context in other.contexts {
            let sum = self
                .contexts
                .entry(key(&context))
                .or_insert_with(|| empty(&context));
            add_context(sum, context);
        }
    }

    fn finish(self) -> Site {
        let mut site = self.site;
        site.contexts = self.contexts.into_values().collect();
        again::judge(&mut site, |_| 0);
        site
    }
}

fn key(context: &Context) -> ContextKey {
    let example = context.example.as_ref();
    (
        context.facts.clone(),
        again::filesystem(context).map(str::to_owned),
        example.map_or_else(Vec::new, |example| example.held_locks.clone()),
        example.map_or(0, |example| example.held_locks_left_out),
        context.called.clone(),
    )
}

/// The context before any call of it.
fn empty(context: &Context) -> Context {
    Context {
        severity: Severity::Benign,
        hazards: Vec::new(),
        counts: Counts::default(),
        facts: context.facts.clone(),
        called: context.called.clone(),
        example: None,
        references: None,
    }
}

/// Adds the same context of another report.
fn add_context(sum: &mut Context, other: Context) {
    sum.severity = sum.severity.max(other.severity);
    sum.counts.add(&other.counts);
    sum.example = least(sum.example.take(), other.example);
    if let Some(references) = &other.references {
        let sum: &mut References = sum.references.get_or_insert_default();
        sum.add(references);
    }
    for hazard in other.hazards {
        add_hazard(&mut sum.hazards, hazard);
    }
}

/// Keeps the worse of two hazards by the same rule.
fn add_hazard(hazards: &mut Vec<Hazard>, other: Hazard) {
    let other = Hazard {
        known: false,
        suppressed: None,
        ..other
    };
    let Some(hazard) = hazards.iter_mut().find(|hazard| hazard.rule == other.rule) else {
        return hazards.push(other);
    };
    let order = |hazard: &Hazard| Reverse((hazard.severity, hazard.if_final));
    if (order(&other), &other) < (order(hazard), &*hazard) {
        *hazard = other;
    }
}

/// The lesser of two examples: which one is kept must not depend on the order.
fn least(one: Option<Example>, other: Option<Example>) -> Option<Example> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The order of frames of the same chain: those with most source lines first.
fn telling(frames: &[Frame]) -> (Reverse<usize>, &[Frame]) {
    let sources = frames.iter().filter(|frame| frame.source.is_some()).count();
    (Reverse(sources), frames)
}

/// The order of stuck calls: the longest first.
const fn stuck_order(call: &StuckCall) -> (Reverse<u64>, &StuckCall) {
    (Reverse(call.age_ms), call)
}
