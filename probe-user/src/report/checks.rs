//! A report as tests, one for each rule with a case for each of its sites: what test harnesses
//! understand.

use std::collections::BTreeMap;

use super::format::Options;
use super::gate;
use super::model::{Kernel, Level, Report, Severity, Site};
use super::order::FINDING;
use super::page::Page;
use super::parts;
use super::text::{finding, frames};
use crate::hazard::{RULES, Rule};

/// The name of the test that sites without a rule belong to.
const NO_RULE: &str = "no-rule";

/// The name of the test that is about the report itself.
pub const COMPLETE: &str = "complete";

/// A rule as a test.
#[derive(Debug)]
pub struct Test<'a> {
    /// The rule's id.
    pub name: &'a str,
    /// The sites of which it is the worst rule, in the order of the report.
    pub sites: Vec<&'a Site>,
    /// If there are none, what that says.
    pub coverage: Coverage,
}

/// Whether a rule that no site breaks could have been seen broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Yes.
    Full,
    /// Yes, but not in all ways: what could not be seen.
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
    for site in report.sites() {
        let rule = parts::worst(site).map_or(NO_RULE, |hazard| &hazard.rule);
        sites.entry(rule).or_default().push(site);
    }
    let mut tests: Vec<Test> = RULES
        .iter()
        .map(|rule| Test {
            name: rule.id,
            sites: sites.remove(rule.id).unwrap_or_default(),
            coverage: coverage(rule, report),
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
        reasons => reasons.join(" "),
    })
}

/// What becomes of a site.
#[must_use]
pub fn verdict(site: &Site, options: &Options) -> Verdict {
    if site.severity < FINDING {
        Verdict::Pass
    } else if site.known {
        Verdict::Tolerated("the baseline has it")
    } else if site.suppressed.is_some() {
        Verdict::Tolerated("suppressed")
    } else if options
        .fail_on
        .is_some_and(|least| gate::charge(site) < Some(least))
    {
        Verdict::Tolerated("milder than --fail-on")
    } else {
        Verdict::Fail
    }
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
        .filter(|(name, _)| rule.depends_on(name))
        .map(|(name, reason)| format!("{name} is not known: {reason}"))
        .collect();
    if !rule.can_match(&|name| !unknown.contains_key(name)) {
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
    fn what_is_known_or_mild_is_tolerated() {
        let mut site = sample::site("a", Severity::Risky);
        let mut options = Options::default();
        assert_eq!(verdict(&site, &options), Verdict::Fail);
        options.fail_on = Some(Severity::Unsafe);
        assert!(matches!(verdict(&site, &options), Verdict::Tolerated(_)));
        options.fail_on = Some(Severity::Risky);
        assert_eq!(verdict(&site, &options), Verdict::Fail);
        site.suppressed = Some("by design".into());
        assert_eq!(verdict(&site, &options), Verdict::Tolerated("suppressed"));
        site.known = true;
        assert!(matches!(verdict(&site, &options), Verdict::Tolerated(_)));
        site.severity = Severity::Expected;
        assert_eq!(verdict(&site, &options), Verdict::Pass);
    }
}
