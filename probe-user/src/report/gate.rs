//! What makes a run fail: findings that neither a baseline knows nor a suppression excuses.

use super::found::{Found, findings};
use super::model::{Context, Hazard, Report, Severity, Site};
use super::order::FINDING;

/// What a site is charged with.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// How bad it is.
    pub severity: Severity,
    /// What says so; `None` if it is not told.
    pub hazard: Option<&'a Hazard>,
}

/// The worst that the findings of `report` are charged with; `None` if there is nothing.
#[must_use]
pub fn worst(report: &Report) -> Option<Severity> {
    report.findings.iter().filter_map(charge).max()
}

/// How bad the worst is that `site` is charged with; `None` if all is known or excused.
#[must_use]
pub fn charge(site: &Site) -> Option<Severity> {
    charged(site).map(|charge| charge.severity)
}

/// The worst that `site` is charged with; `None` if all is known or excused.
#[must_use]
pub fn charged(site: &Site) -> Option<Charge<'_>> {
    charged_of_site(site, |_, hazard| !hazard.known)
}

/// How bad the worst is that `site` is charged with of what was not found `before`, or not so bad.
/// Calls that are stuck and were not make everything there worse.
#[must_use]
pub fn charge_since(site: &Site, before: &Found) -> Option<Severity> {
    let is_stuck_anew = before.is_stuck_anew(site);
    let is_news = |context: &Context, hazard: &Hazard| {
        !hazard.known && (is_stuck_anew || !before.has(context, hazard))
    };
    charged_of_site(site, is_news).map(|charge| charge.severity)
}

fn charged_of_site(site: &Site, is_news: impl Fn(&Context, &Hazard) -> bool) -> Option<Charge<'_>> {
    if site.known {
        return None;
    }
    let contexts = site.contexts.iter();
    contexts
        .filter_map(|context| charged_of_context(context, |hazard| is_news(context, hazard)))
        .reduce(|worst, other| {
            if other.severity > worst.severity {
                other
            } else {
                worst
            }
        })
}

/// The worst of what is news in `context` and not suppressed.
pub(super) fn charged_of_context(
    context: &Context,
    is_news: impl Fn(&Hazard) -> bool,
) -> Option<Charge<'_>> {
    if context.hazards.is_empty() {
        return (context.severity >= FINDING).then_some(Charge {
            severity: context.severity,
            hazard: None,
        });
    }
    let is_open = |hazard: &Hazard| hazard.suppressed.is_none();
    // A put that was not final is latent by one rule for what it would do by others: it takes
    // both. News is what it would do.
    let is_latent = findings(context).any(|hazard| hazard.if_final.is_some());
    if is_latent
        && !findings(context)
            .any(|hazard| hazard.if_final.is_some() && is_open(hazard) && is_news(hazard))
    {
        return None;
    }
    findings(context)
        .rev()
        .filter(|hazard| hazard.if_final.is_none() && is_open(hazard))
        .filter(|hazard| is_latent || is_news(hazard))
        // The first of equals.
        .max_by_key(|hazard| hazard.severity)
        .map(|hazard| Charge {
            severity: hazard.severity,
            hazard: Some(hazard),
        })
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

    #[test]
    fn what_is_known_does_not_excuse_the_rest() {
        let mut site = sample::report().findings[0].clone();
        let every = site.contexts[0].hazards.len();
        for hazard in &mut site.contexts[0].hazards {
            hazard.known = hazard.severity == Severity::Deadlock;
        }
        let charge = charged(&site).unwrap();
        let hazard = charge.hazard.unwrap();
        assert!(charge.severity < Severity::Deadlock && !hazard.known);
        assert_eq!(hazard.severity, charge.severity);
        for at in 0..every {
            let hazard = &mut site.contexts[0].hazards[at];
            if !hazard.known {
                hazard.suppressed = Some("by design".into());
            }
        }
        assert_eq!(super::charge(&site), None);
    }

    #[test]
    fn a_latent_put_is_known_by_what_a_final_one_would_break() {
        let latent = sample::report().findings.last().unwrap().clone();
        for (known, expected) in [
            ("atomic-context", None),
            ("one-shrink-away", Some(Severity::Latent)),
        ] {
            let mut site = latent.clone();
            for hazard in &mut site.contexts[0].hazards {
                hazard.known = hazard.rule == known;
            }
            assert_eq!(charge(&site), expected, "{known}");
        }
    }
}
