//! Real filesystems on stock kernels: `lastref` watches while they are churned under memory
//! pressure, and every finding must be an explained one.

pub mod ceph;
mod churn;
mod filesystems;
pub mod inside;
mod judge;
mod known;
mod load;
mod memory;
mod mounts;
mod nfs_server;
mod plan;
mod report;
mod results;
mod watch;
mod workload;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use self::filesystems::Filesystem;
use self::judge::{Figures, Verdict};
use self::known::KnownFindings;
use self::plan::{Plan, Ran};
use crate::context::{Context, fresh_directory};
use crate::guest_plan;
use crate::progress::{elapsed, read_lossy};
use crate::tally::Tally;
use crate::{host_packages, kernels};

/// The kernels that it runs on unless one is named.
pub const KERNELS: [&str; 3] = ["6.1", "6.12", "7.3"];
/// From boot to the end of the last filesystem, under emulation.
const TIMEOUT: Duration = Duration::from_mins(15);
const KNOWN: &str = "lab/field.toml";

/// All that was found on one kernel.
#[derive(Debug, Serialize)]
struct Summary {
    kernel: String,
    problems: Vec<String>,
    verdicts: Vec<Verdict>,
}

/// Runs the filesystems of these names on one kernel with a built `lastref`; if none is named, all
/// of the table, which Ceph with its cluster is not in.
///
/// Prints a line for each filesystem and each finding, and leaves `target/field/KERNEL.json`, with
/// the reports themselves and the guest's console in `target/field/KERNEL/`.
pub fn run(context: &Context, kernel: &str, lastref: &Path, names: &[String]) -> Result<Tally> {
    let known = KnownFindings::read(&context.root.join(KNOWN))?;
    let (clusters, names): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| *name == ceph::NAME);
    let mut tally = Tally::default();
    if !clusters.is_empty() {
        tally.add(ceph::run(context, kernel, lastref, &known)?);
    }
    if clusters.is_empty() || !names.is_empty() {
        tally.add(run_table(context, kernel, lastref, &names, &known)?);
    }
    Ok(tally)
}

/// Runs filesystems of the table, all if none is named.
fn run_table(
    context: &Context,
    kernel: &str,
    lastref: &Path,
    names: &[&String],
    known: &KnownFindings,
) -> Result<Tally> {
    let start = Instant::now();
    let filesystems = filesystems::named(names)?;
    host_packages::install(context, &filesystems::PACKAGES)?;
    let output = fresh_directory(&context.target().join("field").join(kernel))?;
    let plan = Plan {
        lastref: fs::canonicalize(lastref)
            .with_context(|| format!("{} is not there", lastref.display()))?,
        shared: fresh_directory(&output.join("shared"))?,
        filesystems: filesystems.iter().map(|f| f.name.to_string()).collect(),
        output,
    };
    let problem = run_guest(context, kernel, &plan)?;
    let results: Vec<Ran> = serde_json::from_str(&read_lossy(&plan.results())).unwrap_or_default();
    let summary = Summary {
        kernel: kernel.to_string(),
        problems: problem.into_iter().collect(),
        verdicts: filesystems
            .iter()
            .map(|filesystem| verdict(kernel, filesystem, &plan, &results, known))
            .collect(),
    };
    summary.print();
    let path = results::keep(&summary, &plan.output)?;
    println!(
        "filesystems on {kernel}: {}; {}",
        elapsed(start),
        path.display()
    );
    Ok(summary.tally())
}

/// Runs all in one guest; what became of it, if that is a problem.
fn run_guest(context: &Context, name: &str, plan: &Plan) -> Result<Option<String>> {
    let kernel = kernels::named(context, name)?;
    let guest = guest_plan::guest(context, &kernel, "guest-field", plan, &plan.output)?
        .timeout(TIMEOUT)
        .writable(&plan.shared);
    results::run(&guest, &plan.output)
}

fn verdict(
    kernel: &str,
    filesystem: &Filesystem,
    plan: &Plan,
    results: &[Ran],
    known: &KnownFindings,
) -> Verdict {
    let nothing = Ran::default();
    let ran = results
        .iter()
        .find(|ran| ran.name == filesystem.name)
        .unwrap_or(&nothing);
    let report = results::report(&plan.report(filesystem.name));
    judge::judge(kernel, filesystem, ran, &report, known)
}

impl Summary {
    fn tally(&self) -> Tally {
        let mut tally = Tally {
            passed: 0,
            failed: u64::try_from(self.problems.len()).unwrap_or(u64::MAX),
            skipped: 0,
        };
        for verdict in &self.verdicts {
            let (passed, failed) = verdict.tally();
            tally.add(Tally {
                passed,
                failed,
                skipped: 0,
            });
        }
        tally
    }

    fn print(&self) {
        for verdict in &self.verdicts {
            let good = if verdict.tally().1 == 0 {
                "ok  "
            } else {
                "FAIL"
            };
            println!(
                "  {good} {} {:<9} {}",
                self.kernel,
                verdict.filesystem,
                describe(&verdict.figures)
            );
            for check in &verdict.checks {
                if let Some(problem) = &check.problem {
                    println!("         {}: {problem}", check.what);
                }
            }
            for finding in &verdict.findings {
                println!("         {}", finding.describe());
            }
        }
        for problem in &self.problems {
            println!("  FAIL {}: {problem}", self.kernel);
        }
    }
}

fn describe(figures: &Figures) -> String {
    let Figures {
        unlinked,
        final_puts,
        benign,
        expected,
        evictions,
        on_filesystem,
        in_reclaim,
        losses,
        seconds,
    } = figures;
    let lost: Vec<String> = losses
        .iter()
        .map(|(name, count)| format!(", {name} {count}"))
        .collect();
    format!(
        "{final_puts} final puts ({benign} benign, {expected} expected), {evictions} evictions \
         for {unlinked} unlinked; {on_filesystem} at its sites, {in_reclaim} in reclaim{}; \
         {seconds:.0} s",
        lost.concat()
    )
}
