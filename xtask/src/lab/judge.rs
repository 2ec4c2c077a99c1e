//! Judges a report against what the scenarios of its session must look like. Pure functions.

use serde::Serialize;

use super::report::{Context, Counts, Report, Site};
use super::scenarios::{Expectation, Outcome, Severity};
use super::session::{Level, Session};

/// What is to be said of one session's report.
#[derive(Debug, Default, Serialize)]
pub struct Judgement {
    /// One for each scenario.
    pub verdicts: Vec<Verdict>,
    /// What is wrong with the report as a whole.
    pub problems: Vec<String>,
    /// How the findings compare with those that must be there.
    pub score: Score,
}

/// What is to be said of one scenario.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The scenario.
    pub scenario: String,
    /// The severity it must have.
    pub severity: Severity,
    /// The rule that must have matched.
    pub rule: Option<String>,
    /// How often it ran.
    pub count: u64,
    /// What became of its inodes.
    pub outcome: Outcome,
    /// How the report differs from that.
    pub problems: Vec<String>,
}

/// Findings that must be there and are, that are missing, and that must not be there.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Score {
    /// Scenarios that are findings, rightly.
    pub right: u64,
    /// Scenarios that are no findings, wrongly.
    pub missed: u64,
    /// Sites that are findings, wrongly.
    pub wrong: u64,
}

impl Score {
    /// Adds another session's.
    pub fn add(&mut self, other: Self) {
        self.right += other.right;
        self.missed += other.missed;
        self.wrong += other.wrong;
    }
}

/// Losses that are no failure by themselves; every scenario's counts must be exact all the same.
/// `exits_missed`: durations of evictions whose return a kretprobe did not follow. A kernel
/// without preemption follows one a CPU, and the scenarios that hang use those up
/// (kernel/kprobes.c, `register_kretprobe()`). `probe_hits_missed`: calls that came while a
/// preempted task was in the same trampoline's program; the report says that it is incomplete.
const DETAILS: &[&str] = &["exits_missed", "probe_hits_missed"];

/// Judges one session's report.
pub fn judge(session: &Session, report: &Report) -> Judgement {
    let mut judgement = Judgement::default();
    for (name, lost) in &report.losses {
        if *lost != 0 && !DETAILS.contains(&name.as_str()) {
            judgement
                .problems
                .push(format!("{name} is {lost}: something was lost"));
        }
    }
    judgement.problems.extend(compare_totals(session, report));
    let sites: Vec<&Site> = report.findings.iter().chain(&report.other_sites).collect();
    for expectation in &session.expectations {
        let own: Vec<&Site> = sites
            .iter()
            .copied()
            .filter(|site| site.scenario() == Some(expectation.name.as_str()))
            .collect();
        let found = own.iter().any(|site| site.severity.is_finding());
        let wanted = expectation.severity.is_finding() && is_seen(expectation, session.level);
        match (wanted, found) {
            (true, true) => judgement.score.right += 1,
            (true, false) => judgement.score.missed += 1,
            (false, true) => judgement.score.wrong += 1,
            (false, false) => {}
        }
        judgement.verdicts.push(Verdict {
            scenario: expectation.name.clone(),
            severity: expectation.severity,
            rule: expectation.rule.clone(),
            count: expectation.count,
            outcome: expectation.outcome,
            problems: compare(expectation, session.level, &own),
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
        verdict.problems = vec![problem.to_string()];
    }
    judgement
}

fn is_seen(expectation: &Expectation, level: Level) -> bool {
    match expectation.outcome {
        Outcome::Evicted | Outcome::Stuck => true,
        Outcome::Kept => level == Level::Final,
        Outcome::Unseen => false,
    }
}

/// What is only counted must be counted; the rest of the system adds to it.
fn compare_totals(session: &Session, report: &Report) -> Option<String> {
    let (mut puts, mut evictions) = (0, 0);
    for expectation in &session.expectations {
        if expectation.is_only_counted() && is_seen(expectation, session.level) {
            puts += expectation.count;
            if expectation.outcome == Outcome::Evicted {
                evictions += expectation.count;
            }
        }
    }
    let totals = &report.totals;
    (totals.benign_final_puts < puts || totals.benign_evictions < evictions).then(|| {
        format!(
            "{} benign final puts and {} evictions counted; {puts} and {evictions} were made",
            totals.benign_final_puts, totals.benign_evictions
        )
    })
}

/// How a scenario's sites differ from what they must be.
fn compare(expectation: &Expectation, level: Level, sites: &[&Site]) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_seen(expectation, level) {
        if let Some(site) = sites.first() {
            problems.push(format!("must not be reported: {}", site.describe()));
        }
        return problems;
    }
    if sites.is_empty() {
        if !expectation.is_only_counted() {
            problems.push("not reported".to_string());
        }
        return problems;
    }
    let contexts = || sites.iter().flat_map(|site| &site.contexts);
    let counts = contexts().fold(Counts::default(), |sum, context| sum.plus(context.counts));
    let wanted = Counts::expected(expectation);
    if counts != wanted {
        problems.push(format!("{counts}; must be {wanted}"));
    }
    for context in contexts() {
        compare_context(expectation, context, &mut problems);
    }
    if expectation.outcome == Outcome::Stuck {
        let waiting = sites
            .iter()
            .flat_map(|site| &site.stuck)
            .filter(|call| {
                call.stack
                    .iter()
                    .any(|line| line.contains("inode_wait_for_writeback"))
            })
            .count();
        if waiting as u64 != expectation.count {
            problems.push(format!(
                "{waiting} calls seen in inode_wait_for_writeback()"
            ));
        }
    }
    problems
}

fn compare_context(expectation: &Expectation, context: &Context, problems: &mut Vec<String>) {
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
    if let Some(example) = &context.example
        && example.inode.filesystem != "lastref_lab"
    {
        problems.push(format!(
            "the example's filesystem is {}",
            example.inode.filesystem
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::session::Attach;
    use super::*;

    fn session(outcome: Outcome) -> Session {
        let facts = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Session {
            attach: Attach::Kprobe,
            level: Level::Final,
            stuck: false,
            expectations: vec![Expectation {
                name: "nofs_scope".into(),
                count: 3,
                severity: Severity::Risky,
                rule: Some("nofs-scope".into()),
                yes: facts(&["nofs", "unlinked"]),
                may: facts(&[]),
                unknown: facts(&["lock_held"]),
                outcome,
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
        let totals = |session: &Session| compare_totals(session, &report(foreign));
        assert_eq!(totals(&session), None);
        assert!(
            judge(&session, &report(foreign)).verdicts[0]
                .problems
                .is_empty()
        );
        session.expectations[0].count = 5;
        assert!(totals(&session).is_some());
    }

    #[test]
    fn the_score() {
        let right = judge(&session(Outcome::Evicted), &report(|_| ()));
        assert_eq!(
            (right.score.right, right.score.missed, right.score.wrong),
            (1, 0, 0)
        );
        let foreign = judge(
            &session(Outcome::Evicted),
            &report(|site| site["frames"][0]["function"] = json!("foreign")),
        );
        assert_eq!(
            (
                foreign.score.right,
                foreign.score.missed,
                foreign.score.wrong
            ),
            (0, 1, 1)
        );
    }
}
