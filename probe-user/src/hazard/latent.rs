//! Puts that are not final: what a final one would be guilty of in the same place.

use probe_common::{Fact, Facts};

use super::{Call, Outcome, judge, severity};
use crate::report::model::{Hazard, Severity};

/// From which severity on a put is worth a look that is not final.
const WORTH_A_LOOK: Severity = Severity::Unsafe;

/// The facts that are about the references that are left.
const OF_REFERENCES: [Fact; 2] = [Fact::NonFinal, Fact::OneShrinkAway];

/// The rules that `call` would break if it were final, and how bad that would be: those that are
/// unsafe or worse. How its eviction would end is not known, so that it may hang.
pub fn if_final(call: &Call) -> Vec<Hazard> {
    supposed(call, Outcome::Open)
        .into_iter()
        .filter(|hazard| hazard.severity >= WORTH_A_LOOK)
        .collect()
}

/// The same in words; `None` if it would break none of them.
pub fn if_final_in_words(call: &Call) -> Option<String> {
    let hazards = if_final(call);
    let worst = severity(&hazards);
    let rules: Vec<&str> = hazards.iter().map(|hazard| hazard.rule.as_str()).collect();
    if rules.is_empty() {
        return None;
    }
    // Without links, or on a superblock that is not active, nothing is kept (fs/inode.c,
    // iput_final()).
    let is_evicted = call.facts.any(&[Fact::Unlinked, Fact::SuperblockInactive]);
    let condition = if is_evicted { "" } else { " and evicted" };
    let rules = rules.join(", ");
    let certain = severity(&supposed(call, Outcome::Evicting));
    let words = if certain == worst {
        worst.name().to_owned()
    } else {
        format!("{}, or {} if it hung", certain.name(), worst.name())
    };
    Some(format!("If it were final{condition}: {words} ({rules})."))
}

fn supposed(call: &Call, outcome: Outcome) -> Vec<Hazard> {
    let mut facts: Facts = call.facts;
    for fact in OF_REFERENCES {
        facts.set(fact, false);
    }
    judge(&Call {
        facts,
        outcome,
        ..*call
    })
}

/// The rules in `if_final` as they stand for a put that was not final: as bad as what makes it
/// latent, and harmless where nothing does.
pub fn demoted(if_final: Vec<Hazard>, latent: &[Hazard]) -> impl Iterator<Item = Hazard> {
    let severity = super::severity(latent);
    if_final.into_iter().map(move |hazard| Hazard {
        if_final: Some(hazard.severity),
        severity,
        // It did not wait.
        waits_for: None,
        ..hazard
    })
}
