//! What entries excuse, and what is said of files that are wrong.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::report::sample;

const TODAY: Date = jiff::civil::date(2026, 11, 23);

fn parse(text: &str) -> Suppressions {
    file::parse(Path::new("s.toml"), text).unwrap()
}

fn apply(text: &str) -> Report {
    let mut report = sample::report();
    parse(text).apply(&mut report, TODAY);
    report
}

/// The ids of the sites that are excused.
fn excused(text: &str) -> Vec<String> {
    let report = apply(text);
    let findings = report.findings.iter();
    findings
        .filter(|site| site.suppressed.is_some())
        .map(|site| site.id.clone())
        .collect()
}

const DEADLOCK: &str = "0f3a5b7c9d1e2f40";
const LATENT: &str = "1a2b3c4d5e6f7081";

#[test]
fn everything_that_an_entry_has_must_match() {
    for (entry, expected) in [
        ("rule = '*'", &[DEADLOCK, LATENT][..]),
        ("frame = 'cephlike_*'", &[DEADLOCK, LATENT]),
        ("frame = 'cephlike_drop_cap'", &[LATENT]),
        ("frame = 'drop_cap'", &[]),
        // Inlined into a frame.
        ("frame = 'put_capsnap'", &[DEADLOCK, LATENT]),
        ("rule = '*'\nframe = 'wb_workfn'", &[DEADLOCK]),
        ("rule = '*'\nfilesystem = 'ceph*'", &[DEADLOCK, LATENT]),
        ("rule = '*'\nfilesystem = 'ext4'", &[]),
        ("rule = '*'\nkernel = '7.3.*'", &[DEADLOCK, LATENT]),
        ("rule = '*'\nkernel = '6.*'", &[]),
        ("rule = '*'\nexpires = 2026-11-23", &[DEADLOCK, LATENT]),
        ("rule = '*'\nexpires = 2026-11-22", &[]),
        // There is more than this rule at the site.
        ("rule = 'writeback-self-wait'", &[]),
        // One reason is enough where it takes two.
        ("rule = 'one-shrink-away'", &[LATENT]),
        ("rule = 'atomic-context'", &[LATENT]),
    ] {
        let text = format!("[[suppress]]\n{entry}\nreason = 'r'\n");
        assert_eq!(excused(&text), expected, "{entry}");
    }
}

#[test]
fn what_came_of_entries_is_told_and_marks_are_made_anew() {
    let text = "\
# Known.
[[suppress]]
rule = 'writeback-self-wait'
frame = 'cephlike_*'
reason = 'mended in 7.4'

[[suppress]]
rule = 'no-such-rule'
reason = 'none'

[[suppress]]
rule = '*'
kernel = '5.*'
reason = 'old'

[[suppress]]
rule = '*'
expires = 2020-01-01
reason = 'over'
";
    let mut report = apply(text);
    let told: Vec<(&str, SuppressionState, u64)> = report
        .capture
        .suppressions
        .iter()
        .map(|entry| (entry.place.as_str(), entry.state, entry.sites))
        .collect();
    assert_eq!(
        told,
        [
            ("s.toml:2", SuppressionState::Used, 1),
            ("s.toml:7", SuppressionState::Unused, 0),
            ("s.toml:11", SuppressionState::OtherKernel, 0),
            ("s.toml:16", SuppressionState::Expired, 0),
        ]
    );
    let hazards = &report.findings[0].contexts[0].hazards;
    assert_eq!(hazards[0].suppressed.as_deref(), Some("mended in 7.4"));
    assert_eq!(hazards[1].suppressed, None);
    assert_eq!(report.findings[0].suppressed, None);
    let charged = gate::charge(&report.findings[0]);
    assert!(charged < Some(crate::report::model::Severity::Deadlock));

    parse("").apply(&mut report, TODAY);
    assert_eq!(report, sample::report());
}

#[test]
fn a_merged_site_is_excused_only_on_all_its_kernels() {
    let mut report = sample::report();
    report.findings[0].seen_in = Some(crate::report::model::SeenIn {
        reports: 2,
        kernels: vec!["6.1.0".into(), "7.3.4".into()],
    });
    for (kernel, expected) in [("6.*", false), ("[67].*", true)] {
        let text = format!("[[suppress]]\nrule = '*'\nkernel = '{kernel}'\nreason = 'r'");
        parse(&text).apply(&mut report, TODAY);
        assert_eq!(report.findings[0].suppressed.is_some(), expected);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_to_do() {
    for (text, expected) in [
        (
            "[[suppress]]\nrule = 'a'",
            "s.toml:1: the entry has no reason; add",
        ),
        (
            "\n\n[[suppress]]\nreason = 'r'",
            "s.toml:3: the entry would excuse everything; give",
        ),
        (
            "[[suppress]]\nrule = 'a'\nreason = ' '",
            "s.toml:1: the entry has no reason",
        ),
        (
            "[[suppress]]\nrule = 'a'\nresaon = 'r'",
            "s.toml:3: unknown field `resaon`, expected one of",
        ),
        (
            "[[suppress]]\nrule = 3\nreason = 'r'",
            "s.toml:2: invalid type",
        ),
        ("[suppress", "s.toml:1: "),
        ("\n[[supress]]\n", "s.toml:2: unknown field `supress`"),
        (
            "[[suppress]]\nrule = 'a['\nreason = 'r'",
            "s.toml:1: `rule` is no glob: ",
        ),
        (
            "[[suppress]]\nframe = ''\nreason = 'r'",
            "s.toml:1: `frame` is empty and matches nothing; leave it out",
        ),
        (
            "[[suppress]]\nrule = 'a'\nreason = 'r'\nexpires = 2026-11-23T10:00:00Z",
            "s.toml:1: `expires` is no date: 2026-11-23T10:00:00Z; write it as",
        ),
        (
            "[[suppress]]\nrule = 'a'\nreason = 'r'\nexpires = '2026-11-23'",
            "s.toml:4: invalid type",
        ),
    ] {
        let error = file::parse(Path::new("s.toml"), text).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(expected), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn unreadable_files_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.toml");
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("check the path"), "{message}");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(read(&path), Err(SuppressError::Read { .. })));
    std::fs::File::create(&path)
        .unwrap()
        .set_len(5 << 20)
        .unwrap();
    assert!(matches!(read(&path), Err(SuppressError::TooLarge { .. })));
}

/// Text that is nearly a file of entries.
fn nearly_entries() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "[[suppress]]",
        "rule",
        "frame",
        "filesystem",
        "kernel",
        "expires",
        "reason",
        "other",
    ]);
    let value = prop_oneof![
        "[a-z*?\\[\\]{},!\\\\-]{0,12}".prop_map(|text| format!("'{text}'")),
        "[0-9]{1,4}-[0-9]{1,2}-[0-9]{1,2}",
        any::<i64>().prop_map(|number| number.to_string()),
        Just("[]".to_owned()),
    ];
    let line = (key, value, any::<bool>()).prop_map(|(key, value, is_whole)| {
        match (key.starts_with('['), is_whole) {
            (true, _) => format!("{key}\n"),
            (false, true) => format!("{key} = {value}\n"),
            (false, false) => format!("{key} {value}"),
        }
    });
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![nearly_entries(), any::<String>()]) {
        if let Ok(suppressions) = file::parse(Path::new("s.toml"), &text) {
            let mut report = sample::report();
            suppressions.apply(&mut report, TODAY);
            prop_assert_eq!(report.capture.suppressions.len(), suppressions.entries.len());
        }
    }
}
