//! What is true of every form, whatever is in the report.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::report::{
    changes::{Changes, Wanted},
    prometheus::Metrics,
    sample,
};

/// The forms that show the addresses that `--addresses` has kept.
const WITH_ADDRESSES: [&str; 3] = ["Text", "Json", "jsonl"];

/// Values that are no free text, by the names of their fields.
const FIXED: [&str; 6] = [
    "attach",
    "if_final",
    "level",
    "lock_source",
    "method",
    "severity",
];

fn written(format: Format, report: &Report) -> String {
    let mut bytes = Vec::new();
    let options = Options {
        all: true,
        ..Options::default()
    };
    format.write(report, &options, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Replaces every text in a report by what `next` gives.
fn replace_texts(value: &mut Value, next: &mut impl FnMut() -> String) {
    match value {
        Value::String(text) => *text = next(),
        Value::Array(values) => values.iter_mut().for_each(|each| replace_texts(each, next)),
        Value::Object(fields) => fields
            .iter_mut()
            .filter(|(name, _)| !FIXED.contains(&name.as_str()))
            .for_each(|(_, each)| replace_texts(each, next)),
        _ => {}
    }
}

/// A report all of whose names are out to break something.
fn hostile(texts: &[String]) -> Report {
    let mut value = serde_json::to_value(sample::report()).unwrap();
    let mut texts = texts.iter().cycle().cloned();
    replace_texts(&mut value, &mut || texts.next().unwrap_or_default());
    serde_json::from_value(value).unwrap()
}

/// Hexadecimal numbers of the length of an address.
fn long_numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_hexdigit())
        .filter(|digits| digits.len() >= 16)
}

/// A report in each form, and as lines of news and metrics, by name.
fn every_form(report: &Report) -> Vec<(String, String)> {
    let mut forms: Vec<_> = Format::value_variants()
        .iter()
        .map(|format| (format!("{format:?}"), written(*format, report)))
        .collect();
    let wanted = Wanted {
        mildest: Severity::Benign,
        all: true,
    };
    let mut lines = Vec::new();
    for line in Changes::new(wanted).since(report, true) {
        line.write(&mut lines).unwrap();
    }
    forms.push(("jsonl".to_owned(), String::from_utf8(lines).unwrap()));
    let metrics = Metrics::default().render(report, Timestamp::UNIX_EPOCH, true);
    forms.push(("prometheus".to_owned(), metrics));
    forms
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_name_can_be_shown(
        texts in prop::collection::vec(
            prop_oneof![
                ".*",
                r"[\x00-\x1f\x7f-\x9f;# ]{0,12}",
                r#"(<!--|-->|]]>|<!\[CDATA\[|</script>|&|"|'|`|\\|\r\n|\n|;|#|\u{202e}|\u{ffff}){0,6}"#,
                r"(\n|\n  )(not ok 1 x|ok 1 # SKIP|1\.\.9|KTAP version 1|# |- |> )",
            ],
            1..40,
        ),
    ) {
        let report = hostile(&texts);
        for format in Format::value_variants() {
            let text = written(*format, &report);
            prop_assert!(text.ends_with('\n'), "{format:?}");
            let is_bad = |bad: char| match format {
                // Nobody reads these on a terminal; their writers escape what they must.
                Format::Json | Format::Html | Format::Sarif | Format::Flamegraph => {
                    bad < ' ' && bad != '\n' && bad != '\t'
                }
                _ => bad != '\n' && bad.is_control(),
            };
            prop_assert!(!text.contains(is_bad), "{format:?}");
        }
    }
}

#[test]
fn no_form_shows_addresses_unless_they_were_asked_for() {
    let made_up = sample::report();
    // What a kernel has told.
    let recorded: Report = serde_json::from_str(include_str!("../../../tests/demo.json")).unwrap();
    for plain in [made_up, recorded] {
        let mut told = plain.clone();
        for site in &mut told.findings {
            for frame in &mut site.frames {
                frame.address = Some("0xffffffff8123abcd".to_owned());
            }
        }
        let ids: BTreeSet<&str> = plain.sites().map(|site| site.id.as_str()).collect();
        for (report, with_addresses) in [(&plain, false), (&told, true)] {
            let forms = every_form(report);
            assert_eq!(forms.len(), Format::value_variants().len() + 2);
            for (form, text) in forms {
                assert!(!text.is_empty(), "{form}");
                let shown = long_numbers(&text).any(|number| !ids.contains(number));
                let may = with_addresses && WITH_ADDRESSES.contains(&form.as_str());
                assert_eq!(shown, may, "{form}");
            }
        }
    }
}

#[test]
fn every_form_fails_where_it_cannot_be_written() {
    for format in Format::value_variants() {
        let mut full = &mut [0_u8; 16][..];
        let error = format
            .write(&sample::report(), &Options::default(), &mut full)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero, "{format:?}");
    }
}
