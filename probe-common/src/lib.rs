//! The contract between the kernel half and the agent: facts, records, kernel layout.
//!
//! Both halves compile this crate, so a record can never be read in another shape than it
//! was written in. Everything is `#[repr(C)]`, has no padding that is not spelled out, and
//! its size is asserted at compile time.
#![no_std]
#![expect(
    clippy::inline_always,
    reason = "what is not inlined becomes a BPF function of its own, which older verifiers follow badly"
)]

mod facts;
mod layout;
mod locks;
mod record;
mod references;

pub use facts::{ALL_FACTS, Fact, Facts};
pub use layout::{
    ABSENT, AddressRange, CALLERS_MAX, CAST_PLACEHOLDER, KernelLayout, PARTS_MAX, SPAN_MAX,
    TRAIL_MAX,
};
pub use locks::{
    CLASS_NAME_LEN, HELD_LOCKS_MAX, HeldLock, LockKind, LockPlace, TASK_LOCKS_MAX, TakenLock,
    TaskLocks, TrackedLock,
};
pub use record::{
    BENIGN_EVICTIONS_MAX, Baseline, BenignEviction, BenignEvictions, COMM_LEN, Calibration,
    Control, DURATION_BUCKETS, FRAMES_MAX, InFlight, InFlightKey, LastBenign, Loss, MARKS_MAX,
    Mark, MarkKind, NAME_LEN, OWN_FRAMES_MAX, Readings, SampleRecord, SiteCounts, SiteKey,
    StackRecord, TaskMarks, Totals, UNKNOWN,
};
pub use references::{ALIASES_MAX, Holders, I_COUNT_BUCKETS, NonFinalCounts};
