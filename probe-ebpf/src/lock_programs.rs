//! The programs on the functions that take and release mutexes and rwsems, for `--track-locks`.
//!
//! Only kprobes: one program serves all functions of a kind, while a trampoline needs a program
//! for each function.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the attributes generate a caller that passes the context by value"
)]

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use probe_common::LockKind;

use crate::{
    entry::return_address,
    task_locks::{self, Taking},
};

/// Programs on the entry of functions whose first argument is a lock that they take.
macro_rules! taking {
    ($($(#[$doc:meta])+ $program:ident: $kind:ident, $taking:ident;)+) => {
        $(
            $(#[$doc])+
            #[kprobe]
            fn $program(context: ProbeContext) -> Option<()> {
                let lock = context.arg(0)?;
                let at = return_address(&context);
                task_locks::take(lock, at, LockKind::$kind, Taking::$taking)
            }
        )+
    };
}

taking! {
    /// `mutex_lock(lock)` and its like.
    take_mutex: Mutex, Certain;
    /// `mutex_trylock(lock)`, `mutex_lock_killable(lock)` and their like.
    try_mutex: Mutex, Pending;
    /// `down_read(sem)` and its like.
    take_rwsem_read: RwsemRead, Certain;
    /// `down_read_trylock(sem)`, `down_read_killable(sem)` and their like.
    try_rwsem_read: RwsemRead, Pending;
    /// `down_write(sem)` and its like.
    take_rwsem_write: RwsemWrite, Certain;
    /// `down_write_trylock(sem)`, `down_write_killable(sem)` and their like.
    try_rwsem_write: RwsemWrite, Pending;
    /// `percpu_down_write(sem)`.
    take_percpu_rwsem_write: PercpuRwsemWrite, Certain;
}

/// The end of a function that returns 0 if it has taken the lock.
#[kretprobe]
fn taken_if_zero(context: RetProbeContext) -> Option<()> {
    task_locks::taken(context.ret::<i32>() == 0)
}

/// The end of a function that returns 1 if it has taken the lock.
#[kretprobe]
fn taken_if_not_zero(context: RetProbeContext) -> Option<()> {
    task_locks::taken(context.ret::<i32>() != 0)
}

/// `mutex_unlock(lock)`, `up_read(sem)`, `up_write(sem)`, `percpu_up_write(sem)`.
#[kprobe]
fn release_lock(context: ProbeContext) -> Option<()> {
    task_locks::release(context.arg(0)?)
}

/// `downgrade_write(sem)`.
#[kprobe]
fn downgrade_rwsem(context: ProbeContext) -> Option<()> {
    task_locks::downgrade(context.arg(0)?)
}
