//! Final puts that are still inside: found by their age, proved by their thread's stack.

use crate::{hazard, report::model::StuckCall, symbol::thread_stack};

use super::calls;

/// A final put that has not been seen to end.
pub struct Candidate {
    /// The thread that made it.
    pub thread: u32,
    /// When, `CLOCK_MONOTONIC`, in nanoseconds.
    pub entered_ns: u64,
    /// `s_dev`.
    pub device: u32,
    /// Inode number.
    pub ino: u64,
    /// The function that must be on the thread's stack if it is still inside.
    pub inside: &'static str,
}

/// Whether a put that was seen to begin is still under way.
pub enum Presence {
    /// Its thread's stack shows it.
    Inside(StuckCall),
    /// It is not on its thread's stack, or the thread has ended.
    Over,
    /// The stack shows nothing: the thread is running on a CPU right now.
    Running,
    /// The stack cannot be read, for this reason.
    Unreadable(String),
}

/// Asks the thread's stack.
pub fn ask(candidate: &Candidate, now_ns: u64) -> Presence {
    let stack = match thread_stack::read(candidate.thread) {
        Ok(stack) => stack,
        Err(error) if has_ended(candidate.thread) => {
            log::debug!("thread {} has ended: {error}", candidate.thread);
            return Presence::Over;
        }
        Err(error) => return Presence::Unreadable(error.to_string()),
    };
    if stack.is_empty() {
        return Presence::Running;
    }
    if !thread_stack::contains_function(&stack, candidate.inside) {
        return Presence::Over;
    }
    Presence::Inside(StuckCall {
        comm: thread_stack::comm(candidate.thread),
        thread: candidate.thread,
        age_ms: now_ns.saturating_sub(candidate.entered_ns) / 1_000_000,
        device: calls::device(candidate.device),
        ino: candidate.ino,
        waits_for: hazard::waits_for(&stack),
        stack,
    })
}

/// Whether there is no such thread any more.
pub fn has_ended(thread: u32) -> bool {
    !std::path::Path::new("/proc")
        .join(thread.to_string())
        .exists()
}

/// Now, on the clock of the kernel half's times (`bpf_ktime_get_ns` reads
/// `CLOCK_MONOTONIC`, kernel/bpf/helpers.c).
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
