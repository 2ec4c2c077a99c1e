//! Checks in which something happens to the agent or to its machine while it watches under load.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::checks::{A_WHILE, SOME_CHAINS};
use super::inside::Plan;
use super::load::{Background, Kind, cpus};
use super::watch::{PLAIN, Watch, number_in, read_report};
use crate::children::Signal;
use crate::progress::output_of;

/// The ways to attach that are taken in turn.
const WAYS: [&[&str]; 4] = [
    &["--attach", "kprobe", "--level", "final"],
    &["--attach", "fentry", "--level", "final"],
    &["--attach", "kprobe", "--level", "latent"],
    &["--attach", "fentry", "--level", "evictions"],
];
/// The moments at which it is killed are spread evenly over its life, as multiples of the golden
/// ratio are.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
/// A life is as long as this many times what it takes to attach.
const LIFE: u32 = 3;
/// How long the kernel may take to have done with a killed process.
const GONE: Duration = Duration::from_mins(1);
/// Room for an agent, from far too little on. What it has in the kernel counts as well.
const MEMORY_LIMITS: [&str; 4] = ["2M", "16M", "64M", "256M"];
const CGROUPS: &str = "/run/lastref_fire_cgroups";
const SMALL: &str = "/run/lastref_fire_small";
const CPU: &str = "/sys/devices/system/cpu/cpu1/online";
/// How far the clock is set forward.
const STEP: Duration = Duration::from_hours(100);

/// Killed at moments all over its life, under load: the kernel takes everything back, and the last
/// report on disk is whole.
pub fn killed(plan: &Plan) -> Result<String> {
    let load = Background::start(SOME_CHAINS);
    let start = Instant::now();
    let mut measured = Watch::start(plan, "killed", WAYS[0])?;
    let life = start.elapsed() * LIFE;
    measured.stop()?;
    fs::remove_file(measured.report()).context("a report cannot be removed")?;
    let (mut attached, mut reports) = (0, 0);
    for kill in 0..plan.amounts.kills {
        let way = WAYS[kill as usize % WAYS.len()];
        let moment = life.mul_f64((f64::from(kill) * GOLDEN_RATIO).fract());
        let mut watch = Watch::spawn(plan, "killed", way, &plan.output)?;
        thread::sleep(moment);
        if let Some(status) = watch.lastref().status()? {
            bail!(
                "lastref ended by itself with {status}: {}",
                watch.lastref().log_tail()
            );
        }
        attached += u32::from(watch.lastref().is_ready());
        watch.lastref().signal(Signal::KILL)?;
        watch.lastref().wait()?;
        if watch.report().exists() {
            read_report(watch.report())?;
            output_of(
                Command::new(&plan.lastref)
                    .arg("report")
                    .arg(watch.report()),
            )?;
            fs::remove_file(watch.report()).context("a report cannot be removed")?;
            reports += 1;
        }
    }
    load.stop()?;
    ensure!(attached > 0, "it was never attached when it was killed");
    ensure!(reports > 0, "it never had a report when it was killed");
    Ok(format!(
        "killed {} times, {attached} of them while attached; {reports} reports left, all readable",
        plan.amounts.kills
    ))
}

/// Attached and detached under load, over and over: it goes well each time.
pub fn attached_and_detached(plan: &Plan) -> Result<String> {
    let load = Background::start(SOME_CHAINS);
    for attachment in 0..plan.amounts.attachments {
        let way = WAYS[attachment as usize % WAYS.len()];
        Watch::start(plan, "attached", way)?.stop()?;
    }
    load.stop()?;
    Ok(format!("{} times", plan.amounts.attachments))
}

/// With too little memory it says so or is killed by the kernel, and leaves nothing behind; with
/// enough it works.
pub fn out_of_memory(plan: &Plan) -> Result<String> {
    let cgroups = Path::new(CGROUPS);
    let mounted = Mounted::new("cgroup2", cgroups, "")?;
    fs::write(cgroups.join("cgroup.subtree_control"), "+memory")
        .context("memory cgroups cannot be had")?;
    let load = Background::start(SOME_CHAINS);
    let mut fates = Vec::new();
    for limit in MEMORY_LIMITS {
        let cgroup = cgroups.join(limit);
        fs::create_dir(&cgroup).context("a memory cgroup cannot be made")?;
        fs::write(cgroup.join("memory.max"), limit).context("a memory limit cannot be set")?;
        let fate = in_cgroup(plan, &cgroup);
        // It is busy until the last of the group's processes is gone.
        let start = Instant::now();
        while let Err(error) = fs::remove_dir(&cgroup) {
            ensure!(
                start.elapsed() < GONE,
                "a memory cgroup cannot be removed: {error}"
            );
            thread::sleep(Duration::from_millis(50));
        }
        fates.push((limit, fate?));
    }
    load.stop()?;
    drop(mounted);
    ensure!(
        fates.last().is_some_and(|(_, fate)| fate == WATCHED),
        "even the largest limit was too small: {fates:?}"
    );
    ensure!(
        fates.iter().any(|(_, fate)| fate != WATCHED),
        "no limit was too small"
    );
    let words: Vec<String> = fates
        .iter()
        .map(|(limit, fate)| format!("{limit} {fate}"))
        .collect();
    Ok(words.join(", "))
}

const WATCHED: &str = "watched";

/// What becomes of an agent in this cgroup.
fn in_cgroup(plan: &Plan, cgroup: &Path) -> Result<String> {
    let processes = cgroup.join("cgroup.procs");
    let own = std::process::id().to_string();
    fs::write(&processes, &own).context("a memory cgroup cannot be entered")?;
    let spawned = Watch::spawn(plan, "out-of-memory", PLAIN, &plan.output);
    // The check itself is not to be killed.
    let root = Path::new(CGROUPS).join("cgroup.procs");
    fs::write(root, &own).context("a memory cgroup cannot be left")?;
    let mut watch = spawned?;
    let ended = loop {
        if watch.lastref().is_ready() {
            break None;
        }
        if let Some(status) = watch.lastref().status()? {
            break Some(status);
        }
        thread::sleep(Duration::from_millis(50));
    };
    match ended {
        None => {
            thread::sleep(A_WHILE);
            watch.stop()?;
            Ok(WATCHED.to_string())
        }
        Some(status) => {
            let told = watch.lastref().log_tail();
            ensure!(
                status.code().is_none_or(|code| [2, 4].contains(&code)),
                "lastref ended with {status}: {told}"
            );
            ensure!(
                status.code().is_none() || !told.is_empty(),
                "lastref ended with {status} and said nothing"
            );
            Ok(format!("{status}"))
        }
    }
}

/// With a full disk it goes on watching, says so and fails at the end; what is on the disk stays
/// readable.
pub fn disk_full(plan: &Plan) -> Result<String> {
    let directory = Path::new(SMALL);
    let mounted = Mounted::new("tmpfs", directory, "size=256k")?;
    let mut watch = Watch::start_in(plan, "disk-full", PLAIN, directory)?;
    Kind::Nofs.fire(20, 1, 1)?;
    thread::sleep(A_WHILE);
    read_report(watch.report()).context("before the disk was full")?;
    // As much as there is room for: that it fails in the end is what is wanted.
    let _ = fs::write(directory.join("other"), vec![0_u8; 1 << 18]);
    Kind::Nofs.fire(2000, cpus(), 1000)?;
    thread::sleep(A_WHILE);
    read_report(watch.report()).context("with the disk full")?;
    let told = ends_badly(&mut watch)?;
    drop(mounted);
    Ok(format!("the last whole report stays; it says: {told}"))
}

/// Without its directory it goes on watching, says so and fails at the end.
pub fn output_removed(plan: &Plan) -> Result<String> {
    let directory = plan.output.join("removed");
    fs::create_dir(&directory).context("a directory cannot be made")?;
    let mut watch = Watch::start_in(plan, "output-removed", PLAIN, &directory)?;
    fs::remove_dir_all(&directory).context("a directory cannot be removed")?;
    Kind::Nofs.fire(2000, cpus(), SOME_CHAINS)?;
    thread::sleep(A_WHILE);
    let told = ends_badly(&mut watch)?;
    Ok(format!("it says: {told}"))
}

/// Ends it: the status must be that of a failure, with a message.
fn ends_badly(watch: &mut Watch) -> Result<String> {
    if let Some(status) = watch.lastref().status()? {
        bail!("lastref did not go on, but ended with {status}");
    }
    let status = watch.lastref().stop()?;
    let tail = watch.lastref().log_tail();
    let log = watch.lastref().log();
    ensure!(
        status.code() == Some(2),
        "lastref ended with {status}: {tail}"
    );
    ensure!(
        log.contains("final puts"),
        "what was seen is not printed: {tail}"
    );
    log.lines()
        .find(|line| line.contains("cannot write"))
        .map(str::to_string)
        .with_context(|| format!("lastref does not say what failed: {tail}"))
}

/// The clock is set forward by days: counts are exact, and times are times.
pub fn clock_stepped(plan: &Plan) -> Result<String> {
    let watch = Watch::start(plan, "clock-stepped", PLAIN)?;
    let load = Background::start(SOME_CHAINS);
    thread::sleep(A_WHILE);
    step_clock(&format!("+{} seconds", STEP.as_secs()))?;
    thread::sleep(A_WHILE);
    step_clock(&format!("-{} seconds", STEP.as_secs()))?;
    load.stop()?;
    let report = watch.report().to_path_buf();
    let counted = watch.count()?;
    counted.check_exact()?;
    let duration = Duration::from_millis(number_in(&report, "/capture/duration_ms")?);
    ensure!(
        duration < STEP,
        "it says that it watched for {duration:?}: the clock's step is in it"
    );
    Ok(format!(
        "watched for {} s; {}",
        duration.as_secs(),
        counted.describe()
    ))
}

fn step_clock(by: &str) -> Result<()> {
    output_of(Command::new("date").args(["--set", by])).map(drop)
}

/// A CPU goes down and up: what was counted there stays counted.
pub fn cpu_offline(plan: &Plan) -> Result<String> {
    let watch = Watch::start(plan, "cpu-offline", PLAIN)?;
    let load = Background::start(SOME_CHAINS);
    for online in ["0", "1", "0", "1"] {
        thread::sleep(A_WHILE);
        fs::write(CPU, online).context("a CPU cannot be taken down or up")?;
    }
    thread::sleep(A_WHILE);
    load.stop()?;
    let counted = watch.count()?;
    counted.check_exact()?;
    Ok(format!("twice: {}", counted.describe()))
}

/// A mount for as long as this lives.
#[derive(Debug)]
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(filesystem: &str, at: &'a Path, options: &str) -> Result<Self> {
        fs::create_dir_all(at).with_context(|| format!("{} cannot be made", at.display()))?;
        let options = std::ffi::CString::new(options).context("a mount's options")?;
        mount(
            filesystem,
            at,
            filesystem,
            MountFlags::empty(),
            Some(options.as_c_str()),
        )
        .with_context(|| format!("{filesystem} cannot be mounted on {}", at.display()))?;
        Ok(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // It goes with the guest otherwise.
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}
