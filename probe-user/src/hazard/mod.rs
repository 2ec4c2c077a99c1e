//! The rules: what a final put is guilty of, from its facts, its chain and its outcome.
//!
//! Pure functions without I/O, so that live data, a saved report and a kernel log are judged
//! by the same table, [`RULES`]. A rule of severity `expected` is a design: it accounts for
//! some facts and lock classes, and milder rules then do not see those. What is `unsafe` or a
//! `deadlock` is judged on all facts: no design excuses it.

pub mod condition;
pub mod filesystems;
pub mod frames;
mod latent;
pub mod locks;
pub mod rules;
mod waits;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use probe_common::{Fact, Facts};

use crate::report::model::{Counts, Example, Hazard, Severity, StuckCall};
use condition::{Accounted, Condition};
pub use frames::frame_names;
pub use rules::{RULES, Rule};
pub use waits::waits_for;

/// What is known of the calls of one context of a site.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The facts.
    pub facts: Facts,
    /// The functions of the chain, `iput`'s caller first, with or without compiler suffixes.
    pub chain: &'a [String],
    /// How often, and how the evictions went.
    pub counts: &'a Counts,
    /// One call as an example: names and numbers for the evidence, and the held locks.
    pub example: Option<&'a Example>,
    /// Calls still inside for longer than the threshold.
    pub stuck: &'a [StuckCall],
    /// How many final puts the site has had, in any context.
    pub final_puts_of_site: u64,
    /// How many it had in the baseline.
    pub final_puts_in_baseline: u64,
    /// Whether the counts tell how the evictions ended.
    pub outcome: Outcome,
}

/// How an eviction ended, or is supposed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the counts say.
    Seen,
    /// There was none: supposed that one has begun.
    Evicting,
    /// There was none: supposed that one has begun, and hangs.
    Open,
}

/// The rules that match `call`, most severe first, in the order of the table within that. For a put
/// that is not final those that a final one would break come last; none at all if that would not be
/// unsafe.
#[must_use]
pub fn judge(call: &Call) -> Vec<Hazard> {
    let strict = Accounted::always();
    let lenient = accounted(call, &strict);
    let is_final = !call.facts.is(Fact::NonFinal);
    let mut hazards: Vec<Hazard> = RULES
        .iter()
        .filter(|rule| rule.is_of_non_final_puts() != is_final)
        .filter_map(|rule| {
            rule.cases.iter().find_map(|case| {
                let accounted = match case.severity {
                    Severity::Risky | Severity::Latent => &lenient,
                    _ => &strict,
                };
                let evidence = case.when.evidence(call, accounted)?;
                Some(Hazard {
                    rule: rule.id.to_owned(),
                    severity: case.severity,
                    if_final: None,
                    title: rule.title.to_owned(),
                    evidence,
                    waits_for: rule_waits_for(rule, case.severity, call),
                    why: rule.why.to_owned(),
                    way_out: rule.way_out.to_owned(),
                    known: false,
                    suppressed: None,
                })
            })
        })
        .collect();
    hazards.sort_by_key(|hazard| Reverse(hazard.severity));
    if !is_final {
        let others = latent::demoted(latent::if_final(call), &hazards);
        hazards.extend(others.collect::<Vec<_>>());
    }
    hazards
}

/// The worst severity of `hazards`; benign if there are none.
#[must_use]
pub fn severity(hazards: &[Hazard]) -> Severity {
    hazards
        .iter()
        .map(|hazard| hazard.severity)
        .max()
        .unwrap_or(Severity::Benign)
}

/// What the designs that hold for `call` account for.
fn accounted(call: &Call, always: &Accounted) -> Accounted {
    let designs = RULES.iter().filter(|rule| {
        rule.cases.iter().any(|case| {
            case.severity == Severity::Expected && case.when.evidence(call, always).is_some()
        })
    });
    let mut accounted = Accounted::always();
    for design in designs {
        for fact in design.accounts_for.facts {
            accounted.facts |= fact.bit();
        }
        accounted.locks.extend(design.accounts_for.locks);
    }
    accounted
}

/// What the calls that `rule` matched wait for.
fn rule_waits_for(rule: &Rule, severity: Severity, call: &Call) -> Option<String> {
    let mentions =
        |test: &dyn Fn(&Condition) -> bool| rule.cases.iter().any(|case| case.when.mentions(test));
    if mentions(&|condition| matches!(condition, Condition::WaitsForOwnLock)) {
        let lock = call
            .stuck
            .iter()
            .find_map(|stuck| stuck.own_lock.as_ref())?;
        let lock = lock.describe();
        return Some(format!("{lock}, which this very thread holds"));
    }
    if severity == Severity::Deadlock {
        return Some(own_writeback(call));
    }
    if !mentions(&|condition| matches!(condition, Condition::Stuck)) {
        return None;
    }
    call.stuck
        .iter()
        .find_map(|stuck| stuck.waits_for.clone().or_else(|| waits_for(&stuck.stack)))
}

/// What a put waits for that is made from inside writeback of its own inode.
fn own_writeback(call: &Call) -> String {
    let inode = call.example.map_or_else(
        || "the inode".to_owned(),
        |example| {
            format!(
                "inode {} on {}",
                example.inode.ino, example.inode.superblock
            )
        },
    );
    let state = if call.facts.is(Fact::InodeSync) {
        " (I_SYNC)"
    } else {
        ""
    };
    format!("writeback of {inode}{state}, which this very thread is doing")
}
