//! The guest's part: `lastref` runs one workload after the other, each on its filesystem.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::filesystems::{Backing, Filesystem, named};
use super::nfs_server::Server;
use super::plan::{Plan, Ran};
use super::watch::Watch;
use super::{memory, mounts, workload};
use crate::guest_plan;
use crate::progress::{output_of, read_lossy};

/// For one filesystem: under emulation, with another guest beside.
const LIMIT: Duration = Duration::from_mins(5);

/// Options of the hidden subcommand that runs inside the guest.
#[derive(Debug, Args)]
pub struct GuestField {
    /// The plan, as JSON
    plan: PathBuf,
    /// Only the workload on this filesystem, which everything is ready for
    #[arg(long, value_name = "FILESYSTEM")]
    workload: Option<String>,
}

/// Carries out the plan, or one workload of it.
pub fn run(options: &GuestField) -> Result<u8> {
    let plan: Plan = guest_plan::read(&options.plan)?;
    match &options.workload {
        Some(name) => run_workload(&plan, name),
        None => run_all(&plan, &options.plan),
    }
}

fn run_all(plan: &Plan, path: &Path) -> Result<u8> {
    let filesystems = named(&plan.filesystems)?;
    mounts::prepare()?;
    memory::swap_on().context("there is nothing to swap to")?;
    let mut server = None;
    let mut results: Vec<Ran> = Vec::new();
    // The server's clients have to wait for some seconds: let others run meanwhile.
    for filesystem in &filesystems {
        let made = make_ready(filesystem, &mut server);
        results.push(Ran {
            name: filesystem.name.to_string(),
            problems: made.err().map(|e| format!("{e:#}")).into_iter().collect(),
            ..Ran::default()
        });
    }
    note(plan, &results)?;
    for (index, filesystem) in filesystems.iter().enumerate() {
        if !results[index].problems.is_empty() {
            continue;
        }
        println!("{}", filesystem.name);
        if let (Backing::Server, Some(server)) = (&filesystem.backing, &server) {
            server.wait_for_grace();
        }
        let start = Instant::now();
        let problems = watch_workload(plan, path, filesystem.name)
            .err()
            .map(|error| format!("{error:#}"));
        let result = &mut results[index];
        result.seconds = start.elapsed().as_secs_f64();
        result.problems.extend(problems);
        result.done = serde_json::from_str(&read_lossy(&plan.done(filesystem.name))).ok();
        note(plan, &results)?;
    }
    Ok(0)
}

fn make_ready(filesystem: &Filesystem, server: &mut Option<Server>) -> Result<()> {
    for module in filesystem.modules {
        output_of(Command::new("modprobe").arg(module))?;
    }
    mounts::make(filesystem)?;
    let below = mounts::mount_lower(filesystem)?;
    if let (Backing::Server, Some(below)) = (&filesystem.backing, below) {
        *server = Some(Server::start(&below).context("the NFS server does not start")?);
    }
    Ok(())
}

/// Results are written down after each filesystem: the next one may take the guest with it.
fn note(plan: &Plan, results: &[Ran]) -> Result<()> {
    let path = plan.results();
    fs::write(&path, serde_json::to_string_pretty(results)?)
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn run_workload(plan: &Plan, name: &str) -> Result<u8> {
    let [filesystem] = named(&[name])?[..] else {
        bail!("there is no one filesystem {name}");
    };
    let done = workload::run(filesystem, &plan.shared, &plan.output);
    let path = plan.done(name);
    fs::write(&path, serde_json::to_string_pretty(&done)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(u8::from(done.problem.is_some()))
}

/// Has `lastref` run the workload.
fn watch_workload(plan: &Plan, path: &Path, name: &str) -> Result<()> {
    Watch {
        lastref: &plan.lastref,
        options: &["--level", "final"],
        report: &plan.report(name),
        log: &plan.output.join(format!("{name}.log")),
        limit: LIMIT,
    }
    .run(
        Command::new(std::env::current_exe().context("this program cannot be found")?)
            .arg("guest-field")
            .arg(path)
            .args(["--workload", name]),
    )
}
