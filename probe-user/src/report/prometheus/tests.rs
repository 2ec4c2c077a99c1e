//! What the metrics hold, and that they keep the rules of the text format.

use std::collections::BTreeSet;

use super::*;
use crate::report::{order, sample};

/// What is expected; `cargo xtask test` has Prometheus' own tool check it.
const GOLDEN: &str = include_str!("../../../tests/lastref.prom");

const NOW: &str = "2026-11-23T05:40:42.5Z";

fn render(metrics: &mut Metrics, report: &Report) -> String {
    let text = metrics.render(report, NOW.parse().unwrap(), true);
    check(&text);
    text
}

/// The value of the sample that begins with `series`.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .map(|value| value.parse().unwrap())
}

/// Fails unless `text` is what a scraper reads: each family is announced once, with its type and
/// in one piece, each series is given once, counters end in `_total` and others do not.
fn check(text: &str) {
    assert!(text.ends_with('\n'));
    let mut families = BTreeSet::new();
    let mut series = BTreeSet::new();
    let mut family = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(!words.is_empty() && families.insert(name), "{line}");
            let kind = lines
                .next()
                .unwrap()
                .strip_prefix(&format!("# TYPE {name} "));
            assert_eq!(kind == Some("counter"), name.ends_with("_total"), "{line}");
            assert!(matches!(kind, Some("counter" | "gauge")), "{line}");
            family = name;
            continue;
        }
        let (name, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().unwrap() >= 0.0, "{line}");
        let rest = name.strip_prefix(family).unwrap();
        assert!(rest.is_empty() || rest.starts_with('{') && rest.ends_with('}'));
        assert!(series.insert(name), "{line} again");
    }
}

#[test]
fn all_there_is_to_know() {
    let text = render(&mut Metrics::default(), &sample::report());
    assert!(text == GOLDEN, "tests/lastref.prom should be:\n{text}");
}

#[test]
fn the_interim_report_of_a_whole_run_is_complete() {
    let mut report = sample::empty();
    report.capture.complete = false;
    report.capture.incomplete_because = vec![INTERIM.into()];
    let text = render(&mut Metrics::default(), &report);
    assert_eq!(value(&text, "lastref_complete"), Some(1.0));
    report
        .capture
        .incomplete_because
        .push("1 thing lost".into());
    let text = Metrics::default().render(&report, NOW.parse().unwrap(), false);
    assert_eq!(value(&text, "lastref_complete"), Some(0.0));
    assert_eq!(value(&text, "lastref_up"), Some(0.0));
}

#[test]
fn counters_never_go_down() {
    let mut metrics = Metrics::default();
    let mut report = sample::report();
    let series = |severity: &str| {
        format!(
            "lastref_finding_puts_total{{site=\"00000000000000aa\",severity=\"{severity}\",rule=\"none\"}}"
        )
    };
    let text = render(&mut metrics, &report);
    assert_eq!(value(&text, &series("risky")), Some(2.0));
    // Three puts more, and judged anew: what was counted stays where it was.
    let site = report
        .findings
        .iter_mut()
        .find(|site| site.id == "00000000000000aa")
        .unwrap();
    site.severity = Severity::Unsafe;
    site.counts.final_puts += 3;
    let text = render(&mut metrics, &report);
    assert_eq!(value(&text, &series("risky")), Some(2.0));
    assert_eq!(value(&text, &series("unsafe")), Some(3.0));
    // Gone, and back with the same count.
    let text = render(&mut metrics, &sample::empty());
    assert_eq!(value(&text, &series("unsafe")), Some(3.0));
    let text = render(&mut metrics, &report);
    assert_eq!(value(&text, &series("unsafe")), Some(3.0));
}

#[test]
fn what_is_excused_raises_no_alarm() {
    let mut report = sample::empty();
    report.findings = vec![sample::report().findings[0].clone()];
    let findings = |report: &Report, severity: &str, known: bool| {
        let text = render(&mut Metrics::default(), report);
        let series = format!("lastref_findings{{severity=\"{severity}\",known=\"{known}\"}}");
        value(&text, &series)
    };
    assert_eq!(findings(&report, "deadlock", false), Some(1.0));
    let mut excuse = |at_least: Severity| {
        for hazard in &mut report.findings[0].contexts[0].hazards {
            if hazard.severity >= at_least {
                hazard.suppressed = Some("by design".into());
            }
        }
        report.clone()
    };
    let in_part = excuse(Severity::Unsafe);
    assert_eq!(findings(&in_part, "deadlock", false), Some(0.0));
    assert_eq!(findings(&in_part, "risky", false), Some(1.0));
    let all = excuse(FINDING);
    assert_eq!(findings(&all, "risky", false), Some(0.0));
    assert_eq!(findings(&all, "deadlock", true), Some(1.0));
}

#[test]
fn labels_are_bounded_and_sums_exact() {
    let mut metrics = Metrics::default();
    let sites = (0..2 * FINDING_SERIES)
        .map(|number| sample::site(&format!("{number:016x}"), Severity::Risky))
        .collect();
    let mut report = sample::empty();
    (report.findings, report.other_sites) = order::assemble(sites);
    for _ in 0..2 {
        let text = render(&mut metrics, &report);
        let series: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("lastref_finding_puts_total{"))
            .collect();
        assert_eq!(series.len(), FINDING_SERIES + 1);
        let sum: u64 = series
            .iter()
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        let puts: u64 = report.findings.iter().map(|site| site.counts.puts()).sum();
        assert_eq!(sum, puts);
        for site in &mut report.findings {
            site.counts.final_puts += 1;
        }
    }
}

#[test]
fn labels_are_escaped() {
    let mut report = sample::empty();
    report.kernel.release = "a\"b\\c\nd".into();
    let text = render(&mut Metrics::default(), &report);
    assert!(text.contains(r#"kernel="a\"b\\c\nd""#), "{text}");
}
