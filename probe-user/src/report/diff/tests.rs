//! What is said of two reports that differ in one thing.

use proptest::prelude::*;

use super::*;
use crate::report::format::Options;
use crate::report::model::{Frame, Inlined, Level};
use crate::report::{order, sample};

fn report_of(sites: Vec<Site>) -> Report {
    let mut report = sample::empty();
    (report.findings, report.other_sites) = order::assemble(sites);
    report
}

fn unsafe_site() -> Site {
    let mut site = sample::report().findings[0].clone();
    site.stuck.clear();
    site
}

/// What became of the only site.
fn only(old: Vec<Site>, new: Vec<Site>) -> SiteChange {
    let diff = diff(&report_of(old), &report_of(new));
    assert_eq!(diff.sites.len(), 1, "{diff:#?}");
    diff.sites[0].clone()
}

fn text(diff: &Diff, all: bool) -> String {
    let mut out = Vec::new();
    let options = Options {
        all,
        ..Options::default()
    };
    text::write(diff, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_report_is_the_same_as_itself() {
    for report in [sample::report(), sample::empty()] {
        let diff = diff(&report, &report);
        let sites = report.findings.len() + report.other_sites.len();
        assert_eq!(diff.numbers.same, sites as u64);
        assert_eq!(diff.sites.len(), sites);
        assert_eq!(worst(&diff), None);
    }
    assert!(diff(&sample::empty(), &sample::empty()).caveats.is_empty());
}

#[test]
fn sites_are_new_gone_worse_or_better() {
    let site = unsafe_site();
    let change = only(vec![], vec![site.clone()]);
    assert_eq!(
        (change.change, change.charge),
        (Change::New, Some(Severity::Deadlock))
    );
    assert_eq!(only(vec![site.clone()], vec![]).change, Change::Gone);
    assert_eq!(only(vec![site.clone()], vec![]).charge, None);

    let mut milder = site.clone();
    milder.severity = Severity::Risky;
    assert_eq!(
        only(vec![milder.clone()], vec![site.clone()]).change,
        Change::Worse
    );
    assert_eq!(
        only(vec![site.clone()], vec![milder]).change,
        Change::Better
    );

    let mut less = site.clone();
    let hazards = &mut less.contexts[0].hazards;
    let at = hazards.iter().position(|hazard| hazard.rule == "held-lock");
    hazards.remove(at.unwrap());
    let change = only(vec![less.clone()], vec![site.clone()]);
    assert_eq!(change.change, Change::Worse);
    assert_eq!(change.rules_appeared, ["held-lock"]);
    let change = only(vec![site.clone()], vec![less]);
    assert_eq!(change.change, Change::Better);
    assert_eq!(change.rules_gone, ["held-lock"]);

    let stuck = sample::report().findings[0].clone();
    assert_eq!(
        only(vec![site.clone()], vec![stuck.clone()]).change,
        Change::Worse
    );
    assert_eq!(only(vec![stuck], vec![site]).change, Change::Better);
}

#[test]
fn a_milder_hazard_is_no_new_one() {
    let site = unsafe_site();
    let before = sample::with_hazard(&site, "low-stack", Severity::Unsafe);
    let after = sample::with_hazard(&site, "low-stack", Severity::Risky);
    let change = only(vec![before.clone()], vec![after.clone()]);
    assert_eq!(change.change, Change::Better);
    assert!(change.rules_appeared.is_empty());
    assert_eq!(change.rules_gone, ["low-stack"]);
    let change = only(vec![after], vec![before]);
    assert_eq!(change.change, Change::Worse);
    assert_eq!(change.charge, Some(Severity::Unsafe));
}

#[test]
fn a_worse_site_is_charged_with_what_is_worse() {
    let site = unsafe_site();
    let mut more = sample::with_hazard(&site, "another", Severity::Risky);
    let change = only(vec![site.clone()], vec![more.clone()]);
    assert_eq!(change.change, Change::Worse);
    assert_eq!(change.charge, Some(Severity::Risky));
    // A call that hangs is charged with all that is found there.
    let mut stuck = more.clone();
    stuck.stuck = sample::report().findings[0].stuck.clone();
    let change = only(vec![more.clone()], vec![stuck]);
    assert_eq!(change.change, Change::Worse);
    assert_eq!(change.charge, Some(Severity::Deadlock));
    // What is excused is nothing worse.
    let hazards = &mut more.contexts[0].hazards;
    hazards.last_mut().unwrap().suppressed = Some("by design".into());
    let report = diff(
        &report_of(vec![site.clone()]),
        &report_of(vec![more.clone()]),
    );
    assert_eq!(report.sites[0].change, Change::Same);
    assert_eq!(worst(&report), None);
    // Nor is what the new report's baseline has.
    let hazard = more.contexts[0].hazards.last_mut().unwrap();
    (hazard.suppressed, hazard.known) = (None, true);
    let report = diff(&report_of(vec![site]), &report_of(vec![more]));
    assert_eq!(worst(&report), None);
}

#[test]
fn rates_are_of_an_hour_and_decide_nothing() {
    let site = unsafe_site();
    let mut more = site.clone();
    more.counts.final_puts = 300;
    let mut new = report_of(vec![more]);
    new.capture.duration_ms = 45_000;
    let diff = diff(&report_of(vec![site]), &new);
    let change = &diff.sites[0];
    assert_eq!(change.change, Change::Same);
    // 3 in 30 s, 300 in 45 s.
    assert_eq!(change.old.unwrap().final_puts_per_hour, Some(360.0));
    assert_eq!(change.new.unwrap().final_puts_per_hour, Some(24_000.0));
    let shown = text(&diff, true);
    assert!(shown.contains("300 final puts (24000 an hour)"), "{shown}");
    let mut none = sample::empty();
    none.capture.duration_ms = 0;
    none.findings = vec![unsafe_site()];
    let diff = super::diff(&none, &none);
    assert_eq!(diff.sites[0].new.unwrap().final_puts_per_hour, None);
}

#[test]
fn what_is_known_or_excused_fails_nothing() {
    let mut site = unsafe_site();
    let charge = |site: &Site| worst(&diff(&sample::empty(), &report_of(vec![site.clone()])));
    assert_eq!(charge(&site), Some(Severity::Deadlock));
    site.known = true;
    assert_eq!(charge(&site), None);
    site.known = false;
    for hazard in &mut site.contexts[0].hazards {
        hazard.suppressed = Some("by design".into());
    }
    assert_eq!(charge(&site), None);
}

fn chain(id: &str, functions: &[&str]) -> Site {
    Site {
        frames: functions.iter().map(|name| sample::frame(name)).collect(),
        ..sample::site(id, Severity::Risky)
    }
}

const CHAIN: &[&str] = &["a_put", "a_drop", "b_walk", "c_scan", "d_shrink", "kthread"];

#[test]
fn a_chain_with_other_functions_inlined_is_the_same() {
    let old = chain("0000000000000001", CHAIN);
    let mut new = old.clone();
    new.id = "0000000000000002".into();
    let inlined = new.frames.remove(1).function.unwrap();
    new.frames[1].inlined = vec![Inlined {
        function: inlined,
        source: None,
    }];
    let change = only(vec![old.clone()], vec![new.clone()]);
    assert_eq!(change.change, Change::Same);
    assert_eq!(change.id, new.id);
    assert_eq!(change.old_id.as_ref(), Some(&old.id));
    // If it may be one of two, it is none.
    let mut other = old.clone();
    other.id = "0000000000000003".into();
    let diff = diff(&report_of(vec![old, other]), &report_of(vec![new]));
    assert_eq!((diff.numbers.new, diff.numbers.gone), (1, 2));
}

#[test]
fn how_the_kernel_is_entered_makes_no_difference() {
    let calls = ["vfs_unlink", "do_unlinkat", "__x64_sys_unlink"];
    let with = |id: &str, entry: &[&str]| chain(id, &[&calls, entry].concat());
    let old = with(
        "0000000000000001",
        &["do_syscall_64", "entry_SYSCALL_64_after_hwframe"],
    );
    let new = with(
        "0000000000000002",
        &[
            "x64_sys_call",
            "do_syscall_64",
            "entry_SYSCALL_64_after_hwframe",
        ],
    );
    assert_eq!(only(vec![old], vec![new]).change, Change::Same);
    let bare = [
        chain("0000000000000001", &["ret_from_fork"]),
        chain("0000000000000002", &["do_syscall_64"]),
    ];
    let [old, new] = bare.map(|site| report_of(vec![site]));
    assert_eq!(diff(&old, &new).numbers.same, 0);
}

#[test]
fn what_may_be_the_same_is_a_hint_only() {
    let old = chain("0000000000000001", CHAIN);
    let renamed = chain(
        "0000000000000002",
        &[
            "a_put",
            "a_drop_all",
            "b_walk",
            "c_scan",
            "d_shrink",
            "kthread",
        ],
    );
    let cut = Site {
        truncated: true,
        ..chain("0000000000000003", &CHAIN[..3])
    };
    let foreign = chain("0000000000000004", &["a_put", "vfs_unlink", "do_unlinkat"]);
    for (new, expected) in [
        (renamed, Some("the stacks differ in 1 of 6 functions")),
        (cut, Some("as far as the shorter stack goes")),
        (foreign, None),
    ] {
        let diff = diff(&report_of(vec![old.clone()]), &report_of(vec![new.clone()]));
        assert_eq!((diff.numbers.new, diff.numbers.gone), (1, 1));
        for (site, other) in diff.sites.iter().zip([&old.id, &new.id]) {
            let similar = site.similar.as_ref();
            assert_eq!(similar.is_some(), expected.is_some(), "{similar:?}");
            if let (Some(similar), Some(expected)) = (similar, expected) {
                assert_eq!(&similar.id, other);
                assert!(similar.how.contains(expected), "{}", similar.how);
            }
        }
    }
}

/// A change to the new report.
type Twist = fn(&mut Report);

#[test]
fn reports_that_were_not_watched_alike_are_told() {
    let cases: &[(Twist, &str, Change, bool)] = &[
        (
            |report| report.capture.level = Level::Evictions,
            "the old report is of level final, the new one of evictions",
            Change::Gone,
            true,
        ),
        (
            |report| report.capture.level = Level::Latent,
            "the new one of latent",
            Change::Gone,
            false,
        ),
        (
            |report| report.capture.filesystems = vec!["ext4".into()],
            "filesystems: all; the new one of: ext4",
            Change::Gone,
            true,
        ),
        (
            |report| report.capture.duration_ms = 3_000,
            "the old report is of 30.0 s, the new one of 3.0 s",
            Change::Gone,
            true,
        ),
        (
            |report| report.capture.duration_ms = 90_000,
            "the new one of 1 min 30 s",
            Change::Gone,
            false,
        ),
        (
            |report| report.capture.complete = false,
            "the new report is incomplete",
            Change::Gone,
            true,
        ),
        (
            |report| report.capture.attach = crate::report::model::Attach::Kprobe,
            "by fentry, the new one by kprobe",
            Change::Gone,
            false,
        ),
        (
            |report| report.kernel.release = "6.1".into(),
            "the old report is of Linux 7.3.4-amd64, the new one of 6.1",
            Change::Gone,
            true,
        ),
        (
            |report| {
                let fact = ("lock_held".to_owned(), "no lockdep".to_owned());
                report.kernel.unknown_facts.extend([fact]);
            },
            "only the new report cannot tell: lock_held",
            Change::Better,
            true,
        ),
        (
            |report| report.capture.workload = sample::report().capture.workload,
            "the workload was no command, and is `dd if=/dev/zero`",
            Change::Gone,
            true,
        ),
        (
            |report| report.capture.provocation = sample::report().capture.provocation,
            "final puts were provoked in the new report only",
            Change::New,
            true,
        ),
    ];
    let old = report_of(vec![unsafe_site()]);
    for (twist, expected, change, is_doubtful) in cases {
        let mut new = sample::empty();
        twist(&mut new);
        let diff = diff(&old, &new);
        let [caveat] = diff.caveats.as_slice() else {
            panic!("{expected}: {:?}", diff.caveats);
        };
        assert!(caveat.what.contains(expected), "{}", caveat.what);
        assert_eq!(caveat.doubts.contains(change), *is_doubtful, "{expected}");
        let doubted = caveat.doubts.contains(&Change::Gone);
        assert_eq!(diff.sites[0].is_doubtful, doubted, "{expected}");
        let shown = text(&diff, false);
        assert!(shown.contains("They were not watched alike"), "{shown}");
    }
}

#[test]
fn the_text_has_what_changed_and_fits_into_100_columns() {
    let mut old = sample::report();
    let mut new = sample::report();
    old.findings.remove(0);
    new.findings[1].severity = Severity::Unsafe;
    new.findings.pop();
    let diff = diff(&old, &new);
    let shown = text(&diff, false);
    let mut rest = shown.as_str();
    for expected in [
        "  old         Linux 7.3.4-amd64, from 2026-11-23T05:40:12Z for 30.0 s",
        "Findings: 1 new, 1 worse, 1 gone, 0 better, 0 the same. All sites: 1 new",
        "1. NEW, deadlock: Final put from inside writeback of the very inode (writeback-self-wait)",
        "  site        0f3a5b7c9d1e2f40",
        "  new         3 final puts (360 an hour); 1 stuck",
        "  stack       iput(), called by",
        "     cephlike_put_wrbuffer_cap_refs+0x1f/0x90 [cephlike]",
        "2. WORSE, risky → unsafe",
        "3. GONE, latent: One shrink of the dentry cache away",
        "  old         5 puts not final (600 an hour)",
        "30 sites unchanged or no finding: --all shows them",
    ] {
        let at = rest
            .find(expected)
            .unwrap_or_else(|| panic!("no {expected:?} (in this place) in:\n{shown}"));
        rest = &rest[at + expected.len()..];
    }
    for line in shown.lines() {
        assert!(
            line.chars().count() <= 100 && line == line.trim_end(),
            "{line}"
        );
    }
    let json = serde_json::to_string(&diff).unwrap();
    let again: Diff = serde_json::from_str(&json).unwrap();
    assert_eq!(again, diff);
}

/// Chains of few functions, so that many are alike.
fn any_sites() -> impl Strategy<Value = Vec<Site>> {
    let function = prop::sample::select(vec!["a", "b", "c", "d.part.0"]);
    let frame = (
        function,
        prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..2),
    );
    let frames = prop::collection::vec(frame, 0..5);
    let severity = prop::sample::select(vec![Severity::Expected, Severity::Risky]);
    let site = (frames, severity, any::<bool>()).prop_map(|(frames, severity, truncated)| {
        let frames: Vec<Frame> = frames
            .into_iter()
            .map(|(function, inlined)| Frame {
                inlined: inlined
                    .into_iter()
                    .map(|function| Inlined {
                        function: function.into(),
                        source: None,
                    })
                    .collect(),
                ..sample::frame(function)
            })
            .collect();
        Site {
            truncated,
            frames: frames.clone(),
            ..sample::site(&crate::symbol::site_id(&frames), severity)
        }
    });
    prop::collection::vec(site, 0..12)
}

proptest! {
    #[test]
    fn every_site_of_both_is_told_once(old in any_sites(), new in any_sites()) {
        let (old, new) = (report_of(old), report_of(new));
        let diff = diff(&old, &new);
        let on = |calls: fn(&SiteChange) -> bool| diff.sites.iter().filter(|site| calls(site)).count();
        let all = |report: &Report| report.findings.len() + report.other_sites.len();
        prop_assert_eq!(on(|site| site.old.is_some()), all(&old));
        prop_assert_eq!(on(|site| site.new.is_some()), all(&new));
        let back = super::diff(&new, &old);
        prop_assert_eq!(diff.numbers.new, back.numbers.gone);
        prop_assert_eq!(diff.numbers.same, back.numbers.same);
        prop_assert_eq!(diff.numbers.worse, back.numbers.better);
        prop_assert!(!text(&diff, true).is_empty());
    }
}
