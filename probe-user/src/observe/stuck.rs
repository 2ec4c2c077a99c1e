//! Final puts that are still inside: found by their age, proved by their thread's stack.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use probe_common::{InFlight, InFlightKey, Mark, SiteKey, TaskLocks};

use super::{calls, held_locks::LockNames, inside::Thread, sites::Chain};
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
        for (id, mut thread) in threads(snapshot) {
            let mut over = thread.drop_over();
            let is_asked = thread.evictions().any(|mark| is_old(mark.entered_ns))
                || thread.puts.iter().any(|(_, put)| is_old(put.entered_ns));
            if is_asked && let Some(stack) = calls.ask(id) {
                // As they are with this stack.
                thread.marks = probe.marks_of(id);
                over.extend(thread.drop_over());
                let asked = Asked {
                    thread: id,
                    stack: &stack,
                    now_ns,
                };
                over.extend(calls.look(&asked, &thread, is_old));
            } else {
                for eviction in thread.evictions() {
                    calls.note_in_flight(eviction);
                }
            }
            for (key, put) in over.iter().filter(|(_, put)| is_old(put.entered_ns)) {
                probe.forget_put(key, put.entered_ns);
            }
        }
        for (thread, marks) in &snapshot.marks {
            let innermost = marks.last();
            if innermost.is_some_and(|mark| is_old(mark.entered_ns)) && has_ended(*thread) {
                probe.forget_thread(*thread);
            }
        }
        probe.forget_locks(has_ended);
        calls
    }

    /// The thread's stack: empty if it has ended; `None` if it shows nothing, since the thread is
    /// running on a CPU right now or its stack cannot be read.
    fn ask(&mut self, thread: u32) -> Option<Vec<String>> {
        match thread_stack::read(thread) {
            Ok(stack) => (!stack.is_empty()).then_some(stack),
            Err(error) if has_ended(thread) => {
                log::debug!("thread {thread} has ended: {error}");
                Some(Vec::new())
            }
            Err(error) => {
                self.unreadable = Some(error.to_string());
                None
            }
        }
    }

    /// Notes what the thread's stack shows of it. If it shows no put, returns them all: the old ones
    /// were kept on the LRU, long ago.
    fn look(
        &mut self,
        asked: &Asked,
        thread: &Thread,
        is_old: impl Fn(u64) -> bool,
    ) -> Vec<(InFlightKey, InFlight)> {
        let inside = thread.inside(asked.stack);
        for young in thread.evictions().filter(|mark| !is_old(mark.entered_ns)) {
            self.note_in_flight(young);
        }
        for (mark, inner) in inside.evictions {
            if !is_old(mark.entered_ns) {
                continue;
            }
            self.note_in_flight(&mark);
            let call = asked.call(mark.entered_ns, mark.device, mark.ino);
            if mark.key.stack == 0 {
                let frames = thread_stack::frames_outside(asked.stack, inner);
                self.benign.push((call, Chain::new(frames, false)));
            } else {
                self.by_key.entry(mark.key).or_default().push(call);
            }
        }
        for put in inside.puts.iter().filter(|put| is_old(put.entered_ns)) {
            let call = asked.call(put.entered_ns, put.device, put.ino);
            self.by_key.entry(put.key).or_default().push(call);
        }
        if inside.puts.is_empty() {
            thread.puts.clone()
        } else {
            Vec::new()
        }
    }

    fn note_in_flight(&mut self, eviction: &Mark) {
        *self.in_flight.entry(eviction.key).or_default() += 1;
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

/// What the kernel half remembers, by thread.
fn threads(snapshot: &Snapshot) -> BTreeMap<u32, Thread> {
    let mut threads: BTreeMap<u32, Thread> = BTreeMap::new();
    for (thread, marks) in &snapshot.marks {
        threads.entry(*thread).or_default().marks.clone_from(marks);
    }
    for (key, put) in &snapshot.in_flight {
        let thread = threads.entry(key.thread).or_default();
        thread.puts.push((*key, *put));
    }
    threads
}

/// A thread that was asked for its stack.
struct Asked<'a> {
    thread: u32,
    stack: &'a [String],
    now_ns: u64,
}

impl Asked<'_> {
    /// A call that the stack shows.
    fn call(&self, entered_ns: u64, device: u32, ino: u64) -> StuckCall {
        StuckCall {
            comm: thread_stack::comm(self.thread),
            thread: self.thread,
            age_ms: self.now_ns.saturating_sub(entered_ns) / 1_000_000,
            device: calls::device(device),
            ino,
            waits_for: hazard::waits_for(self.stack),
            own_lock: None,
            stack: self.stack.to_vec(),
        }
    }
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
