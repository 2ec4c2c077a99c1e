//! Lock classes that a design accounts for: holding them across a final put is intended.

use crate::report::model::Lock;

/// A lockdep class that may be held, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockPattern {
    /// The class, without lockdep's `#N` and `/N`; a trailing `*` stands for anything.
    pub class: &'static str,
    /// Whether holding it for write is accounted for, too.
    pub write_too: bool,
}

/// Shorthand for a class that is accounted for however it is held.
#[must_use]
pub const fn any_mode(class: &'static str) -> LockPattern {
    LockPattern {
        class,
        write_too: true,
    }
}

/// Shorthand for a class that is accounted for when held for read.
#[must_use]
pub const fn for_read(class: &'static str) -> LockPattern {
    LockPattern {
        class,
        write_too: false,
    }
}

/// What the VFS and the workqueues hold around any put, in any context.
///
/// Freeze protection (`sb_writers`, `sb_pagefaults`) ranks above what eviction takes
/// (`sb_internal`; `SB_FREEZE_*` in `include/linux/fs/super_types.h`) and is held around every
/// unlink. The superblock's `s_umount` for read keeps the superblock while inodes are walked
/// and shrunk (fs/super.c, `super_cache_scan()`); no eviction takes it. `f_pos_lock` is taken at
/// the entry of a system call on a file, and nowhere further in (fs/file.c, `fdget_pos()`). A worker holds lockdep's
/// stand-ins for its queue and its work item (kernel/workqueue.c, `process_one_work()`).
pub const ALWAYS: &[LockPattern] = &[
    for_read("sb_writers"),
    for_read("sb_pagefaults"),
    for_read("&type->s_umount_key"),
    any_mode("&f->f_pos_lock"),
    any_mode("(wq_completion)*"),
    any_mode("(work_completion)*"),
];

impl LockPattern {
    /// Whether `lock` is of this class and held in a way that is accounted for.
    #[must_use]
    pub fn accounts_for(&self, lock: &Lock) -> bool {
        let class = plain_class(&lock.class);
        let same = match self.class.strip_suffix('*') {
            Some(prefix) => class.starts_with(prefix),
            None => class == self.class,
        };
        same && (self.write_too || lock.mode != "write")
    }
}

/// A class's name without lockdep's number of the class (`#N`) and of the subclass (`/N`).
fn plain_class(class: &str) -> &str {
    let mut plain = class;
    while let Some((head, last)) = plain.rsplit_once(['#', '/']) {
        if head.is_empty() || last.is_empty() || !last.bytes().all(|byte| byte.is_ascii_digit()) {
            break;
        }
        plain = head;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(class: &str, mode: &str) -> Lock {
        Lock {
            class: class.into(),
            mode: mode.into(),
        }
    }

    #[test]
    fn classes_match_with_numbers_and_by_mode() {
        let umount = for_read("&type->s_umount_key");
        assert!(umount.accounts_for(&lock("&type->s_umount_key#23/1", "read")));
        assert!(!umount.accounts_for(&lock("&type->s_umount_key#23/1", "write")));
        assert!(any_mode("(wq_completion)*").accounts_for(&lock("(wq_completion)events", "write")));
        assert!(!umount.accounts_for(&lock("&sbi->cp_rwsem", "read")));
        assert!(!umount.accounts_for(&lock("&type->s_umount_key_more", "read")));
    }

    #[test]
    fn odd_names_do_no_harm() {
        for class in ["", "#", "/", "#1", "a#", "a/b#c"] {
            assert_eq!(plain_class(class), class);
        }
    }
}
