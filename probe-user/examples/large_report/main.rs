//! Prints a report with many sites, the same for the same number: what `lastref` makes of reports
//! is tried and measured on it. `cargo run -p probe-user --example large_report -- 10000`
//!
//! Calls are made up of frames that kernels have, and judged by the rules. Their numbers, places in
//! the source and inodes are random.

mod scenes;

use std::collections::{BTreeMap, HashSet};
use std::io::{BufWriter, Write as _};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use lastref::hazard::{self, Call, Outcome};
use lastref::report::model::{
    Attach, Bucket, Capture, Context, CountBucket, Counts, Dentries, Example, FactSheet, Frame,
    Inlined, InodeExample, Kernel, Level, LockSource, Losses, Moment, References, Report,
    SCHEMA_VERSION, Severity, Site, Source, StuckCall, Tool, Totals, Work, Workload,
};
use lastref::report::order;
use lastref::symbol;
use probe_common::{ALL_FACTS, Fact, Facts};

use scenes::{DCACHE, FILESYSTEMS, Filesystem, SCENES, Scene};

/// Of so many sites of a kind, one has a call that does not come back.
const STUCK_ONE_IN: usize = 8;

/// For how long the run is said to have watched, in milliseconds.
const DURATION_MS: u64 = 6 * 3_600_000;

/// In how many parts.
const MOMENTS: u64 = 180;

fn main() -> Result<()> {
    let sites = std::env::args()
        .nth(1)
        .context("say how many sites: large_report 10000")?
        .parse()
        .context("the number of sites is no number")?;
    let mut output = BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut output, &report(sites))?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

/// A report with that many sites.
fn report(number: usize) -> Report {
    let mut rng = Rng::with_seed(0x1a57_4ef0);
    let mut ids = HashSet::new();
    let mut sites = Vec::with_capacity(number);
    while sites.len() < number {
        let site = site(&mut rng);
        if ids.insert(site.id.clone()) {
            sites.push(site);
        }
    }
    let totals = totals(&sites);
    let (findings, other_sites) = order::assemble(sites);
    let losses = Losses {
        probe_hits_missed: Some(0),
        sites_full: 1_204,
        samples_full: 37,
        ring_full: 51_312,
        ..Losses::default()
    };
    Report {
        schema_version: SCHEMA_VERSION,
        tool: Tool {
            name: "lastref".into(),
            version: env!("CARGO_PKG_VERSION").into(),
        },
        kernel: Kernel {
            host: Some("example".into()),
            release: "7.3.4+deb13-amd64".into(),
            version: "#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1~bpo13+1 (2026-11-15)".into(),
            machine: "x86_64".into(),
            unknown_facts: BTreeMap::from([(
                Fact::LockHeld.name().into(),
                "this kernel has no task_struct.lockdep_depth".into(),
            )]),
            lock_source: LockSource::Owners,
            debug_information: vec!["/usr/lib/debug/boot/vmlinux-7.3.4+deb13-amd64: used".into()],
        },
        capture: Capture {
            started: "2026-11-23T02:00:00Z".into(),
            duration_ms: DURATION_MS,
            level: Level::Latent,
            attach: Attach::Fentry,
            attach_reason: "trampolines are safe on this kernel".into(),
            filesystems: Vec::new(),
            complete: false,
            incomplete_because: losses.gaps(),
            lock_tracking: None,
            provocation: None,
            workload: Some(Workload {
                command: ["fsstress", "-d", "/mnt", "-n", "1000000", "-p", "64"]
                    .map(String::from)
                    .to_vec(),
                status: Some(0),
                signal: None,
            }),
            cost: None,
            suppressions: Vec::new(),
        },
        losses,
        timeline: timeline(&totals, &findings, &other_sites),
        totals,
        findings,
        other_sites,
        merged: None,
    }
}

/// The sums over all sites, and over the puts that are in none.
fn totals(sites: &[Site]) -> Totals {
    let sum = |number: fn(&Site) -> u64| sites.iter().map(number).sum::<u64>();
    let benign_final_puts = 31_415_926;
    let benign_evictions = 2_718_281;
    let benign_non_final_puts = 161_803_398;
    Totals {
        final_puts: benign_final_puts + sum(|site| site.counts.final_puts),
        benign_final_puts,
        evictions: benign_evictions + sum(|site| site.counts.evicted),
        benign_evictions,
        stuck: sum(|site| site.stuck.len() as u64),
        non_final_puts: benign_non_final_puts + sum(|site| site.counts.non_final),
        benign_non_final_puts,
    }
}

/// When those puts and evictions were: in waves, as of nightly jobs.
fn timeline(totals: &Totals, findings: &[Site], others: &[Site]) -> Vec<Moment> {
    let mut left = BTreeMap::from([(Severity::Benign, totals.benign_evictions)]);
    for site in findings.iter().chain(others) {
        *left.entry(site.severity).or_default() += site.counts.evicted;
    }
    let mut puts = totals.final_puts;
    (1..=MOMENTS)
        .map(|moment| {
            let share = |left: &mut u64, of: u64| {
                let wave = 1 + moment * moment % 37 + 40 * u64::from(moment % 60 < 12);
                let part = (*left * wave / (20 * of)).min(*left);
                let part = if of == 1 { *left } else { part };
                *left -= part;
                part
            };
            let of = MOMENTS - moment + 1;
            Moment {
                at_ms: moment * DURATION_MS / MOMENTS,
                final_puts: share(&mut puts, of),
                evictions: left
                    .iter_mut()
                    .map(|(severity, left)| (*severity, share(left, of)))
                    .collect(),
                stuck: totals.stuck * moment / MOMENTS,
            }
        })
        .collect()
}

/// A random site.
fn site(rng: &mut Rng) -> Site {
    let scene = scene(rng);
    let filesystem = &FILESYSTEMS[skewed(rng, FILESYSTEMS.len())];
    let frames = chain(rng, scene, filesystem);
    let names: Vec<String> = frames
        .iter()
        .filter_map(|frame| frame.function.clone())
        .collect();
    let number = 1 + skewed(rng, 6).min(skewed(rng, 3));
    let mut stuck = Vec::new();
    let contexts: Vec<Context> = (0..number)
        .map(|_| {
            let (context, calls) = context(rng, scene, filesystem, &names);
            stuck.extend(calls);
            context
        })
        .collect();
    Site {
        id: symbol::site_id(&frames),
        severity: contexts
            .iter()
            .map(|context| context.severity)
            .max()
            .unwrap_or(Severity::Benign),
        known: rng.usize(..8) == 0,
        suppressed: None,
        seen_in: None,
        counts: sum(contexts.iter().map(|context| &context.counts)),
        frames,
        truncated: rng.usize(..50) == 0,
        contexts,
        stuck,
        stuck_left_out: 0,
    }
}

/// A random scene, by their shares.
fn scene(rng: &mut Rng) -> &'static Scene {
    let mut left = rng.u32(..SCENES.iter().map(|scene| scene.share).sum::<u32>());
    SCENES
        .iter()
        .find(|scene| match left.checked_sub(scene.share) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
        .unwrap_or(&SCENES[0])
}

/// A random index, small ones more often.
fn skewed(rng: &mut Rng, length: usize) -> usize {
    rng.usize(..length).min(rng.usize(..length))
}

/// One of `words`, the first ones more often.
fn word(rng: &mut Rng, words: &'static str) -> &'static str {
    let index = skewed(rng, words.split(' ').count());
    words.split(' ').nth(index).unwrap_or_default()
}

/// A chain of calls through `filesystem` in `scene`.
fn chain(rng: &mut Rng, scene: &Scene, filesystem: &Filesystem) -> Vec<Frame> {
    let inner = if scene.by_dcache {
        DCACHE[skewed(rng, DCACHE.len())]
    } else {
        ""
    };
    let put = word(rng, filesystem.puts);
    let mut ways: Vec<&str> = filesystem.ways.split(' ').collect();
    rng.shuffle(&mut ways);
    ways.truncate(1 + skewed(rng, 4));
    let module = (!filesystem.builtin).then_some(filesystem.name);
    let own = std::iter::once(put).chain(ways);
    inner
        .split_whitespace()
        .map(|function| frame(function, None))
        .chain(own.map(|function| frame(function, module)))
        .chain(
            scene
                .frames
                .split(' ')
                .map(|function| frame(function, None)),
        )
        .collect()
}

/// The frame of a function, always at the same place.
fn frame(function: &str, module: Option<&str>) -> Frame {
    // A generator of its own: the place depends on nothing but the name.
    let seed = function
        .bytes()
        .fold(0, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte));
    let mut rng = Rng::with_seed(seed);
    let size = 16 * rng.u64(2..120);
    let file = match module {
        Some(module) => format!("fs/{module}/inode.c"),
        None => "fs/inode.c".into(),
    };
    let source = |line| Source {
        file: file.clone(),
        line,
    };
    let inlined = (rng.usize(..8) == 0).then(|| Inlined {
        function: format!("{function}_locked"),
        source: Some(source(rng.u32(20..400))),
    });
    Frame {
        function: Some(function.into()),
        offset: rng.u64(5..size),
        size: Some(size),
        module: module.map(String::from),
        source: (rng.usize(..4) > 0).then(|| source(rng.u32(400..5_000))),
        inlined: inlined.into_iter().collect(),
        address: None,
    }
}

/// A context of `scene`, and its calls that are stuck.
fn context(
    rng: &mut Rng,
    scene: &Scene,
    filesystem: &Filesystem,
    chain: &[String],
) -> (Context, Vec<StuckCall>) {
    let mut facts = Facts {
        known: ALL_FACTS.iter().fold(0, |known, fact| known | fact.bit()),
        yes: 0,
    };
    facts.forget(Fact::LockHeld);
    for fact in scene.facts {
        facts.set(*fact, true);
    }
    for sometimes in [Fact::Unlinked, Fact::InodeDirty] {
        facts.set(sometimes, facts.is(sometimes) || rng.bool());
    }
    let is_final = !facts.is(Fact::NonFinal);
    let mut counts = counts(rng, scene, is_final);
    let example = (rng.usize(..30) > 0).then(|| example(rng, scene, filesystem, &facts));
    let mut stuck = Vec::new();
    if facts.is(Fact::WritebackThisInode) && is_final && rng.usize(..STUCK_ONE_IN) == 0 {
        counts.final_puts += 1;
        counts.evicted += 1;
        counts.in_flight = 1;
        stuck.extend(example.as_ref().map(|example| stuck_call(rng, example)));
    }
    let hazards = hazard::judge(&Call {
        facts,
        chain,
        counts: &counts,
        example: example.as_ref(),
        stuck: &stuck,
        final_puts_of_site: counts.final_puts,
        final_puts_in_baseline: 0,
        outcome: Outcome::Seen,
    });
    let names = |is: Option<bool>| {
        ALL_FACTS
            .iter()
            .filter(|fact| facts.get(**fact) == is)
            .map(|fact| fact.name().to_owned())
            .collect()
    };
    let context = Context {
        severity: hazard::severity(&hazards),
        hazards,
        facts: FactSheet {
            yes: names(Some(true)),
            unknown: names(None),
        },
        called: (rng.usize(..25) == 0).then(|| "fput".into()),
        references: (!is_final).then(|| References {
            i_count: vec![CountBucket {
                at_least: 2,
                count: counts.non_final,
            }],
            unused_dentries: counts.non_final,
            ..References::default()
        }),
        counts,
        example,
    };
    (context, stuck)
}

/// Random counts: most sites are rare, some are frequent, and so it is with long evictions.
fn counts(rng: &mut Rng, scene: &Scene, is_final: bool) -> Counts {
    let puts = exponential(rng, 18);
    if !is_final {
        return Counts {
            non_final: puts,
            ..Counts::default()
        };
    }
    let evicted = (1..=puts.min(100))
        .filter(|_| rng.u64(..100) < scene.evicts)
        .count() as u64
        * puts.div_ceil(100);
    let evicted = evicted.min(puts);
    let mut left = evicted;
    let mut buckets = BTreeMap::new();
    let usual = rng.u32(1..11);
    while left > 0 {
        let share = rng.u64(1..=left);
        let slower = exponential(rng, 6).ilog2();
        *buckets.entry(1_u64 << (usual + slower)).or_insert(0) += share;
        left -= share;
    }
    let longest = buckets.keys().last().copied().unwrap_or(0);
    Counts {
        final_puts: puts,
        evicted,
        kept: puts - evicted,
        slept: evicted / rng.u64(1..9),
        in_flight: 0,
        eviction_total_ns: buckets
            .iter()
            .map(|(at_least_us, count)| at_least_us * count * 1_400)
            .sum(),
        eviction_longest_ns: longest * rng.u64(1_000..2_000),
        eviction_histogram: buckets
            .into_iter()
            .map(|(at_least_us, count)| Bucket { at_least_us, count })
            .collect(),
        non_final: 0,
    }
}

/// A random number of at most `bits` bits: as often between 1 and 2 as between 1024 and 2048.
fn exponential(rng: &mut Rng, bits: u32) -> u64 {
    let bits = rng.u32(..bits).min(rng.u32(..bits));
    rng.u64(1 << bits..2 << bits)
}

/// A call of `scene` as an example.
fn example(rng: &mut Rng, scene: &Scene, filesystem: &Filesystem, facts: &Facts) -> Example {
    let (superblock, device) = filesystem.superblocks[rng.usize(..filesystem.superblocks.len())];
    let comm = word(rng, scene.comms);
    let process = rng.u32(2..60_000);
    let ino = rng.u64(2..1 << 40);
    let is_final = !facts.is(Fact::NonFinal);
    Example {
        comm: comm.replace("{}", &rng.u32(..16).to_string()),
        process,
        thread: process + rng.u32(..3),
        inode: InodeExample {
            filesystem: filesystem.name.into(),
            superblock: superblock.into(),
            device: device.into(),
            ino,
            nlink: u32::from(!facts.is(Fact::Unlinked)),
            i_count: Some(if is_final { 1 } else { 2 }),
            i_state: format!("{:#x}", rng.u32(..0x800)),
            dentries: (!is_final).then_some(Dentries {
                aliases: 1,
                unused: 1,
                complete: true,
            }),
        },
        written_ino: if facts.is(Fact::WritebackThisInode) {
            Some(ino)
        } else {
            facts
                .is(Fact::WritebackOtherInode)
                .then(|| rng.u64(2..1 << 40))
        },
        work: scene.work.map(|(function, workqueue, flags)| Work {
            function: function.into(),
            workqueue: workqueue.into(),
            flags: flags.iter().map(|flag| (*flag).into()).collect(),
        }),
        stack_left_bytes: Some(if facts.is(Fact::StackBelow4K) {
            rng.u32(2_048..4_096)
        } else {
            rng.u32(4_096..15_000)
        }),
        held_locks: Vec::new(),
        held_locks_left_out: 0,
    }
}

/// The call of `example`, waiting for itself.
fn stuck_call(rng: &mut Rng, example: &Example) -> StuckCall {
    StuckCall {
        comm: example.comm.clone(),
        thread: example.thread,
        age_ms: rng.u64(10_000..DURATION_MS),
        device: example.inode.device.clone(),
        ino: example.inode.ino,
        stack: [
            "inode_wait_for_writeback+0x93/0xd0",
            "evict+0xe2/0x270",
            "iput+0x153/0x290",
        ]
        .map(String::from)
        .to_vec(),
        waits_for: Some("writeback of the inode (I_SYNC)".into()),
        own_lock: None,
    }
}

/// The sums of counts.
fn sum<'a>(all: impl Iterator<Item = &'a Counts>) -> Counts {
    let mut buckets: BTreeMap<u64, u64> = BTreeMap::new();
    let mut total = Counts::default();
    for counts in all {
        total.final_puts += counts.final_puts;
        total.evicted += counts.evicted;
        total.kept += counts.kept;
        total.slept += counts.slept;
        total.in_flight += counts.in_flight;
        total.eviction_total_ns += counts.eviction_total_ns;
        total.eviction_longest_ns = total.eviction_longest_ns.max(counts.eviction_longest_ns);
        total.non_final += counts.non_final;
        for bucket in &counts.eviction_histogram {
            *buckets.entry(bucket.at_least_us).or_default() += bucket.count;
        }
    }
    total.eviction_histogram = buckets
        .into_iter()
        .map(|(at_least_us, count)| Bucket { at_least_us, count })
        .collect();
    total
}
