//! The witness inside a guest: runs scenarios one by one while `lastref` watches, and keeps what the
//! kernel says meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::inside;
use super::kernel_log::{self, Complaint, Kind};
use super::session::{Attach, Level, PlannedScenario, PlannedSession, Watch};
use super::step::{Failure, Surroundings, load_module};
use crate::{exit_status, guest_plan};

/// `might_sleep()` complains once a second (`kernel/sched/core.c`, `__might_resched()`).
const RATE_LIMIT: Duration = Duration::from_millis(1100);
/// After how many seconds the kernel calls a task hung here, and how long it is given for that.
const HUNG_SECONDS: &str = "2";
const HUNG_PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(500);

/// Options of the hidden subcommand that runs inside the guest.
#[derive(Debug, Args)]
pub struct GuestWitness {
    /// The plan, as JSON
    plan: PathBuf,
}

/// What the guest is to do.
#[derive(Debug, Deserialize, Serialize)]
pub struct WitnessPlan {
    /// The lab's module.
    pub module: PathBuf,
    /// The `lastref` binary.
    pub lastref: PathBuf,
    /// Where all results go.
    pub output: PathBuf,
    /// Scenarios that return.
    pub scenarios: Vec<PlannedScenario>,
    /// Scenarios that hang, each once; they come last.
    pub stuck: Vec<PlannedScenario>,
}

/// What was seen in one guest.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Statement {
    /// The scenarios that were run, in order.
    pub heard: Vec<Heard>,
    /// The scenario that lockdep reported something in, and has been off since.
    pub lockdep_ended_in: Option<String>,
    /// What went wrong, if anything.
    pub problems: Vec<String>,
}

/// What the kernel said of one scenario.
#[derive(Debug, Deserialize, Serialize)]
pub struct Heard {
    /// The scenario.
    pub scenario: String,
    /// What the kernel complained of while it ran.
    pub complaints: Vec<Complaint>,
}

/// How `lastref` watches meanwhile.
pub const WATCH: Watch = Watch {
    attach: Attach::Kprobe,
    level: Level::Final,
    track_locks: false,
    provoke: false,
};

/// The name of the report and of the statement.
pub const NAME: &str = "witness";

/// Carries out the plan, until lockdep has made its report.
pub fn run(options: &GuestWitness) -> Result<u8> {
    let plan: WitnessPlan = guest_plan::read(&options.plan)?;
    // Every mark in the log, and every hung task soon.
    for (file, value) in [
        ("printk_devkmsg", "on"),
        ("hung_task_timeout_secs", HUNG_SECONDS),
        ("hung_task_check_interval_secs", "1"),
        ("hung_task_warnings", "-1"),
    ] {
        set(&Path::new("/proc/sys/kernel").join(file), value)?;
    }
    load_module(&plan.module)?;
    let mut statement = Statement::default();
    if let Err(error) = take(&plan, &mut statement) {
        statement.problems.push(format!("{error:#}"));
    }
    let path = plan.output.join(format!("{NAME}.statement.json"));
    fs::write(&path, serde_json::to_string_pretty(&statement)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(0)
}

fn set(path: &Path, value: &str) -> Result<()> {
    fs::write(path, format!("{value}\n"))
        .with_context(|| format!("{} cannot be set", path.display()))
}

fn take(plan: &WitnessPlan, statement: &mut Statement) -> Result<()> {
    let session = PlannedSession {
        name: NAME.to_string(),
        watch: WATCH,
        stuck: !plan.stuck.is_empty(),
        scenarios: Vec::new(),
    };
    let mut watcher = inside::start(&plan.lastref, &plan.output, &session)?;
    let report = plan.output.join(format!("{NAME}.json"));
    let surroundings = Surroundings {
        module: &plan.module,
        report: &report,
    };
    let outcome = hear_all(plan, &surroundings, statement);
    let status = watcher.stop()?;
    if !exit_status::is_verdict(status) {
        statement
            .problems
            .push(format!("lastref ended with {status}"));
    }
    outcome
}

fn hear_all(
    plan: &WitnessPlan,
    surroundings: &Surroundings,
    statement: &mut Statement,
) -> Result<()> {
    for scenario in &plan.scenarios {
        let complaints = hear(surroundings, scenario)?;
        let slept = complaints
            .iter()
            .any(|complaint| complaint.kind == Kind::SleepingFunction);
        statement.heard.push(Heard {
            scenario: scenario.name.clone(),
            complaints,
        });
        if !lockdep_is_on()? {
            statement.lockdep_ended_in = Some(scenario.name.clone());
            return Ok(());
        }
        if slept {
            thread::sleep(RATE_LIMIT);
        }
    }
    if plan.stuck.is_empty() {
        return Ok(());
    }
    mark(NAME)?;
    for scenario in &plan.stuck {
        run_once(surroundings, scenario)?;
    }
    let start = Instant::now();
    let (mut all, mut missing);
    loop {
        let log = kernel_log::since(&marking(NAME))?;
        let path = plan.output.join(format!("{NAME}.hung.log"));
        fs::write(&path, &log).with_context(|| format!("{} cannot be written", path.display()))?;
        all = kernel_log::complaints(&log);
        missing = plan
            .stuck
            .iter()
            .any(|scenario| about(&all, &scenario.name).is_empty());
        if !missing || start.elapsed() > HUNG_PATIENCE {
            break;
        }
        thread::sleep(POLL);
    }
    for scenario in &plan.stuck {
        statement.heard.push(Heard {
            scenario: scenario.name.clone(),
            complaints: about(&all, &scenario.name),
        });
    }
    if !lockdep_is_on()? {
        statement.lockdep_ended_in = plan.stuck.last().map(|scenario| scenario.name.clone());
    }
    Ok(())
}

/// Only those about the scenario, one of each: tasks that hang are named again and again.
fn about(all: &[Complaint], scenario: &str) -> Vec<Complaint> {
    let mut found: Vec<Complaint> = all
        .iter()
        .filter(|complaint| complaint.hangs_in(scenario))
        .cloned()
        .collect();
    found.dedup_by_key(|complaint| complaint.kind);
    found
}

/// Everything that the kernel complains of while the scenario runs once.
fn hear(surroundings: &Surroundings, scenario: &PlannedScenario) -> Result<Vec<Complaint>> {
    mark(&scenario.name)?;
    run_once(surroundings, scenario)?;
    Ok(kernel_log::complaints(&kernel_log::since(&marking(
        &scenario.name,
    ))?))
}

fn run_once(surroundings: &Surroundings, scenario: &PlannedScenario) -> Result<()> {
    match surroundings.run(scenario) {
        Ok(()) => Ok(()),
        Err(Failure::Failed(error)) => Err(error.context(format!("{} failed", scenario.name))),
        Err(Failure::Hangs) => bail!("{} did not return", scenario.name),
    }
}

fn marking(name: &str) -> String {
    format!("lastref_lab: now {name}\n")
}

fn mark(name: &str) -> Result<()> {
    fs::write("/dev/kmsg", marking(name)).context("the kernel's log cannot be written")
}

/// lockdep ends itself with its first report (`debug_locks_off()`).
fn lockdep_is_on() -> Result<bool> {
    let text = fs::read_to_string("/proc/lockdep_stats")
        .context("lockdep's state cannot be read: a kernel with PROVE_LOCKING is needed")?;
    let state = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("debug_locks:"))
        .context("/proc/lockdep_stats does not say whether lockdep is on")?;
    Ok(state.trim() == "1")
}
