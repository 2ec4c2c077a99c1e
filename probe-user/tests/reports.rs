//! Reports of every form that there has been are read by every command, and files that are nearly
//! reports make none of them panic.
//!
//! In `reports/` a file's name begins with its schema version: the first form, those with where
//! debug information was looked for and with followed locks counted, and reports of runs in
//! guests with locks followed, of level latent and provoked, and merged with findings suppressed.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum as _;
use lastref::report::diff::{self, diff};
use lastref::report::file;
use lastref::report::format::{Format, Options};
use lastref::report::merge::Merger;
use lastref::report::model::Report;
use proptest::prelude::*;
use serde_json::Value;

const SCHEMA: &str = include_str!("../../docs/report.schema.json");

/// How many forms are kept: none may drop out unnoticed.
const FORMS: usize = 6;

fn forms() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert_eq!(paths.len(), FORMS);
    paths
}

fn value(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Runs `lastref`; returns what it wrote to standard output.
fn lastref(arguments: &[&str], path: &Path, expected: i32) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_lastref"))
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(expected),
        "{arguments:?}: {output:?}"
    );
    output.stdout
}

#[test]
fn every_form_is_read_by_every_command() {
    for path in forms() {
        let name = path.to_str().unwrap();
        for format in Format::value_variants() {
            let format = format.to_possible_value().unwrap();
            let shown = lastref(
                &["report", "--all", "--format", format.get_name()],
                &path,
                0,
            );
            assert!(!shown.is_empty(), "{name} as {}", format.get_name());
        }
        lastref(
            &["report", "--baseline", name, "--fail-on", "latent"],
            &path,
            0,
        );
        let merged = lastref(&["merge", name], &path, 0);
        let merged: Value = serde_json::from_slice(&merged).unwrap();
        let reports = value(&path)["merged"]["reports"].as_u64().unwrap_or(1);
        assert_eq!(merged["merged"]["reports"], 2 * reports, "{name}");
        assert_eq!(
            merged["totals"]["final_puts"].as_u64().unwrap(),
            2 * value(&path)["totals"]["final_puts"].as_u64().unwrap()
        );
        let compared = lastref(&["diff", "--json", "--fail-on", "benign", name], &path, 0);
        let compared: Value = serde_json::from_slice(&compared).unwrap();
        assert_eq!(compared["numbers"]["new"], 0, "{name}");
    }
}

#[test]
fn nothing_of_an_old_form_is_lost_but_empty_fields_are_new() {
    for path in forms() {
        let old = value(&path);
        let read = serde_json::to_value(file::read(&path).unwrap()).unwrap();
        assert_contains(&read, &old, path.to_str().unwrap());
    }
}

/// Whether `new` has all that is in `old`.
fn assert_contains(new: &Value, old: &Value, place: &str) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (key, old) in old {
                // Lists that were written empty are left out.
                let new = new.get(key).unwrap_or(&Value::Null);
                if !(new.is_null() && (old.is_null() || *old == Value::Array(Vec::new()))) {
                    assert_contains(new, old, &format!("{place}.{key}"));
                }
            }
        }
        (Value::Array(new), Value::Array(old)) => {
            assert_eq!(new.len(), old.len(), "{place}");
            for (new, old) in new.iter().zip(old) {
                assert_contains(new, old, place);
            }
        }
        _ => assert_eq!(new, old, "{place}"),
    }
}

#[test]
fn the_schema_is_of_every_form() {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for path in forms() {
        let value = value(&path);
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn fields_of_a_later_form_are_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let later = directory.path().join("later.json");
    for path in forms() {
        let mut value = value(&path);
        each(&mut value, &mut |value| {
            if let Value::Object(fields) = value
                && !fields.is_empty()
                && !fields.values().all(Value::is_string)
            {
                fields.insert("of_a_later_form".into(), serde_json::json!([{"a": 1}]));
            }
        });
        fs::write(&later, value.to_string()).unwrap();
        assert_eq!(file::read(&later).unwrap(), file::read(&path).unwrap());
    }
}

/// Does something with every value, also inside of others.
fn each(value: &mut Value, action: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, action)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each(field, action)),
        _ => {}
    }
    action(value);
}

/// Shows, merges and compares `report` in every way.
fn use_in_every_way(report: &Report, other: &Report) {
    let options = Options {
        all: true,
        ..Options::default()
    };
    let mut merger = Merger::default();
    merger.add(report.clone());
    merger.add(other.clone());
    let sum = merger.finish();
    for report in [report, &sum] {
        for format in Format::value_variants() {
            format
                .write(report, &options, &mut std::io::sink())
                .unwrap();
        }
        diff::text::write(&diff(report, other), &options, &mut std::io::sink()).unwrap();
        diff::text::write(&diff(other, report), &options, &mut std::io::sink()).unwrap();
    }
}

/// What a report does not have, but its types allow for.
fn odd_value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::from(0),
        Value::from(1),
        Value::from(u64::MAX),
        Value::from(""),
        Value::from("\u{1b}[2J\n\u{202e}#!<>&\"'|`]]>"),
        Value::from("deadlock"),
        Value::from("benign"),
        Value::from(true),
        Value::Null,
        Value::Array(Vec::new()),
        serde_json::json!({}),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_reports_are_used_or_refused(
        form in 0..FORMS,
        changes in prop::collection::vec((any::<prop::sample::Index>(), odd_value()), 1..6),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("odd.json");
        let good = &forms()[form];
        let mut odd = value(good);
        for (at, change) in &changes {
            // Only what has the same type is read at all.
            let is_alike =
                |value: &Value| std::mem::discriminant(value) == std::mem::discriminant(change);
            let mut number = 0;
            each(&mut odd, &mut |value| number += usize::from(is_alike(value)));
            if number == 0 {
                continue;
            }
            let mut left = at.index(number);
            let mut is_done = false;
            each(&mut odd, &mut |value| {
                if is_done || !is_alike(value) {
                    return;
                }
                if left == 0 {
                    *value = change.clone();
                    is_done = true;
                } else {
                    left -= 1;
                }
            });
        }
        fs::write(&path, odd.to_string()).unwrap();
        if let Ok(report) = file::read(&path) {
            use_in_every_way(&report, &file::read(good).unwrap());
        }
    }

    #[test]
    fn damaged_files_are_refused_or_read(
        form in 0..FORMS,
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("damaged.json");
        let mut damaged = fs::read(&forms()[form]).unwrap();
        let at = at.index(damaged.len());
        let end = (at + length).min(damaged.len());
        damaged.splice(at..end, bytes);
        fs::write(&path, damaged).unwrap();
        match file::read(&path) {
            Ok(report) => use_in_every_way(&report, &report),
            Err(error) => prop_assert!(error.to_string().contains("damaged.json")),
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("any.json");
        fs::write(&path, bytes).unwrap();
        prop_assert!(file::read(&path).is_err());
    }
}
