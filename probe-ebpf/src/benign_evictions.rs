//! Evictions that benign puts have begun: nearly all that there are, so that they are noted where it
//! costs least, each at a place that its thread's id tells.
//!
//! A place is claimed by counting up, which every kernel's programs can do atomically: who then finds
//! that it is the only one has it. Who does not keeps a mark instead.

use core::{arch::asm, ptr::read_volatile};

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_common::{BENIGN_EVICTIONS_MAX, BenignEviction, LastBenign, Loss};

use crate::{
    entry::Entry,
    maps::{BENIGN_EVICTIONS, lose},
    outcome::EXIT_SLACK,
};

/// The place of a thread. The CPUs' idle tasks, which share the id 0, have none.
#[inline(always)]
fn place(thread: u32) -> Option<*mut BenignEviction> {
    if thread == 0 {
        return None;
    }
    let all = BENIGN_EVICTIONS.get_ptr_mut(0)?;
    let index = thread as usize & (BENIGN_EVICTIONS_MAX - 1);
    // SAFETY: within the map's value, which lives as long as the program.
    Some(unsafe { (&raw mut (*all).places).cast::<BenignEviction>().add(index) })
}

/// Adds atomically, without asking what was there before: `BPF_XADD`, which every kernel has. Rust has
/// no such operation for this target, as it lacks the others.
///
/// # Safety
/// `number` must be live.
#[inline(always)]
unsafe fn add(number: *mut u64, summand: i64) {
    // SAFETY: the caller says so.
    unsafe {
        asm!(
            "lock *(u64 *)({number} + 0) += {summand}",
            number = in(reg) number,
            summand = in(reg) summand,
            options(nostack),
        );
    }
}

/// Notes that `evict` was entered by the benign put that this CPU saw last. Returns false if the
/// thread's place is another one's.
#[inline(always)]
pub fn begin(entry: &Entry, put: &LastBenign) -> bool {
    let thread = put.put.thread;
    let Some(place) = place(thread) else {
        return false;
    };
    // SAFETY: a live place; what others may change at the same time is read and written whole.
    unsafe {
        if read_volatile(&raw const (*place).thread) == thread {
            // The exit of an earlier eviction was missed: a benign put is never in another.
            lose(Loss::ExitsMissed);
        } else {
            add(&raw mut (*place).claims, 1);
            if read_volatile(&raw const (*place).claims) != 1 {
                add(&raw mut (*place).claims, -1);
                return false;
            }
        }
        (*place).stack_pointer = entry.stack_pointer;
        (*place).inode = put.put.inode;
        (*place).ino = put.ino;
        (*place).device = put.device;
        (*place).entered_ns = bpf_ktime_get_ns();
        (&raw mut (*place).thread).write_volatile(thread);
    }
    true
}

/// Notes that `evict` was left; returns false if it was not entered by a benign put that has a place.
/// An interrupt's eviction ends on another stack, so that it is not taken for the task's.
#[inline(always)]
pub fn end(entry: &Entry) -> bool {
    let Some(place) = place(entry.thread) else {
        return false;
    };
    // SAFETY: a live place, of which this thread has all but the claims.
    unsafe {
        let entered_at = (*place).stack_pointer;
        let is_this = read_volatile(&raw const (*place).thread) == entry.thread
            && entered_at <= entry.stack_pointer.wrapping_add(EXIT_SLACK)
            && entered_at.wrapping_add(EXIT_SLACK) >= entry.stack_pointer;
        if is_this {
            free(place);
        }
        is_this
    }
}

/// Frees the place of an eviction that must have ended, as the stack is not as deep any more: its exit
/// was missed. Not to be asked in an interrupt.
#[inline(always)]
pub fn drop_returned(entry: &Entry) {
    let Some(place) = place(entry.thread) else {
        return;
    };
    // SAFETY: as above.
    unsafe {
        if read_volatile(&raw const (*place).thread) == entry.thread
            && (*place).stack_pointer <= entry.stack_pointer
        {
            free(place);
            lose(Loss::ExitsMissed);
        }
    }
}

/// Gives up the current thread's place.
///
/// # Safety
/// It must be the thread's.
#[inline(always)]
unsafe fn free(place: *mut BenignEviction) {
    // SAFETY: the caller says so.
    unsafe {
        (&raw mut (*place).thread).write_volatile(0);
        add(&raw mut (*place).claims, -1);
    }
}

/// Notes that the thread has marks now, or has none any more.
#[inline(always)]
pub fn note_marked(thread: u32, has_marks: bool) {
    if let Some(place) = place(thread) {
        // SAFETY: a live place.
        unsafe { add(&raw mut (*place).marked, if has_marks { 1 } else { -1 }) };
    }
}

/// What a task is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// Nothing that is noted.
    Nothing,
    /// An eviction that a benign put began.
    Eviction,
    /// What marks tell, if they are this task's: a thread of the same place has some.
    PerhapsMarks,
}

/// What the current task is inside of.
#[inline(always)]
pub fn of(entry: &Entry) -> Around {
    let Some(place) = place(entry.thread) else {
        return Around::PerhapsMarks;
    };
    // SAFETY: as above.
    unsafe {
        if read_volatile(&raw const (*place).thread) == entry.thread
            && (*place).stack_pointer > entry.stack_pointer
        {
            Around::Eviction
        } else if read_volatile(&raw const (*place).marked) != 0 {
            Around::PerhapsMarks
        } else {
            Around::Nothing
        }
    }
}
