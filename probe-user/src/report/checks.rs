//! A report as tests, one for each rule with a case for each of its sites: what test harnesses
//! understand.

use std::collections::{BTreeMap, BTreeSet};

use probe_common::Fact;

use super::format::Options;
use super::found::findings;
use super::gate;
use super::model::{Hazard, Kernel, Level, LockSource, Report, Severity, Site};
use super::order::FINDING;
use super::page::Page;
use super::parts;
use super::text::{finding, frames};
use super::units::count;
use crate::hazard::condition::Need;
use crate::hazard::{RULES, Rule};

/// The name of the test that sites without a rule belong to.
const NO_RULE: &str = "no-rule";

/// How many sites are named that break a rule besides another.
const SITES_NAMED: usize = 3;

/// The name of the test that is about the report itself.
pub const COMPLETE: &str = "complete";

/// A rule as a test.
#[derive(Debug)]
pub struct Test<'a> {
    /// The rule's id.
    pub name: &'a str,
    /// The sites that are charged with it, or of which it is the worst rule where nothing is
    /// charged, in the order of the report.
    pub sites: Vec<&'a Site>,
    /// If there are none, what that says.
    pub coverage: Coverage,
}

/// Whether a rule without sites could have been seen broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Yes.
    Full,
    /// Yes, but not in all ways: what could not be seen, or is told elsewhere.
    Partial(Vec<String>),
    /// No: why not.
    None(String),
}

/// What becomes of a site's case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is no finding.
    Pass,
    /// It is a finding, but is not to fail: why not.
    Tolerated(&'static str),
    /// It is a finding.
    Fail,
}

impl Test<'_> {
    /// How many of its cases fail.
    #[must_use]
    pub fn failures(&self, options: &Options) -> usize {
        let fails = |site: &&&Site| verdict(site, options) == Verdict::Fail;
        self.sites.iter().filter(fails).count()
    }
}

/// The rules as tests, in the order of the table; rules that this version does not know follow.
/// The names are the same for every report, so that runs can be compared.
#[must_use]
pub fn tests(report: &Report) -> Vec<Test<'_>> {
    let mut sites: BTreeMap<&str, Vec<&Site>> = BTreeMap::new();
    let mut elsewhere: BTreeMap<&str, Vec<&Site>> = BTreeMap::new();
    for site in report.sites() {
        let rule = shown(site).map_or(NO_RULE, |hazard| &hazard.rule);
        sites.entry(rule).or_default().push(site);
        let broken: BTreeSet<&str> = site
            .contexts
            .iter()
            .flat_map(findings)
            .map(|hazard| hazard.rule.as_str())
            .collect();
        for other in broken.into_iter().filter(|other| *other != rule) {
            elsewhere.entry(other).or_default().push(site);
        }
    }
    let mut tests: Vec<Test> = RULES
        .iter()
        .map(|rule| Test {
            name: rule.id,
            sites: sites.remove(rule.id).unwrap_or_default(),
            coverage: match elsewhere.get(rule.id) {
                Some(sites) => coverage(rule, report).but(told_elsewhere(sites)),
                None => coverage(rule, report),
            },
        })
        .collect();
    tests.extend(sites.into_iter().map(|(name, sites)| Test {
        name,
        sites,
        coverage: Coverage::Full,
    }));
    tests
}

/// Why the picture is not complete, if it is not.
#[must_use]
pub fn incomplete(report: &Report) -> Option<String> {
    (!report.capture.complete).then(|| match report.capture.incomplete_because.as_slice() {
        [] => "the picture is not complete".to_owned(),
        reasons => reasons.join("; "),
    })
}

/// What becomes of a site.
#[must_use]
pub fn verdict(site: &Site, options: &Options) -> Verdict {
    if site.severity < FINDING {
        return Verdict::Pass;
    }
    match gate::charge(site) {
        None if site.known => Verdict::Tolerated("the baseline has it"),
        None if site.suppressed.is_some() => Verdict::Tolerated("it is suppressed"),
        None => Verdict::Tolerated("the baseline has it, or it is suppressed"),
        Some(severity) if options.fail_on.is_some_and(|least| severity < least) => {
            Verdict::Tolerated("milder than --fail-on")
        }
        Some(_) => Verdict::Fail,
    }
}

/// The rule by which a site fails; its worst one if it does not.
#[must_use]
pub fn shown(site: &Site) -> Option<&Hazard> {
    let charged = gate::charged(site).and_then(|charge| charge.hazard);
    charged.or_else(|| parts::worst(site))
}

/// A site's name as a case: the same in every run.
#[must_use]
pub fn case_name(site: &Site) -> String {
    let caller = site.frames.first();
    let function = caller.and_then(|frame| frame.function.as_deref());
    format!("{} {}", site.id, function.unwrap_or("(unknown)"))
}

/// What there is to say of a site: in full if it is a finding.
#[must_use]
pub fn story(site: &Site, number: usize, kernel: &Kernel) -> String {
    let mut page = Page::new(false);
    if site.severity < FINDING {
        page.verbatim(0, &frames::line(site));
    } else {
        finding::write(&mut page, number, site, kernel, false);
    }
    page.finish()
}

impl Coverage {
    /// The same, but for what `sentence` says.
    fn but(self, sentence: String) -> Self {
        match self {
            Self::Full => Self::Partial(vec![sentence]),
            Self::Partial(mut blind) => {
                blind.push(sentence);
                Self::Partial(blind)
            }
            Self::None(reason) => Self::None(format!("{reason}; {sentence}")),
        }
    }
}

/// What there is to say of a rule that `sites` break besides another.
fn told_elsewhere(sites: &[&Site]) -> String {
    let told = sites.iter().take(SITES_NAMED).map(|site| {
        let rule = shown(site).map_or(NO_RULE, |hazard| &hazard.rule);
        format!("{} ({rule})", site.id)
    });
    let mut told: Vec<String> = told.collect();
    if let Some(more) = sites
        .len()
        .checked_sub(SITES_NAMED)
        .filter(|more| *more > 0)
    {
        told.push(count(more as u64, "more site"));
    }
    format!("broken by sites of other rules: {}", told.join(", "))
}

/// What it says that no site breaks the rule.
fn coverage(rule: &Rule, report: &Report) -> Coverage {
    if let Some(reason) = incomplete(report) {
        return Coverage::None(reason);
    }
    let level = report.capture.level;
    if rule.is_of_non_final_puts() && level != Level::Latent {
        return Coverage::None(
            "puts that are not final are seen at --level latent only".to_owned(),
        );
    }
    let unknown = &report.kernel.unknown_facts;
    let mut blind: Vec<String> = unknown
        .iter()
        .filter(|(name, _)| {
            rule.depends_on(|need| matches!(need, Need::Fact(fact) if fact.name() == name.as_str()))
        })
        .map(|(name, reason)| format!("{name} is not known: {reason}"))
        .collect();
    let tracks_locks = report.capture.lock_tracking.is_some();
    if !tracks_locks && rule.depends_on(|need| need == Need::LockTracking) {
        blind.push("which locks a task has taken is known with --track-locks only".to_owned());
    }
    let is_told = |need| match need {
        // Tracking tells of the locks that it sees, and so never that there is none.
        Need::Fact(Fact::LockHeld) if report.kernel.lock_source == LockSource::Tracking => true,
        Need::Fact(fact) => !unknown.contains_key(fact.name()),
        Need::LockTracking => tracks_locks,
    };
    if !rule.can_match(&is_told) {
        return Coverage::None(blind.join("; "));
    }
    if level == Level::Evictions && rule.worst() > Severity::Expected {
        blind.push("puts that do not evict are seen at --level final only".to_owned());
    }
    if blind.is_empty() {
        Coverage::Full
    } else {
        Coverage::Partial(blind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::LockTracking;
    use crate::report::sample;

    fn coverage_of(name: &str, report: &Report) -> Coverage {
        let test = tests(report).into_iter().find(|test| test.name == name);
        test.unwrap().coverage
    }

    #[test]
    fn every_site_is_a_case_of_one_test() {
        let report = sample::report();
        let tests = tests(&report);
        assert_eq!(tests.len(), RULES.len() + 1);
        let cases: usize = tests.iter().map(|test| test.sites.len()).sum();
        assert_eq!(cases, report.sites().count());
        assert_eq!(tests[0].name, "writeback-self-wait");
        assert_eq!(tests[0].failures(&Options::default()), 1);
        assert_eq!(tests[RULES.len()].name, NO_RULE);
    }

    #[test]
    fn silence_counts_only_where_something_could_be_heard() {
        let mut report = sample::empty();
        assert_eq!(coverage_of("rcu-reader", &report), Coverage::Full);
        assert!(matches!(
            coverage_of("one-shrink-away", &report),
            Coverage::None(_)
        ));
        report.capture.level = Level::Latent;
        assert_eq!(coverage_of("one-shrink-away", &report), Coverage::Full);
        let mut unknown = |fact: &str| {
            let reason = "not on this kernel".to_owned();
            report.kernel.unknown_facts.insert(fact.to_owned(), reason);
        };
        unknown("rcu_reader");
        unknown("interrupts_off");
        let Coverage::None(reason) = coverage_of("rcu-reader", &report) else {
            panic!("nothing else tells of RCU readers");
        };
        assert_eq!(reason, "rcu_reader is not known: not on this kernel");
        let Coverage::Partial(blind) = coverage_of("atomic-context", &report) else {
            panic!("there are other ways to be atomic");
        };
        assert_eq!(blind, ["interrupts_off is not known: not on this kernel"]);
        report.capture.complete = false;
        assert!(matches!(
            coverage_of("atomic-context", &report),
            Coverage::None(_)
        ));
    }

    #[test]
    fn locks_are_heard_of_where_something_tells_them() {
        let mut report = sample::empty();
        let Coverage::None(reason) = coverage_of("lock-self-wait", &report) else {
            panic!("nothing tells which locks a task has taken");
        };
        assert!(reason.contains("--track-locks"), "{reason}");
        report.kernel.lock_source = LockSource::Lockdep;
        assert_eq!(coverage_of("held-lock", &report), Coverage::Full);
        let unknown = &mut report.kernel.unknown_facts;
        unknown.insert("lock_held".into(), "no lockdep".into());
        report.kernel.lock_source = LockSource::Owners;
        let reason = "lock_held is not known: no lockdep".to_owned();
        assert_eq!(
            coverage_of("held-lock", &report),
            Coverage::None(reason.clone())
        );
        report.kernel.lock_source = LockSource::Tracking;
        report.capture.lock_tracking = Some(LockTracking::default());
        assert_eq!(coverage_of("lock-self-wait", &report), Coverage::Full);
        assert_eq!(
            coverage_of("held-lock", &report),
            Coverage::Partial(vec![reason])
        );
    }

    #[test]
    fn a_site_is_a_case_of_the_rule_that_it_is_charged_with() {
        let mut report = sample::empty();
        report.kernel.lock_source = LockSource::Lockdep;
        report.findings = vec![sample::report().findings[0].clone()];
        let hazards = &mut report.findings[0].contexts[0].hazards;
        hazards.retain(|hazard| ["writeback-self-wait", "held-lock"].contains(&&*hazard.rule));
        assert_eq!(
            coverage_of("held-lock", &report),
            Coverage::Partial(vec![
                "broken by sites of other rules: 0f3a5b7c9d1e2f40 (writeback-self-wait)".into()
            ])
        );
        report.findings[0].contexts[0].hazards[0].suppressed = Some("by design".into());
        let failing: Vec<&str> = tests(&report)
            .iter()
            .filter(|test| test.failures(&Options::default()) > 0)
            .map(|test| test.name)
            .collect();
        assert_eq!(failing, ["held-lock"]);
        assert!(matches!(
            coverage_of("writeback-self-wait", &report),
            Coverage::Partial(_)
        ));
    }

    #[test]
    fn reasons_are_told_from_each_other() {
        let mut report = sample::empty();
        report.capture.complete = false;
        report.capture.incomplete_because = vec!["one".into(), "another".into()];
        assert_eq!(incomplete(&report).as_deref(), Some("one; another"));
    }

    #[test]
    fn what_is_known_or_mild_is_tolerated() {
        let mut site = sample::site("a", Severity::Risky);
        let mut options = Options::default();
        assert_eq!(verdict(&site, &options), Verdict::Fail);
        options.fail_on = Some(Severity::Unsafe);
        assert!(matches!(verdict(&site, &options), Verdict::Tolerated(_)));
        options.fail_on = Some(Severity::Risky);
        assert_eq!(verdict(&site, &options), Verdict::Fail);
        site.known = true;
        assert!(matches!(verdict(&site, &options), Verdict::Tolerated(_)));
        site.severity = Severity::Expected;
        assert_eq!(verdict(&site, &options), Verdict::Pass);
    }
}
