//! The text as a reader sees it.

use super::*;
use crate::report::sample;

fn text(report: &Report, all: bool, colour: bool) -> String {
    let mut bytes = Vec::new();
    let options = Options {
        all,
        colour,
        ..Options::default()
    };
    write(report, &options, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn lines_fit_into_100_columns_and_end_clean() {
    for all in [false, true] {
        let text = text(&sample::report(), all, false);
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
            assert_eq!(line, line.trim_end(), "{line}");
        }
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"));
    }
}

#[test]
fn a_finding_has_all_that_is_known_in_its_order() {
    let text = text(&sample::report(), false, false);
    let mut rest = text.as_str();
    for expected in [
        "3 findings, the worst is deadlock.",
        "INCOMPLETE: there may be more",
        "1. DEADLOCK: Final put from inside writeback of the very inode (writeback-self-wait)",
        "  kernel      Linux 7.3.4-amd64 (x86_64)",
        "  site        0f3a5b7c9d1e2f40",
        "  counts      3 final puts: 2 evicted, 1 kept; evictions took 1.5 ms at most",
        "1 not ended yet",
        "  facts       kthread, workqueue_worker, mem_reclaim_worker, writeback_this_inode",
        "  filesystem  cephlike on lab0 (0:45)",
        "  inode       123, i_nlink 0, i_state 0x82, i_count 1; the task writes inode 123",
        "  task        kworker/u4:1, process 12, thread 12",
        "  worker      wb_workfn on workqueue writeback (WQ_UNBOUND, WQ_MEM_RECLAIM)",
        "  locks       `(wq_completion)writeback` (write), `&sbi->cp_rwsem` (read)",
        "  stack left  11872 bytes",
        "  unknown     rcu_reader",
        "  evidence    The task is inside",
        "  waits for   writeback of inode 123 on lab0 (I_SYNC), which this very thread is doing",
        "  why         Writeback pins the inode with I_SYNC",
        "  kernel says ",
        "  way out     Do not drop the last reference here.",
        "  and         risky: Final put by a worker that memory reclaim may wait for",
        "  and         risky: Final put with locks held (held-lock). Held for read: `&sbi->cp_rwsem`.",
        "  and         expected: By design: a work item (worker).",
        "  to check    where in the source it is: scripts/faddr2line vmlinux do_writepages+0x1f/0x90",
        "  to check    whether it still hangs: cat /proc/12/stack",
        "     put_capsnap (inlined)  fs/cephlike/caps.c:712",
        "     cephlike_put_wrbuffer_cap_refs+0x1f/0x90 [cephlike]  fs/cephlike/caps.c:3494",
        "     do_writepages+0x1f/0x90\n",
        "     (unknown) [gone]\n",
        "     … the kernel's limit may have cut the stack short",
        "  stuck       kworker/u4:1, thread 12, for 14.2 s, inode 123 (0:45)",
        "  waits for   writeback of the inode (I_SYNC)",
        "     inode_wait_for_writeback+0x9a/0xe0\n",
        "2. RISKY: ",
        "3. LATENT: One shrink of the dentry cache away",
        "  counts      5 puts not final",
        "i_count 2, 1 dentry, 1 unused",
        "  i_count     2 (5 puts)",
        "  held by     unused dentries alone (5 puts)",
        "  evidence    Other references to the inode are left",
        "(atomic-context).",
        "  if final    unsafe: ",
        "In numbers\n",
        "  final puts  1000, 935 of them benign by their facts alone",
        "  sites       1 deadlock (3 final puts), 1 risky (2 final puts), 1 latent (0 final puts, 5 puts not\n",
        "final), 30 expected",
        "Not findings\n",
        "  expected    0000000000000000 2x: dput < do_unlinkat",
        "20 sites more: --all shows them",
        "INCOMPLETE\n",
        "7 probe hits skipped by the kernel",
        "  lost        7 probe hits skipped by the kernel",
        "How it was watched\n",
        "  provoked    by drop_caches: 12 passes, 1.3 s, a duty of 10 %; dentries and inodes",
        "  workload    `dd if=/dev/zero` was ended by signal 9",
        "  unknown     rcu_reader: no PREEMPT_RCU",
    ] {
        let at = rest
            .find(expected)
            .unwrap_or_else(|| panic!("no {expected:?} (in this place) in:\n{text}"));
        rest = &rest[at + expected.len()..];
    }
}

#[test]
fn without_findings_it_is_short_and_calm() {
    let text = text(&sample::empty(), false, false);
    assert!(text.contains("\nNo findings.\n"), "{text}");
    for alarm in ["INCOMPLETE", "lost", "Not findings", "more"] {
        assert!(!text.contains(alarm), "{text}");
    }
    assert!(text.lines().count() < 15, "{text}");
}

#[test]
fn all_shows_every_site() {
    let report = sample::report();
    let text = text(&report, true, false);
    for site in &report.other_sites {
        assert!(text.contains(&site.id));
    }
    assert!(!text.contains("--all"));
}

#[test]
fn a_finding_can_be_read_without_the_others() {
    let mut report = sample::report();
    let again = report.findings[0].clone();
    report.findings.push(again);
    let text = text(&report, false, false);
    assert_eq!(text.matches("Writeback pins the inode").count(), 2);
    assert_eq!(text.matches("kernel      Linux 7.3.4-amd64").count(), 4);
}

#[test]
fn colours_change_nothing_but_colours() {
    let report = sample::report();
    let mut coloured = text(&report, false, true);
    assert!(coloured.contains('\x1b'));
    for parameters in ["0", "1", "1;31", "33"] {
        coloured = coloured.replace(&format!("\x1b[{parameters}m"), "");
    }
    assert_eq!(coloured, text(&report, false, false));
}

#[test]
fn names_cannot_act_on_the_terminal() {
    let mut report = sample::report();
    let evil = "\x1b[2J\u{9b}\u{202e}\r\nx";
    let site = &mut report.findings[0];
    site.frames[0].function = Some(evil.into());
    site.stuck[0].stack[0] = evil.into();
    site.stuck[0].comm = evil.into();
    let example = site.contexts[0].example.as_mut().unwrap();
    example.comm = evil.into();
    example.inode.superblock = evil.into();
    example.held_locks[0].class = evil.into();
    report.other_sites[0].id = evil.into();
    report.capture.workload.as_mut().unwrap().command = vec![evil.into()];
    let text = text(&report, true, false);
    let bad = |character: char| character != '\n' && character.is_control();
    assert!(!text.contains(bad) && !text.contains('\u{202e}'));
}

#[test]
fn what_the_baseline_knows_of_a_finding_is_marked() {
    let mut report = sample::report();
    let known = "known       the baseline has it, at least as bad\n";
    assert!(!text(&report, false, false).contains(known));
    report.findings[0].contexts[0].hazards[0].known = true;
    let one = text(&report, false, false);
    assert_eq!(one.matches(known).count(), 1, "{one}");
    // Then it is said of the whole site.
    report.findings[0].known = true;
    assert!(!text(&report, false, false).contains(known));
}
