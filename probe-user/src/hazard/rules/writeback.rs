//! Rules about writeback: of the very inode, of another one, by the flusher, by somebody else.

use probe_common::Fact;

use super::{Accounts, All, Any, InFlight, Not, Rule, Severity, Stuck, case, is, words};

pub const SELF_WAIT: Rule = Rule {
    id: "writeback-self-wait",
    title: "Final put from inside writeback of the very inode",
    means: "The task is inside do_writepages() or writeback_single_inode() of the inode \
            whose last reference it drops. If the put evicts while I_SYNC is set, it never \
            returns. If it did not evict (outcome kept), or nothing had set I_SYNC (fsync() \
            of pages alone), the thread got away with it this time; the same call on an \
            unlinked inode in a flusher hangs.",
    cases: &[
        case(
            Severity::Deadlock,
            All(&[
                is(Fact::WritebackThisInode),
                is(Fact::InodeSync),
                // A flusher has set I_SYNC itself; a task that syncs pages alone has not, but
                // one that still waits after all that time waits for somebody who needs those.
                Any(&[Stuck, All(&[InFlight, is(Fact::Flusher)])]),
            ]),
        ),
        // It came back: the inode was kept, or nothing had set I_SYNC (fsync of pages alone,
        // mm/filemap.c, filemap_writeback()). Where it is unlinked and I_SYNC is set, it
        // does not.
        case(Severity::Unsafe, is(Fact::WritebackThisInode)),
    ],
    accounts_for: Accounts::NONE,
    why: "Writeback pins the inode with I_SYNC instead of a reference (fs/fs-writeback.c, \
          writeback_sb_inodes()), and evict() waits uninterruptibly until I_SYNC clears \
          (fs/inode.c, inode_wait_for_writeback()). It clears only when this thread returns \
          from the writeback that it is in: the thread waits for itself, for ever, and with a \
          flusher all writeback of the device stops.",
    says: &[words(
        "We use I_SYNC to pin the inode in memory. While it is set evict_inode() will wait so the \
         inode cannot be freed.",
        "fs/fs-writeback.c, writeback_sb_inodes()",
    )],
    seen_in: "Ceph drops the reference that written pages hold when they are invalidated or their \
              write completes; \"ceph: fix deadlock bugs by making iput() calls asynchronous\", \
              September 2025, not merged as of 7.3 (history:ceph-wb-self-wait-2025). f2fs started \
              garbage collection from writing a page; commit 531ad7d58c64, \"f2fs: avoid deadlock \
              during evict after f2fs_gc\", makes its ->drop_inode() refuse while I_SYNC is set \
              (history:f2fs-gc-in-writepage-2013).",
    way_out: "Do not drop the last reference here. Let a worker that writeback does not wait for \
              do the iput(), as btrfs_add_delayed_iput() and ext4_put_ea_inode() do, and only when \
              iput_if_not_last() or atomic_add_unless(&inode->i_count, -1, 1) says that this \
              reference is the last.",
    expected_when: "Never.",
};

pub const OTHER_INODE: Rule = Rule {
    id: "writeback-other-inode",
    title: "Final put from inside writeback of another inode",
    means: "The task is inside do_writepages() of an inode, as a flusher or from fsync(), and drops \
            the last reference of another. Reclaim from inside writeback is no excuse: an \
            allocation there must not enter the filesystem (GFP_NOFS), and then the dentry cache \
            is not shrunk.",
    cases: &[case(Severity::Unsafe, is(Fact::WritebackOtherInode))],
    accounts_for: Accounts::NONE,
    why: "evict() waits for I_SYNC of the inode that is put (fs/inode.c, \
          inode_wait_for_writeback()), while this thread keeps I_SYNC and locked or \
          PG_writeback pages of the one that it writes. Two such threads wait for each other, \
          and so do this one and anybody whom the eviction needs and who needs these pages.",
    says: &[words(
        "To avoid deadlock when the caller holds a folio lock, if the function returns @ref_vi it \
         defers dropping the vfs inode reference",
        "fs/ntfs/mft.c, ntfs_may_write_mft_record()",
    )],
    seen_in: "ntfs put an inode while it wrote the master file table with a folio of it locked; \
              that inode's eviction frees its record, which locks the same folio: \"ntfs: fix \
              deadlock in ntfs_may_write_mft_block\", January 2026 \
              (history:ntfs-mft-writeback-2026).",
    way_out: "Collect the references while writing and put them after the folios are unlocked and \
              do_writepages() has returned, or defer the put to a work item on a queue of its own.",
    expected_when: "Never.",
};

pub const FLUSHER: Rule = Rule {
    id: "flusher",
    title: "Final put by a flusher, outside do_writepages()",
    means: "The task is inside wb_workfn(), but not writing pages: mostly in ->write_inode(). While \
            it evicts, it writes nothing else.",
    cases: &[case(
        Severity::Risky,
        All(&[
            is(Fact::Flusher),
            Not(&is(Fact::WritebackThisInode)),
            Not(&is(Fact::WritebackOtherInode)),
        ]),
    )],
    accounts_for: Accounts::NONE,
    why: "While the flusher evicts, no writeback of the device happens, and an ->evict_inode() \
          that waits for the flusher (for space, for a sync) waits for ever. The flusher \
          itself holds no reference for that reason, only I_SYNC (fs/fs-writeback.c, \
          writeback_sb_inodes()). From ->write_inode() the inode being written still has \
          I_SYNC set, so that its own last put deadlocks.",
    says: &[words(
        "Wait for flusher thread to be done with the inode so that filesystem does not start \
         destroying it while writeback is still running.",
        "fs/inode.c, evict()",
    )],
    seen_in: "The VFS did so itself until commit 169ebd90131b, \"writeback: Avoid iput() from \
              flusher thread\" (3.5): the flusher took a reference, and could be left with the \
              last one (history:vfs-flusher-last-iput-2012).",
    way_out: "Keep ->write_inode() free of igrab() and iput(); what it needs is pinned by \
              I_SYNC. Otherwise defer the put to a workqueue.",
    expected_when: "ntfs puts inodes here by design (fs/ntfs/inode.c, __ntfs_write_inode()). The \
                    report cannot know that: it depends on an eviction that needs no writeback.",
};

pub const BY_SOMEBODY_ELSE: Rule = Rule {
    id: "inode-under-writeback",
    title: "By design: eviction waits for a writeback by somebody else",
    means: "Another thread is writing the inode at the moment of the put; evict() waits for it.",
    cases: &[case(
        Severity::Expected,
        // A flusher may be the one who writes it.
        All(&[
            is(Fact::InodeSync),
            Not(&is(Fact::WritebackThisInode)),
            Not(&is(Fact::Flusher)),
        ]),
    )],
    accounts_for: Accounts::NONE,
    why: "Another thread is writing the inode; evict() waits until it has done so \
          (fs/inode.c, evict(): wait for the flusher thread to be done with the inode). That \
          ends, unless the one who writes waits for this thread.",
    says: &[words(
        "We just have to wait for running writeback to finish.",
        "fs/inode.c, evict()",
    )],
    seen_in: "Where it went wrong, the writer waited for the one who put: nilfs2's log writer put \
              an inode that the flusher was writing, and the flusher waited for the log writer; \
              commit 7ef3ff2fea8b, \"nilfs2: fix deadlock of segment constructor over I_SYNC flag\" \
              (history:nilfs2-segctor-isync-2015).",
    way_out: "Nothing to do, unless the put is reported as stuck.",
    expected_when: "Always; a put that stays is reported as stuck besides.",
};
