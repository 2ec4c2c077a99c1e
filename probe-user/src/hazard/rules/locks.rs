//! Rules about locks that the caller holds.

use probe_common::Fact;

use super::{
    Accounts, All, Any, Caller, HeldLock, Rule, Severity, Stuck, WaitsForOwnLock, any_mode, case,
    frames, is, words,
};

pub const SELF_WAIT: Rule = Rule {
    id: "lock-self-wait",
    title: "Final put whose eviction waits for a lock that the caller holds",
    means: "The task has taken a mutex or rwsem, put the inode, and its eviction went to take the \
            same lock. Proved by the locks that the task was seen to take and by its stack, so it \
            needs --track-locks; without, the call is stuck.",
    cases: &[case(Severity::Deadlock, All(&[Stuck, WaitsForOwnLock]))],
    accounts_for: Accounts::NONE,
    why: "Mutexes and rwsems cannot be taken twice by one task (Documentation/locking/\
          mutex-design.rst). The ->evict_inode() takes a lock that the caller of iput() holds \
          already: the task waits for itself, for ever, and everybody else who needs the lock \
          with it.",
    says: &[words(
        "Recursive locking/unlocking is not permitted.",
        "Documentation/locking/mutex-design.rst",
    )],
    seen_in: "f2fs dropped inodes with its checkpoint lock held for write, which their eviction \
              takes for read; commit b0f3b87fb3ab, \"f2fs: should avoid inode eviction in \
              synchronous path\" (history:f2fs-sync-node-pages-2020). FUSE held the semaphore \
              that its put_super() takes; commit 73ce8355c243 \
              (history:fuse-request-end-putsuper-2006).",
    way_out: "Put after the unlock, or delay the last iput() to a work item.",
    expected_when: "Never.",
};

pub const OWN_LOCK: Rule = Rule {
    id: "own-lock-held",
    title: "Final put of an inode whose own lock the caller holds",
    means: "The caller holds the inode's i_rwsem or its mapping's invalidate_lock for write, both \
            of which eviction may take, and will unlock it after the put. By then the inode may \
            be freed, and the lock with it.",
    cases: &[case(
        Severity::Unsafe,
        Any(&[is(Fact::OwnInodeLock), is(Fact::OwnInvalidateLock)]),
    )],
    accounts_for: Accounts::NONE,
    why: "After a final put the inode may be freed, with the lock inside it: the unlock that \
          follows writes to freed memory. And an ->evict_inode() that takes this lock to \
          truncate waits for its own caller. A reference must outlive the lock (fs/inode.c, \
          iput(): the inode may be deallocated by the time the call returns).",
    says: &[words(
        "the inode may be deallocated by the time the call returns",
        "fs/inode.c, iput()",
    )],
    seen_in: "No bug with these two locks is on record. With a lock that eviction takes: f2fs's \
              cp_rwsem, commit b0f3b87fb3ab, \"f2fs: should avoid inode eviction in synchronous \
              path\" (history:f2fs-sync-node-pages-2020); ext4's i_data_sem \
              (history:ext4-truncate-recursive-2025).",
    way_out: "Put after the unlock: in the reverse order of igrab() and lock.",
    expected_when: "Never.",
};

pub const SUPERBLOCK: Rule = Rule {
    id: "superblock-lock-held",
    title: "Final put with the superblock's s_umount held for write",
    means: "The caller holds s_umount of the inode's own superblock for write, and neither mounts \
            nor unmounts it.",
    cases: &[case(Severity::Risky, is(Fact::OwnSuperblockLock))],
    accounts_for: Accounts::NONE,
    why: "Mount, remount and unmount hold s_umount for write by design; anybody else who does \
          keeps sync, writeback and reclaim from this superblock for as long as the eviction \
          takes, and an eviction that waits for one of them never ends (fs/super.c, \
          super_trylock_shared() in super_cache_scan()).",
    says: &[words(
        "false if we cannot acquire s_umount or if we lose the race",
        "fs/super.c, super_trylock_shared()",
    )],
    seen_in: "None is on record outside of mount and unmount.",
    way_out: "Put after s_umount is released, or hold it for read.",
    expected_when: "During mount, remount and unmount: see mount-unmount.",
};

pub const HELD: Rule = Rule {
    id: "held-lock",
    title: "Final put with locks held",
    means: "The caller holds locks that nothing accounts for; the evidence names them. Accounted \
            for everywhere are freeze protection (sb_writers, sb_pagefaults), s_umount for read, \
            and lockdep's stand-ins for a worker's queue and item; designs account for more. \
            Where neither lockdep nor lock tracking tells the locks, only those of own-lock-held \
            and superblock-lock-held are seen.",
    cases: &[case(Severity::Risky, HeldLock)],
    accounts_for: Accounts::NONE,
    why: "Eviction takes the filesystem's locks, starts transactions and waits for pages. A \
          lock that is held across it must never be taken on any of those ways, nor by anybody \
          they wait for. ext4 states that for its xattr_sem (fs/ext4/xattr.c, \
          ext4_put_ea_inode()); a filesystem's own lock is a frequent form of this bug.",
    says: &[words(
        "Must be used instead of iput() in any context where xattr_sem or a jbd2 handle is held.",
        "fs/ext4/xattr.c, ext4_put_ea_inode()",
    )],
    seen_in: "f2fs dropped inodes under its checkpoint lock, which their eviction takes; commit \
              b0f3b87fb3ab, \"f2fs: should avoid inode eviction in synchronous path\" \
              (history:f2fs-sync-node-pages-2020). btrfs did under a locked tree leaf \
              (history:btrfs-iget-failed-2025), xfs under a locked AGF buffer \
              (history:xfs-rename-inactive-agf-2023), reiserfs under its write lock; commit \
              27026a05bb80 (history:reiserfs-write-lock-delete-2009).",
    way_out: "Put after the unlock, or delay the last iput(). If the order is intended, lockdep \
              has to have seen it: run the eviction under PROVE_LOCKING.",
    expected_when: "When the lock is never taken by eviction, nor by anybody that it waits for. \
                    The report cannot know that.",
};

pub const DCACHE_PUT: Rule = Rule {
    id: "dcache-put",
    title: "By design: a dentry's inode, under the directory's lock",
    means: "The dentry cache puts the inode of a dentry that goes, with the directory locked. Any \
            other lock is not accounted for: a filesystem that shrinks dentries under a lock of \
            its own is still found.",
    cases: &[case(
        Severity::Expected,
        All(&[is(Fact::LockHeld), Caller(&frames::DCACHE_PUT)]),
    )],
    accounts_for: Accounts {
        facts: &[],
        locks: &[
            any_mode("&type->i_mutex_dir_key"),
            // Directories that no one called unlock_new_inode() on (debugfs, tracefs). The
            // put inode's own lock is looked at by its owner.
            any_mode("&sb->s_type->i_mutex_key"),
            any_mode("&type->s_vfs_rename_key"),
        ],
    },
    why: "Lookup, rmdir and rename drop dentries with the directory locked; the VFS allows \
          ->d_iput() to block there (Documentation/filesystems/locking.rst, d_iput; fs/dcache.c, \
          dentry_unlink_inode()). Any other lock that is held is not accounted for.",
    says: &[words(
        "Release the dentry's inode, using the filesystem d_iput() operation if defined.",
        "fs/dcache.c, dentry_unlink_inode()",
    )],
    seen_in: "Where it went wrong, a lock of the filesystem was held besides: f2fs unlinked with \
              its checkpoint lock held (history:f2fs-unlink-d-invalidate-2022).",
    way_out: "Nothing to do.",
    expected_when: "Always, as far as the locks of directories and of renames go.",
};
