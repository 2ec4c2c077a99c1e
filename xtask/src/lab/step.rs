//! Runs one scenario inside a guest, with what the guest has to do before, meanwhile and after it.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::io::Errno;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::session::PlannedScenario;
use crate::progress::{output_of, read_lossy};

/// The module's files.
pub const CONTROL: &str = "/sys/kernel/debug/lastref_lab";
/// Its parameter: how long a scenario waits for the dentry cache to be shrunk.
const PATIENCE_MS: &str = "/sys/module/lastref_lab/parameters/patience_ms";
/// The module that can be unloaded, and its file.
const UNLOADABLE: &str = "lastref_lab_unloadable";
const MOUNTS: &str = "/run/lastref_lab";
const CGROUPS: &str = "/run/lastref_lab_cgroups";
const CPU: &str = "/sys/devices/system/cpu/cpu1/online";
/// Everything takes long under emulation, with other guests beside.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);
/// The report is replaced once a second.
const REPORT_POLL: Duration = Duration::from_millis(500);

/// What a guest does around a scenario.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Before: an ext4 on the module's disk, without delayed allocation.
    Ext4,
    /// Before: a btrfs on the module's disk.
    Btrfs,
    /// Before: a memory cgroup with little memory, and the task in it.
    MemoryCgroup,
    /// Meanwhile: every run is a process's that the scenario kills.
    Killed,
    /// Meanwhile: a CPU goes down, and up again.
    CpuOffline,
    /// Before and after: a second module is loaded, and unloaded once the report has the scenario.
    Unload,
}

/// Why a scenario did not run as it should.
#[derive(Debug)]
pub enum Failure {
    /// It, or what the guest does around it, failed.
    Failed(anyhow::Error),
    /// It did not return.
    Hangs,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Where scenarios run.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The lab's module.
    pub module: &'a Path,
    /// The report that `lastref` keeps writing.
    pub report: &'a Path,
}

/// Loads the lab's module.
pub fn load_module(module: &Path) -> Result<()> {
    output_of(Command::new("insmod").arg(module)).context("the lab's module cannot be loaded")?;
    Ok(())
}

/// Sets for how long scenarios wait for the dentry cache to be shrunk, in milliseconds.
pub fn set_patience(milliseconds: &str) -> Result<()> {
    write(Path::new(PATIENCE_MS), milliseconds)
}

/// Has the module run a scenario, in this task.
pub fn trigger(name: &str, count: u64, path: Option<&Path>) -> Result<(), Errno> {
    fs::write(control(), order(name, count, path))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn control() -> PathBuf {
    Path::new(CONTROL).join("run")
}

fn order(name: &str, count: u64, path: Option<&Path>) -> String {
    let path = path.map_or_else(String::new, |path| format!(" {}", path.display()));
    format!("{name} {count}{path}\n")
}

impl Surroundings<'_> {
    /// Runs a scenario as often as it is to run.
    pub fn run(&self, scenario: &PlannedScenario) -> Result<(), Failure> {
        match scenario.guest {
            None => finish(&start(scenario, None)),
            Some(Step::Ext4) => EXT4.run(scenario),
            Some(Step::Btrfs) => BTRFS.run(scenario),
            Some(Step::MemoryCgroup) => in_memory_cgroup(scenario),
            Some(Step::Killed) => (0..scenario.count).try_for_each(|_| {
                let status = run_in_process(&order(&scenario.name, 1, None), None)?;
                if status.signal() == Some(Signal::KILL.as_raw()) {
                    Ok(())
                } else {
                    Err(anyhow!("a process that had to be killed ended with {status}").into())
                }
            }),
            Some(Step::CpuOffline) => around_cpu_offline(scenario),
            Some(Step::Unload) => {
                let file = format!("{UNLOADABLE}.ko");
                load_module(&self.module.with_file_name(file))?;
                finish(&start(scenario, None))?;
                Ok(self.unload_once_reported(&scenario.name)?)
            }
        }
    }

    /// Unloads the second module when the report names the scenario, and waits for the next one.
    fn unload_once_reported(&self, name: &str) -> Result<()> {
        wait_until("the report does not name the scenario", || {
            Ok(read_lossy(self.report).contains(name))
        })?;
        output_of(Command::new("rmmod").arg(UNLOADABLE))
            .context("the module cannot be unloaded")?;
        let written = || {
            fs::metadata(self.report)
                .and_then(|file| file.modified())
                .context("the report's age cannot be told")
        };
        let unloaded = written()?;
        wait_until(
            "no further report is written",
            || Ok(written()? != unloaded),
        )
    }
}

fn wait_until(problem: &str, condition: impl Fn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        ensure!(start.elapsed() < PATIENCE, "{problem}");
        thread::sleep(REPORT_POLL);
    }
    Ok(())
}

/// Runs a scenario in a thread of its own: should it hang, only that thread does.
fn start(scenario: &PlannedScenario, path: Option<PathBuf>) -> Receiver<Result<(), Errno>> {
    let (sender, receiver) = channel();
    let (name, count) = (scenario.name.clone(), scenario.count);
    thread::spawn(move || sender.send(trigger(&name, count, path.as_deref())));
    receiver
}

fn finish(running: &Receiver<Result<(), Errno>>) -> Result<(), Failure> {
    match running.recv_timeout(PATIENCE) {
        Ok(result) => result.map_err(|error| Failure::Failed(error.into())),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(Failure::Hangs),
    }
}

/// A filesystem on one of the module's disks.
struct Filesystem {
    kind: &'static str,
    disk: &'static str,
    force: &'static str,
    options: &'static str,
}

const EXT4: Filesystem = Filesystem {
    kind: "ext4",
    disk: "/dev/lastref_lab_disk0",
    force: "-F",
    options: "nodelalloc",
};

const BTRFS: Filesystem = Filesystem {
    kind: "btrfs",
    disk: "/dev/lastref_lab_disk1",
    force: "-f",
    options: "defaults",
};

impl Filesystem {
    /// Runs a scenario with the path of a file on it.
    fn run(&self, scenario: &PlannedScenario) -> Result<(), Failure> {
        let path = self.mounted()?.join("file");
        finish(&start(scenario, Some(path)))
    }

    /// Where it is mounted, once for all sessions.
    fn mounted(&self) -> Result<PathBuf> {
        let path = Path::new(MOUNTS).join(self.kind);
        if !path.exists() {
            fs::create_dir_all(&path)
                .with_context(|| format!("{} cannot be created", path.display()))?;
            output_of(
                Command::new(format!("mkfs.{}", self.kind)).args(["-q", self.force, self.disk]),
            )?;
            output_of(
                Command::new("mount")
                    .args(["-t", self.kind, "-o", self.options, self.disk])
                    .arg(&path),
            )?;
        }
        Ok(path)
    }
}

/// Writes an order for the module from a process of its own, perhaps in a cgroup.
fn run_in_process(order: &str, cgroup: Option<&Path>) -> Result<ExitStatus, Failure> {
    let procs = cgroup.map_or_else(|| "/dev/null".into(), |cgroup| cgroup.join("cgroup.procs"));
    let child = Command::new("sh")
        .args(["-c", r#"echo 0 > "$1" && echo "$2" > "$3""#, "sh"])
        .arg(procs)
        .arg(order.trim_end())
        .arg(control())
        .spawn()
        .context("a shell cannot be started")?;
    wait_for(child)
}

fn wait_for(mut child: Child) -> Result<ExitStatus, Failure> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("a shell cannot be waited for")? {
            return Ok(status);
        }
        if start.elapsed() > PATIENCE {
            return Err(Failure::Hangs);
        }
        thread::sleep(POLL);
    }
}

fn in_memory_cgroup(scenario: &PlannedScenario) -> Result<(), Failure> {
    let cgroup = memory_cgroup()?;
    // Moving a task puts the inode of this file under the cgroups' locks (cgroup_may_write(),
    // kernel/cgroup/cgroup.c): that is the last reference unless the file is open.
    let procs = Path::new(CGROUPS).join("cgroup.procs");
    let _open =
        File::open(&procs).with_context(|| format!("{} cannot be read", procs.display()))?;
    let status = run_in_process(&order(&scenario.name, scenario.count, None), Some(&cgroup))?;
    if status.success() {
        Ok(())
    } else {
        Err(anyhow!("the process in the memory cgroup ended with {status}").into())
    }
}

/// A cgroup with the memory controller of the second version, made once.
fn memory_cgroup() -> Result<PathBuf> {
    let root = Path::new(CGROUPS);
    let cgroup = root.join("lastref_lab");
    if !root.exists() {
        fs::create_dir(root).with_context(|| format!("{CGROUPS} cannot be created"))?;
        output_of(Command::new("mount").args(["-t", "cgroup2", "none", CGROUPS]))?;
        write(&root.join("cgroup.subtree_control"), "+memory")?;
        fs::create_dir(&cgroup).context("a cgroup cannot be created")?;
        write(&cgroup.join("memory.max"), "8M")?;
    }
    Ok(cgroup)
}

fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("{} cannot be written", path.display()))
}

/// Runs a scenario in three parts: with all CPUs, with one of them down, and with it up again.
///
/// In between the devices' events that this causes are waited for: a task that is preempted in one
/// of the probes' programs keeps the kernel from running it for others on that CPU.
fn around_cpu_offline(scenario: &PlannedScenario) -> Result<(), Failure> {
    let third = scenario.count / 3;
    for (online, count) in [
        (None, third),
        (Some("0"), third),
        (Some("1"), scenario.count - 2 * third),
    ] {
        if let Some(online) = online {
            write(Path::new(CPU), online)?;
            output_of(Command::new("udevadm").arg("settle"))?;
        }
        let part = PlannedScenario {
            count,
            ..scenario.clone()
        };
        finish(&start(&part, None))?;
    }
    Ok(())
}
