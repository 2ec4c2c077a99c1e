//! The table of checks, and those that are about counts: many puts, full maps, a stopped agent.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::inside::Plan;
use super::load::{Background, KINDS, Kind, cpus};
use super::watch::{PLAIN, Watch};
use super::{hooks, memory, mishaps};
use crate::children::Signal;

/// One check.
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What happens, and what must hold then.
    pub what: &'static str,
    /// Makes it; the numbers are for people.
    pub run: fn(&Plan) -> Result<String>,
}

/// Every check, in its order.
pub const CHECKS: &[Check] = &[
    check(
        "counts",
        "All CPUs make puts of every kind: each is counted, at its site, and nothing is lost",
        counts,
    ),
    check(
        "maps-full",
        "Twice as many sites as there is room for: the rest is in the totals, and the losses say so",
        maps_full,
    ),
    check(
        "ring-full",
        "The agent is stopped and does not empty the ring: further examples are lost, and told; no count is",
        ring_full,
    ),
    check(
        "stopped",
        "The agent is stopped for long under load (`SIGSTOP`): it misses nothing",
        stopped,
    ),
    check(
        "two-agents",
        "Another agent comes and goes, by the other way to attach: both count the same",
        two_agents,
    ),
    check(
        "hooked",
        "Others have return addresses hooked: the stacks of different chains of calls are told apart",
        hooks::hooked,
    ),
    check(
        "killed",
        "`kill -9` at moments all over its life, under load: the kernel takes everything back, the last report is whole",
        mishaps::killed,
    ),
    check(
        "attached-and-detached",
        "Started and ended under load, at several levels and ways: it goes well each time",
        mishaps::attached_and_detached,
    ),
    check(
        "out-of-memory",
        "In memory cgroups of several sizes: with too little it says so or is killed, with enough it watches",
        mishaps::out_of_memory,
    ),
    check(
        "disk-full",
        "The disk of `--output` fills up: it goes on, says so, keeps the last whole report, and fails at the end",
        mishaps::disk_full,
    ),
    check(
        "output-removed",
        "The directory of `--output` goes: the same, and what was seen is printed",
        mishaps::output_removed,
    ),
    check(
        "clock-stepped",
        "The clock is set forward by 100 hours and back: counts are exact, times are right",
        mishaps::clock_stepped,
    ),
    check(
        "cpu-offline",
        "A CPU goes down and up, twice: what was counted there stays counted",
        mishaps::cpu_offline,
    ),
];

/// The one that `soak` makes.
pub static SOAK: Check = check(
    "soak",
    "It watches under load for long: its memory does not grow, counts are exact",
    memory::soak,
);

/// The check of this name.
pub fn named(name: &str) -> Option<&'static Check> {
    CHECKS
        .iter()
        .chain([&SOAK])
        .find(|check| check.name == name)
}

const fn check(name: &'static str, what: &'static str, run: fn(&Plan) -> Result<String>) -> Check {
    Check { name, what, run }
}

/// Chains of calls of the load: fewer than the maps have room for, many enough to matter.
pub const SOME_CHAINS: u32 = 64;
/// More than the maps have room for.
const TOO_MANY_CHAINS: u32 = 1 << 14;
/// As many as there is room for, each of which has more to say than the ring holds.
const MANY_CHAINS: u32 = 1 << 12;
/// Writers besides one for each CPU.
const MORE_WRITERS: u64 = 1;

/// All CPUs make puts of every kind: all are counted, each at its site.
fn counts(plan: &Plan) -> Result<String> {
    let watch = Watch::start(plan, "counts", PLAIN)?;
    let writers = cpus() + MORE_WRITERS;
    let puts = plan.amounts.puts;
    // Most puts are benign; those that are looked at take far longer.
    for (kind, share) in [
        (Kind::Kept, puts * 8 / 10),
        (Kind::Evicted, puts / 10),
        (Kind::Nofs, puts / 10),
    ] {
        kind.fire(share, writers, SOME_CHAINS)?;
    }
    let counted = watch.count()?;
    ensure!(
        counted.lost_nothing(),
        "something was lost: {}",
        counted.describe()
    );
    counted.check_exact()?;
    Ok(counted.describe())
}

/// More sites than the maps have room for: the rest is counted as lost, to the put.
fn maps_full(plan: &Plan) -> Result<String> {
    let watch = Watch::start(plan, "maps-full", PLAIN)?;
    let puts = 2 * u64::from(TOO_MANY_CHAINS);
    Kind::Nofs.fire(puts, cpus(), TOO_MANY_CHAINS)?;
    let counted = watch.count()?;
    let lost = counted.check_loss_is_exact()?;
    for map in ["sites_full", "stacks_full", "samples_full"] {
        ensure!(counted.lost(map) > 0, "{map} is 0: the map was not full");
    }
    Ok(format!(
        "{}; {lost} lost, all of them told",
        counted.describe()
    ))
}

/// A stopped agent does not empty the ring: examples are lost and told, counts are not.
fn ring_full(plan: &Plan) -> Result<String> {
    let mut watch = Watch::start(plan, "ring-full", PLAIN)?;
    watch.lastref().signal(Signal::STOP)?;
    Kind::Nofs.fire(4 * u64::from(MANY_CHAINS), 1, MANY_CHAINS)?;
    watch.lastref().signal(Signal::CONT)?;
    let counted = watch.count()?;
    counted.check_exact()?;
    let lost = counted.lost("ring_full");
    ensure!(lost > 0, "the ring was not full");
    Ok(format!(
        "{}; {lost} examples lost, and told",
        counted.describe()
    ))
}

/// An agent that is stopped for long misses nothing.
fn stopped(plan: &Plan) -> Result<String> {
    let mut watch = Watch::start(plan, "stopped", PLAIN)?;
    watch.lastref().signal(Signal::STOP)?;
    let load = Background::start(SOME_CHAINS);
    thread::sleep(plan.amounts.stopped);
    load.stop()?;
    watch.lastref().signal(Signal::CONT)?;
    let counted = watch.count()?;
    counted.check_exact()?;
    Ok(format!(
        "stopped for {} s: {}",
        plan.amounts.stopped.as_secs(),
        counted.describe()
    ))
}

/// Two agents at once, one by each way to attach: each counts the same before the other comes, while
/// it is there and after it has gone. The ways of the kernel to the programs are others each time.
fn two_agents(plan: &Plan) -> Result<String> {
    let puts = plan.amounts.puts / 20;
    let fire = || {
        KINDS
            .iter()
            .try_for_each(|kind| kind.fire(puts, cpus(), SOME_CHAINS))
    };
    let mut numbers = Vec::new();
    for (own, others) in [("kprobe", "fentry"), ("fentry", "kprobe")] {
        let watch = Watch::start(plan, &format!("{own}-agent"), &["--attach", own])?;
        fire()?;
        let other = Watch::start(plan, &format!("{others}-beside"), &["--attach", others])?;
        fire()?;
        let beside = other.count()?;
        beside
            .check_exact()
            .with_context(|| format!("by {others}, beside one by {own}"))?;
        fire()?;
        let counted = watch.count()?;
        counted
            .check_exact()
            .with_context(|| format!("by {own}, one by {others} beside it for a while"))?;
        numbers.push(format!("by {own} {}", counted.describe()));
    }
    Ok(numbers.join("; "))
}

/// For how long something is left to happen.
pub const A_WHILE: Duration = Duration::from_secs(3);
