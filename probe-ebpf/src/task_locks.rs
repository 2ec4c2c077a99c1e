//! Following the locks that each task takes and releases.
//!
//! A lock counts as held from the entry into the function that takes it: a task that waits for a
//! lock puts no inode meanwhile. One that may fail to take it is *pending* until it returns.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task},
};
use probe_common::{LockKind, Loss, TASK_LOCKS_MAX, TakenLock, TaskLocks};

use crate::{
    facts,
    maps::{LOCKS, lose},
    recorder::reload,
    tracked_locks::is_held,
};

/// What is inserted for a task that takes its first lock.
static NO_LOCKS: TaskLocks = TaskLocks {
    depth: 0,
    left_out: 0,
    taken_again: 0,
    taken_again_at: 0,
    locks: [TakenLock {
        address: 0,
        taken_at: 0,
        kind: 0,
        pending: 0,
    }; TASK_LOCKS_MAX],
};

/// Whether a function always takes its lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// It does.
    Certain = 0,
    /// Its return value tells.
    Pending = 1,
}

/// The current thread; `None` in an interrupt, which is not the task's, and for the idle task.
#[inline(always)]
fn thread() -> Option<u32> {
    if facts::interrupts_task() {
        return None;
    }
    let thread = bpf_get_current_pid_tgid() as u32;
    if thread == 0 { None } else { Some(thread) }
}

/// The current task's locks, if it holds any.
#[inline(always)]
fn of(thread: u32) -> Option<&'static mut TaskLocks> {
    let locks = LOCKS.get_ptr_mut(thread)?;
    // SAFETY: a map value that only this thread changes, and no interrupt.
    Some(unsafe { &mut *locks })
}

/// Forgets the task once nothing is known of it.
#[inline(always)]
fn forget_if_empty(thread: u32, locks: &TaskLocks) {
    if locks.depth == 0 && locks.left_out == 0 {
        let _ = LOCKS.remove(thread);
    }
}

/// The task goes to take a lock.
#[inline(always)]
pub fn take(address: u64, taken_at: u64, kind: LockKind, taking: Taking) -> Option<()> {
    let thread = thread()?;
    let locks = if let Some(locks) = of(thread) {
        locks
    } else {
        if LOCKS
            .insert(thread, &NO_LOCKS, u64::from(BPF_NOEXIST))
            .is_err()
        {
            lose(Loss::LocksFull);
        }
        of(thread)?
    };
    let lock = TakenLock {
        address,
        taken_at,
        kind: kind as u32,
        pending: taking as u32,
    };
    if let Some(index) = index_of(locks, address) {
        let known = locks.locks.get_mut(index as usize)?;
        // SAFETY: a helper without arguments.
        if is_held(known, unsafe { bpf_get_current_task() }) {
            locks.taken_again = address;
            locks.taken_again_at = taken_at;
        } else {
            // Its release was not seen.
            *known = lock;
        }
        return None;
    }
    // Read anew: the verifier of 6.1 takes what the search has told it of the depth for a
    // contradiction.
    let depth = reload(&mut locks.depth);
    if let Some(slot) = locks.locks.get_mut(depth as usize) {
        *slot = lock;
        locks.depth = depth + 1;
    } else {
        // One that may fail to be taken would never be known to be released.
        if taking == Taking::Certain {
            locks.left_out += 1;
        }
        lose(Loss::LocksFull);
    }
    Some(())
}

/// A function that may fail to take its lock has returned.
#[inline(always)]
pub fn taken(has_it: bool) -> Option<()> {
    let thread = thread()?;
    let locks = of(thread)?;
    let last = locks.depth.checked_sub(1)?;
    // Older verifiers do not see from the test above that there is no overflow.
    let lock = locks.locks.get_mut(last as usize & (TASK_LOCKS_MAX - 1))?;
    if lock.pending != 0 {
        lock.pending = 0;
        if !has_it {
            locks.depth = last;
            forget_if_empty(thread, locks);
        }
    }
    Some(())
}

/// The task releases a lock. One that is not known was taken before it was followed.
#[inline(always)]
pub fn release(address: u64) -> Option<()> {
    let thread = thread()?;
    let locks = of(thread)?;
    if let Some(found) = index_of(locks, address) {
        for index in 0..TASK_LOCKS_MAX - 1 {
            if index as u32 >= found
                && let Some(next) = locks.locks.get(index + 1).copied()
                && let Some(slot) = locks.locks.get_mut(index)
            {
                *slot = next;
            }
        }
        locks.depth = reload(&mut locks.depth).saturating_sub(1);
    } else {
        locks.left_out = locks.left_out.saturating_sub(1);
    }
    forget_if_empty(thread, locks);
    Some(())
}

/// The task turns a write lock into a read lock.
#[inline(always)]
pub fn downgrade(address: u64) -> Option<()> {
    let locks = of(thread()?)?;
    let index = index_of(locks, address)?;
    locks.locks.get_mut(index as usize)?.kind = LockKind::RwsemRead as u32;
    Some(())
}

/// Where the lock is among those that the task holds.
#[inline(always)]
fn index_of(locks: &TaskLocks, address: u64) -> Option<u32> {
    for (index, lock) in locks.locks.iter().enumerate() {
        if index as u32 >= locks.depth {
            break;
        }
        if lock.address == address {
            return Some(index as u32);
        }
    }
    None
}
