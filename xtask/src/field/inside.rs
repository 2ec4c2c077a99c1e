//! The guest's part: `lastref` runs one workload after the other, each on its filesystem.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::filesystems::{Backing, Filesystem, named};
use super::nfs_server::Server;
use super::plan::{Plan, Ran};
use super::{memory, mounts, workload};
use crate::guest_plan;
use crate::progress::{output_of, read_lossy, tail};

/// For one filesystem: under emulation, with another guest beside.
const LIMIT: Duration = Duration::from_mins(5);
/// For `lastref` to end after it was asked to.
const STOP: Duration = Duration::from_secs(30);
/// Under emulation slow is not stuck.
const STUCK_AFTER: &str = "30s";
const POLL: Duration = Duration::from_millis(100);

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
        let problems = watch(plan, path, filesystem.name)
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
    let [filesystem] = named(&[name.to_string()])?[..] else {
        bail!("there is no one filesystem {name}");
    };
    let done = workload::run(filesystem, &plan.shared, &plan.output);
    let path = plan.done(name);
    fs::write(&path, serde_json::to_string_pretty(&done)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(u8::from(done.problem.is_some()))
}

/// Has `lastref` run the workload.
fn watch(plan: &Plan, path: &Path, name: &str) -> Result<()> {
    let log = plan.output.join(format!("{name}.log"));
    let output =
        File::create(&log).with_context(|| format!("{} cannot be created", log.display()))?;
    let errors = output.try_clone().context("a file cannot be shared")?;
    let program = std::env::current_exe().context("this program cannot be found")?;
    let mut child = Command::new(&plan.lastref)
        .args(["run", "--level", "final", "--attach", "auto", "--all"])
        .args(["--stuck-after", STUCK_AFTER])
        .arg("--output")
        .arg(plan.report(name))
        .arg("--")
        .arg(program)
        .arg("guest-field")
        .arg(path)
        .args(["--workload", name])
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("{} cannot be started", plan.lastref.display()))?;
    let ended = |status: Option<ExitStatus>| -> Result<bool> {
        match status.map(|status| status.code()) {
            None => Ok(false),
            // No findings, findings, or an incomplete picture, which the report tells as well.
            Some(Some(0 | 1 | 5)) => Ok(true),
            Some(code) => bail!(
                "lastref ended with {code:?}: {}",
                tail(&read_lossy(&log), 20)
            ),
        }
    };
    if ended(wait(&mut child, LIMIT)?)? {
        return Ok(());
    }
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| anyhow!("lastref has no process id"))?;
    kill_process(pid, Signal::INT).context("lastref cannot be interrupted")?;
    let stopped = wait(&mut child, STOP)?.is_some();
    // Nothing to be done if it is gone already.
    let _ = child.kill();
    bail!(
        "the workload did not end in {} s{}",
        LIMIT.as_secs(),
        if stopped {
            ""
        } else {
            ", nor did lastref when interrupted"
        }
    )
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("lastref cannot be waited for")? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}
