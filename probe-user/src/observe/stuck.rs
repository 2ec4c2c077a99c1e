//! Final puts that are still inside: found by their age, proved by their thread's stack.

use std::{collections::HashMap, time::Duration};

use probe_common::{SiteKey, TaskLocks};

use super::{calls, held_locks::LockNames, sites::Chain};
use crate::{
    hazard,
    probe::{LockFunction, Probe, Snapshot},
    report::model::{Lock, StuckCall},
    symbol::{Symbolizer, thread_stack},
};

/// Final puts that are still inside for longer than the threshold.
#[derive(Default)]
pub struct StuckCalls {
    /// How many evictions of each site have not ended: the stuck ones, and those that are
    /// not old enough to ask their threads.
    pub in_flight: HashMap<SiteKey, u64>,
    /// Those at a site.
    pub by_key: HashMap<SiteKey, Vec<StuckCall>>,
    /// Those that were benign by their facts, so that no stack was kept: with the chain that
    /// the thread's stack shows.
    pub benign: Vec<(StuckCall, Chain)>,
    /// Why a thread's stack could not be read, if one could not.
    pub unreadable: Option<String>,
}

impl StuckCalls {
    /// Asks the threads of all puts that began longer than `after` ago. What is over is forgotten
    /// by the kernel half, too.
    pub fn find(probe: &mut Probe, snapshot: &Snapshot, after: Duration) -> Self {
        let now_ns = now_ns();
        let after_ns = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        let is_old = |entered_ns: u64| now_ns.saturating_sub(entered_ns) >= after_ns;
        let mut calls = Self::default();
        for eviction in &snapshot.evictions {
            let candidate = Candidate {
                thread: eviction.thread,
                entered_ns: eviction.entered_ns,
                device: eviction.device,
                ino: eviction.ino,
                inside: "evict",
            };
            let presence = if is_old(eviction.entered_ns) {
                ask(&candidate, now_ns)
            } else {
                Presence::Running
            };
            if !matches!(presence, Presence::Over) {
                *calls.in_flight.entry(eviction.key).or_default() += 1;
            }
            match presence {
                Presence::Inside(call) if eviction.key.stack == 0 => {
                    let frames = thread_stack::frames_outside(&call.stack, candidate.inside);
                    calls.benign.push((*call, Chain::new(frames, false)));
                }
                Presence::Inside(call) => {
                    calls.by_key.entry(eviction.key).or_default().push(*call);
                }
                Presence::Unreadable(reason) => calls.unreadable = Some(reason),
                Presence::Over | Presence::Running => {}
            }
        }
        for (key, put) in &snapshot.in_flight {
            if !is_old(put.entered_ns) {
                continue;
            }
            let candidate = Candidate {
                thread: key.thread,
                entered_ns: put.entered_ns,
                device: put.device,
                ino: put.ino,
                inside: "iput",
            };
            match ask(&candidate, now_ns) {
                Presence::Inside(call) => calls.by_key.entry(put.key).or_default().push(*call),
                // Kept on the LRU, long ago.
                Presence::Over => probe.forget_put(key, put.entered_ns),
                Presence::Unreadable(reason) => calls.unreadable = Some(reason),
                Presence::Running => {}
            }
        }
        for (thread, entered_ns) in &snapshot.threads {
            if is_old(*entered_ns) && has_ended(*thread) {
                probe.forget_thread(*thread);
            }
        }
        probe.forget_locks(has_ended);
        calls
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_key.values().map(Vec::len).sum::<usize>() + self.benign.len()
    }

    /// Finds out which of them wait for a lock that their own thread holds.
    pub fn find_own_locks(
        &mut self,
        probe: &Probe,
        names: &LockNames,
        symbolizer: &mut Symbolizer,
    ) {
        let benign = self.benign.iter_mut().map(|(call, _)| call);
        for call in self.by_key.values_mut().flatten().chain(benign) {
            if let Some(locks) = probe.locks_of(call.thread) {
                call.own_lock = own_lock(call, &locks, names, symbolizer);
            }
        }
    }
}

/// The lock that the thread went to take while it held it, if its stack shows that it still waits
/// in that very call. A lock function that is made of another one also takes the same lock twice,
/// but is no waiter's caller.
fn own_lock(
    call: &StuckCall,
    locks: &TaskLocks,
    names: &LockNames,
    symbolizer: &mut Symbolizer,
) -> Option<Lock> {
    let lock = locks
        .locks
        .iter()
        .take(locks.depth as usize)
        .find(|lock| lock.address == locks.taken_again && lock.address != 0)?;
    let caller = symbolizer.frames(&[locks.taken_again_at]).pop()?;
    let function = caller.function?;
    if LockFunction::is_one(&function) {
        return None;
    }
    let frame = format!("{function}+{:#x}/", caller.offset);
    call.stack
        .iter()
        .any(|line| line.starts_with(&frame))
        .then(|| names.taken(lock, symbolizer))
}

/// A final put that has not been seen to end.
struct Candidate {
    /// The thread that made it.
    thread: u32,
    /// When, `CLOCK_MONOTONIC`, in nanoseconds.
    entered_ns: u64,
    /// `s_dev`.
    device: u32,
    /// Inode number.
    ino: u64,
    /// The function that must be on the thread's stack if it is still inside.
    inside: &'static str,
}

/// Whether a put that was seen to begin is still under way.
enum Presence {
    /// Its thread's stack shows it.
    Inside(Box<StuckCall>),
    /// It is not on its thread's stack, or the thread has ended.
    Over,
    /// The stack shows nothing: the thread is running on a CPU right now.
    Running,
    /// The stack cannot be read, for this reason.
    Unreadable(String),
}

/// Asks the thread's stack.
fn ask(candidate: &Candidate, now_ns: u64) -> Presence {
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
    Presence::Inside(Box::new(StuckCall {
        comm: thread_stack::comm(candidate.thread),
        thread: candidate.thread,
        age_ms: now_ns.saturating_sub(candidate.entered_ns) / 1_000_000,
        device: calls::device(candidate.device),
        ino: candidate.ino,
        waits_for: hazard::waits_for(&stack),
        own_lock: None,
        stack,
    }))
}

/// Whether there is no such thread any more.
fn has_ended(thread: u32) -> bool {
    !std::path::Path::new("/proc")
        .join(thread.to_string())
        .exists()
}

/// Now, on the clock of the kernel half's times (`bpf_ktime_get_ns` reads
/// `CLOCK_MONOTONIC`, kernel/bpf/helpers.c).
fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
