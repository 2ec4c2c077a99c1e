//! Judging a phase: the put of dirty pages' reference was seen where and as it must have been.

use std::time::Duration;

use serde::Serialize;

use super::inside::Ran;
use super::work::Phase;
use crate::field::checks::Checks;
use crate::field::findings::{Finding, chain, findings};
use crate::field::known::KnownFindings;
use crate::field::report::{Context, Report, Site};
use crate::field::results;
use crate::lab::{References, Severity};

/// What drops the reference that dirty pages hold (fs/ceph/caps.c).
const PUT: &str = "ceph_put_wrbuffer_cap_refs";
/// What the kernel says of a task that hangs (`kernel/hung_task.c`).
const HUNG: &str = "blocked for more than";
/// What the stack of the task that waits for itself has. The put itself is not there: while a
/// kretprobe is on `evict()`, its return address is the kretprobe's.
const INSIDE: [&str; 2] = ["inode_wait_for_writeback", "ceph_writepages_start"];
/// The rule about a put from inside writeback of its inode.
const SELF_WAIT: &str = "writeback-self-wait";
/// The rule about a put by a worker that handles replies.
const COMPLETION: &str = "completion-worker";
/// The rule about a put that only unused dentries keep from being the last.
const ONE_SHRINK_AWAY: &str = "one-shrink-away";

/// How the put must have been seen.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// With unused dentries' references left, where a last put would be unsafe by this rule.
    OneShrinkAway(&'static str),
    /// As the last, and the eviction came to its end.
    Evicted,
    /// As the last, waiting for itself.
    Deadlock,
}

/// What is to be seen in a phase: a function that calls the put, and how it went.
fn wanted(phase: Phase) -> (&'static str, Wanted) {
    match phase {
        Phase::Ordinary => ("ceph_con_workfn", Wanted::OneShrinkAway(COMPLETION)),
        Phase::HeldUp => ("ceph_con_workfn", Wanted::Evicted),
        Phase::Truncated => ("wb_workfn", Wanted::OneShrinkAway(SELF_WAIT)),
        Phase::TruncatedProvoked => ("wb_workfn", Wanted::Deadlock),
    }
}

/// What is to be said of one phase.
#[derive(Debug, Serialize)]
pub struct Verdict {
    phase: Phase,
    checks: Checks,
    /// The put, once for each context that it was seen in.
    puts: Vec<Put>,
    findings: Vec<Finding>,
    seconds: f64,
}

/// The put in one context.
#[derive(Debug, Serialize)]
struct Put {
    site: String,
    frames: Vec<String>,
    severity: Severity,
    rules: Vec<Rule>,
    facts: Vec<String>,
    final_puts: u64,
    evicted: u64,
    in_flight: u64,
    longest_ns: u64,
    /// Calls at the site that were stuck at the end.
    stuck: usize,
    non_final: u64,
    references: Option<References>,
}

/// A rule that matched, and how bad the put would be if it were the last, where it was not.
#[derive(Debug, Serialize)]
struct Rule {
    name: String,
    severity: Severity,
    if_final: Option<Severity>,
}

/// Judges a phase; `report` is what `lastref` left of it, or why there is none, and `console` what
/// the kernel itself has said.
pub fn judge(
    kernel: &str,
    phase: Phase,
    ran: Option<&Ran>,
    report: &Result<Report, String>,
    console: &str,
    known: &KnownFindings,
) -> Verdict {
    let mut verdict = Verdict {
        phase,
        checks: Checks::default(),
        puts: Vec::new(),
        findings: Vec::new(),
        seconds: ran.map_or(0.0, |ran| ran.seconds),
    };
    verdict.checks.add(
        "workload",
        match ran {
            Some(ran) => ran.problem.clone(),
            None => Some("it was not come to".to_string()),
        },
    );
    let report = match report {
        Ok(report) => report,
        Err(problem) => {
            verdict.checks.add("report", [problem.clone()]);
            return verdict;
        }
    };
    verdict.puts = report
        .contexts()
        .filter(|(site, _)| {
            [PUT, wanted(phase).0]
                .iter()
                .all(|wanted| site.functions().any(|function| function == *wanted))
        })
        .map(|(site, context)| Put::new(site, context))
        .collect();
    verdict.findings = findings(kernel, report, known);
    verdict.check_puts();
    if matches!(wanted(phase).1, Wanted::Deadlock) {
        verdict.checks.add(
            "kernel",
            (!says_hung(console)).then(|| format!("no task hangs inside of {}", INSIDE.join(", "))),
        );
    }
    verdict.checks.add_losses(report);
    verdict.checks.add_findings(&verdict.findings);
    verdict
}

/// Whether the kernel says of a task that it hangs, waiting for the writeback that it is in. Other
/// tasks hang as well, for want of that one.
fn says_hung(console: &str) -> bool {
    let is_inside = |task: &str| INSIDE.iter().all(|function| task.contains(function));
    console.split(HUNG).skip(1).any(is_inside)
}

impl Verdict {
    fn check_puts(&mut self) {
        let (caller, how) = wanted(self.phase);
        let seen = self.puts.iter().any(|put| match how {
            Wanted::OneShrinkAway(rule) => {
                put.has(ONE_SHRINK_AWAY, Severity::Latent) && put.would_be(rule, Severity::Unsafe)
            }
            Wanted::Evicted => put.evicted > put.in_flight && put.stuck == 0,
            Wanted::Deadlock => put.has(SELF_WAIT, Severity::Deadlock) && put.stuck > 0,
        });
        self.checks.add(
            "put",
            (!seen).then(|| format!("under {caller} it was not seen as {how:?}")),
        );
    }
}

impl results::Verdict for Verdict {
    fn checks(&self) -> &Checks {
        &self.checks
    }

    fn title(&self) -> String {
        format!("ceph, {}; {:.0} s", self.phase.name(), self.seconds)
    }

    fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut shown = None;
        for put in &self.puts {
            if shown != Some(&put.site) {
                lines.push(format!("site {}: {}", put.site, chain(&put.frames)));
                shown = Some(&put.site);
            }
            lines.push(format!("  {}", put.describe()));
        }
        lines.extend(self.findings.iter().map(Finding::describe));
        lines
    }
}

impl Put {
    fn new(site: &Site, context: &Context) -> Self {
        Self {
            site: site.id.clone(),
            frames: site.functions().map(str::to_string).collect(),
            severity: context.severity,
            rules: context
                .hazards
                .iter()
                .map(|hazard| Rule {
                    name: hazard.rule.clone(),
                    severity: hazard.severity,
                    if_final: hazard.if_final,
                })
                .collect(),
            facts: context.facts.yes.iter().cloned().collect(),
            final_puts: context.counts.final_puts,
            evicted: context.counts.evicted,
            in_flight: context.counts.in_flight,
            longest_ns: context.counts.eviction_longest_ns,
            stuck: site.stuck.len(),
            non_final: context.counts.non_final,
            references: context.references.clone(),
        }
    }

    /// Whether a rule holds, at least so badly.
    fn has(&self, name: &str, severity: Severity) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.name == name && rule.severity >= severity)
    }

    /// Whether a rule would hold, at least so badly, if the put were the last.
    fn would_be(&self, name: &str, severity: Severity) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.name == name && rule.if_final.is_some_and(|worst| worst >= severity))
    }

    fn describe(&self) -> String {
        let how = if self.non_final > 0 {
            let references = self.references.clone().unwrap_or_default();
            format!("{} not final: {references}", self.non_final)
        } else {
            format!(
                "{} final, {} evicted, {} stuck, the longest of the others {:.1?}",
                self.final_puts,
                self.evicted,
                self.stuck,
                Duration::from_nanos(self.longest_ns)
            )
        };
        let rules: Vec<String> = self
            .rules
            .iter()
            .map(|rule| match rule.if_final {
                Some(severity) => format!("{} ({severity} if final)", rule.name),
                None => rule.name.clone(),
            })
            .collect();
        format!(
            "{}: {how}; rules: {}; facts: {}",
            self.severity,
            rules.join(", "),
            self.facts.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    const CONSOLE: &str = "\
        INFO: task sync:70 blocked for more than 15 seconds.\n  iterate_supers+0x1/0x2\n\
        INFO: task kworker/u8:2:38 blocked for more than 15 seconds.\n\
        \x20 inode_wait_for_writeback+0x1/0x2\n  evict+0x1/0x2\n\
        \x20 ceph_invalidate_folio+0x1/0x2 [ceph]\n  ceph_writepages_start+0x1/0x2 [ceph]\n";

    /// A report with the put called by `caller`, in one context of these counts and hazards.
    fn report(caller: &str, counts: &str, hazards: &str) -> Report {
        serde_json::from_str(&format!(
            r#"{{"losses": {{}}, "other_sites": [],
                "totals": {{"final_puts": 1, "benign_final_puts": 0, "evictions": 1}},
                "findings": [{{"id": "x",
                "frames": [{{"function": "ceph_put_wrbuffer_cap_refs"}},
                           {{"function": "{caller}"}}],
                "contexts": [{{"severity": "latent", "counts": {{"final_puts": 0, {counts}}},
                    "facts": {{"yes": []}}, "example": {{"inode": {{"filesystem": "ceph"}}}},
                    "hazards": [{hazards}]}}]}}]}}"#
        ))
        .unwrap()
    }

    /// The same, with a call that was stuck at the end.
    fn stuck(mut report: Report) -> Report {
        report.findings[0].stuck.push(IgnoredAny);
        report
    }

    fn failed(phase: Phase, report: &Result<Report, String>, console: &str) -> Vec<&'static str> {
        let ran = Ran::default();
        let known = KnownFindings::default();
        judge("7.3", phase, Some(&ran), report, console, &known)
            .checks
            .names_of_failed()
    }

    const AWAY: &str = r#"{"rule": "one-shrink-away", "severity": "latent"}"#;

    fn away(rule: &str) -> String {
        format!(r#"{AWAY}, {{"rule": "{rule}", "severity": "latent", "if_final": "unsafe"}}"#)
    }

    #[test]
    fn a_put_one_shrink_away_is_enough_with_the_rule_that_it_would_break() {
        let held = |caller, hazards: &str| {
            let report = report(caller, r#""non_final": 3"#, hazards);
            failed(Phase::Ordinary, &Ok(report), "")
        };
        assert_eq!(held("ceph_con_workfn", &away("completion-worker")), [""; 0]);
        // Elsewhere, by another rule, or kept by more than dentries.
        let others = r#"{"rule": "completion-worker", "severity": "benign", "if_final": "unsafe"}"#;
        for (caller, hazards) in [
            ("wb_workfn", away("completion-worker").as_str()),
            ("ceph_con_workfn", &away("writeback-self-wait")),
            ("ceph_con_workfn", others),
        ] {
            assert_eq!(held(caller, hazards), ["put"], "{caller} {hazards}");
        }
    }

    #[test]
    fn an_eviction_must_have_come_to_its_end() {
        let evicted = |counts: &str| report("ceph_con_workfn", counts, AWAY);
        let failed = |report| failed(Phase::HeldUp, &Ok(report), "");
        assert_eq!(failed(evicted(r#""evicted": 1"#)), [""; 0]);
        assert_eq!(failed(evicted(r#""evicted": 0"#)), ["put"]);
        let unended = r#""evicted": 1, "in_flight": 1"#;
        assert_eq!(failed(evicted(unended)), ["put"]);
        assert_eq!(failed(stuck(evicted(r#""evicted": 1"#))), ["put"]);
    }

    #[test]
    fn a_deadlock_must_hang_and_be_explained() {
        let hazards = r#"{"rule": "writeback-self-wait", "severity": "deadlock"}"#;
        let waits = || stuck(report("wb_workfn", r#""evicted": 1"#, hazards));
        let failed = |report, console| failed(Phase::TruncatedProvoked, &report, console);
        assert_eq!(failed(Ok(waits()), CONSOLE), ["findings"]);
        // Another task's word is none on this one.
        let (others, _) = CONSOLE.split_once("INFO: task kworker").unwrap();
        assert_eq!(failed(Ok(waits()), others), ["kernel", "findings"]);
        let ended = report("wb_workfn", r#""evicted": 1"#, hazards);
        assert_eq!(failed(Ok(ended), CONSOLE), ["put", "findings"]);
        assert_eq!(failed(Err("none".to_string()), CONSOLE), ["report"]);
    }

    #[test]
    fn what_was_lost_may_hide_a_put() {
        let mut report = report("ceph_con_workfn", r#""evicted": 1"#, AWAY);
        let because = [
            "watching went on when this was written",
            "3 probe hits skipped",
        ];
        report.capture.incomplete_because = because.map(String::from).to_vec();
        assert_eq!(failed(Phase::HeldUp, &Ok(report), ""), ["losses"]);
    }
}
