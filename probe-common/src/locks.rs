//! The records of locks: those that lockdep knows, those that tasks were seen to take.

/// Bytes kept of a lock class's name.
pub const CLASS_NAME_LEN: usize = 40;
/// The most held locks that are kept of one call, innermost last.
pub const HELD_LOCKS_MAX: usize = 8;
/// The most locks of one task that are followed at the same time.
pub const TASK_LOCKS_MAX: usize = 16;

/// One lock that lockdep says the caller holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct HeldLock {
    /// Address of the lock's `lockdep_map`, a field of the lock.
    pub map: u64,
    /// The return address of the call that took it.
    pub taken_at: u64,
    /// Index into `lock_classes[]`.
    pub class: u32,
    /// lockdep's `read` field: 0 write, 1 read, 2 recursive read.
    pub read: u32,
    /// 1 for a lock whose holder may sleep, so that it is a mutex or an rwsem; 0 for
    /// spinlocks and for lockdep's stand-ins.
    pub sleeps: u32,
    /// Always zero.
    pub reserved: u32,
    /// The class's name, zero-terminated.
    pub name: [u8; CLASS_NAME_LEN],
}

/// A kind of lock that is followed, and how it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LockKind {
    /// A `struct mutex`.
    Mutex = 1,
    /// A `struct rw_semaphore`, held for read.
    RwsemRead = 2,
    /// A `struct rw_semaphore`, held for write.
    RwsemWrite = 3,
    /// A `struct percpu_rw_semaphore`, held for write. Taking one for read is inlined
    /// everywhere (include/linux/percpu-rwsem.h), and cannot be followed.
    PercpuRwsemWrite = 4,
}

/// A lock that a task has taken while it was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TakenLock {
    /// Its address.
    pub address: u64,
    /// The return address of the call that took it.
    pub taken_at: u64,
    /// A [`LockKind`]; 0 for an unused slot, or a lock that turned out to be released.
    pub kind: u32,
    /// 1 until the call that takes it is known to have succeeded.
    pub pending: u32,
}

/// The locks that a task has taken, in the order of taking (map `LOCKS`, keyed by thread).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TaskLocks {
    /// How many of [`TaskLocks::locks`] are in use.
    pub depth: u32,
    /// How many more it holds, for which there was no room.
    pub left_out: u32,
    /// The lock that the task has last gone to take while it held it already, 0 if none: a
    /// lock function that is made of another one, or a task that waits for itself.
    pub taken_again: u64,
    /// The return address of that call.
    pub taken_again_at: u64,
    /// The locks.
    pub locks: [TakenLock; TASK_LOCKS_MAX],
}

/// What a lock that was taken is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LockPlace {
    /// Not known.
    Elsewhere = 0,
    /// The inode that is put, at [`TrackedLock::offset`].
    ThisInode = 1,
    /// Its superblock, at [`TrackedLock::offset`].
    ThisSuperblock = 2,
    /// The `i_rwsem` of another inode.
    OtherInodeLock = 3,
    /// The `invalidate_lock` of another inode's mapping.
    OtherInvalidateLock = 4,
    /// The `s_umount` of another superblock.
    OtherSuperblockLock = 5,
}

/// One lock that the caller holds, by what it was seen to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TrackedLock {
    /// The lock.
    pub taken: TakenLock,
    /// A [`LockPlace`].
    pub place: u32,
    /// Where in it, in bytes.
    pub offset: u32,
}

const _: () = {
    assert!(size_of::<HeldLock>() == 32 + CLASS_NAME_LEN);
    assert!(size_of::<TakenLock>() == 24);
    assert!(size_of::<TaskLocks>() == 24 + 24 * TASK_LOCKS_MAX);
    assert!(size_of::<TrackedLock>() == 32);
};
