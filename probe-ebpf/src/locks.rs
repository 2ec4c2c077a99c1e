//! The inode's and its superblock's own locks, which eviction meets, and who holds them: by their
//! owner fields, by lockdep, by what the task was seen to take.

use probe_common::{ABSENT, Fact};

use crate::{
    inode::Inode,
    kernel::{layout, read},
    recorder::Recorder,
};

/// Low bits of an owner field that are flags, not part of the task's address
/// (`RWSEM_OWNER_FLAGS_MASK`: reader-owned and non-spinnable, kernel/locking/rwsem.c;
/// `MUTEX_FLAGS`, kernel/locking/mutex.c or include/linux/mutex.h; `RT_MUTEX_HAS_WAITERS` on
/// `PREEMPT_RT`).
const OWNER_FLAGS: u64 = 0x7;
/// `RWSEM_READER_OWNED` (kernel/locking/rwsem.c): the owner read, and may have gone.
const READER_OWNED: u64 = 0x1;
/// `RWSEM_WRITER_LOCKED` (kernel/locking/rwsem.c).
pub const WRITER_LOCKED: u64 = 0x1;
/// The bits of `rw_semaphore.count` from which readers are counted
/// (`RWSEM_READER_SHIFT`, kernel/locking/rwsem.c), without the sign.
const READERS: u64 = 0x7fff_ffff_ffff_ff00;
/// `READER_BIAS` (`include/linux/rwbase_rt.h`): all there is in the count while no one reads.
const RT_READER_BIAS: u32 = 1 << 31;

/// The addresses of an inode's and its superblock's own locks; 0 where the kernel has none.
pub struct OwnLocks {
    inode: u64,
    invalidate: u64,
    superblock: u64,
}

impl OwnLocks {
    /// For a caller of whom they cannot be told.
    pub const UNKNOWN: Self = Self {
        inode: 0,
        invalidate: 0,
        superblock: 0,
    };

    /// Where the locks of `inode` are.
    #[inline(always)]
    pub fn of(inode: &Inode) -> Self {
        let mapping = read(inode.address, layout!(inode_mapping)).unwrap_or(0);
        Self {
            inode: field(inode.address, layout!(inode_rwsem)),
            invalidate: field(mapping, layout!(mapping_invalidate_lock)),
            superblock: field(inode.superblock, layout!(sb_umount)),
        }
    }

    /// Records what their owner fields say.
    #[inline(always)]
    pub fn by_owner(&self, facts: Recorder, task: u64) {
        for (fact, lock) in [
            (Fact::OwnInodeLock, self.inode),
            (Fact::OwnInvalidateLock, self.invalidate),
            (Fact::OwnSuperblockLock, self.superblock),
        ] {
            if lock != 0
                && let Some(held) = held_for_write(lock, task)
            {
                facts.set(fact, held);
            }
        }
    }

    /// Records that the caller holds a lock, which may be one of them. `displacement` is where in
    /// a semaphore `address` is.
    #[inline(always)]
    pub fn is_held(&self, facts: Recorder, address: u64, displacement: u32, for_write: bool) {
        let lock = address.wrapping_sub(u64::from(displacement));
        if lock == self.inode {
            facts.set(Fact::OwnInodeLock, true);
        }
        if lock == self.invalidate {
            facts.set(Fact::OwnInvalidateLock, true);
        }
        if lock == self.superblock {
            facts.set(Fact::OwnSuperblockLock, for_write);
        }
    }

    /// Records that the caller holds none of them, but for those that are known to be held.
    #[inline(always)]
    pub fn no_others(&self, facts: Recorder) {
        for (fact, lock) in [
            (Fact::OwnInodeLock, self.inode),
            (Fact::OwnInvalidateLock, self.invalidate),
            (Fact::OwnSuperblockLock, self.superblock),
        ] {
            if lock != 0 {
                facts.settle(fact);
            }
        }
    }
}

#[inline(always)]
fn field(base: u64, offset: u32) -> u64 {
    if offset == ABSENT {
        0
    } else {
        base.wrapping_add(u64::from(offset))
    }
}

/// Whether `task` holds the semaphore for write. `None` while others read it: a reader's
/// owner field is only the last one to come, so that the task might be among them.
#[inline(always)]
pub fn held_for_write(semaphore: u64, task: u64) -> Option<bool> {
    if layout!(preempt_rt) != 0 {
        let owner = read::<u64>(semaphore, layout!(rwsem_owner))?;
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
        let owner = read::<u64>(semaphore, layout!(rwsem_owner))?;
        Some(owner & READER_OWNED == 0 && owner & !OWNER_FLAGS == task)
    } else if count & READERS == 0 {
        Some(false)
    } else {
        None
    }
}

/// Whether anybody reads. `None` if the semaphore cannot be read.
#[inline(always)]
pub fn is_read_locked(semaphore: u64) -> Option<bool> {
    if layout!(preempt_rt) != 0 {
        return Some(read::<u32>(semaphore, layout!(rwsem_count))? != RT_READER_BIAS);
    }
    Some(read::<u64>(semaphore, layout!(rwsem_count))? & READERS != 0)
}

/// Whether `task` owns the mutex. `None` if it cannot be read.
#[inline(always)]
pub fn owns_mutex(mutex: u64, task: u64) -> Option<bool> {
    Some(read::<u64>(mutex, layout!(mutex_owner))? & !OWNER_FLAGS == task)
}
