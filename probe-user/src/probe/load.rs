//! Loading the kernel half and attaching it.

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::{
    Btf, Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, HashMap, MapData, PerCpuArray, PerCpuHashMap, RingBuf},
    programs::{Program, ProgramError},
};
use probe_common::{
    BenignEvictions, Calibration, Control, InFlight, InFlightKey, KernelLayout, NonFinalCounts,
    SampleRecord, SiteCounts, SiteKey, StackRecord, TaskLocks, TaskMarks, Totals,
};

use super::{
    ProbeError, cost::Statistics, lock_functions::LockFunction, object::Object,
    programs::AttachPoint, undisturbed::Undisturbed,
};
use crate::{
    kernel::{layout::DirectLoads, privileges},
    report::model::{Attach, Level},
};

/// The kernel half, built by build.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe-ebpf"));

/// Kernel memory that the counts of all sites may take on all CPUs together, in bytes.
const COUNTS_BUDGET: usize = 64 << 20;
/// Sites are never fewer than this, however many CPUs there are.
const SITES_MIN: usize = 1024;
/// Sites are never more than this: each also takes a stack and an example.
const SITES_MAX: usize = 8192;
/// Tasks that are followed through eviction and writeback at the same time.
pub(super) const TASKS_MAX: u32 = 8192;
/// Final puts that are followed on their way to `evict` at the same time.
pub(super) const IN_FLIGHT_MAX: u32 = 8192;
/// Inodes whose dentries `--provoke` dropped that are remembered, until they are evicted.
const PROVOKED_MAX: u32 = 65536;
/// Tasks whose locks are followed at the same time: every task that holds any.
pub(super) const LOCKS_MAX: u32 = 16384;

/// How the kernel half is to be loaded.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct LoadOptions {
    /// The running kernel.
    pub layout: KernelLayout,
    /// How programs can load without a helper, if they can.
    pub direct_loads: Option<DirectLoads>,
    /// What to watch.
    pub level: Level,
    /// How to attach.
    pub attach: Attach,
    /// Whether the kernel counts the hits that it skips of programs on kprobes.
    pub counts_kprobe_misses: bool,
    /// Whether tasks are preempted in the kernel, as far as is known.
    pub preemptible: bool,
    /// The functions that are watched.
    pub attach_points: Vec<&'static AttachPoint>,
    /// The functions that take and release locks and are to be followed, none to follow no locks.
    pub lock_functions: Vec<&'static LockFunction>,
    /// Whether the dentry cache is shrunk meanwhile, by [`Probe::set_provoker`]'s thread.
    pub provokes: bool,
    /// Whether the kernel is to count what the programs cost.
    pub counts_cost: bool,
    /// Whether the programs log what they do.
    pub debug: bool,
}

/// The attached kernel half. Dropping it detaches.
pub struct Probe {
    /// Keeps the programs attached.
    pub(super) ebpf: Ebpf,
    /// What the programs cost, if it is to be known.
    pub(super) statistics: Option<Statistics>,
    /// Whether the kernel counts the hits that it skips.
    counts_misses: bool,
    preemptible: bool,
    /// The programs that are attached.
    pub(super) attached: Vec<&'static str>,
    pub(super) control: Array<MapData, Control>,
    pub(super) calibration: Array<MapData, Calibration>,
    pub(super) sites: PerCpuHashMap<MapData, SiteKey, SiteCounts>,
    pub(super) non_final: PerCpuHashMap<MapData, SiteKey, NonFinalCounts>,
    pub(super) stacks: HashMap<MapData, u64, StackRecord>,
    pub(super) samples: HashMap<MapData, SiteKey, SampleRecord>,
    pub(super) events: RingBuf<MapData>,
    pub(super) benign_evictions: Array<MapData, BenignEvictions>,
    pub(super) tasks: HashMap<MapData, u32, TaskMarks>,
    pub(super) locks: HashMap<MapData, u32, TaskLocks>,
    pub(super) in_flight: HashMap<MapData, InFlightKey, InFlight>,
    pub(super) totals: PerCpuArray<MapData, Totals>,
}

impl Probe {
    /// Loads the kernel half and attaches it. Nothing is recorded before
    /// [`super::calibrate`].
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn attach(options: &LoadOptions) -> Result<Self, ProbeError> {
        match Self::attach_with(options, options.direct_loads) {
            // A kernel that has the function may still not let these programs call it.
            Err(ProbeError::Refused { .. }) if options.direct_loads.is_some() => {
                Self::attach_with(options, None)
            }
            attached => attached,
        }
    }

    fn attach_with(
        options: &LoadOptions,
        direct_loads: Option<DirectLoads>,
    ) -> Result<Self, ProbeError> {
        let tracks_locks = !options.lock_functions.is_empty();
        let layout = KernelLayout {
            word_type: direct_loads.map_or(0, |loads| loads.word_type.into()),
            // With these there is more to ask than a glance does.
            can_glance: if tracks_locks || options.provokes {
                0
            } else {
                options.layout.can_glance
            },
            ..options.layout
        };
        let evictions_only = u32::from(options.level == Level::Evictions);
        let watches_non_final = options.level == Level::Latent;
        let i_count_max: u32 = if watches_non_final { u32::MAX } else { 1 };
        let log_level: u8 = if options.debug { u8::MAX } else { 0 };
        let sites = sites_max();
        // Puts that are not final must not take the room of final ones.
        let chains = if watches_non_final { 2 * sites } else { sites };
        let object = Object::new(OBJECT, direct_loads.map(|loads| loads.rdonly_cast));
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("LAYOUT", &layout, true)
            .override_global("EVICTIONS_ONLY", &evictions_only, true)
            .override_global("I_COUNT_MAX", &i_count_max, true)
            .override_global("PROVOKES", &u32::from(options.provokes), true)
            .override_global("TRACK_LOCKS", &u32::from(tracks_locks), true)
            .override_global("AYA_LOG_LEVEL", &log_level, false)
            .map_max_entries("SITES", sites)
            .map_max_entries("NON_FINAL", if watches_non_final { sites } else { 1 })
            .map_max_entries("PROVOKED", if options.provokes { PROVOKED_MAX } else { 1 })
            .map_max_entries("STACKS", chains)
            .map_max_entries("SAMPLES", chains)
            .map_max_entries("TASKS", TASKS_MAX)
            .map_max_entries("IN_FLIGHT", IN_FLIGHT_MAX)
            .map_max_entries("LOCKS", if tracks_locks { LOCKS_MAX } else { 1 })
            .load(object.bytes())
            .map_err(|error| ProbeError::Object(Box::new(error)))?;
        // The maps first: what is not there must not be noticed when probes are on.
        let mut probe = Self {
            control: take(&mut ebpf, "CONTROL")?,
            calibration: take(&mut ebpf, "CALIBRATION")?,
            sites: take(&mut ebpf, "SITES")?,
            non_final: take(&mut ebpf, "NON_FINAL")?,
            stacks: take(&mut ebpf, "STACKS")?,
            samples: take(&mut ebpf, "SAMPLES")?,
            events: take(&mut ebpf, "EVENTS")?,
            benign_evictions: take(&mut ebpf, "BENIGN_EVICTIONS")?,
            tasks: take(&mut ebpf, "TASKS")?,
            locks: take(&mut ebpf, "LOCKS")?,
            in_flight: take(&mut ebpf, "IN_FLIGHT")?,
            totals: take(&mut ebpf, "TOTALS")?,
            counts_misses: options.counts_kprobe_misses
                || options.attach == Attach::Fentry && !tracks_locks,
            preemptible: options.preemptible,
            statistics: options.counts_cost.then(Statistics::enable).transpose()?,
            attached: Vec::new(),
            ebpf,
        };
        let types = match options.attach {
            Attach::Kprobe => None,
            Attach::Fentry => Some(
                Btf::from_sys_fs().map_err(|error| ProbeError::Object(Box::new(error.into())))?,
            ),
        };
        // What is taken before a put must be followed before the put is.
        for function in &options.lock_functions {
            for program in function.programs() {
                probe.attach_program(program, function.name, None)?;
            }
        }
        for point in &options.attach_points {
            let programs = point.programs(options.attach);
            // The entry last: kprobes on a function run newest first (`add_new_kprobe()`,
            // kernel/kprobes.c), and up to 5.14 a kretprobe hides the return address from the
            // stacks that are taken after it.
            for name in programs.exit.into_iter().chain([programs.entry]) {
                probe.attach_program(name, point.function, types.as_ref())?;
            }
        }
        Ok(probe)
    }

    /// To be kept while maps are read.
    pub(super) fn undisturbed(&self) -> Undisturbed {
        Undisturbed::new(self.preemptible)
    }

    /// Whether the calling thread may read maps.
    #[must_use]
    pub fn can_be_read(&self) -> bool {
        self.control.get(&0, 0).is_ok()
    }

    /// The loaded object, for its log.
    pub fn object(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn attach_program(
        &mut self,
        name: &'static str,
        function: &'static str,
        types: Option<&Btf>,
    ) -> Result<(), ProbeError> {
        let program = self
            .ebpf
            .program_mut(name)
            .ok_or(ProbeError::Mismatch(name))?;
        // A program on locks is attached to many functions, and loaded once.
        let is_new = !self.attached.contains(&name);
        if is_new {
            load(program, function, types).map_err(|error| ProbeError::Refused {
                program: name,
                cause: describe(&error),
            })?;
        }
        attach(program, function).map_err(|error| ProbeError::NotAttached {
            program: name,
            function,
            cause: not_attached(&error),
        })?;
        if is_new {
            self.attached.push(name);
        }
        Ok(())
    }

    /// How many probe hits the kernel has skipped, because another BPF program was running
    /// on that CPU; `None` if it does not count them: of trampolines before 5.12
    /// (`bpf_prog_show_fdinfo()`, kernel/bpf/syscall.c), of kprobes before 6.7.
    #[must_use]
    pub fn hits_missed(&self) -> Option<u64> {
        if !self.counts_misses {
            return None;
        }
        self.attached
            .iter()
            .map(|name| {
                let descriptor = program_descriptor(self.ebpf.program(name)?)?;
                let info =
                    std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
                let line = info
                    .lines()
                    .find_map(|line| line.strip_prefix("recursion_misses:"))?;
                line.trim().parse::<u64>().ok()
            })
            .sum()
    }
}

fn load(program: &mut Program, function: &str, types: Option<&Btf>) -> Result<(), ProgramError> {
    match (program, types) {
        (Program::KProbe(program), _) => program.load(),
        (Program::FEntry(program), Some(types)) => program.load(function, types),
        (Program::FExit(program), Some(types)) => program.load(function, types),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn attach(program: &mut Program, function: &str) -> Result<(), ProgramError> {
    match program {
        Program::KProbe(program) => program.attach(function, 0).map(drop),
        Program::FEntry(program) => program.attach().map(drop),
        Program::FExit(program) => program.attach().map(drop),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn program_descriptor(program: &Program) -> Option<i32> {
    let descriptor = match program {
        Program::KProbe(program) => program.fd(),
        Program::FEntry(program) => program.fd(),
        Program::FExit(program) => program.fd(),
        _ => return None,
    };
    Some(descriptor.ok()?.as_fd().as_raw_fd())
}

/// What the kernel says, and the setting that may have made it.
fn not_attached(error: &ProgramError) -> String {
    let words = describe(error);
    match privileges::refused_perf_events() {
        Some(value) => format!(
            "{words}; {setting} is {value}, with which some kernels let only CAP_SYS_ADMIN attach \
             kprobes: sysctl {setting}=2, or run with that capability",
            setting = privileges::PARANOID
        ),
        None => words,
    }
}

/// The error with its causes, and the verifier's log if there is one.
fn describe(error: &ProgramError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    if let ProgramError::LoadError { verifier_log, .. } = error {
        words = format!("{words}\nThe verifier's log:\n{verifier_log}");
    }
    words
}

fn take<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, ProbeError>
where
    T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).ok_or(ProbeError::Mismatch(name))?;
    T::try_from(map).map_err(|source| ProbeError::Map {
        map: name,
        cause: Box::new(source),
    })
}

/// How many sites there is room for, by the number of CPUs.
fn sites_max() -> u32 {
    let cpus = aya::util::nr_cpus().unwrap_or(1);
    let sites = COUNTS_BUDGET / (cpus.max(1) * size_of::<SiteCounts>());
    u32::try_from(sites.clamp(SITES_MIN, SITES_MAX)).unwrap_or(u32::MAX)
}
