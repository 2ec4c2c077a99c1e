//! A session: what was learned of the kernel, the attached probes, what was seen so far.

use std::{collections::HashMap, time::Instant};

use jiff::Timestamp;
use probe_common::{FRAMES_MAX, Fact, Facts, SiteCounts, SiteKey};

use super::{
    calls, cost,
    held_locks::LockNames,
    options::{ObserveError, SessionOptions},
    sites::{self, Aggregate, Chain},
    stuck::StuckCalls,
    timeline::Timeline,
    totals::{losses, totals},
};
use crate::{
    kernel::{
        btf::Btf,
        features, layout,
        lock_fields::{LockFields, LockMaps},
        preemption, privileges,
        symbols::{Symbols, plain_name},
    },
    probe::{self, AttachPoint, LoadOptions, LockFunction, Probe, Snapshot},
    report::{
        losses::INTERIM,
        model::{
            Attach, Capture, Example, Frame, Kernel, Level, LockAgreement, LockSource,
            LockTracking, Losses, Report, SCHEMA_VERSION, Tool, Workload,
        },
        order,
    },
    symbol::Symbolizer,
};

/// Facts that may be unknown of one call and known of another.
const TOLD_BY_CALL: &[Fact] = &[
    Fact::OwnInodeLock,
    Fact::OwnInvalidateLock,
    Fact::OwnSuperblockLock,
    Fact::StackBelow4K,
    Fact::StackBelow2K,
    Fact::InodeFreeing,
    Fact::InodeSync,
    Fact::WritebackThisInode,
    Fact::WritebackOtherInode,
    Fact::Flusher,
];

/// The counts of a single put that is still evicting.
const ONE_IN_FLIGHT: SiteCounts = SiteCounts {
    final_puts: 1,
    evictions: 1,
    ..SiteCounts::ZERO
};

/// A running session. Dropping it detaches the probes.
pub struct Session {
    options: SessionOptions,
    attach: Attach,
    attach_reason: String,
    kernel: Kernel,
    /// What a benign put is known to be: every fact that this kernel can tell is a no.
    benign_key: SiteKey,
    /// What is needed to name locks.
    lock_names: LockNames,
    /// How locks are followed, if they are.
    lock_tracking: Option<LockTracking>,
    /// Why `evict`'s other callers are not known, if they are not.
    evict_callers_unknown: Option<String>,
    probe: Probe,
    symbolizer: Symbolizer,
    started: Timestamp,
    clock: Instant,
    timeline: Timeline,
    /// Why the stacks of threads cannot be read, if they cannot.
    stacks_unreadable: Option<String>,
    /// How many frames the kernel gives of a stack: as many may be all, or not.
    frames_max: usize,
    /// Symbolized chains, by hash.
    chains: HashMap<u64, Chain>,
    /// The latest call that was seen of each aggregate.
    examples: HashMap<SiteKey, Example>,
    /// Names of filesystems, by the address of their type.
    filesystems: HashMap<u64, String>,
}

impl Session {
    /// Learns what the kernel is, attaches the probes and calibrates them.
    ///
    /// # Errors
    /// If this kernel or host cannot be watched; the message says what is missing.
    pub fn start(options: SessionOptions) -> Result<Self, ObserveError> {
        privileges::check()?;
        let btf = Btf::from_kernel()?;
        let symbols = Symbols::from_kallsyms()?;
        let resolved = layout::resolve(&btf, &symbols)?;
        let preemptible = preemption::is_preemptible(&symbols);
        let (attach, attach_reason) =
            features::choose_attach(options.attach, &symbols, preemptible);
        let lock_functions = if options.track_locks {
            LockFunction::on(&symbols)
        } else {
            Vec::new()
        };
        let lock_tracking = options.track_locks.then(|| LockTracking {
            functions: lock_functions
                .iter()
                .map(|function| function.name.to_owned())
                .collect(),
            lockdep: (resolved.layout.lock_classes != 0).then(LockAgreement::default),
        });
        let mut probe = Probe::attach(&LoadOptions {
            layout: resolved.layout,
            level: options.level,
            attach,
            direct_loads: resolved.direct_loads,
            counts_kprobe_misses: resolved.counts_kprobe_misses,
            preemptible: preemptible.unwrap_or(true),
            attach_points: AttachPoint::on(&symbols, options.level),
            lock_functions,
            provokes: options.provokes,
            counts_cost: options.cost,
            debug: options.debug,
        })?;
        let readings = probe::calibrate(&mut probe, options.level, &resolved)?;
        log::info!("the observer itself adds {readings:?}");
        let lock_source = if resolved.layout.lock_classes != 0 {
            LockSource::Lockdep
        } else if options.track_locks {
            LockSource::Tracking
        } else {
            LockSource::Owners
        };
        let mut unknown_facts = resolved.unknown_facts(attach);
        if lock_source == LockSource::Tracking {
            unknown_facts.insert(
                Fact::LockHeld.name().to_owned(),
                "told only of locks that were seen to be taken".to_owned(),
            );
        }
        let known = layout::known_facts(&unknown_facts)
            .filter(|fact| !fact.is_innocent() && !TOLD_BY_CALL.contains(fact))
            .fold(0, |known, fact| known | fact.bit());
        let names = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        Ok(Self {
            kernel: Kernel {
                host: Some(text(names.nodename())),
                release: text(names.release()),
                version: text(names.version()),
                machine: text(names.machine()),
                unknown_facts,
                debug_information: Vec::new(),
                lock_source,
            },
            benign_key: SiteKey {
                facts: Facts {
                    known: known | Facts::OF_FINAL_PUT.known & !Fact::Provoked.bit(),
                    yes: 0,
                },
                ..SiteKey::default()
            },
            lock_names: LockNames {
                source: lock_source,
                fields: lock_tracking
                    .as_ref()
                    .map(|_| LockFields::resolve(&btf))
                    .unwrap_or_default(),
                maps: LockMaps::resolve(&btf),
            },
            lock_tracking,
            evict_callers_unknown: resolved.evict_callers.err(),
            attach,
            attach_reason,
            symbolizer: Symbolizer::new(symbols, options.vmlinux.clone(), options.addresses),
            options,
            probe,
            started: Timestamp::now(),
            clock: Instant::now(),
            timeline: Timeline::default(),
            stacks_unreadable: None,
            // It cannot be changed as long as the programs are loaded
            // (`perf_event_max_stack_handler()`, kernel/events/callchain.c).
            frames_max: frames_max(privileges::setting(privileges::MAX_STACK)),
            chains: HashMap::new(),
            examples: HashMap::new(),
            filesystems: HashMap::new(),
        })
    }

    /// How the probes are attached, and why so.
    #[must_use]
    pub fn attachment(&self) -> (Attach, &str) {
        (self.attach, &self.attach_reason)
    }

    /// From now on puts by this thread are those of `--provoke`; by none, without one.
    ///
    /// # Errors
    /// If the kernel half cannot be told.
    pub fn set_provoker(&mut self, thread: Option<u32>) -> Result<(), ObserveError> {
        Ok(self.probe.set_provoker(thread)?)
    }

    /// Whether this thread may read what the kernel half has counted, with the capabilities that it
    /// has now.
    #[must_use]
    pub fn can_be_read(&self) -> bool {
        self.probe.can_be_read()
    }

    /// The loaded kernel half, for its log.
    pub fn probe(&mut self) -> &mut Probe {
        &mut self.probe
    }

    /// Everything seen so far, as a report. `interim` if watching goes on.
    ///
    /// # Errors
    /// If the kernel half cannot be read.
    pub fn report(
        &mut self,
        interim: bool,
        workload: Option<Workload>,
    ) -> Result<Report, ObserveError> {
        let snapshot = self.probe.drain()?;
        self.symbolizer.refresh();
        self.learn(&snapshot);
        let mut stuck = StuckCalls::find(&mut self.probe, &snapshot, self.options.stuck_after);
        stuck.find_own_locks(&self.probe, &self.lock_names, &mut self.symbolizer);
        if stuck.unreadable.is_some() {
            self.stacks_unreadable.clone_from(&stuck.unreadable);
        }
        let recorded = snapshot
            .sites
            .iter()
            .filter(|(key, _)| self.is_wanted(key))
            .filter_map(|(key, counts)| {
                let in_flight = stuck.in_flight.get(key).copied().unwrap_or(0);
                Some(Aggregate {
                    key,
                    counts: calls::counts(counts, in_flight, self.options.level),
                    references: None,
                    chain: self.chains.get(&key.stack)?,
                    example: self.examples.get(key),
                    stuck: stuck.by_key.get(key).cloned().unwrap_or_default(),
                })
            });
        let non_final = snapshot
            .non_final
            .iter()
            .filter(|(key, _)| self.is_wanted(key))
            .filter_map(|(key, counts)| {
                Some(Aggregate {
                    key,
                    counts: calls::non_final_counts(counts),
                    references: Some(calls::references(counts)),
                    chain: self.chains.get(&key.stack)?,
                    example: self.examples.get(key),
                    stuck: Vec::new(),
                })
            });
        let benign = stuck.benign.iter().map(|(call, chain)| Aggregate {
            key: &self.benign_key,
            counts: calls::counts(&ONE_IN_FLIGHT, 1, self.options.level),
            references: None,
            chain,
            example: None,
            stuck: vec![call.clone()],
        });
        let sites = sites::form(
            recorded.chain(non_final).chain(benign),
            &self.options.baseline,
        );
        let totals = totals(&snapshot, stuck.count());
        let elapsed_ms = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.timeline.note(elapsed_ms, &totals, sites.iter());
        let (findings, other_sites) = order::assemble(sites);
        let losses = losses(&snapshot);
        let incomplete_because = self.incompleteness(&losses, &snapshot, interim);
        Ok(Report {
            schema_version: SCHEMA_VERSION,
            tool: Tool {
                name: "lastref".into(),
                version: env!("CARGO_PKG_VERSION").into(),
            },
            kernel: Kernel {
                debug_information: self
                    .symbolizer
                    .sources()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                ..self.kernel.clone()
            },
            capture: Capture {
                started: format!("{:.0}", self.started),
                duration_ms: elapsed_ms,
                level: self.options.level,
                attach: self.attach,
                attach_reason: self.attach_reason.clone(),
                filesystems: self.options.filesystems.clone(),
                complete: incomplete_because.is_empty(),
                incomplete_because,
                lock_tracking: self.lock_tracking.clone(),
                provocation: None,
                workload,
                cost: cost::so_far(&self.probe),
                suppressions: Vec::new(),
            },
            losses,
            totals,
            findings,
            other_sites,
            merged: None,
            timeline: self.timeline.moments().to_vec(),
        })
    }

    /// Symbolizes chains and keeps examples that are new since the last drain.
    fn learn(&mut self, snapshot: &Snapshot) {
        for key in snapshot.sites.keys().chain(snapshot.non_final.keys()) {
            if !self.chains.contains_key(&key.stack) {
                let chain = self.symbolize(key.stack);
                self.chains.insert(key.stack, chain);
            }
            if !self.examples.contains_key(key)
                && let Some(sample) = self.probe.sample(key)
            {
                self.keep_example(&sample);
            }
        }
        for sample in &snapshot.events {
            self.keep_example(sample);
        }
    }

    fn keep_example(&mut self, sample: &probe_common::SampleRecord) {
        let function = (sample.work_function != 0)
            .then(|| self.symbolizer.function_name(sample.work_function))
            .flatten();
        if let Some(tracking) = &mut self.lock_tracking
            && let Some(agreement) = &mut tracking.lockdep
        {
            self.lock_names
                .compare(sample, &mut self.symbolizer, agreement);
        }
        let held = self.lock_names.held(sample, &mut self.symbolizer);
        let example = calls::example(sample, function, held);
        // The latest: where a module was, another one's type may be now.
        self.filesystems
            .insert(sample.key.filesystem, example.inode.filesystem.clone());
        self.examples.insert(sample.key, example);
    }

    /// A chain for which the kernel half had no room is one frame without a name: its calls
    /// still count.
    fn symbolize(&mut self, hash: u64) -> Chain {
        let Some(record) = self.probe.stack(hash) else {
            return Chain::new(vec![Frame::default()], true);
        };
        let end = (record.end as usize).min(record.frames.len());
        let first = (record.first as usize).min(end);
        let frames = self.symbolizer.frames(&record.frames[first..end]);
        let called = record.frames[first..end]
            .first()
            .and_then(|caller| self.symbolizer.called_function(*caller))
            .filter(|name| plain_name(name) != "iput");
        Chain {
            called,
            ..Chain::new(frames, end >= self.frames_max)
        }
    }

    /// Whether the aggregate's filesystem is among those that were asked for; one whose
    /// name is not known is not left out.
    fn is_wanted(&self, key: &SiteKey) -> bool {
        self.options.filesystems.is_empty()
            || self
                .filesystems
                .get(&key.filesystem)
                .is_none_or(|name| self.options.filesystems.contains(name))
    }

    /// Why the picture is not complete, one sentence each.
    fn incompleteness(&self, losses: &Losses, snapshot: &Snapshot, interim: bool) -> Vec<String> {
        let mut because = losses.gaps();
        for map in &snapshot.cut_short {
            because.push(format!(
                "not all calls that may be stuck were looked at: the map {map} changed faster than \
                 it could be read"
            ));
        }
        if interim {
            because.push(INTERIM.into());
        }
        if let Some(reason) = &self.evict_callers_unknown {
            because.push(match self.options.level {
                Level::Evictions => format!(
                    "evictions by unmount and the inode shrinker could not be told from puts: \
                     {reason}"
                ),
                Level::Final | Level::Latent => format!(
                    "evictions whose put the probe on iput missed are not reported: {reason}"
                ),
            });
        }
        if let Some(reason) = &self.stacks_unreadable {
            because.push(format!(
                "whether calls are stuck is not known, for the stacks of threads cannot be read \
                 ({reason}); it takes CAP_SYS_ADMIN and CONFIG_STACKTRACE=y"
            ));
        }
        because
    }
}

/// How many frames a stack has at the most, by the setting: there is room for one more than its
/// default (`PERF_MAX_STACK_DEPTH`, `include/uapi/linux/perf_event.h`).
fn frames_max(setting: Option<i64>) -> usize {
    let most = FRAMES_MAX - 1;
    setting.map_or(most, |max| usize::try_from(max).unwrap_or(0).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_frames_as_the_kernel_gives_may_not_be_all() {
        assert_eq!(frames_max(Some(127)), FRAMES_MAX - 1);
        assert_eq!(frames_max(Some(1000)), FRAMES_MAX - 1);
        assert_eq!(frames_max(Some(30)), 30);
        assert_eq!(frames_max(None), FRAMES_MAX - 1);
    }
}
