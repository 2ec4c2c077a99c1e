//! The guest's part: `lastref` runs one workload after the other, each on its filesystem.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;

use super::filesystems::{Backing, Filesystem, named};
use super::nfs_server::Server;
use super::plan::{Plan, Ran};
use super::session::Session;
use super::watch::Watch;
use super::{memory, mounts, workload};
use crate::guest_plan;
use crate::progress::{output_of, read_lossy};

/// For one session: under emulation, with another guest beside.
const LIMIT: Duration = Duration::from_mins(5);

/// Options of the hidden subcommand that runs inside the guest.
#[derive(Debug, Args)]
pub struct GuestField {
    /// The plan, as JSON
    plan: PathBuf,
    /// Only the workload of this session, which everything is ready for
    #[arg(long, value_name = "SESSION")]
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
    let mut sessions: Vec<(Session, Ran)> = Vec::new();
    // The server's clients have to wait for some seconds: let others run meanwhile.
    for filesystem in &filesystems {
        let made = make_ready(filesystem, &mut server);
        let problem = made.err().map(|error| format!("{error:#}"));
        sessions.extend(Session::all_on(filesystem, plan.provoke).map(|session| {
            let ran = Ran {
                name: session.name(),
                problems: problem.iter().cloned().collect(),
                ..Ran::default()
            };
            (session, ran)
        }));
    }
    note(plan, &sessions)?;
    for index in 0..sessions.len() {
        let (session, ran) = &mut sessions[index];
        if !ran.problems.is_empty() {
            continue;
        }
        println!("{}", ran.name);
        if let (Backing::Server, Some(server)) = (&session.filesystem.backing, &server) {
            server.wait_for_grace();
        }
        let start = Instant::now();
        let problem = watch_workload(plan, path, *session).err();
        ran.problems
            .extend(problem.map(|error| format!("{error:#}")));
        ran.seconds = start.elapsed().as_secs_f64();
        ran.done = serde_json::from_str(&read_lossy(&plan.done(&ran.name))).ok();
        note(plan, &sessions)?;
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

/// Results are written down after each session: the next one may take the guest with it.
fn note(plan: &Plan, sessions: &[(Session, Ran)]) -> Result<()> {
    let results: Vec<&Ran> = sessions.iter().map(|(_, ran)| ran).collect();
    let path = plan.results();
    fs::write(&path, serde_json::to_string_pretty(&results)?)
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn run_workload(plan: &Plan, name: &str) -> Result<u8> {
    let done = workload::run(Session::named(name)?, &plan.shared, &plan.output);
    let path = plan.done(name);
    fs::write(&path, serde_json::to_string_pretty(&done)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(u8::from(done.problem.is_some()))
}

/// Has `lastref` run the workload.
fn watch_workload(plan: &Plan, path: &Path, session: Session) -> Result<()> {
    let name = session.name();
    Watch {
        lastref: &plan.lastref,
        options: session.options(),
        report: &plan.report(&name),
        log: &plan.output.join(format!("{name}.log")),
        limit: LIMIT,
    }
    .run(
        Command::new(std::env::current_exe().context("this program cannot be found")?)
            .arg("guest-field")
            .arg(path)
            .args(["--workload", &name]),
    )
}
