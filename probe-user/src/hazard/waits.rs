//! What a sleeping thread waits for, read off its kernel stack.

use crate::kernel::symbols::plain_name;

/// Functions in which a thread waits for one particular thing.
const SPECIFIC: &[(&str, &[&str])] = &[
    (
        "writeback of the inode (I_SYNC)",
        &["inode_wait_for_writeback", "inode_sleep_on_writeback"],
    ),
    (
        "the inode shrinker to let go of the inode (I_LRU_ISOLATING)",
        &["inode_wait_for_lru_isolating"],
    ),
    (
        "another inode that is being freed",
        &["__wait_on_freeing_inode"],
    ),
    (
        "a page under writeback",
        &[
            "folio_wait_writeback",
            "wait_on_page_writeback",
            "folio_wait_writeback_killable",
        ],
    ),
    (
        "a locked page",
        &[
            "__folio_lock",
            "__folio_lock_killable",
            "__lock_page",
            "__lock_page_killable",
        ],
    ),
    (
        "a journal transaction (jbd2)",
        &[
            "start_this_handle",
            "wait_transaction_locked",
            "add_transaction_credits",
            "jbd2_log_wait_commit",
            "jbd2_journal_commit_transaction",
        ],
    ),
    (
        "a transaction (btrfs)",
        &["wait_current_trans", "btrfs_commit_transaction"],
    ),
    ("delayed puts (btrfs)", &["btrfs_wait_on_delayed_iputs"]),
    ("log space (xfs)", &["xlog_grant_head_wait"]),
    ("a locked buffer (xfs)", &["xfs_buf_lock"]),
    ("the log writer (nilfs2)", &["nilfs_segctor_sync"]),
    (
        "an entry of the extended attribute cache",
        &["mb_cache_entry_wait_unused"],
    ),
    (
        "an answer from the FUSE server",
        &["request_wait_answer", "__fuse_simple_request"],
    ),
    (
        "outstanding I/O of the inode (netfs)",
        &["netfs_wait_for_outstanding_io"],
    ),
    (
        "an answer from a Ceph server",
        &[
            "ceph_mdsc_wait_request",
            "ceph_mdsc_do_request",
            "ceph_osdc_wait_request",
        ],
    ),
    (
        "an answer from the NFS server",
        &["rpc_wait_bit_killable", "__rpc_wait_for_completion_task"],
    ),
    ("an answer from the 9p server", &["p9_client_rpc"]),
    (
        "an answer from the SMB server",
        &["compound_send_recv", "cifs_send_recv", "SendReceive"],
    ),
    ("a glock (gfs2)", &["gfs2_glock_wait"]),
    ("direct I/O on the inode", &["inode_dio_wait"]),
    (
        "a work item or workqueue",
        &["__flush_work", "__flush_workqueue", "flush_workqueue"],
    ),
    (
        "a superblock's freeze protection, or another per-CPU lock",
        &["percpu_rwsem_wait"],
    ),
    (
        "a reader-writer semaphore",
        &[
            "rwsem_down_read_slowpath",
            "rwsem_down_write_slowpath",
            "rwsem_down_read_failed",
            "rwsem_down_write_failed",
            "rwbase_read_lock",
            "__rwbase_read_lock",
            "rwbase_write_lock",
        ],
    ),
    (
        "a mutex",
        &[
            "__mutex_lock",
            "__mutex_lock_common",
            "__mutex_lock_slowpath",
            "rt_mutex_slowlock",
            "__rt_mutex_slowlock",
            "rt_mutex_slowlock_block",
        ],
    ),
    (
        "a grace period of RCU",
        &["synchronize_rcu", "synchronize_srcu", "__synchronize_srcu"],
    ),
    (
        "dirty pages to be written (throttled)",
        &["balance_dirty_pages"],
    ),
    (
        "memory reclaim (throttled)",
        &["reclaim_throttle", "congestion_wait"],
    ),
    (
        "block I/O",
        &["submit_bio_wait", "blk_execute_rq", "__wait_on_buffer"],
    ),
];

/// Functions in which a thread waits for something that only their callers could name, the
/// most telling first.
const GENERAL: &[(&str, &[&str])] = &[
    (
        "a page that is locked or under writeback",
        &[
            "folio_wait_bit_common",
            "folio_wait_bit",
            "wait_on_page_bit_common",
            "wait_on_page_bit",
        ],
    ),
    ("a semaphore", &["__down", "__down_common"]),
    (
        "a completion",
        &[
            "__wait_for_common",
            "wait_for_completion",
            "wait_for_common",
        ],
    ),
    ("a bit to clear", &["__wait_on_bit", "bit_wait"]),
    (
        "I/O",
        &["io_schedule", "io_schedule_timeout", "bit_wait_io"],
    ),
];

/// The function of one line of a kernel stack: `func+0x1f/0x90 [module]`, or `func`.
///
/// `/proc/PID/stack` puts `[<0>] ` before it.
fn function(line: &str) -> &str {
    let line = line.trim();
    let line = match line.strip_prefix("[<") {
        Some(rest) => rest.split_once(">] ").map_or(rest, |(_, name)| name),
        None => line,
    };
    let end = line.find(['+', ' ']).unwrap_or(line.len());
    plain_name(&line[..end])
}

/// What a thread with this stack (innermost first) waits for, as far as the stack tells.
///
/// Only frames inside the put count: what is beyond `iput()`, or `evict()` where `iput()` has
/// tail-called it, is why it was called, not what it waits for.
#[must_use]
pub fn waits_for(stack: &[String]) -> Option<String> {
    let inside = stack
        .iter()
        .map(|line| function(line))
        .take_while(|name| !matches!(*name, "iput" | "evict"));
    let inside: Vec<&str> = inside.collect();
    let specific = inside
        .iter()
        .find_map(|name| SPECIFIC.iter().find(|(_, names)| names.contains(name)));
    let general = || {
        GENERAL
            .iter()
            .find(|(_, names)| inside.iter().any(|name| names.contains(name)))
    };
    specific
        .or_else(general)
        .map(|(what, _)| (*what).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_innermost_particular_thing_counts() {
        for (lines, expected) in [
            (
                &[
                    "[<0>] __schedule+0x1f/0x90",
                    "[<0>] inode_wait_for_writeback+0x9a/0xe0",
                    "[<0>] evict+0xb4/0x1d0",
                ][..],
                Some("writeback of the inode (I_SYNC)"),
            ),
            (
                &[
                    "io_schedule",
                    "folio_wait_bit_common",
                    "__folio_lock.part.0",
                ],
                Some("a locked page"),
            ),
            (
                &[
                    "io_schedule",
                    "folio_wait_bit_common",
                    "truncate_inode_pages_range",
                ],
                Some("a page that is locked or under writeback"),
            ),
            (
                &["request_wait_answer+0x1/0x2 [fuse]"],
                Some("an answer from the FUSE server"),
            ),
            (&["down_write", "evict"], None),
            // Beyond the put: the reason for the call.
            (&["evict", "iput", "start_this_handle"], None),
            (&[], None),
            (&["", "[<", "[<0>] ", "+", " "], None),
        ] {
            assert_eq!(waits_for(&stack(lines)).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn no_name_is_in_two_rows() {
        let mut seen = std::collections::BTreeSet::new();
        for (_, names) in SPECIFIC.iter().chain(GENERAL) {
            for name in *names {
                assert!(seen.insert(name), "{name}");
            }
        }
    }
}
