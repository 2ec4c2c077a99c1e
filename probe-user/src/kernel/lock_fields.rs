//! The locks that are fields of inodes and superblocks, by their offsets: names for addresses.

use probe_common::{ABSENT, LockPlace, TrackedLock};

use super::btf::Btf;

/// The types of locks that are followed.
const LOCK_TYPES: &[&str] = &["mutex", "rw_semaphore", "percpu_rw_semaphore"];

/// The names of lock fields.
#[derive(Debug, Default)]
pub struct LockFields {
    inode: Vec<(u32, String)>,
    superblock: Vec<(u32, String)>,
}

/// A lock's name, and what it is a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockField {
    /// Type and path, as in `inode.i_rwsem`.
    pub name: String,
    /// Whose, as in "this inode".
    pub part_of: &'static str,
}

impl LockFields {
    /// Reads the running kernel's types.
    #[must_use]
    pub fn resolve(btf: &Btf) -> Self {
        Self {
            inode: btf.fields_of_types("inode", LOCK_TYPES),
            superblock: btf.fields_of_types("super_block", LOCK_TYPES),
        }
    }

    /// The field that a lock is, if the kernel half found out.
    #[must_use]
    pub fn find(&self, lock: &TrackedLock) -> Option<LockField> {
        let at = |fields: &[(u32, String)], type_name: &str| {
            let (_, path) = fields.iter().find(|(offset, _)| *offset == lock.offset)?;
            Some(format!("{type_name}.{path}"))
        };
        let is = |place: LockPlace| lock.place == place as u32;
        let (name, part_of) = if is(LockPlace::ThisInode) {
            (at(&self.inode, "inode")?, "this inode")
        } else if is(LockPlace::ThisSuperblock) {
            (at(&self.superblock, "super_block")?, "this superblock")
        } else if is(LockPlace::OtherInodeLock) {
            ("inode.i_rwsem".to_owned(), "another inode")
        } else if is(LockPlace::OtherInvalidateLock) {
            ("inode.i_data.invalidate_lock".to_owned(), "another inode")
        } else if is(LockPlace::OtherSuperblockLock) {
            ("super_block.s_umount".to_owned(), "another superblock")
        } else {
            return None;
        };
        Some(LockField { name, part_of })
    }
}

/// Where in a lock lockdep's map is, by kind of lock; none without lockdep.
#[derive(Clone, Copy, Debug)]
pub struct LockMaps {
    /// In a `struct mutex`.
    pub mutex: u32,
    /// In a `struct rw_semaphore`.
    pub rwsem: u32,
    /// In a `struct percpu_rw_semaphore`.
    pub percpu_rwsem: u32,
}

impl LockMaps {
    /// Reads the running kernel's types.
    #[must_use]
    pub fn resolve(btf: &Btf) -> Self {
        let offset = |lock| {
            btf.field(lock, "dep_map")
                .map_or(ABSENT, super::btf::Field::offset)
        };
        Self {
            mutex: offset("mutex"),
            rwsem: offset("rw_semaphore"),
            percpu_rwsem: offset("percpu_rw_semaphore"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_names_and_owners() {
        let fields = LockFields {
            inode: vec![(40, "i_rwsem".into())],
            superblock: vec![(8, "s_umount".into())],
        };
        let lock = |place: LockPlace, offset| TrackedLock {
            place: place as u32,
            offset,
            ..TrackedLock::default()
        };
        let found = fields.find(&lock(LockPlace::ThisInode, 40)).unwrap();
        assert_eq!(
            (found.name.as_str(), found.part_of),
            ("inode.i_rwsem", "this inode")
        );
        assert_eq!(fields.find(&lock(LockPlace::ThisInode, 41)), None);
        assert_eq!(fields.find(&lock(LockPlace::Elsewhere, 40)), None);
        let found = fields
            .find(&lock(LockPlace::OtherSuperblockLock, 0))
            .unwrap();
        assert_eq!(found.part_of, "another superblock");
    }
}
