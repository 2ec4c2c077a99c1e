//! What makes a run fail: findings that neither a baseline knows nor a suppression excuses.

use super::model::{Context, Hazard, Report, Severity, Site};
use super::order::FINDING;

/// The worst that the findings of `report` are charged with; `None` if there is nothing.
#[must_use]
pub fn worst(report: &Report) -> Option<Severity> {
    report.findings.iter().filter_map(charge).max()
}

/// The worst that `site` is charged with; `None` if all is known or excused.
#[must_use]
pub fn charge(site: &Site) -> Option<Severity> {
    if site.known {
        return None;
    }
    site.contexts.iter().filter_map(charge_of_context).max()
}

/// See [`charge`].
pub(super) fn charge_of_context(context: &Context) -> Option<Severity> {
    let open = |hazard: &&Hazard| hazard.suppressed.is_none();
    let findings = || {
        let hazards = context.hazards.iter();
        hazards.filter(|hazard| hazard.severity >= FINDING)
    };
    if context.hazards.is_empty() {
        return (context.severity >= FINDING).then_some(context.severity);
    }
    // A put that was not final is latent by one rule for what it would do by others: it takes
    // both.
    let is_latent = findings().any(|hazard| hazard.if_final.is_some());
    let by = |if_final: bool| {
        findings()
            .filter(open)
            .filter(|hazard| hazard.if_final.is_some() == if_final)
            .map(|hazard| hazard.severity)
            .max()
    };
    if is_latent {
        by(true).and(by(false))
    } else {
        by(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn excuse(site: &mut Site, rules: &[&str]) {
        for context in &mut site.contexts {
            for hazard in &mut context.hazards {
                hazard.suppressed = rules
                    .contains(&hazard.rule.as_str())
                    .then(|| "known".to_owned());
            }
        }
    }

    #[test]
    fn what_is_known_or_excused_is_not_charged() {
        let mut report = sample::report();
        assert_eq!(worst(&report), Some(Severity::Deadlock));
        report.findings[0].known = true;
        assert_eq!(worst(&report), Some(Severity::Risky));
        assert_eq!(worst(&sample::empty()), None);
    }

    #[test]
    fn what_is_not_excused_is_charged() {
        let mut site = sample::report().findings[0].clone();
        excuse(&mut site, &["writeback-self-wait"]);
        let rest = charge(&site);
        assert!(rest >= Some(Severity::Risky) && rest < Some(Severity::Deadlock));
        let every: Vec<String> = site.contexts[0]
            .hazards
            .iter()
            .map(|hazard| hazard.rule.clone())
            .collect();
        let every: Vec<&str> = every.iter().map(String::as_str).collect();
        excuse(&mut site, &every);
        assert_eq!(charge(&site), None);
    }

    #[test]
    fn a_latent_put_is_excused_for_either_of_its_reasons() {
        let report = sample::report();
        let latent = report.findings.last().cloned();
        let mut latent = latent.unwrap();
        for (excused, expected) in [
            ("one-shrink-away", None),
            ("atomic-context", None),
            ("held-lock", Some(Severity::Latent)),
        ] {
            excuse(&mut latent, &[excused]);
            assert_eq!(charge(&latent), expected, "{excused}");
        }
    }
}
