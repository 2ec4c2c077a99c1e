//! What makes a site a finding, and whether another report has it at least as bad.

use std::collections::BTreeSet;

use super::model::{Context, Hazard, Severity, Site};
use super::order::FINDING;

/// What was found at a site.
#[derive(Clone, Debug, Default)]
pub struct Found {
    rules: BTreeSet<(String, Badness)>,
    is_stuck: bool,
}

/// How bad a rule found a call to be, and how bad it would be if the put were final; `None` if it
/// was.
type Badness = (Severity, Option<Severity>);

impl Found {
    /// What is found at `site`.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        let hazards = site.contexts.iter().flat_map(findings);
        Self {
            rules: hazards
                .map(|hazard| (hazard.rule.clone(), badness(hazard)))
                .collect(),
            is_stuck: !site.stuck.is_empty(),
        }
    }

    /// Whether it has what `hazard` says of `context`, at least as bad.
    ///
    /// What makes a put latent that was not final is nothing worse where it has all that a final
    /// one would break.
    #[must_use]
    pub fn has(&self, context: &Context, hazard: &Hazard) -> bool {
        let has = |hazard: &Hazard| {
            let rules = self.rules.iter();
            rules
                .filter(|(rule, _)| *rule == hazard.rule)
                .any(|(_, before)| is_at_least(*before, badness(hazard)))
        };
        let has_all_if_final = || {
            let mut broken = findings(context)
                .filter(|hazard| hazard.if_final.is_some())
                .peekable();
            broken.peek().is_some() && broken.all(has)
        };
        has(hazard) || (hazard.if_final.is_none() && has_all_if_final())
    }

    /// Whether calls are stuck at `site`, and none was.
    #[must_use]
    pub const fn is_stuck_anew(&self, site: &Site) -> bool {
        !self.is_stuck && !site.stuck.is_empty()
    }
}

/// The hazards that make a context a finding. A design that is recognised besides is none.
#[must_use]
pub fn findings(context: &Context) -> impl DoubleEndedIterator<Item = &Hazard> {
    let hazards = context.hazards.iter();
    hazards.filter(|hazard| hazard.severity >= FINDING)
}

fn badness(hazard: &Hazard) -> Badness {
    (hazard.severity, hazard.if_final)
}

/// Whether what was found before is at least as bad. A final put is worse than one that was not:
/// what that would be is supposed for an eviction that hangs.
fn is_at_least(before: Badness, now: Badness) -> bool {
    let would_be = match (before.1, now.1) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(now)) => before >= now,
    };
    before.0 >= now.0 && would_be
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_final_put_is_worse_than_one_that_was_not() {
        use Severity::{Deadlock, Latent, Risky, Unsafe};
        let last = |severity| (severity, None);
        let other = |if_final| (Latent, Some(if_final));
        for (before, now, expected) in [
            (last(Unsafe), last(Risky), true),
            (last(Unsafe), last(Unsafe), true),
            (last(Risky), last(Unsafe), false),
            (other(Deadlock), other(Unsafe), true),
            (other(Unsafe), other(Deadlock), false),
            (last(Risky), other(Unsafe), true),
            (other(Unsafe), last(Latent), false),
        ] {
            assert_eq!(is_at_least(before, now), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn what_makes_a_put_latent_is_no_news_by_itself() {
        let report = sample::report();
        let latent = report.findings.last().unwrap();
        let context = &latent.contexts[0];
        let [why, rule] = ["one-shrink-away", "atomic-context"]
            .map(|id| findings(context).find(|hazard| hazard.rule == id).unwrap());
        let mut before = latent.clone();
        before.contexts[0].hazards = vec![Hazard {
            severity: Severity::Unsafe,
            if_final: None,
            ..rule.clone()
        }];
        let found = Found::of(&before);
        assert!(found.has(context, rule) && found.has(context, why));
        before.contexts[0].hazards = vec![why.clone()];
        let found = Found::of(&before);
        assert!(!found.has(context, rule) && found.has(context, why));
        assert!(!Found::default().has(context, why));
    }
}
