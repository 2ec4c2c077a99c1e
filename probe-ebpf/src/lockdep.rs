//! The locks that the caller holds, as lockdep knows them.

use probe_common::{ABSENT, HELD_LOCKS_MAX, HeldLock, UNKNOWN};

use crate::{
    kernel::{layout, read, read_name},
    locks::OwnLocks,
    recorder::Recorder,
    sites::mix,
};

/// Keeps the locks, outermost first, and returns their hash. `held` is how many there are without
/// the observer's own, which are the innermost.
#[inline(always)]
pub fn read_locks(
    facts: Recorder,
    slots: &mut [HeldLock; HELD_LOCKS_MAX],
    held: u32,
    own: &OwnLocks,
    task: u64,
) -> u64 {
    if held == UNKNOWN || layout!(task_held_locks) == ABSENT || layout!(lock_classes) == 0 {
        return 0;
    }
    let mut hash = 0;
    for (index, slot) in slots.iter_mut().enumerate() {
        if index as u32 >= held {
            break;
        }
        let lock = task
            + u64::from(layout!(task_held_locks))
            + index as u64 * u64::from(layout!(held_lock_size));
        hash = mix(hash, read_lock(slot, lock));
        if layout!(rwsem_dep_map) != ABSENT {
            own.is_held(facts, slot.map, layout!(rwsem_dep_map), slot.read == 0);
        }
    }
    if layout!(rwsem_dep_map) != ABSENT && held <= HELD_LOCKS_MAX as u32 {
        own.no_others(facts);
    }
    hash
}

#[inline(always)]
fn read_lock(slot: &mut HeldLock, lock: u64) -> u64 {
    slot.map = read(lock, layout!(held_lock_instance)).unwrap_or(0);
    slot.taken_at = read(lock, layout!(held_lock_acquire_ip)).unwrap_or(0);
    slot.class = bits(
        lock,
        layout!(held_lock_class_word),
        layout!(held_lock_class_shift),
        layout!(held_lock_class_bits),
    );
    slot.read = bits(
        lock,
        layout!(held_lock_read_word),
        layout!(held_lock_read_shift),
        layout!(held_lock_read_bits),
    );
    slot.reserved = 0;
    let class = layout!(lock_classes) + u64::from(slot.class) * u64::from(layout!(lock_class_size));
    let wait_type = read::<u8>(class, layout!(lock_class_wait_type)).unwrap_or(0);
    slot.sleeps = u32::from(u64::from(wait_type) == layout!(ld_wait_sleep));
    let name = read(class, layout!(lock_class_name)).unwrap_or(0);
    read_name(name, 0, &mut slot.name);
    u64::from(slot.class) << 2 | u64::from(slot.read)
}

/// A bit field of the 4-byte word at `base + word`.
#[inline(always)]
fn bits(base: u64, word: u32, shift: u32, width: u32) -> u32 {
    let value = read::<u32>(base, word).unwrap_or(0);
    (value >> (shift & 31)) & (1u32 << (width & 31)).wrapping_sub(1)
}
