//! What each task is inside of, and how evictions end.
//!
//! Entries and exits of a few functions are kept as marks, a shadow of the task's stack.
//! Each mark has the stack pointer of its entry, so that a missed exit (a kretprobe has a
//! limited number of instances) is noticed at the next entry and cannot mislead for long.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_ktime_get_ns};
use probe_common::{Facts, LastBenign, Loss, MARKS_MAX, Mark, MarkKind, SiteKey, TaskMarks};

use crate::{
    benign_evictions,
    entry::Entry,
    facts,
    inode::Inode,
    kernel::{layout, read},
    maps::{CALIBRATION, CONTROL, TASKS, lose},
    puts::Way,
    sites,
    task::CurrentTask,
};

const NO_KEY: SiteKey = SiteKey {
    stack: 0,
    locks: 0,
    filesystem: 0,
    facts: Facts { known: 0, yes: 0 },
};

/// What is inserted for a task that enters its first function: too large for the stack.
static NO_MARKS: TaskMarks = TaskMarks {
    depth: 0,
    reserved: 0,
    marks: [Mark {
        key: NO_KEY,
        stack_pointer: 0,
        inode: 0,
        ino: 0,
        entered_ns: 0,
        voluntary_switches: 0,
        kind: 0,
        device: 0,
    }; MARKS_MAX],
};

/// How far apart the stack pointers at a function's entry and at its exit may be: the return
/// address is gone by then. Less than the frames that lie between two nested calls of these
/// functions.
pub const EXIT_SLACK: u64 = 32;

/// `evict` was entered, by a put whose site is the scratch's key or by another way.
#[inline(always)]
pub fn on_eviction(entry: &mut Entry, way: Way, inode: &Inode, task: &CurrentTask) {
    let kind = match way {
        Way::Other => MarkKind::OtherEviction,
        Way::Recorded | Way::Benign => MarkKind::Eviction,
    };
    // What an interrupt evicts is not the current task's doing, and its stack another.
    if facts::in_interrupt(entry) {
        return;
    }
    push(entry, kind, inode.address, |mark| {
        mark.key = match way {
            Way::Recorded => entry.scratch.sample.key,
            Way::Benign | Way::Other => NO_KEY,
        };
        mark.ino = inode.ino;
        mark.device = inode.device;
        mark.voluntary_switches = voluntary_switches(task);
    });
}

/// `evict` was entered by the benign put that this CPU saw last.
#[inline(always)]
pub fn on_benign_eviction(entry: &Entry, put: &LastBenign) {
    if benign_evictions::begin(entry, put) {
        return;
    }
    push(entry, MarkKind::Eviction, put.put.inode, |mark| {
        mark.key = NO_KEY;
        mark.ino = put.ino;
        mark.device = put.device;
        mark.voluntary_switches = 0;
    });
}

#[inline(always)]
fn voluntary_switches(task: &CurrentTask) -> u64 {
    task.read(layout!(task_voluntary_switches)).unwrap_or(0)
}

/// `do_writepages`, `writeback_single_inode` or `wb_workfn` was entered.
#[inline(always)]
pub fn on_writeback(entry: &Entry, kind: MarkKind, inode: u64) {
    if !is_recording() {
        return;
    }
    push(entry, kind, inode, |mark| {
        mark.key = NO_KEY;
        mark.ino = read(inode, layout!(inode_ino)).unwrap_or(0);
        mark.device = 0;
        mark.voluntary_switches = 0;
    });
}

#[inline(always)]
fn is_recording() -> bool {
    CONTROL.get(0).is_some_and(|control| control.recording != 0)
}

#[inline(always)]
fn push(entry: &Entry, kind: MarkKind, inode: u64, fill: impl FnOnce(&mut Mark)) {
    let thread = entry.thread;
    let mut marks = TASKS.get_ptr_mut(thread);
    if marks.is_none() {
        if TASKS
            .insert(thread, &NO_MARKS, u64::from(BPF_NOEXIST))
            .is_ok()
        {
            benign_evictions::note_marked(thread, true);
        }
        marks = TASKS.get_ptr_mut(thread);
    }
    let Some(marks) = marks else {
        lose(Loss::TasksFull);
        return;
    };
    // SAFETY: a map value that only this thread changes. (The value of the task id 0 is
    // shared by the CPUs' idle tasks, which neither evict nor write back.)
    let marks = unsafe { &mut *marks };
    drop_returned(marks, entry.stack_pointer);
    benign_evictions::drop_returned(entry);
    let depth = marks.depth as usize;
    let Some(mark) = marks.marks.get_mut(depth) else {
        lose(Loss::MarksFull);
        return;
    };
    fill(mark);
    mark.kind = kind as u32;
    mark.inode = inode;
    mark.stack_pointer = entry.stack_pointer;
    // SAFETY: a helper without arguments.
    mark.entered_ns = unsafe { bpf_ktime_get_ns() };
    marks.depth = depth as u32 + 1;
}

/// Forgets marks of functions that must have returned: they were entered at a shallower
/// depth of the stack than is reached now.
#[inline(always)]
fn drop_returned(marks: &mut TaskMarks, stack_pointer: u64) {
    for _ in 0..MARKS_MAX {
        let below = (marks.depth as usize).wrapping_sub(1);
        let Some(mark) = marks.marks.get(below) else {
            break;
        };
        if mark.stack_pointer > stack_pointer {
            break;
        }
        marks.depth = below as u32;
        lose(Loss::ExitsMissed);
    }
}

/// `evict` was left.
#[inline(always)]
pub fn on_evict_end(mut entry: Entry) {
    let Some(control) = CONTROL.get(0) else {
        return;
    };
    if control.recording == 0 {
        if control.calibrating_thread == entry.thread
            && let Some(calibration) = CALIBRATION.get_ptr_mut(0)
        {
            // SAFETY: a map value that no one else writes while this thread calibrates.
            unsafe { (*calibration).ended += 1 };
        }
        return;
    }
    if benign_evictions::end(&entry) || facts::in_interrupt(&mut entry) {
        return;
    }
    benign_evictions::drop_returned(&entry);
    pop(&entry, |kind| {
        kind == MarkKind::Eviction as u32 || kind == MarkKind::OtherEviction as u32
    });
}

/// `do_writepages`, `writeback_single_inode` or `wb_workfn` was left.
#[inline(always)]
pub fn on_writeback_end(entry: &Entry, kind: MarkKind) {
    pop(entry, |other| other == kind as u32);
}

/// Takes off the mark of the function that is being left, and those above it whose exit
/// was missed.
#[inline(always)]
fn pop(entry: &Entry, is_kind: impl Fn(u32) -> bool) {
    let thread = entry.thread;
    let Some(marks) = TASKS.get_ptr_mut(thread) else {
        return;
    };
    // SAFETY: a map value that only this thread changes.
    let marks = unsafe { &mut *marks };
    for _ in 0..MARKS_MAX {
        let below = (marks.depth as usize).wrapping_sub(1);
        let Some(mark) = marks.marks.get(below) else {
            break;
        };
        if mark.stack_pointer > entry.stack_pointer.wrapping_add(EXIT_SLACK) {
            // This function was entered without being seen; the mark is its caller's.
            break;
        }
        marks.depth = below as u32;
        let is_deeper = mark.stack_pointer.wrapping_add(EXIT_SLACK) < entry.stack_pointer;
        if !is_deeper && is_kind(mark.kind) {
            if mark.key.stack != 0 {
                count_end(mark);
            }
            break;
        }
        lose(Loss::ExitsMissed);
    }
    if marks.depth == 0 && TASKS.remove(thread).is_ok() {
        benign_evictions::note_marked(thread, false);
    }
}

#[inline(always)]
fn count_end(mark: &Mark) {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let duration = now.saturating_sub(mark.entered_ns);
    let slept = voluntary_switches(&CurrentTask::get()) != mark.voluntary_switches;
    let key = mark.key;
    sites::count(&key, |counts| {
        counts.ended += 1;
        counts.slept += u64::from(slept);
        counts.total_ns += duration;
        if duration > counts.longest_ns {
            counts.longest_ns = duration;
        }
        if let Some(bucket) = counts.durations.get_mut(bucket(duration / 1000)) {
            *bucket += 1;
        }
    });
}

/// The position of the highest bit of `microseconds`, at most the last bucket. BPF has no
/// instruction that counts leading zeros.
#[inline(always)]
fn bucket(microseconds: u64) -> usize {
    let mut rest = if microseconds >> 32 == 0 {
        microseconds
    } else {
        u64::from(u32::MAX)
    };
    let mut bucket = 0;
    for step in [16, 8, 4, 2, 1] {
        if rest >> step != 0 {
            rest >>= step;
            bucket += step;
        }
    }
    bucket
}
