//! The locks that the caller holds: by lockdep, and by the owners of those that eviction meets.

use probe_common::{ABSENT, Fact, HeldLock, SampleRecord, UNKNOWN};

use crate::{
    inode::Inode,
    kernel::{layout, read, read_name},
    recorder::Recorder,
    sites::mix,
};

/// Low bits of `rw_semaphore.owner` that are flags, not part of the task's address
/// (`RWSEM_OWNER_FLAGS_MASK`: reader-owned and non-spinnable, kernel/locking/rwsem.c;
/// `RT_MUTEX_HAS_WAITERS` on `PREEMPT_RT`).
const OWNER_FLAGS: u64 = 0x7;
/// `RWSEM_READER_OWNED` (kernel/locking/rwsem.c): the owner read, and may have gone.
const READER_OWNED: u64 = 0x1;
/// `RWSEM_WRITER_LOCKED` (kernel/locking/rwsem.c).
const WRITER_LOCKED: u64 = 0x1;
/// The bits of `rw_semaphore.count` from which readers are counted
/// (`RWSEM_READER_SHIFT`, kernel/locking/rwsem.c), without the sign.
const READERS: u64 = 0x7fff_ffff_ffff_ff00;
/// `READER_BIAS` (`include/linux/rwbase_rt.h`): all there is in the count while no one reads.
const RT_READER_BIAS: u32 = 1 << 31;

/// Records whether the caller holds the inode's and its superblock's own locks.
#[inline(always)]
pub fn from_owners(facts: Recorder, inode: &Inode, task: u64) {
    own(
        facts,
        Fact::OwnInodeLock,
        inode.address,
        layout!(inode_rwsem),
        task,
    );
    let mapping = read(inode.address, layout!(inode_mapping)).unwrap_or(0);
    own(
        facts,
        Fact::OwnInvalidateLock,
        mapping,
        layout!(mapping_invalidate_lock),
        task,
    );
    own(
        facts,
        Fact::OwnSuperblockLock,
        inode.superblock,
        layout!(sb_umount),
        task,
    );
}

#[inline(always)]
fn own(facts: Recorder, fact: Fact, base: u64, offset: u32, task: u64) {
    if offset == ABSENT {
        return;
    }
    if let Some(held) = held_for_write(base.wrapping_add(u64::from(offset)), task) {
        facts.set(fact, held);
    }
}

/// Whether `task` holds the semaphore for write. `None` while others read it: a reader's
/// owner field is only the last one to come, so that the task might be among them.
#[inline(always)]
fn held_for_write(semaphore: u64, task: u64) -> Option<bool> {
    let owner = read::<u64>(semaphore, layout!(rwsem_owner))?;
    if layout!(preempt_rt) != 0 {
        let readers = read::<u32>(semaphore, layout!(rwsem_count))?;
        return if owner & !OWNER_FLAGS == task {
            Some(true)
        } else if readers == RT_READER_BIAS || owner & !OWNER_FLAGS != 0 {
            Some(false)
        } else {
            None
        };
    }
    let count = read::<u64>(semaphore, layout!(rwsem_count))?;
    if count & WRITER_LOCKED != 0 {
        Some(owner & READER_OWNED == 0 && owner & !OWNER_FLAGS == task)
    } else if count & READERS == 0 {
        Some(false)
    } else {
        None
    }
}

/// Keeps the classes of the locks that lockdep says are held, outermost first, and returns
/// their hash. The observer's own are the innermost: `readings.held_locks` leaves them out.
#[inline(always)]
pub fn from_lockdep(sample: &mut SampleRecord, task: u64) -> u64 {
    let held = sample.readings.held_locks;
    if held == UNKNOWN || layout!(task_held_locks) == ABSENT || layout!(lock_classes) == 0 {
        return 0;
    }
    let mut hash = 0;
    for (index, slot) in sample.held_locks.iter_mut().enumerate() {
        if index as u32 >= held {
            break;
        }
        let lock = task
            + u64::from(layout!(task_held_locks))
            + index as u64 * u64::from(layout!(held_lock_size));
        hash = mix(hash, read_lock(slot, lock));
    }
    hash
}

#[inline(always)]
fn read_lock(slot: &mut HeldLock, lock: u64) -> u64 {
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
    let class = layout!(lock_classes) + u64::from(slot.class) * u64::from(layout!(lock_class_size));
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
