//! Ceph: a client and all daemons in one guest, and the put of written pages' reference in the
//! messenger's worker, which is the last one as soon as the dentry cache lets go.

mod cluster;
pub mod inside;
mod judge;
mod packages;
mod work;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::inside::{Plan, Ran};
use self::judge::Verdict;
use self::work::Phase;
use super::known::KnownFindings;
use super::results::{self, Summary};
use crate::context::{Context, fresh_directory};
use crate::progress::{elapsed, read_lossy};
use crate::tally::Tally;
use crate::{guest_plan, kernels};

/// What it goes by on the command line and in files.
pub const NAME: &str = "ceph";
/// Each phase, with the options that `lastref` has for it.
const PHASES: [(Phase, &[&str]); 4] = [
    (Phase::Ordinary, &["--level", "latent"]),
    (Phase::HeldUp, &["--provoke"]),
    (Phase::Truncated, &["--level", "latent"]),
    (Phase::TruncatedProvoked, &["--provoke"]),
];
/// From boot to the end of the last phase, under emulation. The phases alone may take 12 minutes by
/// their limits, and on a busy machine it is six before the cluster is there.
const TIMEOUT: Duration = Duration::from_mins(20);
/// What hangs is on the console, and with this also where (`sched_show_task()`).
const STACKS_OF_HUNG_TASKS: &str = "loglevel=7";
/// The daemons, with their data, beside all that a guest has anyway.
const MEMORY: &str = "4G";

/// Runs it on one kernel with a built `lastref`.
///
/// Prints a line for each phase and each context of the put, and leaves
/// `target/field/KERNEL-ceph.json`, with reports and the guest's console in
/// `target/field/KERNEL-ceph/`.
pub fn run(
    context: &Context,
    kernel: &str,
    lastref: &Path,
    known: &KnownFindings,
) -> Result<Tally> {
    let start = Instant::now();
    let name = format!("{kernel}-{NAME}");
    let plan = Plan {
        lastref: fs::canonicalize(lastref)
            .with_context(|| format!("{} is not there", lastref.display()))?,
        packages: packages::unpacked(context)?,
        output: fresh_directory(&context.target().join("field").join(&name))?,
    };
    let mut problems: Vec<String> = run_guest(context, kernel, &plan)?.into_iter().collect();
    let results: Vec<Ran> = serde_json::from_str(&read_lossy(&plan.results())).unwrap_or_default();
    problems.extend(
        results
            .iter()
            .filter(|ran| ran.phase.is_none())
            .filter_map(|ran| ran.problem.clone()),
    );
    let summary = Summary {
        kernel: kernel.to_string(),
        problems,
        verdicts: PHASES
            .iter()
            .map(|(phase, _)| verdict(kernel, *phase, &plan, &results, known))
            .collect(),
    };
    summary.print();
    let path = summary.keep(&plan.output)?;
    println!("{NAME} on {kernel}: {}; {}", elapsed(start), path.display());
    Ok(summary.tally())
}

/// Runs all in one guest; what became of it, if that is a problem.
fn run_guest(context: &Context, name: &str, plan: &Plan) -> Result<Option<String>> {
    let kernel = kernels::named(context, name)?;
    let guest = guest_plan::guest(context, &kernel, "guest-ceph", plan, &plan.output)?
        .timeout(TIMEOUT)
        .memory(MEMORY)
        .kernel_argument(STACKS_OF_HUNG_TASKS);
    results::run(&guest, &plan.output)
}

fn verdict(
    kernel: &str,
    phase: Phase,
    plan: &Plan,
    results: &[Ran],
    known: &KnownFindings,
) -> Verdict {
    let ran = results.iter().find(|ran| ran.phase == Some(phase));
    let report = results::report(&plan.report(phase));
    let console = read_lossy(&plan.output.join("console"));
    judge::judge(kernel, phase, ran, &report, &console, known)
}
