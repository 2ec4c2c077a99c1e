//! Judges a report against what the scenarios of its session must look like. Pure functions.

use super::held::IfFinal;
use super::report::{Context, Counts, Lock, References, Report, Site};
use super::scenarios::{Expectation, Outcome};
use super::session::{Level, Session};
use super::verdict::{Benign, Expected, Got, Judgement, Verdict};

/// Losses that are no failure by themselves; every scenario's counts must be exact all the same.
/// `exits_missed`: durations of evictions whose return a kretprobe did not follow. A kernel
/// without preemption follows one a CPU, and the scenarios that hang use those up
/// (kernel/kprobes.c, `register_kretprobe()`). `probe_hits_missed`: calls that came while a
/// preempted task was in the same trampoline's program; the report says that it is incomplete.
const DETAILS: &[&str] = &["exits_missed", HITS_SKIPPED];
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
        if !DETAILS.contains(&name.as_str()) {
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
        if !site.scenario().is_some_and(planned) {
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
    let tracking = &report.capture.lock_tracking;
    let Some(agreement) = tracking.as_ref().and_then(|found| found.lockdep.as_ref()) else {
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
    if let (Some(locks), Some(example)) = (&expectation.locks, &context.example) {
        let told: Vec<String> = example.held_locks.iter().map(Lock::words).collect();
        if told != *locks {
            let held: Vec<String> = example.held_locks.iter().map(Lock::describe).collect();
            problems.push(format!("locks held: {}", held.join("; ")));
        }
    }
    if let Some(example) = &context.example
        && example.inode.filesystem != "lastref_lab"
    {
        problems.push(format!(
            "the example's filesystem is {}",
            example.inode.filesystem
        ));
    }
    if let (Some(held), Some(example)) = (&expectation.held, &context.example)
        && !example
            .inode
            .dentries
            .as_ref()
            .is_some_and(|dentries| held.has(dentries))
    {
        problems.push(format!(
            "the example's dentries are {:?}",
            example.inode.dentries
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::held::HeldBy;
    use super::super::report::Provocation;
    use super::super::scenarios::Severity;
    use super::super::session::{Attach, Watch};
    use super::super::verdict::Score;
    use super::*;

    fn session(outcome: Outcome) -> Session {
        let facts = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Session {
            watch: Watch {
                attach: Attach::Kprobe,
                level: Level::Final,
                track_locks: false,
                provoke: false,
            },
            stuck: false,
            lossy: false,
            expectations: vec![Expectation {
                name: "nofs_scope".into(),
                count: 3,
                severity: Severity::Risky,
                rule: Some("nofs-scope".into()),
                yes: facts(&["nofs", "unlinked"]),
                may: facts(&[]),
                unknown: facts(&["lock_held"]),
                locks: None,
                waits_in: "inode_wait_for_writeback".into(),
                outcome,
                non_final: false,
                held: None,
                guest: None,
            }],
        }
    }

    fn report(change: impl FnOnce(&mut serde_json::Value)) -> Report {
        let mut site = json!({
            "severity": "risky",
            "frames": [
                { "function": "lab_put_in_nofs_scope", "module": "lastref_lab", "offset": 10 },
                { "function": "vfs_write" },
            ],
            "contexts": [{
                "severity": "risky",
                "hazards": [{ "rule": "nofs-scope", "severity": "risky" }],
                "counts": { "final_puts": 3, "evicted": 3, "kept": 0, "in_flight": 0 },
                "facts": { "yes": ["nofs", "unlinked"], "unknown": ["lock_held"] },
            }],
        });
        change(&mut site);
        let report = json!({
            "losses": { "no_stack": 0 },
            "totals": { "benign_final_puts": 4, "benign_evictions": 4 },
            "findings": [site],
            "other_sites": [],
        });
        serde_json::from_value(report).unwrap()
    }

    fn problems(outcome: Outcome, change: impl FnOnce(&mut serde_json::Value)) -> Vec<String> {
        let judgement = judge(&session(outcome), &report(change));
        let verdicts = judgement
            .verdicts
            .into_iter()
            .flat_map(|verdict| verdict.problems);
        verdicts.chain(judgement.problems).collect()
    }

    #[test]
    fn a_report_as_it_must_be() {
        assert_eq!(problems(Outcome::Evicted, |_| ()), [""; 0]);
    }

    #[test]
    fn every_difference_is_a_problem() {
        type Change = fn(&mut serde_json::Value);
        let changes: [(&str, Change); 8] = [
            ("2 final", |site| {
                site["contexts"][0]["counts"]["final_puts"] = json!(2);
            }),
            ("2 evicted", |site| {
                site["contexts"][0]["counts"]["evicted"] = json!(2);
            }),
            ("severity unsafe", |site| {
                site["contexts"][0]["severity"] = json!("unsafe");
            }),
            ("did not match", |site| {
                site["contexts"][0]["hazards"][0]["rule"] = json!("x");
            }),
            ("not reported as true: nofs", |site| {
                site["contexts"][0]["facts"]["yes"] = json!(["unlinked"]);
            }),
            ("reported as true: noio", |site| {
                site["contexts"][0]["facts"]["yes"] = json!(["nofs", "noio", "unlinked"]);
            }),
            ("not reported as unknown", |site| {
                site["contexts"][0]["facts"]["unknown"] = json!([]);
            }),
            ("not reported", |site| {
                site["frames"][0]["function"] = json!("iput");
            }),
        ];
        for (expected, change) in changes {
            let found = problems(Outcome::Evicted, change);
            assert!(
                found.iter().any(|problem| problem.contains(expected)),
                "{expected}: {found:?}"
            );
        }
    }

    #[test]
    fn where_hits_were_skipped_only_fewer_calls_are_forgiven() {
        let problems = |lossy, skipped: u64, change: fn(&mut serde_json::Value)| {
            let mut report = report(change);
            report.losses.insert(HITS_SKIPPED.to_string(), skipped);
            let session = Session {
                lossy,
                ..session(Outcome::Evicted)
            };
            let judgement = judge(&session, &report);
            judgement.verdicts[0].problems.len() + judgement.problems.len()
        };
        let fewer = |site: &mut serde_json::Value| {
            site["contexts"][0]["counts"] =
                json!({ "final_puts": 3, "evicted": 2, "kept": 1, "in_flight": 0 });
        };
        let more = |site: &mut serde_json::Value| {
            site["contexts"][0]["counts"]["final_puts"] = json!(4);
        };
        let milder = |site: &mut serde_json::Value| {
            site["contexts"][0]["severity"] = json!("latent");
        };
        assert_eq!(problems(true, 1, fewer), 0);
        assert_eq!(problems(true, 0, fewer), 1);
        assert_eq!(problems(false, 1, fewer), 1);
        assert_eq!(problems(true, 1, more), 1);
        assert_eq!(problems(true, 1, milder), 1);
    }

    #[test]
    fn other_outcomes_differ() {
        for outcome in [Outcome::Kept, Outcome::Stuck, Outcome::Unseen] {
            assert!(!problems(outcome, |_| ()).is_empty(), "{outcome:?}");
        }
    }

    #[test]
    fn benign_puts_are_counted() {
        let mut session = session(Outcome::Evicted);
        let only = &mut session.expectations[0];
        only.severity = Severity::Benign;
        only.yes.remove("nofs");
        let foreign = |site: &mut serde_json::Value| {
            site["frames"][0]["function"] = json!("foreign");
        };
        let totals = |session: &Session| {
            let mut judgement = Judgement::default();
            compare_totals(session, &report(foreign), &mut judgement, false);
            judgement.problems
        };
        assert_eq!(totals(&session), [""; 0]);
        assert!(
            judge(&session, &report(foreign)).verdicts[0]
                .problems
                .is_empty()
        );
        session.expectations[0].count = 5;
        assert_eq!(totals(&session).len(), 1);
    }

    /// One expectation of three puts that an unused dentry keeps from being final.
    fn held_session() -> Session {
        let mut session = session(Outcome::Evicted);
        session.watch.level = Level::Latent;
        let only = &mut session.expectations[0];
        only.severity = Severity::Unsafe;
        only.rule = Some("own-lock-held".into());
        only.yes = ["own_i_rwsem".to_string()].into();
        only.hold(HeldBy::UnusedDentries, 2, only.severity, session.watch);
        session
    }

    fn held_report(change: impl FnOnce(&mut serde_json::Value)) -> Report {
        let mut report = report(|site| {
            site["severity"] = json!("latent");
            site["contexts"][0] = json!({
                "severity": "latent",
                "hazards": [
                    { "rule": "one-shrink-away", "severity": "latent" },
                    { "rule": "own-lock-held", "severity": "latent", "if_final": "unsafe" },
                ],
                "counts": { "final_puts": 0, "evicted": 0, "kept": 0, "in_flight": 0,
                            "non_final": 3 },
                "references": {
                    "i_count": [{ "at_least": 2, "count": 3 }],
                    "unused_dentries": 3, "used_dentries": 0, "others": 0, "not_known": 0,
                },
                "facts": {
                    "yes": ["own_i_rwsem", "non_final", "one_shrink_away"],
                    "unknown": ["lock_held"],
                },
                "example": { "inode": {
                    "filesystem": "lastref_lab",
                    "dentries": { "aliases": 1, "unused": 1, "complete": true },
                } },
            });
            change(site);
        });
        report.totals.non_final_puts = 3;
        report
    }

    #[test]
    fn a_latent_put_as_it_must_be() {
        let judgement = judge(&held_session(), &held_report(|_| ()));
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.problems, [""; 0]);
        assert_eq!(judgement.problems, [""; 0]);
        assert_eq!(judgement.score.right, 1);
        let text = "latent one-shrink-away, 3 held (unsafe own-lock-held if final)";
        assert_eq!(verdict.expected.to_string(), text);
        assert_eq!(verdict.got.as_ref().unwrap().to_string(), text);
    }

    #[test]
    fn every_difference_of_a_latent_put_is_a_problem() {
        type Change = fn(&mut serde_json::Value);
        let changes: [(&str, Change); 8] = [
            ("2 not final", |context| {
                context["counts"]["non_final"] = json!(2);
            }),
            ("1 final", |context| {
                context["counts"]["final_puts"] = json!(1);
            }),
            ("i_count 3", |context| {
                context["references"]["i_count"][0]["at_least"] = json!(3);
            }),
            ("others 1", |context| {
                context["references"]["others"] = json!(1);
                context["references"]["unused_dentries"] = json!(2);
            }),
            ("deadlock own-lock-held if final", |context| {
                context["hazards"][1]["if_final"] = json!("deadlock");
            }),
            ("nothing if final", |context| {
                context["hazards"] = json!([context["hazards"][0]]);
            }),
            ("reported as true: provoked", |context| {
                context["facts"]["yes"] =
                    json!(["own_i_rwsem", "non_final", "one_shrink_away", "provoked"]);
            }),
            ("the example's dentries", |context| {
                context["example"]["inode"]["dentries"]["unused"] = json!(0);
            }),
        ];
        for (expected, change) in changes {
            let report = held_report(|site| change(&mut site["contexts"][0]));
            let found = &judge(&held_session(), &report).verdicts[0].problems;
            assert!(
                found.iter().any(|problem| problem.contains(expected)),
                "{expected}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_not_final_is_counted_all_the_same() {
        let mut report = held_report(|_| ());
        report.totals.non_final_puts = 2;
        assert_eq!(judge(&held_session(), &report).problems.len(), 1);
    }

    #[test]
    fn provocation_must_be_told() {
        let mut session = session(Outcome::Evicted);
        let report = |passes: Option<u64>| {
            let mut report = report(|_| ());
            report.capture.provocation = passes.map(|passes| Provocation { passes });
            report
        };
        assert_eq!(judge(&session, &report(Some(1))).problems.len(), 1);
        session.watch.provoke = true;
        assert_eq!(judge(&session, &report(None)).problems.len(), 1);
        assert_eq!(judge(&session, &report(Some(0))).problems.len(), 1);
        assert_eq!(judge(&session, &report(Some(1))).problems, [""; 0]);
    }

    #[test]
    fn the_score() {
        let score = |change: &dyn Fn(&mut serde_json::Value)| {
            judge(&session(Outcome::Evicted), &report(change)).score
        };
        let expected = |right, missed, wrong| Score {
            right,
            missed,
            wrong,
        };
        assert_eq!(score(&|_| ()), expected(1, 0, 0));
        let foreign = |site: &mut serde_json::Value| {
            site["frames"][0]["function"] = json!("foreign");
        };
        assert_eq!(score(&foreign), expected(0, 1, 1));
        let other_rule = |site: &mut serde_json::Value| {
            site["contexts"][0]["hazards"][0]["rule"] = json!("noio-scope");
        };
        assert_eq!(score(&other_rule), expected(0, 1, 1));
        let unjudged = unjudged(&session(Outcome::Evicted), "no report");
        assert_eq!(unjudged.score, expected(0, 1, 0));
        assert!(unjudged.verdicts[0].got.is_none());
    }

    #[test]
    fn what_was_got_is_what_the_report_has() {
        let worse = |site: &mut serde_json::Value| {
            site["severity"] = json!("unsafe");
            site["contexts"][0]["severity"] = json!("unsafe");
            site["contexts"][0]["hazards"][0] = json!({ "rule": "x", "severity": "unsafe" });
        };
        let judgement = judge(&session(Outcome::Evicted), &report(worse));
        let verdict = &judgement.verdicts[0];
        let got = verdict.got.as_ref().unwrap();
        assert_eq!(got.to_string(), "unsafe x, 3 evicted");
        assert_eq!(verdict.expected.to_string(), "risky nofs-scope, 3 evicted");
        assert!(got.unknown.contains("lock_held"));
    }
}
