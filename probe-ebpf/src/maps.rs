//! The maps: what the agent reads, and what the programs remember between calls.
//!
//! Sizes are the agent's to set before load; the ones here are the smallest sensible ones.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf},
};
use probe_common::{
    BenignEvictions, Calibration, Control, InFlight, InFlightKey, LastBenign, Loss, NonFinalCounts,
    SPAN_MAX, SampleRecord, SiteCounts, SiteKey, StackRecord, TRAIL_MAX, TaskLocks, TaskMarks,
    Totals,
};

/// What the agent tells the programs.
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// What the programs read at the agent's own final put.
#[map]
pub static CALIBRATION: Array<Calibration> = Array::with_max_entries(1, 0);

/// Counts by site, facts, locks and filesystem.
#[map]
pub static SITES: PerCpuHashMap<SiteKey, SiteCounts> = PerCpuHashMap::with_max_entries(1024, 0);

/// Counts of the puts that were not final, in the same way.
#[map]
pub static NON_FINAL: PerCpuHashMap<SiteKey, NonFinalCounts> =
    PerCpuHashMap::with_max_entries(1, 0);

/// Inodes of which `--provoke` has dropped a dentry, by address, until they are evicted.
#[map]
pub static PROVOKED: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1, 0);

/// Call chains by their hash.
#[map]
pub static STACKS: HashMap<u64, StackRecord> = HashMap::with_max_entries(1024, 0);

/// The hash of the call chain to which a trail leads, by the trail's.
#[map]
pub static TRAILS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(8192, 0);

/// The part of the stack in which the program on `iput` looks for a trail.
#[map]
pub static RAW_STACK: PerCpuArray<[u64; TRAIL_MAX / 8]> = PerCpuArray::with_max_entries(1, 0);

/// The first call of each aggregate.
#[map]
pub static SAMPLES: HashMap<SiteKey, SampleRecord> = HashMap::with_max_entries(1024, 0);

/// Further calls, thinned out: the second, third, fifth, ninth... that each CPU sees.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 19, 0);

/// The functions that each task is inside of.
#[map]
pub static TASKS: HashMap<u32, TaskMarks> = HashMap::with_max_entries(4096, 0);

/// The locks that each task has taken, as long as it holds any.
#[map]
pub static LOCKS: HashMap<u32, TaskLocks> = HashMap::with_max_entries(1, 0);

/// Dangerous final puts on their way to `evict`.
#[map]
pub static IN_FLIGHT: LruHashMap<InFlightKey, InFlight> = LruHashMap::with_max_entries(8192, 0);

/// The evictions that benign puts have begun and that have not ended.
#[map]
pub static BENIGN_EVICTIONS: Array<BenignEvictions> = Array::with_max_entries(1, 0);

/// What is counted without a site.
#[map]
pub static TOTALS: PerCpuArray<Totals> = PerCpuArray::with_max_entries(1, 0);

/// Room for what does not fit on the 512 bytes of a program's stack. One slot for each
/// program that uses it: an interrupt may run one program while another is under way on
/// the same CPU, but the kernel never runs the same one twice there.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(9, 0);

/// The program that uses a slot of [`SCRATCH`].
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Slot {
    /// The program on `iput`.
    Iput = 0,
    /// The program on `evict`.
    Evict = 1,
    /// The program on the end of `evict`.
    EvictEnd = 2,
    /// The program on `do_writepages`.
    Writepages = 3,
    /// The program on the end of `do_writepages`.
    WritepagesEnd = 4,
    /// The program on `wb_workfn`.
    Flusher = 5,
    /// The program on the end of `wb_workfn`.
    FlusherEnd = 6,
    /// The program on `writeback_single_inode`.
    InodeWriteback = 7,
    /// The program on the end of `writeback_single_inode`.
    InodeWritebackEnd = 8,
}

/// One program's room.
#[repr(C)]
pub struct Scratch {
    /// The call being looked at.
    pub sample: SampleRecord,
    /// Its chain.
    pub stack: StackRecord,
    /// Where a pointer is laundered into a number: the verifier tracks pointers, and
    /// forbids the arithmetic on them that stack depth needs.
    pub pointers: [u64; 2],
    /// The benign final put that the program on `iput` saw last on this CPU, so that its eviction
    /// needs no second look.
    pub last_benign: LastBenign,
    /// Where this CPU's preempt count is; 0 before it was first asked for.
    pub preempt_count_at: u64,
    /// A part of an object of the kernel's.
    pub span: [u64; SPAN_MAX / 8],
}

/// Counts something that could not be kept.
#[inline(always)]
pub fn lose(loss: Loss) {
    count(|totals| totals.lose(loss));
}

/// Changes this CPU's totals.
#[inline(always)]
pub fn count(change: impl FnOnce(&mut Totals)) {
    if let Some(totals) = TOTALS.get_ptr_mut(0) {
        // SAFETY: a per-CPU value. Programs that interrupt one another on a CPU each own
        // different fields, but for the losses, where a race could miscount a loss by one
        // while still showing that there was one.
        change(unsafe { &mut *totals });
    }
}
