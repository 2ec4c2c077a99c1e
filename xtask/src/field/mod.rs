//! Real filesystems on stock kernels: `lastref` watches while they are churned under memory
//! pressure, and every finding must be an explained one.

pub mod ceph;
mod checks;
mod churn;
mod delegations;
mod filesystems;
mod findings;
pub mod inside;
mod judge;
mod known;
mod load;
mod memory;
mod mounts;
mod nfs_server;
mod plan;
pub mod report;
mod results;
mod session;
mod watch;
mod workload;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::judge::Verdict;
use self::known::KnownFindings;
use self::plan::{Plan, Ran};
use self::results::Summary;
use self::session::Session;
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

/// Runs the filesystems of these names on one kernel with a built `lastref`; if none is named, all
/// of the table, which Ceph with its cluster is not in.
///
/// Prints a line for each filesystem and each finding, and leaves `target/field/KERNEL.json`, with
/// the reports themselves and the guest's console in `target/field/KERNEL/`.
pub fn run(
    context: &Context,
    kernel: &str,
    lastref: &Path,
    names: &[String],
    provoke: bool,
) -> Result<Tally> {
    let known = KnownFindings::read(&context.root.join(KNOWN))?;
    let (clusters, names): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| *name == ceph::NAME);
    let mut tally = Tally::default();
    if !clusters.is_empty() {
        tally.add(ceph::run(context, kernel, lastref, &known)?);
    }
    if clusters.is_empty() || !names.is_empty() {
        tally.add(run_table(
            context, kernel, lastref, &names, provoke, &known,
        )?);
    }
    Ok(tally)
}

/// Runs filesystems of the table, all if none is named.
fn run_table(
    context: &Context,
    kernel: &str,
    lastref: &Path,
    names: &[&String],
    provoke: bool,
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
        provoke,
        output,
    };
    let problem = run_guest(context, kernel, &plan)?;
    let results: Vec<Ran> = serde_json::from_str(&read_lossy(&plan.results())).unwrap_or_default();
    let summary = Summary {
        kernel: kernel.to_string(),
        problems: problem.into_iter().collect(),
        verdicts: filesystems
            .iter()
            .flat_map(|filesystem| Session::all_on(filesystem, plan.provoke))
            .map(|session| verdict(kernel, session, &plan, &results, known))
            .collect(),
    };
    summary.print();
    let path = summary.keep(&plan.output)?;
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
    session: Session,
    plan: &Plan,
    results: &[Ran],
    known: &KnownFindings,
) -> Verdict {
    let nothing = Ran::default();
    let name = session.name();
    let ran = results
        .iter()
        .find(|ran| ran.name == name)
        .unwrap_or(&nothing);
    let report = results::report(&plan.report(&name));
    judge::judge(kernel, session, ran, &report, known)
}
