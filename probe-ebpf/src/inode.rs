//! What the inode and its superblock say.

use probe_common::Fact;

use crate::{
    kernel::{layout, read},
    recorder::Recorder,
};

/// The inode being put.
pub struct Inode {
    /// Its address.
    pub address: u64,
    /// `i_sb`.
    pub superblock: u64,
    /// `i_ino`.
    pub ino: u64,
    /// `i_state`.
    pub state: u64,
    /// `i_nlink`.
    pub nlink: u32,
    /// `s_dev`.
    pub device: u32,
    /// `s_type`.
    pub filesystem: u64,
}

impl Inode {
    /// Reads what every site needs of the inode.
    #[inline(always)]
    pub fn read(address: u64) -> Self {
        let superblock = read(address, layout!(inode_sb)).unwrap_or(0);
        let state = if layout!(inode_state_size) == 8 {
            read::<u64>(address, layout!(inode_state)).unwrap_or(0)
        } else {
            u64::from(read::<u32>(address, layout!(inode_state)).unwrap_or(0))
        };
        Self {
            address,
            superblock,
            ino: read(address, layout!(inode_ino)).unwrap_or(0),
            state,
            nlink: read(address, layout!(inode_nlink)).unwrap_or(0),
            device: read(superblock, layout!(sb_dev)).unwrap_or(0),
            filesystem: read(superblock, layout!(sb_type)).unwrap_or(0),
        }
    }

    /// Records the inode's own facts.
    #[inline(always)]
    pub fn facts(&self, facts: Recorder) {
        let state = |fact, mask: u64| {
            if mask != 0 {
                facts.set(fact, self.state & mask != 0);
            }
        };
        state(Fact::InodeSync, layout!(i_sync));
        state(Fact::InodeDirty, layout!(i_dirty));
        state(Fact::InodeFreeing, layout!(i_freeing));
        facts.set(Fact::Unlinked, self.nlink == 0);
        if let Some(flags) = read::<u64>(self.superblock, layout!(sb_flags)) {
            facts.set(Fact::SuperblockInactive, flags & layout!(sb_active) == 0);
        }
    }
}
