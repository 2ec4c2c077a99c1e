//! Puts that are not final: what a final one would be guilty of in the same place.

use probe_common::{Fact, Facts};

use super::{Call, judge};
use crate::report::model::{Hazard, Severity};

/// From which severity on a put is worth a look that is not final.
const WORTH_A_LOOK: Severity = Severity::Unsafe;

/// The facts that are about the references that are left.
const OF_REFERENCES: [Fact; 2] = [Fact::NonFinal, Fact::OneShrinkAway];

/// The rules that `call` would break if it were final, and how bad that would be: those that are
/// unsafe or worse. How its eviction would end is not known, so that it may hang.
pub fn if_final(call: &Call) -> Vec<Hazard> {
    let mut facts: Facts = call.facts;
    for fact in OF_REFERENCES {
        facts.set(fact, false);
    }
    judge(&Call {
        facts,
        outcome_open: true,
        ..*call
    })
    .into_iter()
    .filter(|hazard| hazard.severity >= WORTH_A_LOOK)
    .collect()
}

/// The rules in `if_final` as they stand for a put that was not final: as bad as what makes it
/// latent, and harmless where nothing does.
pub fn demoted(if_final: Vec<Hazard>, latent: &[Hazard]) -> impl Iterator<Item = Hazard> {
    let severity = super::severity(latent);
    if_final.into_iter().map(move |hazard| Hazard {
        if_final: Some(hazard.severity),
        severity,
        ..hazard
    })
}
