//! Reports for tests: one with everything in it, one with nothing.

use std::collections::BTreeMap;

use probe_common::{Fact, Facts};

use super::model::{
    Attach, Bucket, Capture, Context, CountBucket, Counts, Dentries, Example, FactSheet, Frame,
    Hazard, Inlined, InodeExample, Kernel, Level, Lock, LockSource, Losses, Moment, Provocation,
    ProvocationMethod, References, Report, SCHEMA_VERSION, Severity, Site, Source, StuckCall, Tool,
    Totals, Work, Workload,
};
use super::order;
use crate::hazard::{Call, Outcome, judge};

/// A report of a run that saw nothing.
pub(crate) fn empty() -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        tool: Tool {
            name: "lastref".into(),
            version: "0.1.0".into(),
        },
        kernel: Kernel {
            host: None,
            release: "7.3.4-amd64".into(),
            version: "#1 SMP PREEMPT_DYNAMIC".into(),
            machine: "x86_64".into(),
            unknown_facts: BTreeMap::new(),
            debug_information: Vec::new(),
            lock_source: LockSource::Owners,
        },
        capture: Capture {
            started: "2026-11-23T05:40:12Z".into(),
            duration_ms: 30_000,
            level: Level::Final,
            attach: Attach::Fentry,
            attach_reason: "trampolines are safe on this kernel".into(),
            filesystems: Vec::new(),
            complete: true,
            incomplete_because: Vec::new(),
            lock_tracking: None,
            cost: None,
            provocation: None,
            workload: None,
            suppressions: Vec::new(),
        },
        losses: Losses {
            probe_hits_missed: Some(0),
            ..Losses::default()
        },
        totals: Totals::default(),
        findings: Vec::new(),
        other_sites: Vec::new(),
        merged: None,
        timeline: Vec::new(),
    }
}

/// `site`, with a rule in its first context that is as bad as said.
pub(crate) fn with_hazard(site: &Site, rule: &str, severity: Severity) -> Site {
    let mut site = site.clone();
    let hazards = &mut site.contexts[0].hazards;
    hazards.retain(|hazard| hazard.rule != rule);
    let hazard = Hazard {
        rule: rule.into(),
        severity,
        ..hazards[0].clone()
    };
    hazards.push(hazard);
    site
}

/// A frame of the kernel itself.
pub(crate) fn frame(function: &str) -> Frame {
    Frame {
        function: Some(function.into()),
        offset: 0x1f,
        size: Some(0x90),
        ..Frame::default()
    }
}

/// A frame of a module, with its source line and a function inlined into it.
fn module_frame(function: &str) -> Frame {
    Frame {
        module: Some("cephlike".into()),
        source: Some(source(3494)),
        inlined: vec![Inlined {
            function: "put_capsnap".into(),
            source: Some(source(712)),
        }],
        ..frame(function)
    }
}

fn source(line: u32) -> Source {
    Source {
        file: "fs/cephlike/caps.c".into(),
        line,
    }
}

/// A site of that severity, without any hazard.
pub(crate) fn site(id: &str, severity: Severity) -> Site {
    Site {
        id: id.into(),
        severity,
        counts: Counts {
            final_puts: 2,
            ..Counts::default()
        },
        frames: vec![frame("dput"), frame("do_unlinkat")],
        truncated: false,
        known: false,
        suppressed: None,
        seen_in: None,
        contexts: vec![Context {
            severity,
            hazards: Vec::<Hazard>::new(),
            counts: Counts::default(),
            facts: FactSheet::default(),
            called: None,
            example: None,
            references: None,
        }],
        stuck: Vec::new(),
        stuck_left_out: 0,
    }
}

fn example() -> Example {
    Example {
        comm: "kworker/u4:1".into(),
        process: 12,
        thread: 12,
        inode: InodeExample {
            filesystem: "cephlike".into(),
            superblock: "lab0".into(),
            device: "0:45".into(),
            ino: 123,
            nlink: 0,
            i_count: Some(1),
            i_state: "0x82".into(),
            dentries: None,
        },
        written_ino: Some(123),
        work: Some(Work {
            function: "wb_workfn".into(),
            workqueue: "writeback".into(),
            flags: vec!["WQ_UNBOUND".into(), "WQ_MEM_RECLAIM".into()],
        }),
        stack_left_bytes: Some(11_872),
        held_locks: vec![
            Lock {
                class: "(wq_completion)writeback".into(),
                mode: "write".into(),
                ..Lock::default()
            },
            Lock {
                class: "&sbi->cp_rwsem".into(),
                mode: "read".into(),
                ..Lock::default()
            },
        ],
        held_locks_left_out: 0,
    }
}

/// A flusher that puts the last reference of the inode that it writes, and hangs.
fn deadlock() -> Site {
    let yes = [
        Fact::Kthread,
        Fact::WorkqueueWorker,
        Fact::MemReclaimWorker,
        Fact::WritebackThisInode,
        Fact::Flusher,
        Fact::LockHeld,
        Fact::InodeSync,
        Fact::Unlinked,
    ];
    let mut facts = Facts::default();
    for fact in yes {
        facts.set(fact, true);
    }
    let frames = vec![
        module_frame("cephlike_put_wrbuffer_cap_refs"),
        module_frame("cephlike_writepages_start"),
        frame("do_writepages"),
        frame("__writeback_single_inode"),
        frame("writeback_sb_inodes"),
        frame("wb_writeback"),
        frame("wb_workfn"),
        frame("process_one_work"),
        frame("worker_thread"),
        frame("kthread"),
        Frame {
            module: Some("gone".into()),
            ..Frame::default()
        },
    ];
    let chain: Vec<String> = frames
        .iter()
        .filter_map(|frame| frame.function.clone())
        .collect();
    let stuck = vec![StuckCall {
        comm: "kworker/u4:1".into(),
        thread: 12,
        age_ms: 14_200,
        device: "0:45".into(),
        ino: 123,
        stack: ["inode_wait_for_writeback+0x9a/0xe0", "evict+0xb4/0x1d0"]
            .map(String::from)
            .to_vec(),
        waits_for: Some("writeback of the inode (I_SYNC)".into()),
        own_lock: None,
    }];
    let counts = Counts {
        final_puts: 3,
        evicted: 2,
        kept: 1,
        slept: 1,
        in_flight: 1,
        eviction_total_ns: 1_500_000,
        eviction_longest_ns: 1_500_000,
        eviction_histogram: vec![Bucket {
            at_least_us: 1024,
            count: 1,
        }],
        non_final: 0,
    };
    let example = example();
    let hazards = judge(&Call {
        facts,
        chain: &chain,
        counts: &counts,
        example: Some(&example),
        stuck: &stuck,
        final_puts_of_site: 0,
        final_puts_in_baseline: 0,
        outcome: Outcome::Seen,
    });
    Site {
        id: "0f3a5b7c9d1e2f40".into(),
        severity: Severity::Deadlock,
        counts: counts.clone(),
        frames,
        truncated: true,
        known: false,
        suppressed: None,
        seen_in: None,
        contexts: vec![Context {
            severity: Severity::Deadlock,
            hazards,
            counts,
            facts: FactSheet {
                yes: yes.map(|fact| fact.name().to_owned()).to_vec(),
                unknown: vec!["rcu_reader".into()],
            },
            called: None,
            example: Some(example),
            references: None,
        }],
        stuck,
        stuck_left_out: 0,
    }
}

/// A put under a spinlock, which one unused dentry keeps from being the last.
fn latent() -> Site {
    let mut facts = Facts::default();
    for fact in [Fact::PreemptDisabled, Fact::NonFinal, Fact::OneShrinkAway] {
        facts.set(fact, true);
    }
    let counts = Counts {
        non_final: 5,
        ..Counts::default()
    };
    let mut example = example();
    example.inode.i_count = Some(2);
    example.inode.dentries = Some(Dentries {
        aliases: 1,
        unused: 1,
        complete: true,
    });
    let frames = vec![module_frame("cephlike_drop_cap"), frame("kthread")];
    let hazards = judge(&Call {
        facts,
        chain: &["cephlike_drop_cap".into(), "kthread".into()],
        counts: &counts,
        example: Some(&example),
        stuck: &[],
        final_puts_of_site: 0,
        final_puts_in_baseline: 0,
        outcome: Outcome::Seen,
    });
    Site {
        id: "1a2b3c4d5e6f7081".into(),
        severity: Severity::Latent,
        counts: counts.clone(),
        frames,
        truncated: false,
        known: false,
        suppressed: None,
        seen_in: None,
        contexts: vec![Context {
            severity: Severity::Latent,
            hazards,
            counts,
            facts: FactSheet {
                yes: ["preempt_disabled", "non_final", "one_shrink_away"]
                    .map(String::from)
                    .to_vec(),
                unknown: Vec::new(),
            },
            called: None,
            example: Some(example),
            references: Some(References {
                i_count: vec![CountBucket {
                    at_least: 2,
                    count: 5,
                }],
                unused_dentries: 5,
                ..References::default()
            }),
        }],
        stuck: Vec::new(),
        stuck_left_out: 0,
    }
}

/// The same put where something else than dentries holds the inode: nothing speaks against it, but
/// that a final one would be unsafe.
pub(crate) fn held_elsewhere() -> Site {
    let mut site = latent();
    let context = &mut site.contexts[0];
    let mut facts = Facts::default();
    for fact in [Fact::PreemptDisabled, Fact::NonFinal] {
        facts.set(fact, true);
    }
    context.hazards = judge(&Call {
        facts,
        chain: &["cephlike_drop_cap".into(), "kthread".into()],
        counts: &context.counts,
        example: context.example.as_ref(),
        stuck: &[],
        final_puts_of_site: 0,
        final_puts_in_baseline: 0,
        outcome: Outcome::Seen,
    });
    context.facts.yes = ["preempt_disabled", "non_final"].map(String::from).to_vec();
    context.severity = Severity::Benign;
    context.references = None;
    site.severity = Severity::Benign;
    site
}

/// [`report`], whose names are all out to break what shows them.
pub(crate) fn with_names(evil: &str) -> Report {
    let mut report = report();
    let site = &mut report.findings[0];
    site.id = evil.into();
    site.frames[0].function = Some(evil.into());
    site.contexts[0].hazards[0].rule = evil.into();
    site.contexts[0].hazards[0].title = evil.into();
    site.stuck[0].stack = vec![evil.into()];
    report.capture.incomplete_because = vec![evil.into()];
    report.kernel.release = evil.into();
    report
}

/// A report with everything in it.
pub(crate) fn report() -> Report {
    let mut sites = vec![
        deadlock(),
        latent(),
        site("00000000000000aa", Severity::Risky),
    ];
    sites.extend((0..30).map(|number| site(&format!("{number:016x}"), Severity::Expected)));
    let (findings, other_sites) = order::assemble(sites);
    let mut report = empty();
    report.kernel.unknown_facts = BTreeMap::from([("rcu_reader".into(), "no PREEMPT_RCU".into())]);
    report.capture.complete = false;
    report.capture.incomplete_because = vec!["7 probe hits skipped by the kernel".into()];
    report.capture.filesystems = vec!["cephlike".into()];
    report.capture.provocation = Some(Provocation {
        method: ProvocationMethod::DropCaches,
        by: "drop_caches".into(),
        reach: "dentries and inodes of the whole machine".into(),
        duty_percent: 10,
        passes: 12,
        busy_ms: 1_340,
        unfinished_ms: None,
        stuck: false,
        failure: None,
    });
    report.capture.workload = Some(Workload {
        command: vec!["dd".into(), "if=/dev/zero".into()],
        status: None,
        signal: Some(9),
    });
    report.losses.probe_hits_missed = Some(7);
    report.totals = Totals {
        final_puts: 1000,
        benign_final_puts: 935,
        evictions: 70,
        benign_evictions: 60,
        stuck: 1,
        non_final_puts: 40,
        benign_non_final_puts: 30,
    };
    report.timeline = vec![Moment {
        at_ms: 30_000,
        final_puts: 1000,
        evictions: [(Severity::Deadlock, 2), (Severity::Benign, 68)].into(),
        stuck: 1,
    }];
    report.findings = findings;
    report.other_sites = other_sites;
    report
}
