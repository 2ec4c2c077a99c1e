//! `lab/scenarios.toml`: what must be said of each scenario, on which kernel, attached how.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::held::{Held, HeldBy};
use super::session::{Attach, Level, Watch};
use super::step::Step;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenarios {
    #[serde(default)]
    skip: Vec<Place>,
    unknown: Vec<Facts>,
    #[serde(default)]
    known: Vec<Facts>,
    #[serde(default)]
    may: Vec<Facts>,
    #[serde(default)]
    lossy: Vec<Place>,
    #[serde(default)]
    elsewhere: Vec<Elsewhere>,
    scenario: Vec<Scenario>,
}

/// A finding of the guest's own: no scenario makes it, and it is right.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// Its rule.
    pub rule: String,
    /// A function in its chain.
    pub frame: String,
    /// What the guest does, and why it is a finding; for readers of the file.
    pub why: String,
}

/// Facts, and where they hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    #[serde(flatten)]
    place: Place,
    facts: BTreeSet<String>,
}

/// Where something holds; what is not named is anywhere.
#[derive(Debug, Deserialize)]
struct Place {
    kernels: Option<BTreeSet<String>>,
    attach: Option<Attach>,
    level: Option<Level>,
    track_locks: Option<bool>,
    provoke: Option<bool>,
    /// Whether held locks are known, by lockdep or because they are followed.
    locks_known: Option<bool>,
    /// For readers of the file; every entry has to have it.
    #[serde(rename = "why")]
    _why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    count: u64,
    severity: Severity,
    rule: Option<String>,
    yes: BTreeSet<String>,
    #[serde(default)]
    may: BTreeSet<String>,
    #[serde(default)]
    unknown: BTreeSet<String>,
    #[serde(default)]
    locks: Vec<String>,
    #[serde(default = "inode_wait_for_writeback")]
    waits_in: String,
    outcome: Outcome,
    /// Who holds the inode, too; all else here is said of the put when it is final.
    held_by: Option<HeldBy>,
    #[serde(default = "with_one_other")]
    i_count: u64,
    /// How bad the put would be if it were final and its eviction hung; else its `severity`.
    if_final: Option<Severity>,
    /// It is run at level latent, too.
    #[serde(default)]
    control: bool,
    guest: Option<Step>,
    /// Kernels that make it impossible, and why: the module must refuse it there.
    #[serde(default)]
    not_on: BTreeMap<String, String>,
    /// Kernels that could run it, and why they are not to.
    #[serde(default)]
    left_out_on: BTreeMap<String, String>,
    #[serde(default)]
    except: Vec<Except>,
}

/// What calls that hang mostly wait in.
fn inode_wait_for_writeback() -> String {
    "inode_wait_for_writeback".to_string()
}

/// What a put finds while there is one other reference.
fn with_one_other() -> u64 {
    2
}

/// What replaces a scenario's expectation in some places.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Except {
    #[serde(flatten)]
    place: Place,
    severity: Option<Severity>,
    rule: Option<String>,
    yes: Option<BTreeSet<String>>,
    unknown: Option<BTreeSet<String>>,
    locks: Option<Vec<String>>,
    i_count: Option<u64>,
    /// It is not run there.
    #[serde(default)]
    skip: bool,
}

/// How bad a report says that something is, mildest first.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing speaks against it.
    Benign,
    /// By design.
    Expected,
    /// The mildest finding.
    Latent,
    /// Can go wrong.
    Risky,
    /// Breaks a rule of the kernel.
    Unsafe,
    /// Waits for itself.
    Deadlock,
}

impl Severity {
    /// Whether a site this bad is a finding.
    pub fn is_finding(self) -> bool {
        self >= Self::Latent
    }
}

impl fmt::Display for Severity {
    /// As reports spell it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Benign => "benign",
            Self::Expected => "expected",
            Self::Latent => "latent",
            Self::Risky => "risky",
            Self::Unsafe => "unsafe",
            Self::Deadlock => "deadlock",
        })
    }
}

/// What becomes of the inode.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Evicted by the put.
    Evicted,
    /// Kept on the LRU.
    Kept,
    /// Being evicted for ever.
    Stuck,
    /// Held by others: it was not the last reference, and is reported.
    Held,
    /// It was not the last reference: no report may know of it.
    Unseen,
}

/// What must be said of one scenario in one session.
#[derive(Clone, Debug, Serialize)]
pub struct Expectation {
    /// The scenario.
    pub name: String,
    /// How often it is run.
    pub count: u64,
    /// The severity of every context.
    pub severity: Severity,
    /// A hazard of that severity.
    pub rule: Option<String>,
    /// Facts that are true.
    pub yes: BTreeSet<String>,
    /// Facts that may be true.
    pub may: BTreeSet<String>,
    /// Facts that cannot be told.
    pub unknown: BTreeSet<String>,
    /// The locks that must be told, outermost first, where locks are followed and lockdep does not
    /// tell them.
    pub locks: Option<Vec<String>>,
    /// A function that must be on the stack of each call that hangs.
    pub waits_in: String,
    /// What becomes of the inode.
    pub outcome: Outcome,
    /// Others hold the inode, whether that is reported or not.
    pub non_final: bool,
    /// Who holds it, if that must be reported.
    pub held: Option<Held>,
    /// What the guest does besides.
    pub guest: Option<Step>,
}

/// Known without lockdep only if a lock that is held was seen to be taken.
const LOCK_HELD: &str = "lock_held";

/// The facts that leave a call benign by its facts alone.
const INNOCENT: [&str; 3] = ["unlinked", "inode_dirty", "provoked"];

impl Expectation {
    /// Whether the put is only counted, and its chain not looked at.
    pub fn is_only_counted(&self) -> bool {
        self.severity == Severity::Benign
            && self.outcome != Outcome::Held
            && self
                .yes
                .iter()
                .all(|fact| INNOCENT.contains(&fact.as_str()))
    }
}

impl Place {
    /// Whether it holds for a kernel that is watched one way, as far as that alone tells.
    fn holds(&self, kernel: &str, watch: Watch) -> bool {
        self.kernels
            .as_ref()
            .is_none_or(|names| names.contains(kernel))
            && self.attach.is_none_or(|wanted| wanted == watch.attach)
            && self.level.is_none_or(|wanted| wanted == watch.level)
            && self
                .track_locks
                .is_none_or(|wanted| wanted == watch.track_locks)
            && self.provoke.is_none_or(|wanted| wanted == watch.provoke)
    }
}

impl Scenarios {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text)
            .with_context(|| format!("{} is not a table of scenarios", path.display()))
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for scenario in &table.scenario {
            let name = &scenario.name;
            ensure!(names.insert(name), "scenario {name} is there twice");
            ensure!(is_prime(scenario.count), "the count of {name} is no prime");
            ensure!(
                scenario.severity == Severity::Benign || scenario.rule.is_some(),
                "{name} is not benign and has no rule"
            );
        }
        Ok(table)
    }

    /// What a kernel must be reported to do, watched one way. Nothing, where that way to watch is
    /// not judged.
    pub fn expectations(&self, kernel: &str, watch: Watch) -> Vec<Expectation> {
        if self.skip.iter().any(|place| place.holds(kernel, watch)) {
            return Vec::new();
        }
        let facts = |entries| facts_of(entries, kernel, watch);
        let (unknown, known) = (facts(&self.unknown), facts(&self.known));
        let may = facts(&self.may);
        self.scenario
            .iter()
            .filter(|scenario| !scenario.is_absent_on(kernel))
            .filter(|scenario| !scenario.is_skipped(kernel, watch))
            .filter(|scenario| watch.level != Level::Latent || scenario.is_for_level_latent())
            .map(|scenario| {
                let mut expectation = scenario.expectation(kernel, watch, &unknown, &known);
                expectation.may.extend(may.iter().cloned());
                expectation
            })
            .collect()
    }

    /// The findings that guests make of their own.
    pub fn elsewhere(&self) -> &[Elsewhere] {
        &self.elsewhere
    }

    /// Whether a kernel tells, watched this way, which locks are held.
    pub fn has_lockdep(&self, kernel: &str, watch: Watch) -> bool {
        !facts_of(&self.unknown, kernel, watch).contains(LOCK_HELD)
    }

    /// Whether a kernel may skip probe hits, watched this way.
    pub fn is_lossy(&self, kernel: &str, watch: Watch) -> bool {
        self.lossy.iter().any(|place| place.holds(kernel, watch))
    }

    /// The scenarios that a kernel does not run.
    pub fn absent(&self, kernel: &str) -> BTreeSet<String> {
        self.names_of(|scenario| scenario.is_absent_on(kernel))
    }

    /// Those of them that the module must refuse there.
    pub fn refused(&self, kernel: &str) -> BTreeSet<String> {
        self.names_of(|scenario| scenario.not_on.contains_key(kernel))
    }

    /// The first of these names that no scenario has.
    pub fn unknown_name<'a>(&self, names: &'a [String]) -> Option<&'a String> {
        let has = |name: &&String| self.scenario.iter().any(|one| one.name == **name);
        names.iter().find(|name| !has(name))
    }

    fn names_of(&self, wanted: impl Fn(&Scenario) -> bool) -> BTreeSet<String> {
        self.scenario
            .iter()
            .filter(|scenario| wanted(scenario))
            .map(|scenario| scenario.name.clone())
            .collect()
    }
}

/// The facts of those entries that hold for this kernel and way to watch.
fn facts_of(entries: &[Facts], kernel: &str, watch: Watch) -> BTreeSet<String> {
    entries
        .iter()
        .filter(|entry| entry.place.holds(kernel, watch))
        .flat_map(|entry| entry.facts.iter().cloned())
        .collect()
}

impl Scenario {
    fn is_absent_on(&self, kernel: &str) -> bool {
        self.not_on.contains_key(kernel) || self.left_out_on.contains_key(kernel)
    }

    /// Whether that level makes a difference to it, or must be seen to make none.
    fn is_for_level_latent(&self) -> bool {
        self.control || self.held_by.is_some()
    }

    fn is_skipped(&self, kernel: &str, watch: Watch) -> bool {
        let mut excepts = self.except.iter();
        excepts.any(|except| except.skip && except.place.holds(kernel, watch))
    }

    fn expectation(
        &self,
        kernel: &str,
        watch: Watch,
        unknown: &BTreeSet<String>,
        known: &BTreeSet<String>,
    ) -> Expectation {
        let mut expectation = Expectation {
            name: self.name.clone(),
            count: self.count,
            severity: self.severity,
            rule: self.rule.clone(),
            yes: self.yes.clone(),
            may: self.may.clone(),
            unknown: self.unknown.clone(),
            locks: None,
            waits_in: self.waits_in.clone(),
            outcome: self.outcome,
            non_final: false,
            held: None,
            guest: self.guest,
        };
        let mut locks = &self.locks;
        let mut i_count = self.i_count;
        let has_lockdep = !unknown.contains(LOCK_HELD);
        let locks_known = has_lockdep || watch.track_locks;
        for except in &self.except {
            let place = &except.place;
            if !place.holds(kernel, watch)
                || place
                    .locks_known
                    .is_some_and(|wanted| wanted != locks_known)
            {
                continue;
            }
            if let Some(severity) = except.severity {
                expectation.severity = severity;
                expectation.rule.clone_from(&except.rule);
            }
            if let Some(yes) = &except.yes {
                expectation.yes.clone_from(yes);
            }
            if let Some(unknown) = &except.unknown {
                expectation.unknown.clone_from(unknown);
            }
            if let Some(other) = &except.locks {
                locks = other;
            }
            i_count = except.i_count.unwrap_or(i_count);
        }
        expectation.unknown = &(&expectation.unknown | unknown) - known;
        if watch.track_locks && !has_lockdep {
            if !locks.is_empty() {
                expectation.unknown.remove(LOCK_HELD);
            }
            expectation.locks = Some(locks.clone());
        }
        expectation.yes = &expectation.yes - &expectation.unknown;
        if let Some(by) = self.held_by {
            let if_final = self.if_final.unwrap_or(expectation.severity);
            expectation.hold(by, i_count, if_final, watch);
        }
        expectation
    }
}

fn is_prime(number: u64) -> bool {
    number > 1
        && (2..number)
            .take_while(|n| n * n <= number)
            .all(|n| !number.is_multiple_of(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../../lab/scenarios.toml");

    fn one(kernel: &str, attach: Attach, name: &str) -> Option<Expectation> {
        let table = Scenarios::parse(TABLE).unwrap();
        let all = table.expectations(
            kernel,
            Watch {
                attach,
                level: Level::Final,
                track_locks: false,
                provoke: false,
            },
        );
        all.into_iter().find(|expectation| expectation.name == name)
    }

    #[test]
    fn the_file_and_the_module_have_the_same_scenarios() {
        let module = include_str!("../../../lab/module/table.c");
        let table = Scenarios::parse(TABLE).unwrap();
        let row =
            regex::Regex::new(r"(?m)^\tLAB_\w+\((?:.*, )?(\w+)(?:, (?:RT_\w+|.*))?\),$").unwrap();
        let listed: BTreeSet<String> = row
            .captures_iter(module)
            .map(|found| found[0].to_string())
            .collect();
        assert_eq!(listed.len(), table.scenario.len());
        for scenario in &table.scenario {
            let word = regex::Regex::new(&format!(r"\b{}\b", scenario.name)).unwrap();
            assert!(
                listed.iter().any(|row| word.is_match(row)),
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn what_a_kernel_cannot_tell_is_not_expected_of_it() {
        let plain = one("6.12", Attach::Kprobe, "spinlock").unwrap();
        assert_eq!(plain.severity, Severity::Unsafe);
        assert!(plain.yes.contains("preempt_disabled") && !plain.yes.contains("lock_held"));
        let old = one("5.10", Attach::Kprobe, "spinlock").unwrap();
        assert_eq!(old.severity, Severity::Benign);
        assert_eq!(old.rule, None);
        assert!(old.unknown.contains("preempt_disabled") && !old.yes.contains("preempt_disabled"));
        assert!(one("6.12-rt", Attach::Kprobe, "hardirq").is_none());
        let lockdep = one("7.3-lockdep", Attach::Kprobe, "mutex_held").unwrap();
        assert_eq!(lockdep.rule.as_deref(), Some("held-lock"));
    }

    #[test]
    fn what_is_benign_by_its_facts_is_only_counted() {
        let counted = |kernel, name| one(kernel, Attach::Kprobe, name).unwrap().is_only_counted();
        assert!(counted("6.1", "process_linked"));
        assert!(counted("6.1", "mutex_held"));
        assert!(!counted("7.3-lockdep", "mutex_held"));
        assert!(!counted("6.1", "process_nested"));
    }

    #[test]
    fn an_exception_may_be_for_one_way_to_attach() {
        let kprobe = one("5.10", Attach::Kprobe, "spinlock_irqsave").unwrap();
        assert_eq!(kprobe.severity, Severity::Unsafe);
        let fentry = one("5.10", Attach::Fentry, "spinlock_irqsave").unwrap();
        assert_eq!(fentry.severity, Severity::Benign);
    }

    #[test]
    fn primes() {
        let primes: Vec<u64> = (0..20).filter(|n| is_prime(*n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19]);
    }
}
