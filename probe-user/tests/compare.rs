//! `merge`, `diff`, and reports as gates, as a user runs them.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PAGE: &str = include_str!("../../docs/report.md");

fn form(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reports/1-{name}.json"))
}

fn lastref(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastref"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    lastref(arguments).output().unwrap()
}

#[track_caller]
fn assert_status(output: &Output, expected: i32) {
    assert_eq!(output.status.code(), Some(expected), "{output:?}");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A directory with two reports, a damaged one, and what is none.
fn reports() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("deep")).unwrap();
    fs::copy(form("latent"), root.join("a.json")).unwrap();
    fs::copy(form("tracked-locks"), root.join("deep/b.json")).unwrap();
    let whole = fs::read(form("latent")).unwrap();
    fs::write(root.join("cut.json"), &whole[..whole.len() / 2]).unwrap();
    fs::write(root.join("package.json"), "{\"name\": \"no report\"}").unwrap();
    fs::write(root.join("notes.txt"), "").unwrap();
    directory
}

fn merged_from(report: &[u8]) -> (u64, u64) {
    let report: Value = serde_json::from_slice(report).unwrap();
    let merged = &report["merged"];
    (
        merged["reports"].as_u64().unwrap(),
        merged["unreadable"].as_u64().unwrap(),
    )
}

#[test]
fn a_bad_file_does_not_lose_the_others() {
    let directory = reports();
    let output = run(&["merge", directory.path().to_str().unwrap()]);
    assert_status(&output, 2);
    assert_eq!(merged_from(&output.stdout), (2, 1));
    let error = text(&output.stderr);
    assert!(error.contains("cut.json is cut short"), "{error}");
    assert!(error.contains("it is left out"), "{error}");
    assert!(error.contains("1 of 4 files are no reports"), "{error}");

    fs::remove_file(directory.path().join("cut.json")).unwrap();
    let output = run(&["merge", directory.path().to_str().unwrap()]);
    assert_status(&output, 0);
    assert_eq!(merged_from(&output.stdout), (2, 0));

    // One that is named is meant.
    let named = directory.path().join("package.json");
    let a = directory.path().join("a.json");
    let output = run(&["merge", named.to_str().unwrap(), a.to_str().unwrap()]);
    assert_status(&output, 2);
    assert_eq!(merged_from(&output.stdout), (1, 1));
}

#[test]
fn nothing_to_merge_is_an_error_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.json");
    let out = path.to_str().unwrap();
    let output = run(&["merge", "--output", out, directory.path().to_str().unwrap()]);
    assert_status(&output, 2);
    assert!(text(&output.stderr).contains("none of 0 files is a report"));
    let output = run(&["merge", "--output", out, "/nonexistent/report.json"]);
    assert_status(&output, 2);
    assert!(text(&output.stderr).contains("check the path"));
    assert!(!path.exists());
    assert_status(&run(&["merge"]), 2);
}

#[test]
fn lists_of_files_are_read_from_standard_input() {
    let directory = reports();
    let name = |name: &str| directory.path().join(name).display().to_string();
    for (arguments, separator) in [(&["--null"][..], "\0"), (&[], "\n")] {
        let mut child = lastref(&[&["merge", "--files-from", "-"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let list = [name("a.json"), name("deep"), String::new()].join(separator);
        child
            .stdin
            .take()
            .unwrap()
            .write_all(list.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_status(&output, 0);
        assert_eq!(merged_from(&output.stdout), (2, 0));
    }
    let output = run(&["merge", "--files-from", "/nonexistent/list"]);
    assert_status(&output, 2);
    assert!(text(&output.stderr).contains("--files-from /nonexistent/list"));
}

#[test]
fn the_output_is_private_and_never_merged_again() {
    let directory = reports();
    fs::remove_file(directory.path().join("cut.json")).unwrap();
    let path = directory.path().join("all.json");
    let (root, out) = (directory.path().to_str().unwrap(), path.to_str().unwrap());
    let mut before = Vec::new();
    for round in 0..2 {
        assert_status(&run(&["merge", root, "--output", out]), 0);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let bytes = fs::read(&path).unwrap();
        assert!(round == 0 || bytes == before, "merged with itself");
        before = bytes;
    }
    let output = run(&["merge", out, "--output", out]);
    assert_status(&output, 2);
    assert!(text(&output.stderr).contains("it would count twice"));
    assert_eq!(fs::read(&path).unwrap(), before);

    let output = run(&["merge", "--format", "text", root]);
    let shown = text(&output.stdout);
    assert!(shown.contains("Merged from 4 reports"), "{shown}");
    assert!(
        shown.contains("levels differ: final in 2 reports"),
        "{shown}"
    );
}

#[test]
fn diff_fails_on_what_is_new_or_worse_only() {
    let latent = form("latent");
    let latent = latent.to_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut report: Value = serde_json::from_slice(&fs::read(latent).unwrap()).unwrap();
        change(&mut report);
        let path = directory.path().join(name);
        fs::write(&path, report.to_string()).unwrap();
        path.display().to_string()
    };
    let calm = write("calm.json", &|report| {
        report["findings"] = Value::Array(vec![]);
    });
    let lossy = write("lossy.json", &|report| {
        report["capture"]["complete"] = false.into();
    });
    for (old, new, fail_on, expected) in [
        (latent, latent, "benign", 0),
        (&calm, latent, "unsafe", 1),
        (&calm, latent, "deadlock", 0),
        (latent, &calm, "benign", 0),
        (latent, &lossy, "unsafe", 5),
        (&calm, &lossy, "unsafe", 1),
    ] {
        let output = run(&["diff", old, new, "--fail-on", fail_on]);
        assert_status(&output, expected);
        assert_status(&run(&["diff", old, new]), 0);
    }
    let output = run(&["diff", &calm, &lossy, "--json"]);
    let diff: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(diff["numbers"]["new"], 2);
    assert_eq!(diff["sites"][0]["change"], "new");
    assert!(
        diff["caveats"][0]["what"]
            .as_str()
            .unwrap()
            .contains("incomplete")
    );
    let output = run(&["diff", latent, "/nonexistent"]);
    assert_status(&output, 2);
}

#[test]
fn a_saved_report_is_a_gate() {
    let latent = form("latent");
    let report = latent.to_str().unwrap();
    assert_status(&run(&["report", report]), 0);
    assert_status(&run(&["report", report, "--fail-on", "unsafe"]), 1);
    assert_status(&run(&["report", report, "--fail-on", "deadlock"]), 0);
    let output = run(&[
        "report",
        report,
        "--fail-on",
        "latent",
        "--baseline",
        report,
    ]);
    assert_status(&output, 0);
    assert!(text(&output.stdout).contains("(known: the baseline has it)"));
    // It is of the workload's first run, and was cut short.
    let first = form("first");
    let output = run(&[
        "report",
        report,
        "--fail-on",
        "latent",
        "--baseline",
        first.to_str().unwrap(),
    ]);
    assert_status(&output, 1);
}

#[test]
fn suppressions_excuse_with_a_reason_and_are_told_when_idle() {
    let latent = form("latent");
    let report = latent.to_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known.toml");
    let suppress = path.to_str().unwrap();
    let entries = "\
[[suppress]]
frame = 'lab_*'
reason = 'the lab does so on purpose'

[[suppress]]
rule = 'journal-*'
reason = 'none of these'
";
    fs::write(&path, entries).unwrap();
    let output = run(&[
        "report",
        report,
        "--suppress",
        suppress,
        "--fail-on",
        "latent",
    ]);
    assert_status(&output, 0);
    let error = text(&output.stderr);
    assert!(
        error.contains("known.toml:5 (none of these) unused"),
        "{error}"
    );
    assert!(!error.contains("known.toml:1"), "{error}");
    let shown = text(&output.stdout);
    assert!(shown.contains("2 are suppressed: --all shows"), "{shown}");
    assert!(!shown.contains("1. UNSAFE"), "{shown}");

    let output = run(&["report", report, "--suppress", suppress, "--all"]);
    let shown = text(&output.stdout);
    assert!(shown.contains("1. UNSAFE"), "{shown}");
    assert!(
        shown.contains("  suppressed  the lab does so on purpose"),
        "{shown}"
    );

    let output = run(&["report", report, "--suppress", suppress, "--format", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        json["findings"][0]["suppressed"],
        "the lab does so on purpose"
    );
    assert_eq!(json["capture"]["suppressions"][1]["state"], "unused");

    let documented = PAGE.split_once("```toml\n").unwrap().1;
    let documented = documented.split_once("```").unwrap().0;
    fs::write(&path, documented).unwrap();
    let output = run(&["report", report, "--suppress", suppress, "--format", "json"]);
    assert_status(&output, 0);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["capture"]["suppressions"][0]["state"], "other-kernel");

    fs::write(&path, "[[suppress]]\nframe = 'lab_*'\n").unwrap();
    for command in [
        &["report", report, "--suppress", suppress][..],
        &["watch", "--suppress", suppress],
        &["run", "--suppress", suppress, "--", "true"],
    ] {
        let output = run(command);
        assert_status(&output, 2);
        let error = text(&output.stderr);
        assert!(
            error.contains("known.toml:1: the entry has no reason"),
            "{error}"
        );
    }
}
