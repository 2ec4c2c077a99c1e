//! The soak: `lastref` watches for long under load, and neither its memory nor its error grows.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::checks::SOME_CHAINS;
use super::inside::Plan;
use super::load::Background;
use super::watch::{Watch, number_in};

/// How it watches.
const OPTIONS: &[&str] = &["--attach", "auto", "--cost"];
/// How often memory is read.
const READINGS: u32 = 30;
/// What may be added to it after the first third, in KiB: the allocator's own affair. A list that
/// grew with each interval or each put would pass it.
const GROWTH_KIB: u64 = 2048;

/// Watches under load for the plan's time.
pub fn soak(plan: &Plan) -> Result<String> {
    let mut watch = Watch::start(plan, "soak", OPTIONS)?;
    let process = watch.lastref().id();
    let load = Background::start(SOME_CHAINS);
    let start = Instant::now();
    let mut readings = Vec::new();
    for _ in 0..READINGS {
        thread::sleep(plan.amounts.soak / READINGS);
        readings.push(resident_kib(process)?);
    }
    load.stop()?;
    let took: Duration = start.elapsed();
    let report = watch.report().to_path_buf();
    let counted = watch.count()?;
    counted.check_exact()?;
    let agent = Duration::from_nanos(number_in(&report, "/capture/cost/agent_cpu_ns")?);
    let (warm, rest) = readings.split_at(readings.len() / 3);
    let before = warm.iter().max().copied().unwrap_or(0);
    let after = rest.iter().max().copied().unwrap_or(0);
    ensure!(
        after <= before + GROWTH_KIB,
        "resident memory grew from {before} to {after} KiB: {readings:?}"
    );
    Ok(format!(
        "{} s, {} puts; {} s of CPU time by the agent; resident memory at most {before} KiB in the first third and {after} KiB after \
         it; {}",
        took.as_secs(),
        counted.all_made(),
        agent.as_secs(),
        counted.describe()
    ))
}

/// A process's resident memory.
fn resident_kib(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .with_context(|| format!("{path} does not tell the resident memory"))
}
