//! Judging one session: what it must have seen, what may be lost, what must be explained.

use std::collections::BTreeMap;

use serde::Serialize;

use super::checks::Checks;
use super::filesystems::Filesystem;
use super::findings::{Finding, findings};
use super::known::KnownFindings;
use super::plan::Ran;
use super::report::{Context, Report};
use super::results;
use super::session::Session;

/// What is to be said of one session.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    session: String,
    checks: Checks,
    /// What rules found, worst first.
    findings: Vec<Finding>,
    /// What was counted.
    figures: Figures,
}

/// What was counted.
#[derive(Debug, Default, Serialize)]
struct Figures {
    /// Inodes that the counted part of the workload left to be evicted.
    unlinked: u64,
    /// All final puts.
    final_puts: u64,
    /// Those of them that are benign by their facts.
    benign: u64,
    /// Those at sites without a finding.
    expected: u64,
    /// Evictions.
    evictions: u64,
    /// Puts that were not final.
    non_final: u64,
    /// Those of them that would be benign by their facts if they were final.
    benign_non_final: u64,
    /// Final puts at sites on this filesystem that are not benign by their facts alone.
    on_filesystem: u64,
    /// Those of them in memory reclaim.
    in_reclaim: u64,
    /// Those of them after a pass of `--provoke` had dropped a dentry of the inode, or by the pass.
    provoked: u64,
    /// Losses that are not zero.
    losses: BTreeMap<String, u64>,
    /// How long it took, in seconds.
    seconds: f64,
}

/// Judges a session; `report` is what `lastref` left of it, or why there is none.
pub fn judge(
    kernel: &str,
    session: Session,
    ran: &Ran,
    report: &Result<Report, String>,
    known: &KnownFindings,
) -> Verdict {
    let mut verdict = Verdict {
        session: session.name(),
        ..Verdict::default()
    };
    verdict.figures.seconds = ran.seconds;
    let mut problems = ran.problems.clone();
    match &ran.done {
        Some(done) => problems.extend(done.problem.clone()),
        None => problems.push("the workload did not come to its end".to_string()),
    }
    verdict.checks.add("workload", problems);
    let report = match report {
        Ok(report) => report,
        Err(problem) => {
            verdict.checks.add("report", [problem.clone()]);
            return verdict;
        }
    };
    verdict.count(session.filesystem, ran, report);
    verdict.findings = findings(kernel, report, known);
    verdict.check_puts();
    match session.provoke {
        None => verdict.check_reclaim(session.filesystem, ran),
        Some(_) => verdict.check_provocation(report),
    }
    verdict.checks.add_losses(report);
    verdict.checks.add_findings(&verdict.findings);
    verdict
}

impl Verdict {
    fn count(&mut self, filesystem: &Filesystem, ran: &Ran, report: &Report) {
        let puts = |wanted: &dyn Fn(&Context) -> bool| -> u64 {
            report
                .contexts()
                .filter(|(_, context)| wanted(context))
                .map(|(_, context)| context.counts.final_puts)
                .sum()
        };
        let here = |context: &Context| context.filesystem() == filesystem.reported;
        let here_with = |facts: &[&str]| {
            puts(&|context| {
                here(context) && facts.iter().any(|fact| context.facts.yes.contains(*fact))
            })
        };
        self.figures = Figures {
            unlinked: ran.done.as_ref().map_or(0, |done| done.unlinked),
            final_puts: report.totals.final_puts,
            benign: report.totals.benign_final_puts,
            expected: puts(&|context| !context.severity.is_finding()),
            evictions: report.totals.evictions,
            non_final: report.totals.non_final_puts,
            benign_non_final: report.totals.benign_non_final_puts,
            on_filesystem: puts(&here),
            in_reclaim: here_with(&["direct_reclaim", "kswapd"]),
            provoked: here_with(&["provoked"]),
            losses: report
                .lost()
                .map(|(name, count)| (name.to_string(), count))
                .collect(),
            seconds: self.figures.seconds,
        };
    }

    /// Every inode that lost its last link and user was evicted by a final put, and others were put
    /// while they had users.
    fn check_puts(&mut self) {
        let Figures {
            unlinked,
            evictions,
            on_filesystem,
            non_final,
            ..
        } = self.figures;
        let mut problems = Vec::new();
        if unlinked == 0 {
            problems.push("no inode was unlinked".to_string());
        }
        if evictions < unlinked {
            problems.push(format!("{unlinked} inodes unlinked, {evictions} evictions"));
        }
        if on_filesystem == 0 {
            problems.push("no site on this filesystem".to_string());
        }
        if non_final == 0 {
            problems.push("no put that was not final".to_string());
        }
        self.checks.add("puts", problems);
    }

    /// The memory cgroup reclaimed, nobody was killed for it, and it reached the dentries.
    fn check_reclaim(&mut self, filesystem: &Filesystem, ran: &Ran) {
        let counted = |name: &str| {
            ran.done
                .as_ref()
                .and_then(|done| done.memory.get(name).copied())
                .unwrap_or(0)
        };
        let mut problems = Vec::new();
        for name in ["max", "pgsteal"] {
            if counted(name) == 0 {
                problems.push(format!("the memory cgroup's {name} is 0"));
            }
        }
        if counted("oom_kill") > 0 {
            problems.push(format!("{} tasks killed for memory", counted("oom_kill")));
        }
        if filesystem.reclaims_dentries && self.figures.in_reclaim == 0 {
            problems.push("no final put in memory reclaim".to_string());
        }
        self.checks.add("reclaim", problems);
    }

    /// `--provoke` went on to the end, and it reached the filesystem's dentries.
    fn check_provocation(&mut self, report: &Report) {
        let mut problems = Vec::new();
        match &report.capture.provocation {
            None => problems.push("the report knows of none".to_string()),
            Some(provocation) => {
                let by = &provocation.by;
                if provocation.passes == 0 {
                    problems.push(format!("no pass by {by}"));
                }
                if provocation.stuck {
                    problems.push(format!("a pass by {by} did not come back"));
                }
                problems.extend(provocation.failure.clone());
            }
        }
        if self.figures.provoked == 0 {
            problems.push("no put on this filesystem was made final".to_string());
        }
        self.checks.add("provocation", problems);
    }
}

impl results::Verdict for Verdict {
    fn checks(&self) -> &Checks {
        &self.checks
    }

    fn title(&self) -> String {
        let Figures {
            unlinked,
            final_puts,
            benign,
            expected,
            evictions,
            non_final,
            benign_non_final,
            on_filesystem,
            in_reclaim,
            provoked,
            losses,
            seconds,
        } = &self.figures;
        let lost: Vec<String> = losses
            .iter()
            .map(|(name, count)| format!(", {name} {count}"))
            .collect();
        format!(
            "{:<9} {final_puts} final puts ({benign} benign, {expected} expected), {non_final} \
             not final ({benign_non_final} benign), {evictions} evictions for {unlinked} \
             unlinked; {on_filesystem} at its sites, {in_reclaim} in reclaim, {provoked} \
             provoked{}; {seconds:.0} s",
            self.session,
            lost.concat()
        )
    }

    fn details(&self) -> Vec<String> {
        self.findings.iter().map(Finding::describe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::workload::Done;

    /// Of a provoked session on NFS; on another filesystem it is good as well.
    const GOOD: &str = r#"{"losses": {"sites_full": 0}, "other_sites": [],
        "capture": {"incomplete_because": [], "provocation": {"by": "drop_caches", "passes": 3, "stuck": false}},
        "totals": {"final_puts": 90, "benign_final_puts": 60, "evictions": 50,
            "non_final_puts": 7, "benign_non_final_puts": 7},
        "findings": [{"id": "x", "frames": [{"function": "dentry_kill"}],
            "contexts": [{"severity": "risky", "counts": {"final_puts": 30},
                "facts": {"yes": ["direct_reclaim", "provoked"]},
                "example": {"inode": {"filesystem": "nfs4"}},
                "hazards": [{"rule": "some-rule", "severity": "risky"}]}]}]}"#;

    fn ran(max: u64) -> Ran {
        Ran {
            done: Some(Done {
                unlinked: 50,
                memory: [("max".to_string(), max), ("pgsteal".to_string(), 9)].into(),
                ..Done::default()
            }),
            ..Ran::default()
        }
    }

    /// The checks that fail where the report has `to` instead of `from`.
    fn failed(session: &str, ran: &Ran, (from, to): (&str, &str)) -> Vec<&'static str> {
        let text = GOOD.replace(from, to);
        let report = serde_json::from_str(&text).map_err(|error| error.to_string());
        let session = Session::named(session).unwrap();
        let verdict = judge("6.1", session, ran, &report, &KnownFindings::default());
        verdict.checks.names_of_failed()
    }

    #[test]
    fn a_run_that_saw_all_passes() {
        for change in [
            ("", ""),
            ("risky", "expected"),
            ("sites_full\": 0", "ring_full\": 7"),
        ] {
            assert!(failed("nfs", &ran(1), change).is_empty(), "{change:?}");
            assert!(failed("nfs-memory", &ran(0), change).is_empty());
        }
    }

    #[test]
    fn each_check_can_fail() {
        for (change, check) in [
            (("evictions\": 50", "evictions\": 49"), "puts"),
            (("non_final_puts\": 7", "non_final_puts\": 0"), "puts"),
            (("direct_reclaim", "kthread"), "reclaim"),
            (("risky", "unsafe"), "findings"),
            (("because\": []", "because\": [\"no room\"]"), "losses"),
            (("\"losses\"", "\"lost\""), "report"),
        ] {
            assert_eq!(failed("nfs", &ran(1), change), [check], "{change:?}");
        }
        assert_eq!(failed("nfs", &ran(0), ("", "")), ["reclaim"]);
        assert_eq!(
            failed("nfs", &Ran::default(), ("", "")),
            ["workload", "puts", "reclaim"]
        );
        assert_eq!(failed("ext4", &ran(1), ("", "")), ["puts", "reclaim"]);
    }

    #[test]
    fn provocation_must_have_gone_on_and_made_puts_final() {
        for change in [
            ("passes\": 3", "passes\": 0"),
            ("stuck\": false", "stuck\": true"),
            ("passes\": 3", "passes\": 3, \"failure\": \"why\""),
            ("\"provocation\"", "\"nothing\""),
            ("\"provoked\"", "\"kthread\""),
        ] {
            assert_eq!(
                failed("nfs-drop-caches", &ran(0), change),
                ["provocation"],
                "{change:?}"
            );
        }
    }
}
