//! The locks that the caller holds, as it was seen to take them.

use probe_common::{
    Fact, HELD_LOCKS_MAX, LockKind, LockPlace, Loss, SampleRecord, TakenLock, TrackedLock,
};

use crate::{
    inode::Inode,
    kernel::{layout, read, tracks_locks},
    locks::{OwnLocks, held_for_write, is_read_locked, owns_mutex},
    maps::{LOCKS, lose},
    recorder::{Recorder, through_memory},
    sites::mix,
};

/// The bits, of the 57 that a processor may know of an address, that are above them all.
const ADDRESS_BITS: u32 = 57;
/// What is in them in every address of the kernel's.
const KERNEL_HALF: u64 = u64::MAX >> ADDRESS_BITS;

/// Keeps the locks, outermost first, and how many there are; returns their hash.
#[inline(always)]
pub fn read_locks(
    facts: Recorder,
    slots: &mut [TrackedLock; HELD_LOCKS_MAX],
    tracked: &mut u32,
    own: &OwnLocks,
    task: u64,
    thread: u32,
) -> u64 {
    let mut hash = 0;
    if !tracks_locks() {
        return hash;
    }
    let Some(locks) = LOCKS.get_ptr(thread) else {
        return hash;
    };
    // SAFETY: a map value that only this thread changes, and no interrupt.
    let locks = unsafe { &*locks };
    through_memory(tracked, locks.depth + locks.left_out);
    for (index, (slot, lock)) in slots.iter_mut().zip(&locks.locks).enumerate() {
        if index as u32 >= locks.depth {
            break;
        }
        slot.taken = *lock;
        if through_memory(&mut slot.place, u32::from(is_held(lock, task))) == 0 {
            slot.taken.kind = 0;
            lose(Loss::LocksStale);
            continue;
        }
        facts.set(Fact::LockHeld, true);
        own.is_held(
            facts,
            lock.address,
            0,
            lock.kind == LockKind::RwsemWrite as u32,
        );
        hash = mix(hash, lock.taken_at.wrapping_add(u64::from(lock.kind)));
    }
    hash
}

/// Whether the lock itself says so. One that cannot be read is believed to be held.
#[inline(always)]
pub fn is_held(lock: &TakenLock, task: u64) -> bool {
    let says = if lock.kind == LockKind::Mutex as u32 {
        owns_mutex(lock.address, task)
    } else if lock.kind == LockKind::RwsemWrite as u32 {
        held_for_write(lock.address, task)
    } else if lock.kind == LockKind::RwsemRead as u32 {
        is_read_locked(lock.address)
    } else {
        None
    };
    says.unwrap_or(true)
}

/// Works out what the locks are parts of.
#[inline(always)]
pub fn place(sample: &mut SampleRecord, inode: &Inode) {
    if !tracks_locks() {
        return;
    }
    let depth = sample.tracked;
    for (index, slot) in sample.tracked_locks.iter_mut().enumerate() {
        if index as u32 >= depth {
            break;
        }
        place_of(slot, inode);
    }
}

#[inline(always)]
fn place_of(slot: &mut TrackedLock, inode: &Inode) {
    let lock = slot.taken.address;
    let in_inode = lock.wrapping_sub(inode.address);
    let in_superblock = lock.wrapping_sub(inode.superblock);
    slot.offset = 0;
    let place = if in_inode < u64::from(layout!(inode_size)) {
        slot.offset = in_inode as u32;
        LockPlace::ThisInode
    } else if in_superblock < u64::from(layout!(sb_size)) {
        slot.offset = in_superblock as u32;
        LockPlace::ThisSuperblock
    } else if points_back(
        lock,
        layout!(inode_rwsem),
        layout!(inode_mapping),
        layout!(mapping_host),
    ) {
        LockPlace::OtherInodeLock
    } else if points_back(
        lock,
        layout!(mapping_invalidate_lock),
        layout!(mapping_host),
        layout!(inode_mapping),
    ) {
        LockPlace::OtherInvalidateLock
    } else if points_back(
        lock,
        layout!(sb_umount),
        layout!(sb_root),
        layout!(dentry_sb),
    ) {
        LockPlace::OtherSuperblockLock
    } else {
        LockPlace::Elsewhere
    };
    slot.place = place as u32;
}

/// Whether what would be around the lock, if it were the field at `field`, points with its field
/// at `forth` to something that points `back` to it. No other memory does.
///
/// What lies there may be no pointer at all. A processor that knows 57 bits of an address and uses
/// 48 faults on some that 5.10 lets be read, with a warning (`copy_from_kernel_nofault_allowed()`,
/// arch/x86/mm/maccess.c; `ex_handler_uaccess()`, arch/x86/mm/extable.c): so that only addresses of
/// the kernel's half are tried.
#[inline(always)]
fn points_back(lock: u64, field: u32, forth: u32, back: u32) -> bool {
    let around = lock.wrapping_sub(u64::from(field));
    match read::<u64>(around, forth) {
        Some(other) if other >> ADDRESS_BITS == KERNEL_HALF => {
            read::<u64>(other, back) == Some(around)
        }
        _ => false,
    }
}
