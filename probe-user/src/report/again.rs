//! Judging a saved site again, by what else is known of it by now.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use probe_common::{ALL_FACTS, Fact, Facts};

use super::model::{Context, FactSheet, Hazard, Site};
use crate::hazard::{self, Call, Outcome, RULES};
use crate::kernel::symbols::plain_name;

/// Judges every context of `site` by its counts as they are now. What was found before stays:
/// not all that spoke for it can be seen in a report (which context a stuck call is of, and what
/// a baseline knew).
///
/// `final_puts_in_baseline` has the number of final puts at this site, by filesystem.
pub fn judge(site: &mut Site, final_puts_in_baseline: impl Fn(&str) -> u64) {
    let frames: Vec<String> = site
        .frames
        .iter()
        .map(|frame| plain_name(frame.function.as_deref().unwrap_or_default()).to_owned())
        .collect();
    // A chain that there was no room for is not the same as another one.
    let is_named = !frames.iter().all(String::is_empty);
    let mut final_puts: BTreeMap<String, u64> = BTreeMap::new();
    for context in &site.contexts {
        if let Some(filesystem) = filesystem(context)
            && is_named
        {
            let sum = final_puts.entry(filesystem.to_owned()).or_default();
            *sum = sum.saturating_add(context.counts.final_puts);
        }
    }
    for context in &mut site.contexts {
        let chain: Vec<String> = context
            .called
            .iter()
            .map(|function| plain_name(function).to_owned())
            .chain(frames.iter().cloned())
            .collect();
        let filesystem = filesystem(context);
        let judged = hazard::judge(&Call {
            facts: facts(&context.facts),
            chain: &chain,
            counts: &context.counts,
            example: context.example.as_ref(),
            stuck: &[],
            final_puts_of_site: filesystem
                .and_then(|filesystem| final_puts.get(filesystem).copied())
                .unwrap_or(0),
            final_puts_in_baseline: filesystem.map_or(0, &final_puts_in_baseline),
            outcome: Outcome::Seen,
        });
        context.hazards = unite(judged, std::mem::take(&mut context.hazards));
        context.severity = context.severity.max(hazard::severity(&context.hazards));
        site.severity = site.severity.max(context.severity);
    }
}

/// The filesystem type that a context is of, where its example tells.
pub(super) fn filesystem(context: &Context) -> Option<&str> {
    let example = context.example.as_ref()?;
    Some(&example.inode.filesystem)
}

/// The facts of a report. One that this version does not know is left out.
fn facts(sheet: &FactSheet) -> Facts {
    let has = |names: &[String], fact: Fact| names.iter().any(|name| name == fact.name());
    let mut facts = Facts::default();
    for fact in ALL_FACTS {
        if !has(&sheet.unknown, *fact) {
            facts.set(*fact, has(&sheet.yes, *fact));
        }
    }
    facts
}

/// One hazard for each rule: `judged` where it is as bad as what was `found` before.
fn unite(judged: Vec<Hazard>, found: Vec<Hazard>) -> Vec<Hazard> {
    let badness = |hazard: &Hazard| (hazard.severity, hazard.if_final);
    let mut hazards = judged;
    for found in found {
        match hazards.iter_mut().find(|hazard| hazard.rule == found.rule) {
            Some(hazard) if badness(hazard) < badness(&found) => *hazard = found,
            Some(hazard) => {
                hazard.known = found.known && badness(hazard) == badness(&found);
                hazard.suppressed = found.suppressed;
            }
            None => hazards.push(found),
        }
    }
    // As the rules have them: those that a final put would break come last.
    hazards.sort_by_cached_key(|hazard| {
        (
            hazard.if_final.is_some(),
            Reverse(badness(hazard)),
            RULES.iter().position(|rule| rule.id == hazard.rule),
            hazard.rule.clone(),
        )
    });
    hazards
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Severity;
    use crate::report::sample;

    fn none(_: &str) -> u64 {
        0
    }

    #[test]
    fn what_was_judged_by_the_same_rules_stays_as_it_was() {
        let report = sample::report();
        // Which context a stuck call is of cannot be seen in a report.
        let told = |context: &Context| -> Vec<_> {
            let hazards = context
                .hazards
                .iter()
                .filter(|hazard| hazard.rule != "stuck");
            hazards
                .map(|hazard| (hazard.rule.clone(), hazard.severity, hazard.if_final))
                .collect()
        };
        for site in report.sites() {
            let mut again = site.clone();
            judge(&mut again, none);
            assert_eq!(again.severity, site.severity, "{}", site.id);
            for (again, context) in again.contexts.iter().zip(&site.contexts) {
                assert_eq!(told(again), told(context), "{}", site.id);
            }
            for context in &mut again.contexts {
                context.hazards.clear();
                context.severity = Severity::Benign;
            }
            judge(&mut again, none);
            for (again, context) in again.contexts.iter().zip(&site.contexts) {
                assert_eq!(told(again), told(context), "{}", site.id);
            }
        }
    }

    #[test]
    fn a_put_is_latent_where_the_baseline_has_final_ones() {
        let mut site = sample::held_elsewhere();
        judge(&mut site, none);
        assert_eq!(site.severity, Severity::Benign);
        judge(&mut site, |filesystem| {
            u64::from(filesystem == "cephlike") * 3
        });
        assert_eq!(site.severity, Severity::Latent);
        let hazards = &site.contexts[0].hazards;
        assert_eq!(hazards[0].rule, "final-elsewhere");
        assert!(hazards[0].evidence.concat().contains("3 final puts"));
        assert_eq!(hazards[1].severity, Severity::Latent);
        // Without the baseline it stays what it was found to be.
        let before = site.clone();
        judge(&mut site, none);
        assert_eq!(site, before);
    }

    #[test]
    fn a_sheet_has_what_is_unknown_and_the_rest_is_no() {
        let sheet = FactSheet {
            yes: vec!["nofs".into(), "of-a-later-version".into()],
            unknown: vec!["lock_held".into()],
        };
        let facts = facts(&sheet);
        assert_eq!(facts.get(Fact::Nofs), Some(true));
        assert_eq!(facts.get(Fact::LockHeld), None);
        assert_eq!(facts.get(Fact::Noio), Some(false));
    }
}
