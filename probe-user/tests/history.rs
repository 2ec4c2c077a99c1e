//! The rules against real bugs: each record of `history.jsonl` is turned into the call that
//! lastref would have seen, from its context and frames alone, and judged.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use lastref::hazard::{Call, Outcome, judge, severity, waits_for};
use lastref::kernel::symbols::plain_name;
use lastref::report::model::{Counts, Example, Lock, Severity, StuckCall};
use probe_common::{Fact, Facts};
use serde::Deserialize;

/// A record: a bug, its context as its fixers saw it, and its stack, innermost first.
#[derive(Debug, Deserialize)]
struct Record {
    id: String,
    context: String,
    verdict: String,
    frames: Vec<String>,
}

/// The functions that are a put, or all that a log shows of one.
const PUT: &[&str] = &["iput", "iput_final", "evict", "destroy_inode"];

/// The functions that evict, but not for a put (fs/inode.c, fs/super.c).
const OTHER_EVICTIONS: &[&str] = &["dispose_list", "evict_inodes", "prune_icache_sb"];

/// Bugs whose context has nothing that a rule knows. nilfs2's log writer is a plain kernel
/// thread; what it must not wait for is the flusher, who waits for it.
const SEEN_BY_HANG_ONLY: &[&str] = &["nilfs2-segctor-isync-2015"];

impl Record {
    fn read_all() -> Vec<Self> {
        let text = include_str!("history.jsonl");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn has(&self, functions: &[&str]) -> bool {
        self.frames
            .iter()
            .any(|frame| functions.contains(&plain_name(frame)))
    }

    /// Where the innermost put's own frames end; `None` if there is no put.
    fn caller(&self) -> Option<usize> {
        let is_put = |frame: &String| PUT.contains(&plain_name(frame));
        let first = self.frames.iter().position(is_put)?;
        let length = self.frames[first..]
            .iter()
            .take_while(|frame| is_put(frame))
            .count();
        let caller = first + length;
        let by_put = !OTHER_EVICTIONS.contains(&plain_name(self.frames.get(caller)?));
        by_put.then_some(caller)
    }
}

/// The facts that lastref would have read: from the frames where they tell, else from what the
/// record says of its context.
fn facts_of_history(record: &Record) -> Option<Facts> {
    let caller = record.caller()?;
    let outside = &record.frames[caller..];
    let below = |functions: &[&str]| {
        outside
            .iter()
            .any(|frame| functions.contains(&plain_name(frame)))
    };
    let context = record.context.as_str();
    let kernel_thread = [
        "kthread",
        "worker_thread",
        "process_one_work",
        "kswapd",
        "bdi_writeback_thread",
        "nilfs_segctor_thread",
    ];
    let mut facts = Facts::default();
    for (fact, yes) in [
        (Fact::Kthread, below(&kernel_thread)),
        (
            Fact::WorkqueueWorker,
            below(&["worker_thread", "process_one_work"]),
        ),
        (
            Fact::WritebackThisInode,
            context == "writeback-worker-self-wait" && below(&["do_writepages"]),
        ),
        (
            Fact::WritebackOtherInode,
            context == "writeback-of-another-inode" && below(&["do_writepages"]),
        ),
        (
            Fact::Flusher,
            below(&["wb_workfn", "wb_do_writeback", "__writeback_single_inode"]),
        ),
        (Fact::InodeSync, record.has(&["inode_wait_for_writeback"])),
        (Fact::Kswapd, below(&["kswapd", "balance_pgdat"])),
        (
            Fact::DirectReclaim,
            below(&["try_to_free_pages", "shrink_slab"]) && !below(&["kswapd", "balance_pgdat"]),
        ),
        (
            Fact::Memalloc,
            below(&[
                "try_to_free_pages",
                "shrink_slab",
                "kswapd",
                "balance_pgdat",
            ]),
        ),
        (Fact::Journal, context == "journal-transaction-held"),
        (Fact::PreemptDisabled, context == "atomic-spinlock-rcu-irq"),
        (Fact::LockHeld, context == "fs-lock-held"),
        (Fact::NestedEviction, below(PUT)),
        (
            Fact::SuperblockInactive,
            below(&["vfs_get_tree", "generic_shutdown_super"]),
        ),
    ] {
        facts.set(fact, yes);
    }
    Some(facts)
}

/// What lastref says of the record; `None` if there is no put in it.
fn verdict(record: &Record) -> Option<(Severity, Vec<String>)> {
    let caller = record.caller()?;
    let facts = facts_of_history(record)?;
    // A record whose stack goes on inside the put is of a moment when it did not come back.
    let frames = record.frames[..caller].to_vec();
    let inside = frames.iter().any(|frame| !PUT.contains(&plain_name(frame)));
    let stuck: Vec<StuckCall> = inside
        .then(|| StuckCall {
            comm: String::new(),
            thread: 1,
            age_ms: 120_000,
            device: String::new(),
            ino: 1,
            waits_for: waits_for(&frames),
            own_lock: None,
            stack: frames,
        })
        .into_iter()
        .collect();
    let example = Example {
        held_locks: if facts.is(Fact::LockHeld) {
            vec![Lock {
                class: "&sbi->lock".into(),
                mode: "write".into(),
                ..Lock::default()
            }]
        } else {
            Vec::new()
        },
        ..Example::default()
    };
    let hazards = judge(&Call {
        facts,
        chain: &record.frames[caller..],
        counts: &Counts::default(),
        example: Some(&example),
        stuck: &stuck,
        final_puts_of_site: 0,
        final_puts_in_baseline: 0,
        outcome: Outcome::Seen,
    });
    let rules = hazards
        .iter()
        .filter(|hazard| hazard.severity > Severity::Expected)
        .map(|hazard| hazard.rule.clone())
        .collect();
    Some((severity(&hazards), rules))
}

#[test]
fn real_bugs_are_found_and_victims_are_not_accused() {
    let mut wrong = Vec::new();
    let (mut bugs, mut others, mut without_put) = (0, 0, 0);
    for record in Record::read_all() {
        let Some((severity, rules)) = verdict(&record) else {
            without_put += 1;
            println!("{:8} {:15} {}", "no put", record.verdict, record.id);
            continue;
        };
        println!(
            "{:8} {:15} {} ({})",
            severity.name(),
            record.verdict,
            record.id,
            rules.join(", ")
        );
        let self_wait =
            record.context == "writeback-worker-self-wait" && record.has(&["do_writepages"]);
        // A hang alone is no proof of a bug: the context must speak, too, or only the hang.
        let only_stuck = rules == ["stuck"];
        let right = match record.verdict.as_str() {
            "bug-context" => {
                bugs += 1;
                severity >= Severity::Risky
                    && (!self_wait || severity == Severity::Deadlock)
                    && only_stuck == SEEN_BY_HANG_ONLY.contains(&record.id.as_str())
            }
            "victim" | "false-positive" | "related-no-iput" => {
                others += 1;
                severity < Severity::Unsafe && only_stuck
            }
            // The bug is elsewhere: in the eviction itself, or in the remedy.
            "bug-fs-evict" | "bug-in-remedy" => true,
            other => panic!("{}: unknown verdict {other}", record.id),
        };
        if !right {
            wrong.push((record.id, severity));
        }
    }
    println!("{bugs} bugs found, {others} bystanders left alone, {without_put} without a put");
    assert!(wrong.is_empty(), "{wrong:#?}");
    // So that records cannot drop out of the test unnoticed.
    assert_eq!((bugs, others, without_put), (33, 4, 13));
}

#[test]
fn every_hang_tells_what_it_waits_for() {
    for (id, expected) in [
        ("ceph-wb-self-wait-2025", "writeback of the inode (I_SYNC)"),
        ("ceph-msgr-truncate-2019", "a locked page"),
        ("fuse-virtiofs-dax-2026", "an answer from the FUSE server"),
        (
            "ceph-msgr-netfs-wait-2025",
            "outstanding I/O of the inode (netfs)",
        ),
        ("f2fs-sync-node-pages-2020", "a reader-writer semaphore"),
        ("lazytime-iput-reclaim-ext4", "a journal transaction (jbd2)"),
        (
            "ext4-evict-ea-inode-hung-2023",
            "an entry of the extended attribute cache",
        ),
    ] {
        let records = Record::read_all();
        let record = records.iter().find(|record| record.id == id).unwrap();
        let waits = waits_for(&record.frames);
        assert_eq!(waits.as_deref(), Some(expected), "{id}");
    }
}
