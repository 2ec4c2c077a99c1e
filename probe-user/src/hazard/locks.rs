//! Lock classes that a design accounts for: holding them across a final put is intended.

use crate::{kernel::symbols::plain_name, report::model::Lock};

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
/// the entry of a system call on a file, and nowhere further in (fs/file.c, `fdget_pos()`), as
/// `cred_guard_mutex` is by `execve()` before it looks up and opens files (fs/exec.c,
/// `prepare_bprm_creds()`). A worker holds lockdep's
/// stand-ins for its queue and its work item (kernel/workqueue.c, `process_one_work()`).
pub const ALWAYS: &[LockPattern] = &[
    for_read("sb_writers"),
    for_read("sb_pagefaults"),
    for_read("&type->s_umount_key"),
    any_mode("&f->f_pos_lock"),
    any_mode("&sig->cred_guard_mutex"),
    any_mode("(wq_completion)*"),
    any_mode("(work_completion)*"),
];

/// How a class's locks are known where they were followed without lockdep: as fields, or, for
/// locks in objects that cannot be recognised, by the functions that take them.
struct Tracked {
    class: &'static str,
    fields: &'static [&'static str],
    takers: &'static [&'static str],
}

/// Shorthand for a class whose locks are known as fields.
const fn as_field(class: &'static str, fields: &'static [&'static str]) -> Tracked {
    Tracked {
        class,
        fields,
        takers: &[],
    }
}

/// Shorthand for a class whose locks are known by who takes them.
const fn as_taken_by(class: &'static str, takers: &'static [&'static str]) -> Tracked {
    Tracked {
        class,
        fields: &[],
        takers,
    }
}

/// The classes that designs account for and that can be followed. A variable's class has its name.
const TRACKED: &[Tracked] = &[
    as_field("&type->s_umount_key", &["super_block.s_umount"]),
    as_field("&type->i_mutex_dir_key", &["inode.i_rwsem"]),
    as_field(
        "&type->s_vfs_rename_key",
        &["super_block.s_vfs_rename_mutex"],
    ),
    // fs/file.c; fdget_pos() has no underscores since 6.15.
    as_taken_by("&f->f_pos_lock", &["__fdget_pos", "fdget_pos"]),
    // fs/exec.c, and what it is inlined into.
    as_taken_by(
        "&sig->cred_guard_mutex",
        &["prepare_bprm_creds", "bprm_execve", "do_execveat_common"],
    ),
    // fs/fsopen.c, the bodies of fsconfig() and fsmount().
    as_taken_by(
        "&fc->uapi_mutex",
        &[
            "__do_sys_fsconfig",
            "__se_sys_fsconfig",
            "__do_sys_fsmount",
            "__se_sys_fsmount",
        ],
    ),
];

impl LockPattern {
    /// Whether `lock` is of this class and held in a way that is accounted for.
    #[must_use]
    pub fn accounts_for(&self, lock: &Lock) -> bool {
        self.is_class_of(lock) && (self.write_too || lock.mode != "write")
    }

    fn is_class_of(&self, lock: &Lock) -> bool {
        let class = plain_class(&lock.class);
        if let Some(prefix) = self.class.strip_suffix('*') {
            return class.starts_with(prefix);
        }
        // Only what was followed has a kind.
        let followed = lock.kind.is_some();
        let taker = plain_name(lock.taken_by.as_deref().unwrap_or_default());
        class == self.class
            || followed
                && TRACKED.iter().any(|tracked| {
                    tracked.class == self.class
                        && (tracked.fields.contains(&class) || tracked.takers.contains(&taker))
                })
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
            ..Lock::default()
        }
    }

    #[test]
    fn what_was_followed_is_of_a_class_by_field_or_by_taker() {
        let followed = |class: &str, taker: &str| Lock {
            kind: Some("mutex".into()),
            taken_by: Some(taker.into()),
            ..lock(class, "write")
        };
        let directory = any_mode("&type->i_mutex_dir_key");
        assert!(directory.accounts_for(&followed("inode.i_rwsem", "vfs_rmdir")));
        assert!(!directory.accounts_for(&followed("", "vfs_rmdir")));
        assert!(!directory.accounts_for(&lock("inode.i_rwsem", "write")));
        let position = any_mode("&f->f_pos_lock");
        assert!(position.accounts_for(&followed("", "__fdget_pos.cold")));
        assert!(
            !for_read("&type->s_umount_key")
                .accounts_for(&followed("super_block.s_umount", "freeze_super"))
        );
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
