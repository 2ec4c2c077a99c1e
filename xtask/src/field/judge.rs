//! Judging one filesystem's run: what it must have seen, what may be lost, what must be explained.

use std::collections::BTreeMap;

use serde::Serialize;

use super::filesystems::Filesystem;
use super::known::KnownFindings;
use super::plan::Ran;
use super::report::Report;
use crate::lab::Severity;

/// Losses that can hide a call or weaken a verdict.
pub const FATAL_LOSSES: [&str; 5] = [
    "sites_full",
    "stacks_full",
    "tasks_full",
    "marks_full",
    "no_stack",
];
/// How many frames tell one finding from another, for people.
const SHOWN_FRAMES: usize = 7;

/// What is to be said of one filesystem.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// The filesystem's name.
    pub filesystem: String,
    /// Checks and what is wrong, if anything.
    pub checks: Vec<Check>,
    /// What rules found, worst first.
    pub findings: Vec<Finding>,
    /// What was counted.
    pub figures: Figures,
}

/// One check.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was checked.
    pub what: &'static str,
    /// What is wrong.
    pub problem: Option<String>,
}

/// One rule that matched at one site, over all its contexts on one filesystem.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The rule.
    pub rule: String,
    /// The site.
    pub site: String,
    /// The filesystem of the inode.
    pub filesystem: String,
    /// How many final puts.
    pub final_puts: u64,
    /// How many puts that were not final.
    pub non_final: u64,
    /// The chain, `iput`'s caller first.
    pub frames: Vec<String>,
    /// The note that explains it.
    pub explained: Option<String>,
}

/// What was counted.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// Inodes that the counted part of the workload left to be evicted.
    pub unlinked: u64,
    /// All final puts.
    pub final_puts: u64,
    /// Those of them that are benign by their facts.
    pub benign: u64,
    /// Those at sites without a finding.
    pub expected: u64,
    /// Evictions.
    pub evictions: u64,
    /// Final puts at sites on this filesystem that are not benign by their facts alone.
    pub on_filesystem: u64,
    /// Those of them in memory reclaim.
    pub in_reclaim: u64,
    /// Losses that are not zero.
    pub losses: BTreeMap<String, u64>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Judges a run; `report` is what `lastref` left of it, or why there is none.
pub fn judge(
    kernel: &str,
    filesystem: &Filesystem,
    ran: &Ran,
    report: &Result<Report, String>,
    known: &KnownFindings,
) -> Verdict {
    let mut verdict = Verdict {
        filesystem: filesystem.name.to_string(),
        ..Verdict::default()
    };
    verdict.figures.seconds = ran.seconds;
    let mut problems = ran.problems.clone();
    match &ran.done {
        Some(done) => problems.extend(done.problem.clone()),
        None => problems.push("the workload did not come to its end".to_string()),
    }
    verdict.check("workload", problems.join("; "));
    let report = match report {
        Ok(report) => report,
        Err(problem) => {
            verdict.check("report", problem.clone());
            return verdict;
        }
    };
    verdict.count(filesystem, ran, report);
    verdict.findings = findings(kernel, report, known);
    verdict.check_puts();
    verdict.check_reclaim(filesystem, ran);
    verdict.check_losses();
    verdict.check_findings();
    verdict
}

impl Verdict {
    /// How many checks passed and failed.
    pub fn tally(&self) -> (u64, u64) {
        let failed = self.checks.iter().filter(|check| check.problem.is_some());
        let failed = failed.count();
        let passed = self.checks.len() - failed;
        (
            u64::try_from(passed).unwrap_or(u64::MAX),
            u64::try_from(failed).unwrap_or(u64::MAX),
        )
    }

    fn check(&mut self, what: &'static str, problem: String) {
        self.checks.push(Check {
            what,
            problem: (!problem.is_empty()).then_some(problem),
        });
    }

    fn count(&mut self, filesystem: &Filesystem, ran: &Ran, report: &Report) {
        let puts = |wanted: &dyn Fn(&super::report::Context) -> bool| -> u64 {
            report
                .contexts()
                .filter(|(_, context)| wanted(context))
                .map(|(_, context)| context.counts.final_puts)
                .sum()
        };
        let figures = &mut self.figures;
        figures.unlinked = ran.done.as_ref().map_or(0, |done| done.unlinked);
        figures.final_puts = report.totals.final_puts;
        figures.benign = report.totals.benign_final_puts;
        figures.evictions = report.totals.evictions;
        figures.expected = puts(&|context| !context.severity.is_finding());
        let here = |context: &super::report::Context| context.filesystem() == filesystem.reported;
        figures.on_filesystem = puts(&here);
        figures.in_reclaim = puts(&|context| {
            here(context)
                && ["direct_reclaim", "kswapd"]
                    .iter()
                    .any(|fact| context.facts.yes.contains(*fact))
        });
        figures.losses = report
            .losses
            .iter()
            .filter_map(|(name, count)| Some((name.clone(), (*count)?)))
            .filter(|(_, count)| *count > 0)
            .collect();
    }

    /// Every inode that lost its last link and user was evicted by a final put.
    fn check_puts(&mut self) {
        let Figures {
            unlinked,
            evictions,
            on_filesystem,
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
        self.check("final puts", problems.join("; "));
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
        self.check("reclaim", problems.join("; "));
    }

    fn check_losses(&mut self) {
        let problems: Vec<String> = self
            .figures
            .losses
            .iter()
            .filter(|(name, _)| FATAL_LOSSES.contains(&name.as_str()))
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        self.check("losses", problems.join("; "));
    }

    fn check_findings(&mut self) {
        let problems: Vec<String> = self
            .findings
            .iter()
            .filter(|finding| finding.severity >= Severity::Unsafe && finding.explained.is_none())
            .map(|finding| format!("{} {} at {}", finding.severity, finding.rule, finding.site))
            .collect();
        self.check("findings", problems.join("; "));
    }
}

/// All findings of a report, one for each rule, site and filesystem.
pub fn findings(kernel: &str, report: &Report, known: &KnownFindings) -> Vec<Finding> {
    let mut all: BTreeMap<(String, String, String, Severity), Finding> = BTreeMap::new();
    for (site, context) in report.contexts() {
        for hazard in &context.hazards {
            if !hazard.severity.is_finding() {
                continue;
            }
            let filesystem = context.filesystem();
            let explained = known.explain(kernel, site, context, hazard);
            let key = (
                site.id.clone(),
                hazard.rule.clone(),
                filesystem.to_string(),
                hazard.severity,
            );
            let finding = all.entry(key).or_insert_with(|| Finding {
                severity: hazard.severity,
                rule: hazard.rule.clone(),
                site: site.id.clone(),
                filesystem: filesystem.to_string(),
                final_puts: 0,
                non_final: 0,
                frames: site.functions().map(str::to_string).collect(),
                explained: explained.map(|known| known.note.clone()),
            });
            finding.final_puts += context.counts.final_puts;
            finding.non_final += context.counts.non_final;
        }
    }
    let mut findings: Vec<Finding> = all.into_values().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.final_puts)));
    findings
}

impl Finding {
    /// For people.
    pub fn describe(&self) -> String {
        let shown = self.frames.len().min(SHOWN_FRAMES);
        let more = if self.frames.len() > shown {
            " < …"
        } else {
            ""
        };
        let not_final = if self.non_final > 0 {
            format!(" and {} × not final", self.non_final)
        } else {
            String::new()
        };
        format!(
            "{} {} on {}, {} ×{not_final} at {}: {}{more}; {}",
            self.severity,
            self.rule,
            self.filesystem,
            self.final_puts,
            self.site,
            self.frames[..shown].join(" < "),
            match &self.explained {
                Some(note) => format!("known: {note}"),
                None => "NEW".to_string(),
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::filesystems::FILESYSTEMS;
    use crate::field::workload::Done;

    fn report(evictions: u64, severity: &str, losses: &str) -> Report {
        serde_json::from_str(&format!(
            r#"{{"losses": {{{losses}}}, "other_sites": [],
                "totals": {{"final_puts": 90, "benign_final_puts": 60, "evictions": {evictions}}},
                "findings": [{{"id": "x", "frames": [{{"function": "dentry_kill"}}],
                "contexts": [{{"severity": "{severity}", "counts": {{"final_puts": 30}},
                    "facts": {{"yes": ["direct_reclaim"]}},
                    "example": {{"inode": {{"filesystem": "ext4"}}}},
                    "hazards": [{{"rule": "some-rule", "severity": "{severity}"}}]}}]}}]}}"#
        ))
        .unwrap()
    }

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

    fn failed(ran: &Ran, report: Report) -> Vec<&'static str> {
        let verdict = judge(
            "6.1",
            &FILESYSTEMS[0],
            ran,
            &Ok(report),
            &KnownFindings::default(),
        );
        verdict
            .checks
            .iter()
            .filter(|check| check.problem.is_some())
            .map(|check| check.what)
            .collect()
    }

    #[test]
    fn a_run_that_saw_all_passes() {
        assert!(failed(&ran(1), report(50, "risky", "")).is_empty());
        assert!(failed(&ran(1), report(50, "expected", "\"ring_full\": 7")).is_empty());
    }

    #[test]
    fn each_check_can_fail() {
        assert_eq!(failed(&ran(1), report(49, "risky", "")), ["final puts"]);
        assert_eq!(failed(&ran(0), report(50, "risky", "")), ["reclaim"]);
        assert_eq!(failed(&ran(1), report(50, "unsafe", "")), ["findings"]);
        assert_eq!(
            failed(&ran(1), report(50, "risky", "\"sites_full\": 1")),
            ["losses"]
        );
        assert_eq!(
            failed(&Ran::default(), report(50, "risky", "")),
            ["workload", "final puts", "reclaim"]
        );
    }
}
