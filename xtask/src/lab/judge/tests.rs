//! Tests of the judge: a report as it must be, and what is wrong with others.

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
        has_lockdep: false,
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
        elsewhere: Vec::new(),
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
            "example": { "inode": { "filesystem": "lastref_lab" } },
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
    let changes: [(&str, Change); 10] = [
        ("no example", |site| {
            site["contexts"][0]["example"] = json!(null);
        }),
        ("filesystem is ext4", |site| {
            site["contexts"][0]["example"]["inode"]["filesystem"] = json!("ext4");
        }),
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
fn full_marks_are_forgiven_only_where_exits_were_missed() {
    let problems = |losses: &[(&str, u64)]| {
        let mut report = report(|_| {});
        let losses = losses.iter().map(|(name, lost)| ((*name).into(), *lost));
        report.losses.extend(losses);
        judge(&session(Outcome::Evicted), &report).problems.len()
    };
    assert_eq!(problems(&[(EXITS_MISSED, 1)]), 0);
    assert_eq!(problems(&[(EXITS_MISSED, 1), (MARKS_FULL, 1)]), 0);
    assert_eq!(problems(&[(EXITS_MISSED, 0), (MARKS_FULL, 1)]), 1);
    assert_eq!(problems(&[(MARKS_FULL, 1)]), 1);
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
fn following_locks_must_be_told_and_compared() {
    let problems = |has_lockdep, tracking: serde_json::Value| {
        let mut session = session(Outcome::Evicted);
        session.watch.track_locks = true;
        session.has_lockdep = has_lockdep;
        let mut report = report(|_| ());
        report.capture.lock_tracking = serde_json::from_value(tracking).unwrap();
        judge(&session, &report).problems.len()
    };
    assert_eq!(problems(false, json!(null)), 1);
    assert_eq!(problems(false, json!({ "lockdep": null })), 0);
    assert_eq!(problems(true, json!({ "lockdep": null })), 1);
    let mut agreement = json!({ "calls": 3, "same": 2, "only_lockdep": {}, "only_tracking": {} });
    assert_eq!(problems(true, json!({ "lockdep": agreement })), 0);
    agreement["only_tracking"]["a mutex"] = json!(1);
    assert_eq!(problems(true, json!({ "lockdep": agreement })), 1);
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
