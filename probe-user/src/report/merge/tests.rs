//! Merging as arithmetic: the order makes no difference, and nothing is lost or made up.

use proptest::prelude::*;

use super::*;
use crate::report::model::{
    Attach, FactSheet, Frame, Level, LockSource, Severity, Site, StuckCall,
};
use crate::report::sample;

fn merge<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Report {
    let mut merger = Merger::default();
    for report in reports {
        merger.add(report.clone());
    }
    merger.finish()
}

/// A site where the put of [`sample::held_elsewhere`] was final.
fn final_elsewhere() -> Site {
    let mut site = sample::held_elsewhere();
    let context = &mut site.contexts[0];
    context.counts = Counts {
        final_puts: 3,
        kept: 3,
        ..Counts::default()
    };
    context.facts = FactSheet::default();
    context.hazards.clear();
    site.counts = context.counts.clone();
    site
}

/// The same chain of calls, as a kernel with debug information has it.
fn elsewhere_in_memory(mut site: Site) -> Site {
    for frame in &mut site.frames {
        frame.offset += 16;
    }
    site.frames[0].source = None;
    site
}

fn report_of(sites: Vec<Site>) -> Report {
    let mut report = sample::empty();
    (report.findings, report.other_sites) = order::assemble(sites);
    report
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..100_u64, 1 => (u64::MAX - 100)..=u64::MAX]
}

fn counts() -> impl Strategy<Value = Counts> {
    let buckets = prop::collection::btree_map(0..4_u32, 1..50_u64, 0..4);
    (number(), number(), number(), number(), buckets).prop_map(
        |(final_puts, evicted, longest, non_final, buckets)| Counts {
            final_puts,
            evicted,
            slept: evicted / 2,
            in_flight: final_puts % 2,
            eviction_total_ns: longest,
            eviction_longest_ns: longest,
            eviction_histogram: buckets
                .into_iter()
                .map(|(bits, count)| crate::report::model::Bucket {
                    at_least_us: 1 << bits,
                    count,
                })
                .collect(),
            non_final,
            ..Counts::default()
        },
    )
}

fn site() -> impl Strategy<Value = Site> {
    let template = prop::sample::select({
        let mut sites = sample::report().findings;
        sites.extend([
            sample::held_elsewhere(),
            final_elsewhere(),
            elsewhere_in_memory(sample::held_elsewhere()),
            sample::site("00000000000000bb", Severity::Expected),
        ]);
        let mut other_chain = sample::site("00000000000000bb", Severity::Risky);
        other_chain.frames.push(sample::frame("vfs_unlink"));
        sites.push(other_chain);
        sites
    });
    let ages = prop::collection::vec(0..20_u64, 0..12);
    (template, counts(), ages, any::<bool>(), 0..3_u64).prop_map(
        |(mut site, counts, ages, truncated, context)| {
            site.truncated = truncated;
            let first = &mut site.contexts[0];
            first.counts = counts.clone();
            if context == 1 {
                first.called = Some("dput".into());
            }
            if context == 2
                && let Some(example) = &mut first.example
            {
                example.inode.filesystem = "ext4".into();
                example.thread = 99;
            }
            site.counts = counts;
            let call = site.stuck.first().cloned();
            site.stuck = call.map_or_else(Vec::new, |call| {
                ages.into_iter()
                    .map(|age_ms| StuckCall {
                        age_ms,
                        ..call.clone()
                    })
                    .collect()
            });
            site
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let kernel = (
        prop::sample::select(vec!["5.10.0", "6.1.0", "7.3.4"]),
        prop::option::of("[a-c]"),
        prop::option::of(0..3_u8),
    );
    let way = (
        prop::sample::select(vec![Level::Evictions, Level::Final, Level::Latent]),
        prop::sample::select(vec![Attach::Kprobe, Attach::Fentry]),
        prop::sample::subsequence(vec!["ext4".to_owned(), "xfs".to_owned()], 0..=2),
        prop::sample::select(vec![LockSource::Lockdep, LockSource::Owners]),
    );
    let ends = (
        prop::option::of(number()),
        number(),
        prop::collection::vec("[a-d]", 0..3),
        prop::sample::select(vec![None, Some("one"), Some("other")]),
        0..60_u32,
    );
    let sites = prop::collection::vec(site(), 0..6);
    (kernel, way, ends, sites).prop_map(|(kernel, way, ends, sites)| {
        let (release, host, unknown) = kernel;
        let (level, attach, filesystems, lock_source) = way;
        let (missed, number, reasons, command, second) = ends;
        let mut report = report_of(sites);
        report.kernel.release = release.into();
        report.kernel.host = host;
        report.kernel.lock_source = lock_source;
        if let Some(unknown) = unknown {
            let reason = format!("reason {unknown}");
            report
                .kernel
                .unknown_facts
                .insert("lock_held".into(), reason);
        }
        report.capture.started = format!("2026-11-23T05:40:{second:02}Z");
        report.capture.level = level;
        report.capture.attach = attach;
        report.capture.filesystems = filesystems;
        report.capture.duration_ms = number;
        if second.is_multiple_of(2) {
            report.capture.provocation = sample::report().capture.provocation;
        }
        report.capture.workload = command.map(|command| Workload {
            command: vec![command.into()],
            status: Some(0),
            signal: None,
        });
        report.losses.probe_hits_missed = missed;
        report.losses.sites_full = number % 3;
        report.totals.final_puts = number;
        report.totals.stuck = number % 5;
        report.capture.incomplete_because = report.losses.gaps();
        report.capture.incomplete_because.extend(reasons);
        report.capture.complete = report.capture.incomplete_because.is_empty();
        report
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_order_makes_no_difference(a in report(), b in report(), c in report()) {
        let all = merge([&a, &b, &c]);
        prop_assert_eq!(&merge([&c, &a, &b]), &all);
        prop_assert_eq!(&merge([&merge([&a, &b]), &c]), &all);
        prop_assert_eq!(&merge([&a, &merge([&c, &b])]), &all);
        prop_assert_eq!(&merge([&merge([&a]), &merge([&b]), &merge([&c])]), &all);
        prop_assert_eq!(&merge([&all]), &all);
    }

    #[test]
    fn numbers_are_exact(a in report(), b in report()) {
        let sum = merge([&a, &b]);
        let puts = |reports: &[&Report]| {
            let sites = reports
                .iter()
                .flat_map(|report| report.findings.iter().chain(&report.other_sites));
            crate::report::units::sum(sites.map(|site| site.counts.final_puts))
        };
        prop_assert_eq!(puts(&[&sum]), puts(&[&a, &b]));
        let stuck: fn(&Report) -> u64 = |report| {
            let sites = report.findings.iter().chain(&report.other_sites);
            sites.map(|site| site.stuck.len() as u64 + site.stuck_left_out).sum()
        };
        prop_assert_eq!(stuck(&sum), stuck(&a) + stuck(&b));
        prop_assert_eq!(
            sum.totals.final_puts,
            a.totals.final_puts.saturating_add(b.totals.final_puts)
        );
        prop_assert_eq!(sum.merged.map(|merged| merged.reports), Some(2));
    }

    #[test]
    fn no_verdict_becomes_milder(a in report(), b in report()) {
        let sum = merge([&a, &b]);
        for site in a.findings.iter().chain(&b.findings) {
            let is_there = |other: &&Site| {
                other.id == site.id && other.severity >= site.severity
            };
            prop_assert!(sum.findings.iter().any(|other| is_there(&other)));
        }
    }
}

#[test]
fn a_report_merged_with_itself_has_everything_twice() {
    let one = merge([&sample::report()]);
    let two = merge([&sample::report(), &sample::report()]);
    for (one, two) in one.findings.iter().zip(&two.findings) {
        assert_eq!(one.id, two.id);
        let mut doubled = one.counts.clone();
        doubled.add(&one.counts);
        assert_eq!(two.counts, doubled);
        assert_eq!(two.counts.final_puts, 2 * one.counts.final_puts);
        for (one, two) in one.contexts.iter().zip(&two.contexts) {
            let mut doubled = one.counts.clone();
            doubled.add(&one.counts);
            assert_eq!(two.counts, doubled);
            assert_eq!(one.facts, two.facts);
            let rules = |context: &crate::report::model::Context| {
                let hazards = context.hazards.iter();
                hazards
                    .map(|hazard| (hazard.rule.clone(), hazard.severity))
                    .collect::<Vec<_>>()
            };
            assert_eq!(rules(one), rules(two));
        }
        assert_eq!(two.stuck.len(), 2 * one.stuck.len());
    }
    assert_eq!(two.totals.final_puts, 2 * one.totals.final_puts);
    assert_eq!(two.losses.probe_hits_missed, Some(14));
    assert_eq!(two.capture.duration_ms, 2 * one.capture.duration_ms);
    let provocation = two.capture.provocation.unwrap();
    assert_eq!(provocation.passes, 24);
    assert!(two.capture.workload.is_some());
    assert!(two.merged.unwrap().conflicts.is_empty());
}

#[test]
fn a_site_is_latent_where_it_was_final_in_another_report() {
    let held = report_of(vec![sample::held_elsewhere()]);
    let was_final = report_of(vec![final_elsewhere()]);
    assert!(merge([&held, &held]).findings.is_empty());
    for order in [[&held, &was_final], [&was_final, &held]] {
        let sum = merge(order);
        let [site] = sum.findings.as_slice() else {
            panic!("{:#?}", sum.findings);
        };
        assert_eq!(site.severity, Severity::Latent);
        assert_eq!(site.contexts[0].hazards[0].rule, "final-elsewhere");
        let evidence = site.contexts[0].hazards[0].evidence.concat();
        assert!(
            evidence.contains("3 final puts at the same site"),
            "{evidence}"
        );
        assert_eq!(site.seen_in.as_ref().unwrap().reports, 2);
    }
    let mut elsewhere = final_elsewhere();
    elsewhere.contexts[0]
        .example
        .as_mut()
        .unwrap()
        .inode
        .filesystem = "ext4".into();
    assert!(
        merge([&held, &report_of(vec![elsewhere])])
            .findings
            .is_empty()
    );
}

#[test]
fn differences_are_named() {
    let mut old = sample::empty();
    old.kernel.release = "5.10.0".into();
    old.kernel.host = Some("a".into());
    old.schema_version = 0;
    old.capture.level = Level::Latent;
    old.capture.attach = Attach::Kprobe;
    old.capture.filesystems = vec!["ext4".into()];
    old.kernel.lock_source = LockSource::Lockdep;
    old.tool.version = "0.0.9".into();
    old.losses.probe_hits_missed = None;
    old.capture.provocation = sample::report().capture.provocation;
    let new = sample::empty();
    let sum = merge([&old, &new, &new]);
    let merged = sum.merged.unwrap();
    let conflicts = merged.conflicts.join("\n");
    for expected in [
        "kernels differ: 5.10.0 in 1 report, 7.3.4-amd64 in 2 reports",
        "levels differ: final in 2 reports, latent in 1 report",
        "ways of attaching differ: fentry in 2 reports, kprobe in 1 report",
        "limits on filesystems differ: ext4 in 1 report, none in 2 reports",
        "sources of locks differ: lockdep in 1 report, owners in 2 reports",
        "provocations differ: drop-caches at 10 % in 1 report, none in 2 reports",
        "schema versions differ: 0 in 1 report, 1 in 2 reports",
        "versions of lastref differ: 0.0.9 in 1 report, 0.1.0 in 2 reports",
        "hits that the kernel skipped are not counted in 1 of 3 reports",
    ] {
        assert!(conflicts.contains(expected), "{expected}:\n{conflicts}");
    }
    assert_eq!(merged.sources.len(), 2);
    assert_eq!(merged.sources[0].hosts, ["a"]);
    assert_eq!(sum.kernel.release, "5.10.0, 7.3.4-amd64");
    assert_eq!(sum.kernel.lock_source, LockSource::Owners);
    assert_eq!(sum.capture.level, Level::Latent);
    assert!(sum.capture.filesystems.is_empty());
    assert!(sum.capture.provocation.is_none());
}

#[test]
fn chains_with_the_same_id_are_kept_apart() {
    let site = sample::site("00000000000000aa", Severity::Risky);
    let mut other = site.clone();
    other.frames.push(sample::frame("vfs_unlink"));
    let sum = merge([&report_of(vec![site]), &report_of(vec![other])]);
    assert_eq!(sum.findings.len(), 2);
    let conflicts = sum.merged.unwrap().conflicts;
    assert!(conflicts[0].starts_with("2 different stacks have the id 00000000000000aa"));
}

#[test]
fn the_same_chain_in_another_build_is_one_site() {
    let site = sample::report().findings[0].clone();
    let mut other = site.clone();
    other.frames[0].function = Some("cephlike_put_wrbuffer_cap_refs.part.0".into());
    other.frames[1] = Frame {
        offset: 99,
        source: None,
        ..other.frames[1].clone()
    };
    let sum = merge([&report_of(vec![other]), &report_of(vec![site.clone()])]);
    assert_eq!(sum.findings.len(), 1);
    // Those that say most.
    assert_eq!(sum.findings[0].frames, site.frames);
    assert!(sum.merged.unwrap().conflicts.is_empty());
}

#[test]
fn what_is_missing_or_too_large_is_told() {
    let mut merger = Merger::default();
    merger.add(sample::report());
    merger.note_unreadable();
    let first = merger.finish();
    assert!(!first.capture.complete);
    let huge: [fn(&mut Report); 2] = [
        |report| report.totals.final_puts = u64::MAX,
        |report| report.losses.probe_hits_missed = Some(u64::MAX),
    ];
    for set in huge {
        let mut huge = sample::empty();
        set(&mut huge);
        let conflicts = merge([&first, &huge]).merged.unwrap().conflicts.concat();
        assert!(conflicts.contains("18446744073709551615 stands for that or more"));
    }
    let sum = merge([&first, &sample::empty()]);
    let reasons = sum.capture.incomplete_because;
    for expected in [
        "7 probe hits skipped by the kernel",
        "1 report could not be read, and is not in the sums",
        "1 of 2 merged reports not complete",
    ] {
        assert!(
            reasons.iter().any(|reason| reason == expected),
            "{reasons:?}"
        );
    }
    assert_eq!(reasons.len(), 3, "{reasons:?}");
}

#[test]
fn reasons_do_not_grow_with_the_number_of_reports() {
    let mut merger = Merger::default();
    for number in 0..500 {
        let mut report = sample::empty();
        report.capture.complete = false;
        report.capture.incomplete_because = vec![format!("a pass took {number} s")];
        merger.add(report);
    }
    let reasons = merger.finish().capture.incomplete_because;
    assert_eq!(reasons.len(), REASONS + 2);
    assert_eq!(reasons.last().map(String::as_str), Some(MORE_REASONS));
}
