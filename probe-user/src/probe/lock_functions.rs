//! The functions that take and release locks, and the programs that follow them.

use crate::kernel::symbols::{Symbols, plain_name};

/// A function of the kernel that takes or releases the lock that is its first argument.
#[derive(Debug, PartialEq, Eq)]
pub struct LockFunction {
    /// Its name.
    pub name: &'static str,
    /// The program on its entry.
    entry: &'static str,
    /// The program on its exit, if its return value tells whether it has taken the lock.
    exit: Option<&'static str>,
}

/// Declares the table: the program on the entry, that on the exit, and the functions.
macro_rules! lock_functions {
    ($($entry:literal, $exit:expr => [$($name:literal),+];)+) => {
        const LOCK_FUNCTIONS: &[LockFunction] = &[$($(LockFunction {
            name: $name,
            entry: $entry,
            exit: $exit,
        },)+)+];
    };
}

const IF_ZERO: Option<&str> = Some("taken_if_zero");
const IF_NOT_ZERO: Option<&str> = Some("taken_if_not_zero");

// The names with `nested` and `nest_lock` are functions of their own with DEBUG_LOCK_ALLOC, and take
// the place of the plain ones there (include/linux/mutex.h, include/linux/rwsem.h). The
// `_non_owner` functions are left out: what they take is another task's to release.
lock_functions! {
    "release_lock", None => ["mutex_unlock", "up_read", "up_write", "percpu_up_write"];
    "downgrade_rwsem", None => ["downgrade_write"];
    "take_mutex", None => [
        "mutex_lock",
        "mutex_lock_io",
        "mutex_lock_nested",
        "mutex_lock_io_nested",
        "_mutex_lock_nest_lock"
    ];
    "try_mutex", IF_ZERO => [
        "mutex_lock_interruptible",
        "mutex_lock_killable",
        "mutex_lock_interruptible_nested",
        "mutex_lock_killable_nested",
        "_mutex_lock_killable"
    ];
    "try_mutex", IF_NOT_ZERO => ["mutex_trylock", "_mutex_trylock_nest_lock"];
    "take_rwsem_read", None => ["down_read", "down_read_nested"];
    "try_rwsem_read", IF_ZERO => [
        "down_read_interruptible",
        "down_read_killable",
        "down_read_killable_nested"
    ];
    "try_rwsem_read", IF_NOT_ZERO => ["down_read_trylock"];
    "take_rwsem_write", None => ["down_write", "down_write_nested", "_down_write_nest_lock"];
    "try_rwsem_write", IF_ZERO => ["down_write_killable", "down_write_killable_nested"];
    "try_rwsem_write", IF_NOT_ZERO => ["down_write_trylock"];
    "take_percpu_rwsem_write", None => ["percpu_down_write"];
}

impl LockFunction {
    /// The functions of the table that this kernel has, in the order of attaching: a release that
    /// is not seen would be worse than a lock that is not.
    #[must_use]
    pub fn on(symbols: &Symbols) -> Vec<&'static Self> {
        LOCK_FUNCTIONS
            .iter()
            .filter(|function| symbols.contains(function.name))
            .collect()
    }

    /// Whether the table has a function of that name.
    #[must_use]
    pub fn is_one(name: &str) -> bool {
        LOCK_FUNCTIONS
            .iter()
            .any(|function| function.name == plain_name(name))
    }

    /// Its programs, in the order of attaching: kprobes on a function run newest first
    /// (`add_new_kprobe()`, kernel/kprobes.c), and up to 5.14 a kretprobe hides the return
    /// address that the entry's program reads.
    pub fn programs(&self) -> impl Iterator<Item = &'static str> {
        self.exit.into_iter().chain([self.entry])
    }
}
