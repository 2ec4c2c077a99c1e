//! Judges a report against what the scenarios of its session must look like. Pure functions.

use super::held::{Held, IfFinal};
use super::report::{Context, Counts, Example, Lock, References, Report, Site};
use super::scenarios::{Expectation, Outcome};
use super::session::{Level, Session};
use super::verdict::{Benign, Expected, Got, Judgement, Verdict};

/// Losses that are no failure by themselves; every scenario's counts must be exact all the same.
/// `exits_missed`: durations of evictions whose return a kretprobe did not follow. A kernel
/// without preemption follows one a CPU, and the scenarios that hang use those up
/// (kernel/kprobes.c, `register_kretprobe()`). `probe_hits_missed`: calls that came while a
/// preempted task was in the same trampoline's program; the report says that it is incomplete.
const DETAILS: &[&str] = &[EXITS_MISSED, HITS_SKIPPED];
const EXITS_MISSED: &str = "exits_missed";
/// Entries that found no room beside those of functions whose returns were missed.
const MARKS_FULL: &str = "marks_full";
/// Probe hits that the kernel did not let programs see.
const HITS_SKIPPED: &str = "probe_hits_missed";

/// Judges one session's report.
pub fn judge(session: &Session, report: &Report) -> Judgement {
    let mut judgement = Judgement {
        unknown_facts: report.kernel.unknown_facts.clone(),
        ..Judgement::default()
    };
    for (name, lost) in report.losses.iter().filter(|(_, lost)| **lost != 0) {
        judgement.losses.insert(name.clone(), *lost);
        let follows = name == MARKS_FULL && report.losses.get(EXITS_MISSED) > Some(&0);
        if !DETAILS.contains(&name.as_str()) && !follows {
            judgement
                .problems
                .push(format!("{name} is {lost}: something was lost"));
        }
    }
    let hits_skipped = session.lossy && judgement.losses.contains_key(HITS_SKIPPED);
    compare_totals(session, report, &mut judgement, hits_skipped);
    compare_with_lockdep(session, report, &mut judgement);
    compare_provocation(session, report, &mut judgement);
    let sites: Vec<&Site> = report.findings.iter().chain(&report.other_sites).collect();
    for expectation in &session.expectations {
        let own: Vec<&Site> = sites
            .iter()
            .copied()
            .filter(|site| site.scenario() == Some(expectation.name.as_str()))
            .collect();
        let seen = is_seen(expectation, session.watch.level);
        let wanted = expectation.severity.is_finding() && seen && !(hits_skipped && own.is_empty());
        let found = own.iter().any(|site| site.severity.is_finding());
        let true_verdict = own
            .iter()
            .flat_map(|site| &site.contexts)
            .all(|context| compare_verdict(expectation, context).is_empty());
        let score = &mut judgement.score;
        score.right += u64::from(wanted && found && true_verdict);
        score.missed += u64::from(wanted && !(found && true_verdict));
        score.wrong += u64::from(found && !(wanted && true_verdict));
        judgement.verdicts.push(Verdict {
            scenario: expectation.name.clone(),
            expected: Expected::of(expectation, seen),
            got: Some(Got::of(&own)),
            problems: compare(expectation, session.watch.level, &own, hits_skipped),
        });
    }
    for site in &report.findings {
        let planned = |name| session.expectations.iter().any(|one| one.name == name);
        let is_of_a_scenario = site.scenario().is_some_and(planned);
        if !is_of_a_scenario && !session.elsewhere.iter().any(|one| site.is(one)) {
            judgement.score.wrong += 1;
            judgement
                .problems
                .push(format!("a finding of no scenario: {}", site.describe()));
        }
    }
    judgement
}

/// What is to be said of a session that has no report to judge.
pub fn unjudged(session: &Session, problem: &str) -> Judgement {
    let mut judgement = judge(session, &Report::default());
    for verdict in &mut judgement.verdicts {
        verdict.got = None;
        verdict.problems = vec![problem.to_string()];
    }
    judgement
}

fn is_seen(expectation: &Expectation, level: Level) -> bool {
    match expectation.outcome {
        Outcome::Evicted | Outcome::Stuck => true,
        Outcome::Kept => level != Level::Evictions,
        Outcome::Held => level == Level::Latent,
        Outcome::Unseen => false,
    }
}

/// What is only counted must be counted; the rest of the system adds to it.
fn compare_totals(
    session: &Session,
    report: &Report,
    judgement: &mut Judgement,
    hits_skipped: bool,
) {
    let (mut puts, mut evictions) = (0, 0);
    for expectation in &session.expectations {
        if expectation.is_only_counted() && is_seen(expectation, session.watch.level) {
            puts += expectation.count;
            if expectation.outcome == Outcome::Evicted {
                evictions += expectation.count;
            }
        }
    }
    let totals = &report.totals;
    let non_final: u64 = session
        .expectations
        .iter()
        .filter(|expectation| expectation.non_final && session.watch.level == Level::Latent)
        .map(|expectation| expectation.count)
        .sum();
    if !hits_skipped && totals.non_final_puts < non_final {
        judgement.problems.push(format!(
            "{} puts counted that were not final; {non_final} were made",
            totals.non_final_puts
        ));
    }
    judgement.benign_puts = Benign {
        made: puts,
        counted: totals.benign_final_puts,
    };
    if !hits_skipped && (totals.benign_final_puts < puts || totals.benign_evictions < evictions) {
        judgement.problems.push(format!(
            "{} benign final puts and {} evictions counted; {puts} and {evictions} were made",
            totals.benign_final_puts, totals.benign_evictions
        ));
    }
}

/// The report must say that the cache was shrunk where it was, and only there.
fn compare_provocation(session: &Session, report: &Report, judgement: &mut Judgement) {
    let passes = report.capture.provocation.as_ref().map(|done| done.passes);
    let problem = match (session.watch.provoke, passes) {
        (true, None | Some(0)) => "the dentry cache was not shrunk",
        (false, Some(_)) => "the dentry cache was shrunk",
        _ => return,
    };
    judgement.problems.push(problem.to_string());
}

/// Where locks are followed and lockdep knows them as well, both must say the same.
fn compare_with_lockdep(session: &Session, report: &Report, judgement: &mut Judgement) {
    let tracking = report.capture.lock_tracking.as_ref();
    let agreement = tracking.and_then(|found| found.lockdep.as_ref());
    if session.watch.track_locks && tracking.is_none() {
        let problem = "the report does not say how locks were followed";
        judgement.problems.push(problem.to_string());
    } else if session.watch.track_locks && session.has_lockdep && agreement.is_none() {
        let problem = "what was followed was not compared with lockdep";
        judgement.problems.push(problem.to_string());
    }
    let Some(agreement) = agreement else {
        return;
    };
    judgement.lock_agreement = Some(agreement.clone());
    if !agreement.only_lockdep.is_empty() || !agreement.only_tracking.is_empty() {
        judgement
            .problems
            .push(format!("lockdep and what was followed differ: {agreement}"));
    }
    let holds_locks = session
        .expectations
        .iter()
        .any(|expectation| expectation.yes.contains("lock_held"));
    if holds_locks && agreement.same == 0 {
        judgement
            .problems
            .push("not one lock was known by lockdep and followed".to_string());
    }
}

/// How a scenario's sites differ from what they must be.
fn compare(
    expectation: &Expectation,
    level: Level,
    sites: &[&Site],
    hits_skipped: bool,
) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_seen(expectation, level) {
        if let Some(site) = sites.first() {
            problems.push(format!("must not be reported: {}", site.describe()));
        }
        return problems;
    }
    if sites.is_empty() {
        if !expectation.is_only_counted() && !hits_skipped {
            problems.push("not reported".to_string());
        }
        return problems;
    }
    let contexts = || sites.iter().flat_map(|site| &site.contexts);
    let counts = contexts().fold(Counts::default(), |sum, context| sum.plus(context.counts));
    let wanted = Counts::expected(expectation);
    if counts != wanted && !(hits_skipped && counts.are_some_of(wanted)) {
        problems.push(format!("{counts}; must be {wanted}"));
    }
    if let Some(held) = &expectation.held {
        let references = contexts()
            .filter_map(|context| context.references.as_ref())
            .fold(References::default(), References::plus);
        let wanted = held.references(expectation.count);
        if references != wanted && !hits_skipped {
            problems.push(format!("{references}; must be {wanted}"));
        }
    }
    let mut expectation = expectation.clone();
    if hits_skipped {
        // A put that the program on iput() did not see is first seen in evict(), when it has set
        // I_FREEING itself.
        expectation.may.insert("inode_freeing".to_string());
    }
    for context in contexts() {
        compare_context(&expectation, context, &mut problems);
    }
    if expectation.outcome == Outcome::Stuck {
        let waiting = sites
            .iter()
            .flat_map(|site| &site.stuck)
            .filter(|call| {
                call.stack
                    .iter()
                    .any(|line| line.contains(&expectation.waits_in))
            })
            .count();
        if waiting as u64 != expectation.count && !hits_skipped {
            let function = &expectation.waits_in;
            problems.push(format!("{waiting} calls seen to wait in {function}()"));
        }
    }
    problems
}

/// How a context's severity and rules differ from what they must be.
fn compare_verdict(expectation: &Expectation, context: &Context) -> Vec<String> {
    let mut problems = Vec::new();
    let rules: Vec<String> = context
        .hazards
        .iter()
        .map(|hazard| format!("{} {}", hazard.severity, hazard.rule))
        .collect();
    if context.severity != expectation.severity {
        problems.push(format!(
            "severity {} ({})",
            context.severity,
            rules.join(", ")
        ));
    }
    if let Some(rule) = &expectation.rule
        && !context
            .hazards
            .iter()
            .any(|hazard| hazard.rule == *rule && hazard.severity == expectation.severity)
    {
        problems.push(format!("rule {rule} did not match ({})", rules.join(", ")));
    }
    let wanted = expectation.held.as_ref().map(|held| &held.if_final);
    let found = context.if_final();
    let right = match (wanted, &found) {
        (Some(wanted), Some(found)) => {
            wanted.severity == found.severity
                && wanted.rules.iter().all(|rule| found.rules.contains(rule))
        }
        (wanted, found) => wanted.is_none() && found.is_none(),
    };
    if !right {
        let words =
            |one: Option<&IfFinal>| one.map_or("nothing if final".into(), IfFinal::to_string);
        problems.push(format!(
            "{}; must be {}",
            words(found.as_ref()),
            words(wanted)
        ));
    }
    problems
}

fn compare_context(expectation: &Expectation, context: &Context, problems: &mut Vec<String>) {
    problems.extend(compare_verdict(expectation, context));
    let allowed = &expectation.yes | &expectation.may;
    let facts = &context.facts;
    for (what, facts) in [
        ("not reported as true", &expectation.yes - &facts.yes),
        ("reported as true", &facts.yes - &allowed),
        (
            "not reported as unknown",
            &(&expectation.unknown - &facts.unknown) - &expectation.may,
        ),
        (
            "reported as unknown",
            &(&facts.unknown - &expectation.unknown) - &expectation.may,
        ),
    ] {
        if !facts.is_empty() {
            let facts: Vec<String> = facts.into_iter().collect();
            problems.push(format!("{what}: {}", facts.join(", ")));
        }
    }
    match &context.example {
        Some(example) => compare_example(expectation, example, problems),
        None => problems.push("no example was kept".to_string()),
    }
}

fn compare_example(expectation: &Expectation, example: &Example, problems: &mut Vec<String>) {
    if let Some(locks) = &expectation.locks {
        let told: Vec<String> = example.held_locks.iter().map(Lock::words).collect();
        if told != *locks {
            let held: Vec<String> = example.held_locks.iter().map(Lock::describe).collect();
            problems.push(format!("locks held: {}", held.join("; ")));
        }
    }
    let inode = &example.inode;
    if inode.filesystem != "lastref_lab" {
        problems.push(format!("the example's filesystem is {}", inode.filesystem));
    }
    let has_dentries = |held: &Held| {
        let found = inode.dentries.as_ref();
        found.is_some_and(|dentries| held.has(dentries))
    };
    if !expectation.held.as_ref().is_none_or(has_dentries) {
        problems.push(format!("the example's dentries are {:?}", inode.dentries));
    }
}

#[cfg(test)]
mod tests;
