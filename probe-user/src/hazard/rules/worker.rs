//! Rules about the thread that puts: completion workers, work items, kernel threads.

use probe_common::Fact;

use super::{
    Accounts, All, Any, Chain, IN_COMPLETION, Not, Rule, Severity, Stuck, case, frames, is, words,
};

pub const COMPLETION: Rule = Rule {
    id: "completion-worker",
    title: "Final put where replies or I/O completions are handled",
    means: "The chain comes from a function that ends the filesystem's own requests: Ceph's \
            messenger, virtiofs' queues, FUSE's requests, SUNRPC's workers, netfs' collectors, \
            SMB's and 9p's receivers, the completion of a bio. Where there are several workers it \
            takes them all to hang. What has hung there is not called risky any more.",
    cases: &[
        case(Severity::Unsafe, All(&[IN_COMPLETION, Stuck])),
        case(Severity::Risky, IN_COMPLETION),
    ],
    accounts_for: Accounts::NONE,
    why: "Eviction waits for locked pages, for PG_writeback and for the filesystem's own \
          requests, and this thread is the one that handles the replies that end them. If one \
          of them is outstanding for this inode, nobody is left to end it, and all other \
          traffic of the mount stops, too. fs/fuse/file.c marks such releases may_block and \
          lets another worker end them.",
    says: &[words(
        "DAX inodes may need to issue a number of synchronous request for clearing the mappings.",
        "fs/fuse/file.c, fuse_file_put()",
    )],
    seen_in: "Ceph's messenger waited for a page whose read only it could complete \
              (history:ceph-msgr-truncate-2019); commit 3e1d0452edce put from a workqueue, and was \
              undone in 5.13 (history:ceph-osd-dispatch-2024). It waited for netfs I/O, too \
              (history:ceph-msgr-netfs-wait-2025). virtiofs' only completion worker \
              sent a request and waited for the answer; commit 42fbb31310b2, \"fuse: mark DAX \
              inode releases as blocking\" (history:fuse-virtiofs-dax-2026). An NFS release \
              truncated 5 TB on a per-CPU queue (history:nfs-nfsiod-truncate-2020).",
    way_out: "Let a work item on another workqueue do the iput(). Where several workers share the \
              load this is rare, not safe: they can all get here at once.",
    expected_when: "Never; for an inode without pages and open requests it is harmless.",
};

pub const DELAYED_FPUT: Rule = Rule {
    id: "delayed-fput",
    title: "By design: the delayed fput worker",
    means: "A work item ends files that kernel threads or interrupts closed, and drops their \
            dentries and inodes.",
    cases: &[case(Severity::Expected, Chain(&frames::DELAYED_FPUT))],
    accounts_for: Accounts::NONE,
    why: "Files that a kernel thread or an interrupt closes are ended by a work item, where \
          nothing is held (fs/file_table.c, delayed_fput()).",
    says: &[words(
        "Fall through to delayed fput to avoid leaking *file.",
        "fs/file_table.c, __fput_deferred()",
    )],
    seen_in: "None is on record: it is a way out, as is its twin for user tasks, task work \
              (fs/file_table.c, ____fput()).",
    way_out: "Nothing to do.",
    expected_when: "Always.",
};

pub const WORK_ITEM: Rule = Rule {
    id: "worker",
    title: "By design: a work item",
    means: "Where puts are deferred to. What speaks against a particular worker is said by other \
            rules: its queue, what it holds, what it was doing.",
    cases: &[case(
        Severity::Expected,
        Any(&[is(Fact::WorkqueueWorker), is(Fact::OrderedWorker)]),
    )],
    accounts_for: Accounts::NONE,
    why: "A work item is where puts are deferred to: it starts with an empty stack, no lock \
          and no transaction. What is queued behind it on an ordered queue waits for the \
          eviction (kernel/workqueue.c, process_one_work()).",
    says: &[words(
        "a delayed worker performs the final iput() in a clean context",
        "fs/ext4/xattr.c, ext4_put_ea_inode()",
    )],
    seen_in: "The remedy has had bugs of its own, at unmount: ext4 flushed the system's queue to \
              be rid of its puts and waited for unrelated work \
              (history:ext4-delayed-iput-system-wq-2022); nilfs2's ran after the thread that they \
              need had ended (history:nilfs2-detach-writer-2024).",
    way_out: "Nothing to do, as long as the eviction does not wait for this queue.",
    expected_when: "Always, as far as being a worker goes.",
};

pub const KTHREAD: Rule = Rule {
    id: "kthread",
    title: "By design: a kernel thread",
    means: "A kernel thread that is no worker. It may put inodes like any task.",
    cases: &[case(
        Severity::Expected,
        All(&[
            is(Fact::Kthread),
            Not(&is(Fact::WorkqueueWorker)),
            Not(&is(Fact::Kswapd)),
        ]),
    )],
    accounts_for: Accounts::NONE,
    why: "A kernel thread may put inodes like any task (btrfs's cleaner runs all its delayed \
          puts: fs/btrfs/inode.c, btrfs_run_delayed_iputs()). Its name proves nothing either \
          way.",
    says: &[words(
        "Delayed iputs are processed at transaction commit time/superblock commit/cleaner kthread.",
        "fs/btrfs/inode.c, btrfs_add_delayed_iput()",
    )],
    seen_in: "btrfs's cleaner runs legitimate delayed puts and has run a bad one \
              (history:btrfs-iget-failed-2025); nilfs2's log writer hung in one \
              (history:nilfs2-segctor-isync-2015).",
    way_out: "Nothing to do, as long as the eviction does not wait for this thread.",
    expected_when: "Always, as far as being a kernel thread goes.",
};
