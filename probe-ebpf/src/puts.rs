//! A put, seen at `iput`, or at `evict` if it is final: its facts, its site, its way to the outcome.

use aya_ebpf::{bindings::BPF_ANY, helpers::bpf_ktime_get_ns};
use aya_log_ebpf::debug;
use probe_common::{Control, Fact, InFlight, InFlightKey, LastBenign, SiteKey, UNKNOWN};

use crate::{
    entry::Entry,
    facts, glance,
    inode::Inode,
    kernel::{evictions_only, provokes, watches_non_final},
    lockdep,
    locks::OwnLocks,
    maps::{CALIBRATION, CONTROL, IN_FLIGHT, PROVOKED, SCRATCH, Slot, TASKS, count},
    outcome,
    recorder::{Recorder, reload, through_memory},
    references, sites,
    task::CurrentTask,
    tracked_locks,
};

/// The `i_count` that a final put finds.
pub const LAST: u32 = 1;

/// Where a put is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    AtIput,
    AtEvict,
}

/// By which way `evict` is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a final put that is kept at a site.
    Recorded,
    /// By a benign final put, which is only counted.
    Benign,
    /// By something that is no put.
    Other,
}

/// `iput` was entered with this `i_count`. One that finds 0 is a bug of another kind.
#[inline(always)]
pub fn on_iput(mut entry: Entry, address: u64, i_count: u32) {
    if i_count == 0 {
        return;
    }
    let Some(control) = CONTROL.get(0) else {
        return;
    };
    let task = CurrentTask::get();
    if control.recording == 0 {
        if control.calibrating_thread == entry.thread
            && i_count == LAST
            && let Some(calibration) = CALIBRATION.get_ptr_mut(0)
        {
            // SAFETY: a map value that no one else writes while this thread calibrates.
            let calibration = unsafe { &mut *calibration };
            facts::read_context(&mut entry, &task, &mut calibration.readings);
            calibration.puts += 1;
            calibration.iput_stack_pointer = entry.stack_pointer;
            sites::keep_innermost(&mut entry, &mut calibration.iput_frames);
        }
        return;
    }
    let in_flight = InFlightKey {
        inode: address,
        thread: entry.thread,
        reserved: 0,
    };
    if let Some(inode) = glance::at_benign(&mut entry, address, &task, control) {
        if i_count == LAST {
            note_benign(&mut entry, in_flight, inode.ino, inode.device);
        } else {
            count(|totals| totals.benign_non_final_puts += 1);
        }
        return;
    }
    let inode = Inode::read(address);
    look(&mut entry, &inode, &task, Seen::AtIput);
    // Said once more for older verifiers, which do not conclude it from the comparison before.
    if watches_non_final() && i_count != LAST {
        on_non_final_put(&mut entry, &inode, &task, control, i_count);
        return;
    }
    mark_provoked(&mut entry, &inode, control);
    if is_benign(&mut entry) {
        note_benign(&mut entry, in_flight, inode.ino, inode.device);
        return;
    }
    if !sites::find_stack(&mut entry, &task, control.own_frames_at_iput) {
        count(|totals| totals.recorded_final_puts += 1);
        return;
    }
    record(&mut entry, &inode, &task, true);
    let _ = IN_FLIGHT.insert(
        in_flight,
        InFlight {
            key: entry.scratch.sample.key,
            ino: inode.ino,
            // SAFETY: a helper without arguments.
            entered_ns: unsafe { bpf_ktime_get_ns() },
            stack_pointer: entry.stack_pointer,
            device: inode.device,
            reserved: 0,
        },
        u64::from(BPF_ANY),
    );
}

/// Counts a benign final put, which may go on to `evict`.
#[inline(always)]
fn note_benign(entry: &mut Entry, put: InFlightKey, ino: u64, device: u32) {
    count(|totals| totals.benign_final_puts += 1);
    entry.scratch.last_benign = LastBenign {
        put,
        stack_pointer: entry.stack_pointer,
        ino,
        device,
        reserved: 0,
    };
}

/// What the program on `iput` noted last on this CPU.
#[inline(always)]
fn last_benign() -> Option<&'static LastBenign> {
    let scratch = SCRATCH.get_ptr(Slot::Iput as u32)?;
    // SAFETY: a per-CPU value; that program does not run now, unless an interrupt's came upon it, for
    // which no put of its own was noted.
    Some(unsafe { &(*scratch).last_benign })
}

/// A put that leaves other references. Where it is not benign by its facts, it matters who has them.
#[inline(always)]
fn on_non_final_put(
    entry: &mut Entry,
    inode: &Inode,
    task: &CurrentTask,
    control: &Control,
    i_count: u32,
) {
    if is_provoker(entry, control) {
        remember_provocation(inode);
    }
    if is_benign(entry) {
        count(|totals| totals.benign_non_final_puts += 1);
        return;
    }
    count(|totals| totals.recorded_non_final_puts += 1);
    if !sites::find_stack(entry, task, control.own_frames_at_iput) {
        return;
    }
    let sample = &raw mut entry.scratch.sample;
    // SAFETY: the scratch is this program's alone, and `entry` is not used meanwhile.
    let holders = references::look(unsafe { &mut *sample }, inode.address, i_count);
    through_memory(&mut entry.scratch.sample.i_count, i_count);
    let key = entry.scratch.sample.key;
    let seen_before = references::count(&key, i_count, holders);
    sites::keep_sample(entry, inode, task.address, seen_before);
}

/// Whether the dentry cache is being shrunk by this thread for `--provoke`, and it is this thread
/// that puts.
#[inline(always)]
fn is_provoker(entry: &mut Entry, control: &Control) -> bool {
    control.provoking_thread != 0
        && control.provoking_thread == entry.thread
        && !facts::in_interrupt(entry)
}

/// From now on the inode is missing a dentry's reference, until it is evicted.
#[inline(always)]
fn remember_provocation(inode: &Inode) {
    let _ = PROVOKED.insert(inode.address, 1, u64::from(BPF_ANY));
}

/// Another inode may come to lie at the address of one that is evicted.
#[inline(always)]
fn forget_provocation(inode: u64) {
    if provokes() {
        let _ = PROVOKED.remove(inode);
    }
}

/// Records whether a final put would not have been the last without `--provoke`.
#[inline(always)]
fn mark_provoked(entry: &mut Entry, inode: &Inode, control: &Control) {
    if !provokes() {
        return;
    }
    let is_own = is_provoker(entry, control);
    if is_own {
        remember_provocation(inode);
    }
    if is_own || PROVOKED.get_ptr(inode.address).is_some() {
        let facts = &raw mut entry.scratch.sample.key.facts;
        // SAFETY: as above.
        Recorder::resume(unsafe { &mut *facts }).set(Fact::Provoked, true);
    }
}

/// `evict` was entered: by a final put, or by another way.
#[inline(always)]
pub fn on_evict(mut entry: Entry, address: u64) {
    let Some(control) = CONTROL.get(0) else {
        return;
    };
    if control.recording == 0 {
        if control.calibrating_thread == entry.thread
            && let Some(calibration) = CALIBRATION.get_ptr_mut(0)
        {
            // SAFETY: as above.
            let calibration = unsafe { &mut *calibration };
            calibration.evictions += 1;
            calibration.evict_stack_pointer = entry.stack_pointer;
            sites::keep_innermost(&mut entry, &mut calibration.evict_frames);
            if evictions_only() {
                facts::read_context(&mut entry, &CurrentTask::get(), &mut calibration.readings);
            }
        }
        return;
    }
    let this = InFlightKey {
        inode: address,
        thread: entry.thread,
        reserved: 0,
    };
    // The depth of the stack at which the program on `iput` would have seen the put. (An inode that
    // was kept may be evicted by the same thread in another way, as in reclaim.)
    let iput_stack_pointer = entry.stack_pointer.wrapping_add(control.evict_below_iput);
    if let Some(last) = last_benign()
        && last.put == this
        && last.stack_pointer == iput_stack_pointer
    {
        count(|totals| totals.benign_evictions += 1);
        outcome::on_benign_eviction(&entry, last);
        forget_provocation(address);
        return;
    }
    let task = CurrentTask::get();
    let inode = Inode::read(address);
    let way = way_to_evict(
        &mut entry,
        &inode,
        &task,
        control,
        &this,
        iput_stack_pointer,
    );
    forget_provocation(address);
    match way {
        Way::Recorded => {
            sites::count(&entry.scratch.sample.key, |counts| counts.evictions += 1);
        }
        Way::Benign => count(|totals| {
            totals.benign_evictions += 1;
            if evictions_only() {
                totals.benign_final_puts += 1;
            }
        }),
        Way::Other => {}
    }
    outcome::on_eviction(&mut entry, way, &inode, &task);
}

/// By which way `evict` was reached; the scratch's key is the site's, if there is one.
#[inline(always)]
fn way_to_evict(
    entry: &mut Entry,
    inode: &Inode,
    task: &CurrentTask,
    control: &Control,
    put: &InFlightKey,
    iput_stack_pointer: u64,
) -> Way {
    if let Some(in_flight) = IN_FLIGHT.get_ptr(put) {
        // SAFETY: a map value; only this thread makes and removes it.
        let in_flight = unsafe { &*in_flight };
        entry.scratch.sample.key = in_flight.key;
        let is_this = in_flight.stack_pointer == iput_stack_pointer;
        let _ = IN_FLIGHT.remove(put);
        if is_this {
            return Way::Recorded;
        }
    }
    entry.scratch.sample.key = SiteKey::default();

    // Or it is not attached, or missed this one: look now. What `evict`'s caller does to
    // the inode is already done.
    if !sites::walk_stack(entry, control.own_frames_at_evict)
        || sites::is_other_eviction(&mut entry.scratch.stack)
    {
        return Way::Other;
    }
    look(entry, inode, task, Seen::AtEvict);
    mark_provoked(entry, inode, control);
    if is_benign(entry) {
        return Way::Benign;
    }
    sites::keep_stack(entry);
    record(entry, inode, task, evictions_only());
    Way::Recorded
}

/// Reads all facts, into the scratch's key and sample.
#[inline(always)]
fn look(entry: &mut Entry, inode: &Inode, task: &CurrentTask, seen: Seen) {
    let thread = entry.thread;
    let stack_left = facts::stack_left(entry, task);
    let process = entry.process;

    let sample = &raw mut entry.scratch.sample;
    // SAFETY: the scratch is this program's alone, and nothing below reaches the sample
    // through `entry`.
    let sample = unsafe { &mut *sample };
    sample.key.stack = 0;
    sample.key.locks = 0;
    sample.key.filesystem = inode.filesystem;
    facts::read_context(entry, task, &mut sample.readings);
    if let Some(control) = CONTROL.get(0) {
        facts::subtract(&mut sample.readings, &control.baseline);
    }
    let stack_left = through_memory(&mut sample.stack_left, stack_left);
    sample.i_count = if seen == Seen::AtIput { LAST } else { UNKNOWN };
    sample.aliases = 0;
    sample.unused_aliases = 0;
    sample.process = process;
    sample.thread = thread;

    let facts = Recorder::new(&mut sample.key.facts);
    facts::from_readings(facts, &mut sample.readings, task);
    facts::from_stack_left(facts, stack_left);
    inode.facts(facts);
    if seen == Seen::AtEvict {
        // `iput_final` sets I_FREEING itself before it evicts (fs/inode.c).
        facts.forget(Fact::InodeFreeing);
    }
    sample.written_ino = 0;
    sample.tracked = 0;
    let held = reload(&mut sample.readings.held_locks);
    if facts::is_interrupt(reload(&mut sample.readings.preempt_count)) {
        let none = OwnLocks::UNKNOWN;
        sample.key.locks =
            lockdep::read_locks(facts, &mut sample.held_locks, held, &none, task.address);
        return;
    }
    facts::from_task(facts, task);
    let own = OwnLocks::of(inode);
    own.by_owner(facts, task.address);
    let by_lockdep = lockdep::read_locks(facts, &mut sample.held_locks, held, &own, task.address);
    let by_tracking = tracked_locks::read_locks(
        facts,
        &mut sample.tracked_locks,
        &mut sample.tracked,
        &own,
        task.address,
        thread,
    );
    sample.key.locks = if by_lockdep == 0 {
        by_tracking
    } else {
        by_lockdep
    };
    // SAFETY: a map value that only this thread changes, and no interrupt.
    let marks = TASKS.get_ptr(thread).map(|marks| unsafe { &*marks });
    sample.written_ino = facts::from_marks(facts, marks, entry, inode.address);
}

/// Whether what was looked at is benign. Read anew, so that the verifier forgets how the
/// facts came about.
#[inline(always)]
fn is_benign(entry: &mut Entry) -> bool {
    reload(&mut entry.scratch.sample.key.facts).are_benign()
}

/// Keeps the call at its site, whose stack is known.
#[inline(always)]
fn record(entry: &mut Entry, inode: &Inode, task: &CurrentTask, is_new: bool) {
    let mut seen_before = 0;
    if is_new {
        count(|totals| totals.recorded_final_puts += 1);
    }
    let key = entry.scratch.sample.key;
    sites::count(&key, |counts| {
        seen_before = counts.final_puts;
        if is_new {
            counts.final_puts += 1;
        }
    });
    sites::keep_sample(entry, inode, task.address, seen_before);
    debug!(
        entry,
        "final put of inode {} at site {:x}", inode.ino, key.stack
    );
}
