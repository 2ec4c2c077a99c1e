//! The measurement inside a guest: under each watcher in turn, calls of each kind.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::calls::{CALLS, NOTHING, Steps};
use super::watcher::Watcher;
use crate::lab::{inside, load_module};
use crate::progress::{read_lossy, tail};
use crate::{children, guest_plan, tracefs};

/// The module's file: a kind of call is written, the steps of each call are read.
const CONTROL: &str = "/sys/kernel/debug/lastref_lab_bench";
const POLL: Duration = Duration::from_millis(100);

/// Options of the hidden subcommand that runs inside the guest.
#[derive(Debug, Args)]
pub struct GuestBench {
    /// The plan, as JSON
    plan: PathBuf,
}

/// What the guest is to do.
#[derive(Debug, Deserialize, Serialize)]
pub struct Plan {
    /// The lab's module.
    pub module: PathBuf,
    /// The `lastref` binary.
    pub lastref: PathBuf,
    /// Where all results go.
    pub output: PathBuf,
    /// Who watches, in order.
    pub watchers: Vec<Watcher>,
}

/// What was measured under one watcher.
#[derive(Debug, Deserialize, Serialize)]
pub struct Measured {
    /// Who watched.
    pub watcher: Watcher,
    /// What calls of each kind took, by the module's name for them.
    pub steps: BTreeMap<String, Steps>,
    /// What went wrong, if anything.
    pub problem: Option<String>,
}

impl Plan {
    /// Where the results are.
    pub fn results(&self) -> PathBuf {
        self.output.join("measured.json")
    }
}

/// Carries out the plan. Results are written down as they come: the guest may not get to its end.
pub fn run(options: &GuestBench) -> Result<u8> {
    let plan: Plan = guest_plan::read(&options.plan)?;
    load_module(&plan.module)?;
    let mut results = Vec::new();
    for &watcher in &plan.watchers {
        println!("{watcher}");
        let mut steps = BTreeMap::new();
        let outcome = measure_under(&plan, watcher, &mut steps);
        results.push(Measured {
            watcher,
            steps,
            problem: outcome.err().map(|error| format!("{error:#}")),
        });
        let path = plan.results();
        fs::write(&path, serde_json::to_string_pretty(&results)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(0)
}

fn measure_under(plan: &Plan, watcher: Watcher, steps: &mut BTreeMap<String, Steps>) -> Result<()> {
    if let Some(session) = watcher.session() {
        let mut running = inside::start(&plan.lastref, &plan.output, &session)?;
        let outcome = measure(steps);
        running.stop()?;
        outcome
    } else if let Some(script) = watcher.script() {
        let running = Bpftrace::start(script, &watcher.log(&plan.output))?;
        let outcome = measure(steps);
        running.stop()?;
        outcome
    } else {
        measure(steps)
    }
}

fn measure(steps: &mut BTreeMap<String, Steps>) -> Result<()> {
    let names = CALLS.iter().map(|call| call.name);
    for name in [NOTHING].into_iter().chain(names) {
        fs::write(CONTROL, name)
            .with_context(|| format!("the module does not make the calls {name}"))?;
        let text = fs::read_to_string(CONTROL)
            .with_context(|| format!("the steps of {name} cannot be read"))?;
        steps.insert(name.to_string(), Steps::parse(&text)?);
    }
    Ok(())
}

/// A running bpftrace.
struct Bpftrace {
    child: Child,
    log: PathBuf,
}

impl Bpftrace {
    /// Starts it and waits until its program is attached, for as long as that takes: the guest's
    /// clock says nothing of how long it has worked.
    fn start(script: &str, log: &Path) -> Result<Self> {
        ensure!(!is_watched()?, "somebody watches iput() already");
        let output =
            File::create(log).with_context(|| format!("{} cannot be created", log.display()))?;
        let errors = output.try_clone().context("a file cannot be shared")?;
        let child = Command::new("bpftrace")
            .args(["-e", script])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("bpftrace cannot be started")?;
        let mut running = Self {
            child,
            log: log.to_path_buf(),
        };
        while !is_watched()? {
            let ended = running.child.try_wait();
            if let Some(status) = ended.context("bpftrace cannot be waited for")? {
                anyhow::bail!(
                    "bpftrace ended with {status} before it was attached: {}",
                    tail(&read_lossy(&running.log), 20)
                );
            }
            thread::sleep(POLL);
        }
        Ok(running)
    }

    /// Ends it, and waits until its program is detached.
    fn stop(mut self) -> Result<()> {
        children::interrupt(&self.child).context("bpftrace cannot be interrupted")?;
        let status = self.child.wait().context("bpftrace cannot be waited for")?;
        ensure!(
            status.success(),
            "bpftrace ended with {status}: {}",
            tail(&read_lossy(&self.log), 20)
        );
        while is_watched()? {
            thread::sleep(POLL);
        }
        Ok(())
    }
}

fn is_watched() -> Result<bool> {
    let path = tracefs::ENABLED_FUNCTIONS;
    let list = fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    Ok(list.lines().any(|line| line.starts_with("iput ")))
}
