//! The guest's part: a cluster, its filesystem mounted, and `lastref` around each phase.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::PHASES;
use super::cluster::{Cluster, SOURCE};
use super::work::{Mounts, Phase};
use crate::field::watch::Watch;
use crate::guest_plan;
use crate::progress::output_of;

/// In memory.
const BASE: &str = "/run/lastref-ceph";
/// Each mount is a client of its own.
const OPTIONS: &str = "name=admin,noshare";
/// The client that is looked at hands back capabilities that no open file wants after a second or
/// two. The other one has a minute, as every client has by default: what it has open counts.
const EAGER: &str = "caps_wanted_delay_min=1,caps_wanted_delay_max=2";
/// For the metadata server to come up.
const MOUNT: Duration = Duration::from_mins(3);
/// For one phase.
const LIMIT: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_secs(1);

/// What the guest is to do.
#[derive(Debug, Deserialize, Serialize)]
pub struct Plan {
    /// The `lastref` binary.
    pub lastref: PathBuf,
    /// Ceph's programs.
    pub packages: PathBuf,
    /// Where all results go.
    pub output: PathBuf,
}

/// What became of one phase.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Ran {
    /// The phase; none: what comes before all.
    pub phase: Option<Phase>,
    /// What went wrong, if anything.
    pub problem: Option<String>,
    /// From start to end, in seconds.
    pub seconds: f64,
}

/// Options of the hidden subcommand that runs inside the guest.
#[derive(Debug, Args)]
pub struct GuestCeph {
    /// The plan, as JSON
    plan: PathBuf,
    /// Only the workload of this phase, which everything is ready for
    #[arg(long, value_name = "PHASE")]
    phase: Option<Phase>,
}

impl Plan {
    /// Where the results are listed.
    pub fn results(&self) -> PathBuf {
        self.output.join("results.json")
    }

    /// Where a phase's report is.
    pub fn report(&self, phase: Phase) -> PathBuf {
        self.output.join(format!("{}.json", phase.name()))
    }
}

/// Carries out the plan, or one phase of it.
pub fn run(options: &GuestCeph) -> Result<u8> {
    let plan: Plan = guest_plan::read(&options.plan)?;
    let mounts = Mounts {
        here: Path::new(BASE).join("here"),
        there: Path::new(BASE).join("there"),
    };
    match options.phase {
        Some(phase) => phase.run(&mounts, &Cluster::started(Path::new(BASE)))?,
        None => run_all(&plan, &options.plan, &mounts)?,
    }
    Ok(0)
}

fn run_all(plan: &Plan, path: &Path, mounts: &Mounts) -> Result<()> {
    let mut results = Vec::new();
    let ready = timed(None, || prepare(plan, mounts));
    let mut good = ready.problem.is_none();
    results.push(ready);
    note(plan, &results)?;
    for (phase, options) in PHASES {
        if !good {
            break;
        }
        println!("{}", phase.name());
        let ran = timed(Some(phase), || watch(plan, path, phase, options));
        // A task that hangs would only hold up the next phase as well.
        good = ran.problem.is_none();
        results.push(ran);
        note(plan, &results)?;
    }
    // Nothing is unmounted: the last phase leaves a flusher that hangs.
    Ok(())
}

fn prepare(plan: &Plan, mounts: &Mounts) -> Result<()> {
    Cluster::start(&plan.packages, Path::new(BASE)).context("there is no cluster")?;
    output_of(Command::new("modprobe").arg("ceph"))?;
    mount(&mounts.here, &format!("{OPTIONS},{EAGER}"))?;
    mount(&mounts.there, OPTIONS)
}

fn mount(place: &Path, options: &str) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("{} cannot be created", place.display()))?;
    let start = Instant::now();
    loop {
        // Without Debian's helper: the kernel knows the address.
        let mounted = output_of(
            Command::new("mount")
                .args(["-i", "-t", "ceph", "-o", options, SOURCE])
                .arg(place),
        );
        match mounted {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > MOUNT => {
                return Err(error).context("CephFS cannot be mounted");
            }
            // There is no active metadata server yet.
            Err(_) => thread::sleep(POLL),
        }
    }
}

fn watch(plan: &Plan, path: &Path, phase: Phase, options: &[&str]) -> Result<()> {
    Watch {
        lastref: &plan.lastref,
        options,
        report: &plan.report(phase),
        log: &plan.output.join(format!("{}.log", phase.name())),
        limit: LIMIT,
    }
    .run(
        Command::new(std::env::current_exe().context("this program cannot be found")?)
            .arg("guest-ceph")
            .arg(path)
            .args(["--phase", phase.name()]),
    )
}

fn timed(phase: Option<Phase>, work: impl FnOnce() -> Result<()>) -> Ran {
    let start = Instant::now();
    let result = work();
    Ran {
        phase,
        problem: result.err().map(|error| format!("{error:#}")),
        seconds: start.elapsed().as_secs_f64(),
    }
}

/// Results are written down after each phase: the next one may take the guest with it.
fn note(plan: &Plan, results: &[Ran]) -> Result<()> {
    let path = plan.results();
    fs::write(&path, serde_json::to_string_pretty(results)?)
        .with_context(|| format!("{} cannot be written", path.display()))
}
