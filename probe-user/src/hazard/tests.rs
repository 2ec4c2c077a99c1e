//! Every rule fires where it should and nowhere else.

use probe_common::{ALL_FACTS, Fact, Facts};
use proptest::prelude::*;

use super::rules::{RECLAIM_SLEEP_MS, SLOW_EVICTION_MS};
use super::*;
use crate::kernel::symbols::plain_name;
use crate::report::model::{InodeExample, Lock, Work};

/// A call under construction.
#[derive(Clone, Debug, Default)]
struct Case {
    facts: Vec<Fact>,
    chain: Vec<&'static str>,
    locks: Vec<(&'static str, &'static str)>,
    locks_left_out: u32,
    without_example: bool,
    longest_ms: u64,
    slept: u64,
    in_flight: u64,
    stuck: Vec<&'static str>,
    own_lock: Option<Lock>,
    filesystem: &'static str,
    final_puts_of_site: u64,
}

impl Case {
    fn judge(&self) -> Vec<Hazard> {
        let mut facts = Facts {
            known: ALL_FACTS.iter().map(|fact| fact.bit()).sum(),
            yes: 0,
        };
        for fact in &self.facts {
            facts.set(*fact, true);
        }
        judge_with(self, facts)
    }

    fn rules(&self) -> Vec<(String, Severity)> {
        self.judge()
            .into_iter()
            .map(|hazard| (hazard.rule, hazard.severity))
            .collect()
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn judge_with(case: &Case, facts: Facts) -> Vec<Hazard> {
    let example = Example {
        held_locks: case
            .locks
            .iter()
            .map(|(class, mode)| Lock {
                class: (*class).into(),
                mode: (*mode).into(),
                ..Lock::default()
            })
            .collect(),
        held_locks_left_out: case.locks_left_out,
        work: Some(Work {
            function: "lab_work".into(),
            workqueue: "lab".into(),
            flags: Vec::new(),
        }),
        inode: InodeExample {
            filesystem: case.filesystem.into(),
            ..InodeExample::default()
        },
        written_ino: Some(7),
        stack_left_bytes: Some(1500),
        ..Example::default()
    };
    let stuck = if case.stuck.is_empty() {
        Vec::new()
    } else {
        vec![StuckCall {
            comm: String::new(),
            thread: 1,
            age_ms: 12_000,
            device: String::new(),
            ino: 1,
            stack: owned(&case.stuck),
            waits_for: None,
            own_lock: case.own_lock.clone(),
        }]
    };
    judge(&Call {
        facts,
        chain: &owned(&case.chain),
        counts: &Counts {
            final_puts: 1,
            slept: case.slept,
            in_flight: case.in_flight,
            eviction_longest_ns: case.longest_ms * 1_000_000,
            ..Counts::default()
        },
        example: (!case.without_example).then_some(&example),
        stuck: &stuck,
        final_puts_of_site: case.final_puts_of_site,
        final_puts_in_baseline: 0,
        outcome: Outcome::Seen,
    })
}

/// A dentry cache put in reclaim.
const SHRINKER: &[&str] = &[
    "dentry_unlink_inode",
    "__dentry_kill",
    "shrink_dentry_list",
    "prune_dcache_sb",
    "super_cache_scan",
    "kswapd",
];

const LOCKED: &[Fact] = &[Fact::LockHeld];

fn with(facts: &[Fact], chain: &[&'static str]) -> Case {
    Case {
        facts: facts.to_vec(),
        chain: chain.to_vec(),
        ..Case::default()
    }
}

fn locked(chain: &[&'static str], class: &'static str, mode: &'static str) -> Case {
    Case {
        locks: vec![(class, mode)],
        ..with(LOCKED, chain)
    }
}

/// A worker that holds `class`, taken by `taker`.
fn worker_with(class: &str, taker: &str) -> Vec<String> {
    let mut facts = Facts::default();
    for fact in [Fact::Kthread, Fact::WorkqueueWorker, Fact::LockHeld] {
        facts.set(fact, true);
    }
    let example = Example {
        held_locks: vec![Lock {
            class: class.into(),
            mode: "write".into(),
            taken_by: Some(taker.into()),
            ..Lock::default()
        }],
        ..Example::default()
    };
    let hazards = judge(&Call {
        facts,
        chain: &[],
        counts: &Counts::default(),
        example: Some(&example),
        stuck: &[],
        final_puts_of_site: 0,
        final_puts_in_baseline: 0,
        outcome: Outcome::Seen,
    });
    hazards.into_iter().map(|hazard| hazard.rule).collect()
}

#[test]
fn a_work_items_stand_in_is_no_lock() {
    let item = "(lab_work).work";
    assert_eq!(worker_with(item, "process_one_work"), ["worker"]);
    assert_eq!(worker_with(item, "lab_run"), ["held-lock", "worker"]);
}

/// Each case with exactly the rules that match it, in their order.
#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<(Case, Vec<(&'static str, Severity)>)> {
    use Fact::*;
    use Severity::{Deadlock, Expected, Latent, Risky, Unsafe};
    let mut table = vec![
        (with(&[], &["do_unlinkat"]), vec![]),
        (with(&[InodeDirty, Unlinked], &["dput"]), vec![]),
        (
            with(&[NonFinal, OneShrinkAway, PreemptDisabled], &[]),
            vec![("one-shrink-away", Latent), ("atomic-context", Latent)],
        ),
        (
            Case {
                final_puts_of_site: 3,
                ..with(&[NonFinal, RcuReader], &[])
            },
            vec![("final-elsewhere", Latent), ("rcu-reader", Latent)],
        ),
        (
            with(&[WritebackThisInode], &[]),
            vec![("writeback-self-wait", Unsafe)],
        ),
        // It came back: no deadlock, whatever the state was.
        (
            with(&[WritebackThisInode, InodeSync], &[]),
            vec![("writeback-self-wait", Unsafe)],
        ),
        // Somebody else may have set I_SYNC, and be done with it soon.
        (
            Case {
                in_flight: 1,
                ..with(&[WritebackThisInode, InodeSync], &[])
            },
            vec![("writeback-self-wait", Unsafe)],
        ),
        (
            Case {
                stuck: vec!["inode_wait_for_writeback"],
                ..with(&[WritebackThisInode, InodeSync], &[])
            },
            vec![("writeback-self-wait", Deadlock), ("stuck", Risky)],
        ),
        // A flusher that puts an inode under writeback: perhaps the one that it writes.
        (with(&[Flusher, InodeSync], &[]), vec![("flusher", Risky)]),
        // The flusher that writes the inode: the flusher rule keeps quiet, the worker's do not.
        (
            Case {
                in_flight: 1,
                ..with(
                    &[
                        WritebackThisInode,
                        Flusher,
                        InodeSync,
                        WorkqueueWorker,
                        Kthread,
                        MemReclaimWorker,
                    ],
                    &["lab_writepages", "do_writepages"],
                )
            },
            vec![
                ("writeback-self-wait", Deadlock),
                ("mem-reclaim-worker", Risky),
                ("worker", Expected),
            ],
        ),
        (
            Case {
                stuck: vec!["mutex_lock", "lab_evict_inode", "evict"],
                own_lock: Some(Lock {
                    class: "lab_mutex".into(),
                    taken_by: Some("lab_drop".into()),
                    ..Lock::default()
                }),
                ..with(&[], &["lab_drop"])
            },
            vec![("lock-self-wait", Deadlock), ("stuck", Risky)],
        ),
        (
            with(&[WritebackOtherInode], &[]),
            vec![("writeback-other-inode", Unsafe)],
        ),
        (with(&[Flusher], &[]), vec![("flusher", Risky)]),
        (with(&[RcuReader], &[]), vec![("rcu-reader", Unsafe)]),
        (with(&[Journal], &[]), vec![("journal-transaction", Unsafe)]),
        (with(&[InodeFreeing], &[]), vec![("freeing-inode", Unsafe)]),
        (with(&[StackBelow4K], &[]), vec![("low-stack", Risky)]),
        (
            with(&[StackBelow4K, StackBelow2K], &[]),
            vec![("low-stack", Unsafe)],
        ),
        (
            with(&[Kswapd, Kthread], &["lab_scan"]),
            vec![("reclaim-not-dcache", Risky)],
        ),
        (
            with(&[DirectReclaim, Memalloc], &["lab_scan"]),
            vec![("reclaim-not-dcache", Risky)],
        ),
        (
            with(&[Memalloc], &[]),
            vec![("memory-allocation-context", Risky)],
        ),
        (
            with(&[MemReclaimWorker], &[]),
            vec![("mem-reclaim-worker", Risky)],
        ),
        (with(&[Nofs], &[]), vec![("nofs-scope", Risky)]),
        (with(&[Noio], &[]), vec![("noio-scope", Risky)]),
        // By design in reclaim, from any task.
        (
            with(&[Kswapd, Kthread, Memalloc], SHRINKER),
            vec![("dcache-reclaim", Expected)],
        ),
        (
            with(
                &[
                    DirectReclaim,
                    Memalloc,
                    MemReclaimWorker,
                    WorkqueueWorker,
                    Kthread,
                ],
                SHRINKER,
            ),
            vec![("dcache-reclaim", Expected), ("worker", Expected)],
        ),
        // The put itself is not the dentry cache's.
        (
            with(&[Kswapd], &["lab_put", "lab_evict", "prune_dcache_sb"]),
            vec![("reclaim-not-dcache", Risky)],
        ),
        // A socket has nothing to evict; a file has, and sleeping is forbidden for both.
        (
            Case {
                filesystem: "sockfs",
                ..with(
                    &[MemReclaimWorker, WorkqueueWorker, Nofs, Noio, Memalloc],
                    &["dentry_kill"],
                )
            },
            vec![("nothing-to-evict", Expected), ("worker", Expected)],
        ),
        (
            Case {
                filesystem: "nfs4",
                ..with(&[MemReclaimWorker, Nofs], &["dentry_kill"])
            },
            vec![("mem-reclaim-worker", Risky), ("nofs-scope", Risky)],
        ),
        (
            Case {
                filesystem: "pipefs",
                ..with(&[Nofs, PreemptDisabled], &["dentry_kill"])
            },
            vec![("atomic-context", Unsafe), ("nothing-to-evict", Expected)],
        ),
        // No design hides what is unsafe, or a scope that reclaim would have respected.
        (
            with(&[Kswapd, Journal, RcuReader], SHRINKER),
            vec![
                ("rcu-reader", Unsafe),
                ("journal-transaction", Unsafe),
                ("dcache-reclaim", Expected),
            ],
        ),
        (
            with(&[DirectReclaim, Nofs], SHRINKER),
            vec![("nofs-scope", Risky), ("dcache-reclaim", Expected)],
        ),
        (
            with(&[NestedEviction], &["lab_evict"]),
            vec![("nested-eviction", Expected)],
        ),
        (
            with(&[NestedEviction, Kswapd, Kthread], SHRINKER),
            vec![("nested-eviction", Risky)],
        ),
        (
            with(&[NestedEviction, StackBelow4K], &["lab_evict"]),
            vec![("low-stack", Risky), ("nested-eviction", Risky)],
        ),
        (
            with(&[OwnSuperblockLock], &["lab"]),
            vec![("superblock-lock-held", Risky)],
        ),
        (
            with(
                &[OwnSuperblockLock, SuperblockInactive],
                &["lab", "generic_shutdown_super"],
            ),
            vec![("mount-unmount", Expected)],
        ),
        (
            with(&[SuperblockInactive], &["lab"]),
            vec![("inactive-superblock", Latent)],
        ),
        (
            with(&[WorkqueueWorker, Kthread], &["delayed_fput"]),
            vec![("delayed-fput", Expected), ("worker", Expected)],
        ),
        (
            with(&[WorkqueueWorker, Kthread, OrderedWorker], &["lab"]),
            vec![("worker", Expected)],
        ),
        (with(&[Kthread], &["lab"]), vec![("kthread", Expected)]),
        (
            with(&[InodeSync], &["lab"]),
            vec![("inode-under-writeback", Expected)],
        ),
        // Locks: the VFS's own are accounted for, each where it belongs.
        (
            locked(&["lab"], "&sbi->cp_rwsem", "read"),
            vec![("held-lock", Risky)],
        ),
        (locked(&["lab"], "sb_writers#5", "read"), vec![]),
        (
            locked(&["lab"], "&type->s_umount_key#9", "write"),
            vec![("held-lock", Risky)],
        ),
        (locked(&["lab"], "&type->s_umount_key#9", "read"), vec![]),
        (
            locked(&["lab", "vfs_get_tree"], "&type->s_umount_key#9/1", "write"),
            vec![("mount-unmount", Expected)],
        ),
        (
            locked(
                &["dentry_unlink_inode", "do_rmdir"],
                "&type->i_mutex_dir_key#3/1",
                "write",
            ),
            vec![("dcache-put", Expected)],
        ),
        (
            locked(&["lab", "do_rmdir"], "&type->i_mutex_dir_key#3/1", "write"),
            vec![("held-lock", Risky)],
        ),
        (
            locked(SHRINKER, "fs_reclaim", "write"),
            vec![("dcache-reclaim", Expected), ("dcache-put", Expected)],
        ),
        (
            Case {
                locks_left_out: 2,
                ..locked(&["lab"], "sb_writers", "read")
            },
            vec![("held-lock", Risky)],
        ),
        (
            Case {
                without_example: true,
                ..with(LOCKED, &["lab"])
            },
            vec![("held-lock", Risky)],
        ),
        // The owner field's fact tells which lock it is.
        (
            with(&[LockHeld, OwnInodeLock], &["lab"]),
            vec![("own-lock-held", Unsafe)],
        ),
        // Outcome.
        (
            Case {
                longest_ms: SLOW_EVICTION_MS,
                ..with(&[], &[])
            },
            vec![("slow-eviction", Latent)],
        ),
        (
            Case {
                longest_ms: SLOW_EVICTION_MS - 1,
                slept: 5,
                ..with(&[], &[])
            },
            vec![],
        ),
        (
            Case {
                stuck: vec!["inode_wait_for_writeback+0x9a/0xe0"],
                ..with(&[], &[])
            },
            vec![("stuck", Risky)],
        ),
        (
            Case {
                longest_ms: RECLAIM_SLEEP_MS,
                slept: 1,
                ..with(&[Kswapd], SHRINKER)
            },
            vec![
                ("reclaim-eviction-slept", Risky),
                ("dcache-reclaim", Expected),
            ],
        ),
        (
            Case {
                longest_ms: RECLAIM_SLEEP_MS,
                ..with(&[Kswapd], SHRINKER)
            },
            vec![("dcache-reclaim", Expected)],
        ),
        (
            Case {
                longest_ms: RECLAIM_SLEEP_MS - 1,
                slept: 1,
                ..with(&[Kswapd], SHRINKER)
            },
            vec![("dcache-reclaim", Expected)],
        ),
        // drop_caches is not reclaim: nobody waits for memory there.
        (
            Case {
                longest_ms: RECLAIM_SLEEP_MS,
                slept: 1,
                ..with(&[], SHRINKER)
            },
            vec![("dcache-reclaim", Expected)],
        ),
        (
            Case {
                stuck: vec!["start_this_handle"],
                ..with(&[DirectReclaim], SHRINKER)
            },
            vec![
                ("reclaim-eviction-slept", Risky),
                ("stuck", Risky),
                ("dcache-reclaim", Expected),
            ],
        ),
        (
            Case {
                stuck: vec!["request_wait_answer"],
                ..with(
                    &[WorkqueueWorker],
                    &["fuse_release_end", "fuse_request_end"],
                )
            },
            vec![
                ("completion-worker", Unsafe),
                ("stuck", Risky),
                ("worker", Expected),
            ],
        ),
    ];
    for fact in [
        Hardirq,
        Nmi,
        Softirq,
        InterruptsOff,
        PreemptDisabled,
        BhDisabled,
    ] {
        table.push((with(&[fact], &["lab"]), vec![("atomic-context", Unsafe)]));
    }
    for fact in [OwnInodeLock, OwnInvalidateLock] {
        table.push((with(&[fact], &["lab"]), vec![("own-lock-held", Unsafe)]));
    }
    for function in ["ceph_con_workfn", "rpc_async_release", "bio_endio.part.0"] {
        table.push((
            with(&[], &["lab", function]),
            vec![("completion-worker", Risky)],
        ));
    }
    table
}

#[test]
fn every_rule_fires_where_it_should_and_nowhere_else() {
    for (case, expected) in table() {
        let expected: Vec<(String, Severity)> = expected
            .into_iter()
            .map(|(rule, severity)| (rule.to_owned(), severity))
            .collect();
        assert_eq!(case.rules(), expected, "{case:?}");
    }
}

#[test]
fn every_case_of_every_rule_is_tested() {
    let tested: Vec<(&str, Severity)> = table().into_iter().flat_map(|(_, rules)| rules).collect();
    for rule in RULES {
        for case in rule.cases {
            assert!(tested.contains(&(rule.id, case.severity)), "{}", rule.id);
        }
    }
}

#[test]
fn every_fact_has_a_rule_or_is_innocent() {
    for fact in ALL_FACTS {
        let mut only = Facts::default();
        only.set(*fact, true);
        let ruled = RULES.iter().flat_map(|rule| rule.cases).any(|case| {
            let need = Some(condition::Need::Fact(*fact));
            case.when.mentions(&|condition| condition.need() == need)
        });
        assert!(ruled || only.are_benign(), "{}", fact.name());
    }
}

#[test]
fn the_table_is_well_formed() {
    let mut ids = std::collections::BTreeSet::new();
    for rule in RULES {
        let id = rule.id;
        assert!(ids.insert(id), "{id} is there twice");
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{id}"
        );
        assert!(
            rule.cases.is_sorted_by(|a, b| a.severity >= b.severity),
            "{id}"
        );
        let (why, way_out) = (rule.why, rule.way_out);
        let sentences = [rule.means, why, rule.seen_in, way_out, rule.expected_when];
        let quotes = rule.says.iter().flat_map(|said| [said.words, said.place]);
        for text in sentences.into_iter().chain(quotes).chain([rule.title]) {
            assert!(
                !text.is_empty() && text.trim() == text && !text.contains("  "),
                "{id}"
            );
        }
        assert!(sentences.iter().all(|text| text.ends_with('.')), "{id}");
        assert!(!rule.says.is_empty(), "{id} quotes nothing");
        for said in rule.says {
            let file = said.place.split(',').next().unwrap_or_default();
            let ends = [".c", ".h", ".rst"];
            assert!(ends.iter().any(|end| file.ends_with(end)), "{id}: {file}");
        }
        assert!(
            why.len() < 600 && way_out.len() < 400,
            "{id} is too long to read"
        );
        let cites = [".c", ".h", ".rst"].iter().any(|end| why.contains(end));
        assert!(cites, "{id} cites no source");
        let is_design = rule.worst() == Severity::Expected;
        let accounts = !rule.accounts_for.facts.is_empty() || !rule.accounts_for.locks.is_empty();
        assert!(
            is_design || !accounts,
            "{id} is no design and accounts for something"
        );
    }
    assert!(RULES.is_sorted_by(|a, b| a.worst() >= b.worst()));
    assert!(Rule::find("stuck").is_some() && Rule::find("none").is_none());
}

#[test]
fn a_put_that_is_not_final_is_judged_by_what_it_would_be() {
    let spin = [Fact::NonFinal, Fact::PreemptDisabled];
    // Held by something else, and never final: nothing is said against it, but what it would be.
    let held = with(&spin, &[]).judge();
    assert_eq!(held.len(), 1);
    assert_eq!(
        (held[0].severity, held[0].if_final),
        (Severity::Benign, Some(Severity::Unsafe))
    );
    let one_away = with(&[&spin[..], &[Fact::OneShrinkAway]].concat(), &[]).judge();
    assert_eq!(one_away[0].rule, "one-shrink-away");
    assert_eq!(
        (one_away[1].rule.as_str(), one_away[1].severity),
        ("atomic-context", Severity::Latent)
    );
    let evidence = one_away[0].evidence.join(" ");
    assert!(
        evidence.ends_with("If it were final and evicted: unsafe (atomic-context)."),
        "{evidence}"
    );
    let words = |facts: &[Fact], chain: &[&'static str]| {
        let away = [facts, &[Fact::NonFinal, Fact::OneShrinkAway]].concat();
        with(&away, chain).judge()[0].evidence.concat()
    };
    let unlinked = words(&[Fact::RcuReader, Fact::Unlinked], &[]);
    assert!(
        unlinked.ends_with("If it were final: unsafe (rcu-reader)."),
        "{unlinked}"
    );
    // Where replies are handled it may come back, and a flusher's own writeback may not be.
    let replies = words(&[], &["ceph_con_workfn"]);
    assert!(
        replies.ends_with("and evicted: risky, or unsafe if it hung (completion-worker)."),
        "{replies}"
    );
    let syncs = words(&[Fact::WritebackThisInode, Fact::InodeSync], &[]);
    assert!(
        syncs.ends_with("unsafe, or deadlock if it hung (writeback-self-wait)."),
        "{syncs}"
    );
    let writes = [Fact::WritebackThisInode, Fact::InodeSync, Fact::Flusher];
    let flusher = words(&writes, &[]);
    assert!(
        flusher.ends_with("and evicted: deadlock (writeback-self-wait)."),
        "{flusher}"
    );
    // A flusher that writes the inode would wait for itself, whatever the outcome of others was.
    let flusher = [
        Fact::NonFinal,
        Fact::WritebackThisInode,
        Fact::InodeSync,
        Fact::Flusher,
    ];
    let hazards = with(&flusher, &[]).judge();
    assert_eq!(hazards[0].rule, "writeback-self-wait");
    assert_eq!(hazards[0].if_final, Some(Severity::Deadlock));
    // Where replies are handled it may hang, and that is what counts.
    let replies = with(&[Fact::NonFinal, Fact::Kthread], &["ceph_con_workfn"]).judge();
    assert_eq!(replies[0].if_final, Some(Severity::Unsafe));
    // Where a final one would at worst be risky, nothing is said.
    assert!(with(&[Fact::NonFinal, Fact::Nofs], &[]).judge().is_empty());
}

#[test]
fn evidence_names_what_was_seen() {
    let evidence = |case: Case| case.judge()[0].evidence.join(" ");
    let worker = evidence(with(&[Fact::MemReclaimWorker], &[]));
    assert!(worker.contains("(`lab_work` on `lab`)."), "{worker}");
    let other = evidence(with(&[Fact::WritebackOtherInode], &[]));
    assert!(other.contains("(it writes inode 7)."), "{other}");
    let stack = evidence(with(&[Fact::StackBelow2K], &[]));
    assert!(stack.contains("(1500 bytes are)."), "{stack}");
    let atomic = evidence(with(&[Fact::Softirq, Fact::InterruptsOff], &[]));
    assert!(
        atomic.contains("soft interrupt") && atomic.contains("Interrupts are"),
        "{atomic}"
    );
    let lock = evidence(locked(&["lab"], "&sbi->cp_rwsem", "read"));
    assert_eq!(lock, "Held for read: `&sbi->cp_rwsem`.");
    let frame = evidence(with(&[], &["ceph_con_workfn.isra.0"]));
    assert_eq!(frame, "`ceph_con_workfn` in the chain: Ceph's messenger.");
}

#[test]
fn what_is_waited_for_is_told() {
    let first = |case: Case| case.judge()[0].waits_for.clone();
    let stuck = Case {
        stuck: vec!["request_wait_answer"],
        ..with(&[], &[])
    };
    assert_eq!(
        first(stuck).as_deref(),
        Some("an answer from the FUSE server")
    );
    let own = first(Case {
        in_flight: 1,
        ..with(
            &[Fact::WritebackThisInode, Fact::InodeSync, Fact::Flusher],
            &[],
        )
    })
    .unwrap();
    assert!(
        own.contains("(I_SYNC), which this very thread is doing"),
        "{own}"
    );
    assert_eq!(first(with(&[Fact::Nofs], &[])), None);
}

#[test]
fn conditions_read_like_sentences() {
    let when = |id: &str| Rule::find(id).unwrap().cases[0].when.to_string();
    assert_eq!(
        when("flusher"),
        "flusher and not writeback_this_inode and not writeback_other_inode"
    );
    assert_eq!(
        when("memory-allocation-context"),
        "memalloc and not (kswapd or direct_reclaim)"
    );
    assert!(when("reclaim-eviction-slept").starts_with("(kswapd or direct_reclaim) and"));
}

/// Function names that mean something to some rule, and some that do not.
fn any_function() -> impl Strategy<Value = &'static str> {
    let mut names: Vec<&'static str> = frame_names().map(|(_, name)| name).collect();
    names.extend([
        "lab",
        "",
        "iput.part.0",
        "evict",
        "+",
        "prune_dcache_sb.cold",
    ]);
    prop::sample::select(names)
}

fn any_case() -> impl Strategy<Value = Case> {
    let classes = ["sb_writers", "&type->s_umount_key#1", "&lab->lock", "", "#"];
    let lock = (
        prop::sample::select(classes.to_vec()),
        prop::sample::select(vec!["read", "write", ""]),
    );
    (
        prop::collection::vec(any_function(), 0..6),
        prop::collection::vec(lock, 0..3),
        0..3_u32,
        any::<bool>(),
        0..3000_u64,
        0..2_u64,
        prop::collection::vec(any_function(), 0..2),
    )
        .prop_map(
            |(chain, locks, locks_left_out, without_example, longest_ms, slept, stuck)| Case {
                facts: Vec::new(),
                chain,
                locks,
                locks_left_out,
                without_example,
                longest_ms,
                slept,
                in_flight: slept,
                stuck,
                own_lock: None,
                filesystem: "",
                final_puts_of_site: 0,
            },
        )
}

fn known(bits: u64) -> u64 {
    bits & ALL_FACTS.iter().map(|fact| fact.bit()).sum::<u64>()
}

proptest! {
    #[test]
    fn judging_never_fails_and_is_sorted(case in any_case(), bits: u64) {
        let facts = Facts { known: u64::MAX, yes: known(bits) };
        let hazards = judge_with(&case, facts);
        prop_assert!(hazards.is_sorted_by(|a, b| a.severity >= b.severity));
        prop_assert_eq!(severity(&hazards), hazards.first().map_or(Severity::Benign, |h| h.severity));
        for hazard in &hazards {
            prop_assert!(Rule::find(&hazard.rule).is_some());
            prop_assert!(!hazard.evidence.is_empty(), "{}", hazard.rule);
        }
    }

    #[test]
    fn unknown_facts_are_never_held_against_a_call(case in any_case(), bits: u64, seen: u64) {
        let yes = known(bits);
        let certain = judge_with(&case, Facts { known: u64::MAX, yes });
        let ignorant = judge_with(&case, Facts { known: yes | seen, yes });
        prop_assert_eq!(certain, ignorant);
    }

    /// More facts can explain a risk away, but never what is unsafe.
    #[test]
    fn more_facts_never_hide_what_is_unsafe(case in any_case(), bits: u64, more: u64) {
        // But for the one that it was not the last put.
        let unsafe_rules = |yes: u64| -> std::collections::BTreeSet<String> {
            let yes = yes & !Fact::NonFinal.bit();
            judge_with(&case, Facts { known: u64::MAX, yes })
                .into_iter()
                .filter(|hazard| hazard.severity >= Severity::Unsafe)
                .map(|hazard| hazard.rule)
                .collect()
        };
        let (few, many) = (unsafe_rules(known(bits)), unsafe_rules(known(bits | more)));
        prop_assert!(few.is_subset(&many), "{few:?} {many:?}");
    }

    /// A longer, sleepier or endless eviction is never judged milder.
    #[test]
    fn a_worse_outcome_is_never_milder(case in any_case(), bits: u64, longer in 0..3000_u64) {
        let facts = Facts { known: u64::MAX, yes: known(bits) };
        let worse = Case {
            longest_ms: case.longest_ms + longer,
            slept: case.slept + 1,
            stuck: vec!["inode_wait_for_writeback"],
            ..case.clone()
        };
        prop_assert!(severity(&judge_with(&worse, facts)) >= severity(&judge_with(&case, facts)));
    }

    #[test]
    fn any_stack_can_be_read(lines in prop::collection::vec(".*", 0..4)) {
        prop_assert!(waits_for(&lines).is_none_or(|what| !what.is_empty()));
        for line in &lines {
            prop_assert!(plain_name(line).len() <= line.len());
        }
    }
}
