//! The records that the kernel half writes and the agent reads.

use crate::{CLASS_NAME_LEN, Facts, HELD_LOCKS_MAX, HeldLock, TrackedLock};

/// Room for the frames of one stack: the next power of two above the kernel's own limit
/// of 127 (`PERF_MAX_STACK_DEPTH`, `include/uapi/linux/perf_event.h`).
pub const FRAMES_MAX: usize = 128;
/// The most frames of its own that the observer may put before those of the probed kernel.
pub const OWN_FRAMES_MAX: usize = 6;
/// Bytes of a task's name (`TASK_COMM_LEN`, include/linux/sched.h).
pub const COMM_LEN: usize = 16;
/// Bytes kept of a filesystem's, device's or workqueue's name (`s_id` and, since 6.9, a
/// workqueue's name have 32).
pub const NAME_LEN: usize = 32;
/// Nested entries (evictions, writeback) of one task that are followed.
pub const MARKS_MAX: usize = 8;
/// Buckets of the eviction-time histogram: bucket `n` counts `2^n <= µs < 2^(n+1)`, the
/// first one everything below 2 µs, the last one everything above.
pub const DURATION_BUCKETS: usize = 32;
/// A 32-bit reading that this kernel could not give.
pub const UNKNOWN: u32 = u32::MAX;

/// What the agent tells the kernel half while it runs (map `CONTROL`, one entry).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    /// What the observer itself adds to the readings; subtracted from each.
    pub baseline: Baseline,
    /// The thread whose next final put is the calibration; 0 when calibrated.
    pub calibrating_thread: u32,
    /// 0 until the agent has calibrated; nothing is recorded before.
    pub recording: u32,
    /// The thread that has the dentry cache shrunk for `--provoke`, 0 if none.
    pub provoking_thread: u32,
    /// Always zero.
    pub reserved: u32,
    /// How far below the stack pointer at `iput` the one at `evict` is, for an `evict` that
    /// this `iput` reaches (wrapping). A tail call keeps the pointer, but the two programs
    /// may see it at different places.
    pub evict_below_iput: u64,
    /// How many frames of a stack walked at `iput` are the observer's own.
    pub own_frames_at_iput: u32,
    /// How many frames of a stack walked at `evict` are the observer's own.
    pub own_frames_at_evict: u32,
}

/// What entering a program adds to the context's counters, measured at start-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Baseline {
    /// Added to the preempt count.
    pub preempt_count: u32,
    /// Added to `rcu_read_lock_nesting`.
    pub rcu_nesting: u32,
    /// 1 if the program itself always sees interrupts off, so that it cannot tell.
    pub interrupts_off: u32,
    /// Added to lockdep's count of held locks.
    pub held_locks: u32,
}

/// Readings of the context; [`UNKNOWN`] where the kernel cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Readings {
    /// The preempt count without the resched bit.
    pub preempt_count: u32,
    /// `task_struct.rcu_read_lock_nesting`.
    pub rcu_nesting: u32,
    /// 1 if interrupts were off.
    pub interrupts_off: u32,
    /// `task_struct.lockdep_depth`: how many locks lockdep counts.
    pub held_locks: u32,
}

/// What the probes read at the final put that the agent made itself, in a context known to
/// be clean (map `CALIBRATION`, one entry): the baseline is included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Calibration {
    /// Read at `iput`.
    pub readings: Readings,
    /// How many final puts of the calibrating thread reached the probe on `iput`.
    pub puts: u32,
    /// How many of its evictions reached the probe on `evict`.
    pub evictions: u32,
    /// How many of these were seen to end.
    pub ended: u32,
    /// Always zero.
    pub reserved: u32,
    /// The stack pointer at `iput`.
    pub iput_stack_pointer: u64,
    /// The stack pointer at `evict`, reached by that `iput`.
    pub evict_stack_pointer: u64,
    /// The innermost frames of the stack that was walked at `iput`.
    pub iput_frames: [u64; OWN_FRAMES_MAX],
    /// The innermost frames of the stack that was walked at `evict`.
    pub evict_frames: [u64; OWN_FRAMES_MAX],
}

/// What tells one aggregate from another: the chain, the locks, the filesystem, the facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct SiteKey {
    /// Hash of the chain of return addresses from `iput`'s caller outwards.
    pub stack: u64,
    /// Hash of the held locks' classes, 0 when none is known to be held.
    pub locks: u64,
    /// Address of the inode's `file_system_type`.
    pub filesystem: u64,
    /// The facts.
    pub facts: Facts,
}

/// Exact counts of one aggregate, per CPU (map `SITES`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SiteCounts {
    /// Puts that found `i_count == 1`.
    pub final_puts: u64,
    /// Of those, evictions begun.
    pub evictions: u64,
    /// Evictions that have ended.
    pub ended: u64,
    /// Ended evictions that gave up the CPU at least once.
    pub slept: u64,
    /// Total time of the ended evictions, in nanoseconds.
    pub total_ns: u64,
    /// Longest ended eviction, in nanoseconds.
    pub longest_ns: u64,
    /// Histogram of the ended evictions' times.
    pub durations: [u32; DURATION_BUCKETS],
}

impl SiteCounts {
    /// No calls at all.
    pub const ZERO: Self = Self {
        final_puts: 0,
        evictions: 0,
        ended: 0,
        slept: 0,
        total_ns: 0,
        longest_ns: 0,
        durations: [0; DURATION_BUCKETS],
    };
}

/// A chain of return addresses (map `STACKS`, keyed by [`SiteKey::stack`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StackRecord {
    /// Index of `iput`'s caller.
    pub first: u32,
    /// Index after the last frame in use.
    pub end: u32,
    /// Return addresses, innermost first; those of the probe itself come before
    /// [`StackRecord::first`].
    pub frames: [u64; FRAMES_MAX],
}

/// One call, as an example of its aggregate (maps `SAMPLES` and `EVENTS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SampleRecord {
    /// The aggregate.
    pub key: SiteKey,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub time_ns: u64,
    /// Inode number.
    pub ino: u64,
    /// Inode number of the inode being written by this task, 0 if none.
    pub written_ino: u64,
    /// `i_state`.
    pub i_state: u64,
    /// Address of the function that the worker runs, 0 if not a worker.
    pub work_function: u64,
    /// Bytes of kernel stack left, [`UNKNOWN`] if not on the task's stack.
    pub stack_left: u32,
    /// `i_count` at the call; [`UNKNOWN`] when seen at `evict`.
    pub i_count: u32,
    /// How many dentries the inode has, of a put that is not final: as many as were looked at.
    pub aliases: u32,
    /// How many of those nobody uses.
    pub unused_aliases: u32,
    /// `i_nlink`.
    pub nlink: u32,
    /// `s_dev`.
    pub device: u32,
    /// Process id.
    pub process: u32,
    /// Thread id.
    pub thread: u32,
    /// The context's counters, the baseline subtracted.
    pub readings: Readings,
    /// Flags of the worker's queue.
    pub workqueue_flags: u32,
    /// How many locks the caller was seen to take and not to release.
    pub tracked: u32,
    /// The thread's name.
    pub comm: [u8; COMM_LEN],
    /// The filesystem's name.
    pub filesystem: [u8; NAME_LEN],
    /// `s_id`: the device or instance.
    pub superblock: [u8; NAME_LEN],
    /// The workqueue's name.
    pub workqueue: [u8; NAME_LEN],
    /// The locks that lockdep says are held, outermost first.
    pub held_locks: [HeldLock; HELD_LOCKS_MAX],
    /// The locks that the task was seen to take, outermost first.
    pub tracked_locks: [TrackedLock; HELD_LOCKS_MAX],
}

/// What a task has entered and not yet left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MarkKind {
    /// `evict()` reached by a final put.
    Eviction = 1,
    /// `evict()` reached by something that is no put (unmount, the inode shrinker).
    OtherEviction = 2,
    /// `do_writepages()`.
    Writepages = 3,
    /// `wb_workfn()`.
    Flusher = 4,
    /// `writeback_single_inode()`: the pages, then the inode itself.
    InodeWriteback = 5,
}

/// One function that a task is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Mark {
    /// The aggregate, for [`MarkKind::Eviction`].
    pub key: SiteKey,
    /// Stack pointer at entry: a mark whose function has returned is recognised by it.
    pub stack_pointer: u64,
    /// Address of the inode, 0 if none.
    pub inode: u64,
    /// Inode number.
    pub ino: u64,
    /// When it was entered, `CLOCK_MONOTONIC`, in nanoseconds.
    pub entered_ns: u64,
    /// The task's voluntary context switches at entry.
    pub voluntary_switches: u64,
    /// A [`MarkKind`].
    pub kind: u32,
    /// `s_dev`.
    pub device: u32,
}

/// The functions that a task is inside of, outermost first (map `TASKS`, keyed by thread).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TaskMarks {
    /// How many are in use.
    pub depth: u32,
    /// Always zero.
    pub reserved: u32,
    /// The marks.
    pub marks: [Mark; MARKS_MAX],
}

/// Which put is in flight (key of the map `IN_FLIGHT`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct InFlightKey {
    /// Address of the inode.
    pub inode: u64,
    /// Thread id.
    pub thread: u32,
    /// Always zero.
    pub reserved: u32,
}

/// A dangerous final put that has been entered and has not reached `evict` (map
/// `IN_FLIGHT`). It may be over, the inode kept: only the thread's stack tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct InFlight {
    /// The aggregate.
    pub key: SiteKey,
    /// Inode number.
    pub ino: u64,
    /// When it was entered, `CLOCK_MONOTONIC`, in nanoseconds.
    pub entered_ns: u64,
    /// Stack pointer at `iput`.
    pub stack_pointer: u64,
    /// `s_dev`.
    pub device: u32,
    /// Always zero.
    pub reserved: u32,
}

/// The final put that a CPU saw last, if it was benign (in map `SCRATCH`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LastBenign {
    /// Which put.
    pub put: InFlightKey,
    /// Stack pointer at `iput`.
    pub stack_pointer: u64,
    /// Inode number.
    pub ino: u64,
    /// `s_dev` of its superblock.
    pub device: u32,
    /// Always zero.
    pub reserved: u32,
}

/// The places for evictions by benign puts; a power of two.
pub const BENIGN_EVICTIONS_MAX: usize = 1024;

/// An eviction that a benign put began and that has not ended. The place is its thread's, by the low
/// bits of the thread's id; while another one has it, the eviction is a mark (map `TASKS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BenignEviction {
    /// How many threads want the place: it is of the one that found no other.
    pub claims: u64,
    /// How many threads of this place have marks (map `TASKS`).
    pub marked: u64,
    /// Stack pointer at `evict`.
    pub stack_pointer: u64,
    /// Address of the inode.
    pub inode: u64,
    /// Inode number.
    pub ino: u64,
    /// Time of entry into `evict`, nanoseconds of `CLOCK_MONOTONIC`.
    pub entered_ns: u64,
    /// The thread; 0 if the place is free, or being taken.
    pub thread: u32,
    /// `s_dev` of the inode's superblock.
    pub device: u32,
}

/// All evictions by benign puts that are under way, but for those whose place was taken (map
/// `BENIGN_EVICTIONS`): one value, which is read by one call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BenignEvictions {
    /// By the low bits of the thread's id.
    pub places: [BenignEviction; BENIGN_EVICTIONS_MAX],
}

/// Declares the losses once: index and name in reports.
macro_rules! losses {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:ident;)+) => {
        /// Something that could not be kept; counted per CPU.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Loss {
            $($(#[doc = $doc])+ $variant,)+
        }

        /// What is counted per CPU without a site (map `TOTALS`, one entry).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct Totals {
            /// Final puts that were benign by their facts alone.
            pub benign_final_puts: u64,
            /// Evictions begun by benign final puts.
            pub benign_evictions: u64,
            /// All other final puts, kept in `SITES` or lost.
            pub recorded_final_puts: u64,
            /// Puts that were not final and were benign by their facts alone.
            pub benign_non_final_puts: u64,
            /// All others that were not final, kept in `NON_FINAL` or lost.
            pub recorded_non_final_puts: u64,
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Totals {
            /// Adds another CPU's totals.
            pub const fn add(&mut self, other: &Self) {
                self.benign_final_puts += other.benign_final_puts;
                self.benign_evictions += other.benign_evictions;
                self.recorded_final_puts += other.recorded_final_puts;
                self.benign_non_final_puts += other.benign_non_final_puts;
                self.recorded_non_final_puts += other.recorded_non_final_puts;
                $(self.$name += other.$name;)+
            }

            /// Counts one loss.
            #[inline(always)]
            pub const fn lose(&mut self, loss: Loss) {
                match loss {
                    $(Loss::$variant => self.$name += 1,)+
                }
            }
        }
    };
}

losses! {
    /// No room for a new aggregate: the calls of that site are not counted there.
    SitesFull, sites_full;
    /// No room for a new stack.
    StacksFull, stacks_full;
    /// No room for an aggregate's first example.
    SamplesFull, samples_full;
    /// No room in the ring buffer for another example.
    RingFull, ring_full;
    /// No room to follow another task through eviction or writeback.
    TasksFull, tasks_full;
    /// More nested evictions and writeback on one task than are followed.
    MarksFull, marks_full;
    /// A function's exit was not seen; noticed and mended when its task entered another.
    ExitsMissed, exits_missed;
    /// The kernel gave no stack.
    NoStack, no_stack;
    /// A lock that was taken was not followed: too many of one task, or of all tasks.
    LocksFull, locks_full;
    /// A lock whose release was not seen; noticed by its owner, and left out.
    LocksStale, locks_stale;
}

const _: () = {
    assert!(size_of::<SiteKey>() == 40);
    assert!(size_of::<SiteCounts>() == 6 * 8 + 4 * DURATION_BUCKETS);
    assert!(size_of::<StackRecord>() == 8 + 8 * FRAMES_MAX);
    assert!(
        size_of::<SampleRecord>()
            == 40
                + 5 * 8
                + 8 * 4
                + 16
                + 8
                + COMM_LEN
                + 3 * NAME_LEN
                + (32 + CLASS_NAME_LEN + 32) * HELD_LOCKS_MAX
    );
    assert!(size_of::<Mark>() == 40 + 5 * 8 + 8);
    assert!(size_of::<TaskMarks>() == 8 + 88 * MARKS_MAX);
    assert!(size_of::<InFlight>() == 72);
    assert!(size_of::<Totals>() == 15 * 8);
};

/// The records as plain data, for aya's typed maps.
#[cfg(feature = "user")]
mod pod {
    use super::{
        BenignEvictions, Calibration, Control, InFlight, InFlightKey, SampleRecord, SiteCounts,
        SiteKey, StackRecord, TaskMarks, Totals,
    };
    use crate::{KernelLayout, NonFinalCounts, TaskLocks};

    macro_rules! plain_data {
        ($($record:ty),+ $(,)?) => {
            // SAFETY: `#[repr(C)]`, made of integers only, no implicit padding (the sizes
            // are asserted above), so every bit pattern is a value.
            $(unsafe impl aya::Pod for $record {})+
        };
    }

    plain_data!(
        BenignEvictions,
        Calibration,
        Control,
        InFlight,
        InFlightKey,
        KernelLayout,
        NonFinalCounts,
        SampleRecord,
        SiteCounts,
        SiteKey,
        StackRecord,
        TaskLocks,
        TaskMarks,
        Totals,
    );
}
