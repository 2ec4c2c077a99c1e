//! The commands that need no kernel, as a user runs them.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const SCHEMA: &str = include_str!("../../docs/report.schema.json");
const PAGE: &str = include_str!("../../docs/report.md");

fn lastref(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastref"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    lastref(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The documented example, in a file.
fn example(directory: &tempfile::TempDir) -> PathBuf {
    let json = PAGE.split_once("```json\n").unwrap().1;
    let json = json.split_once("```").unwrap().0;
    let path = directory.path().join("report.json");
    fs::write(&path, json).unwrap();
    path
}

#[test]
fn the_documented_example_is_a_report() {
    let directory = tempfile::tempdir().unwrap();
    let path = example(&directory);
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(jsonschema::is_valid(&schema, &value));

    let path = path.to_str().unwrap();
    let output = run(&["report", path]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = text(&output.stdout);
    assert!(report.contains("DEADLOCK: "), "{report}");
    assert!(!report.contains('\x1b'), "no colour without a terminal");

    let output = run(&["report", "--format", "json", path]);
    let again: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(again, value);
}

#[test]
fn the_documented_forms_are_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = example(&directory);
    let shown = directory.path().join("shown");
    for form in ["markdown", "folded", "ktap", "junit", "sarif"] {
        let output = lastref(&["report", "--format", form, "--output"])
            .args([&shown, &path])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stdout.is_empty());
        let written = fs::read_to_string(&shown).unwrap();
        let block = PAGE.split_once(&format!("\n```{form}\n")).unwrap().1;
        let block = block.split_once("```\n").unwrap().0;
        let mut rest = written.as_str();
        for piece in block.split("…\n") {
            let at = rest
                .find(piece)
                .unwrap_or_else(|| panic!("{form} has no\n{piece}\n(in this place):\n{written}"));
            rest = &rest[at + piece.len()..];
        }
    }
}

#[test]
fn bad_reports_are_told_with_status_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = example(&directory);
    let good = fs::read(&path).unwrap();
    for (bytes, expected) in [
        (&good[..good.len() - 9], "is cut short"),
        (b"\0", "is not a lastref report"),
        (b"{\"tool\": \"\xff\"}", "is not a lastref report"),
        (b"{\"tool\": \"\\ud800\"}", "is not a lastref report"),
        (b"", "is empty"),
    ] {
        fs::write(&path, bytes).unwrap();
        let output = run(&["report", path.to_str().unwrap()]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            output.stdout.is_empty() && error.contains(expected),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let missing = directory.path().join("missing");
    let output = run(&["report", missing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_schema_is_the_documented_one() {
    let output = run(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stdout) == SCHEMA,
        "docs/report.schema.json is out of date"
    );
}

#[test]
fn rules_are_explained() {
    let output = run(&["hazards"]);
    assert!(text(&output.stdout).contains("writeback-self-wait"));
    let output = run(&["hazards", "writeback-self-wait"]);
    assert!(text(&output.stdout).contains("writeback_this_inode"));
    let output = run(&["hazards", "no-such-rule"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("`lastref hazards` lists them"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = example(&directory);
    let path = path.to_str().unwrap();
    for (arguments, statuses) in [
        (&["--help"][..], &[0][..]),
        (&["--version"], &[0]),
        (&["watch", "--help"], &[0]),
        (&["report", path], &[0]),
        (&["report", "--format", "json", path], &[0]),
        (&["hazards"], &[0]),
        (&["hazards", "--markdown"], &[0]),
        (&["schema"], &[0]),
        // It says whether this machine can be watched.
        (&["doctor"], &[0, 4]),
        (&["doctor", "--json"], &[0, 4]),
    ] {
        let mut child = lastref(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut error = String::new();
        let mut stream = child.stderr.take().unwrap();
        stream.read_to_string(&mut error).unwrap();
        let status = child.wait().unwrap().code().unwrap();
        assert!(
            statuses.contains(&status),
            "{arguments:?}: {status}, {error}"
        );
        assert!(error.is_empty(), "{arguments:?}: {error}");
    }
}

#[test]
fn colour_is_as_the_user_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = example(&directory);
    let report = ["report", path.to_str().unwrap()];
    let always = [&report[..], &["--color", "always"]].concat();
    let never = [&["--color=never"][..], &report].concat();
    for (arguments, environment, expected) in [
        (&report[..], &[][..], false),
        (&report, &["CLICOLOR_FORCE"], true),
        (&report, &["CLICOLOR_FORCE", "NO_COLOR"], false),
        (&always, &["NO_COLOR"], true),
        (&never, &["CLICOLOR_FORCE"], false),
        (&["hazards"], &["CLICOLOR_FORCE"], true),
        (&["--help"], &[], false),
        (&["--help"], &["CLICOLOR_FORCE"], true),
        (&["--help"], &["CLICOLOR_FORCE", "NO_COLOR"], false),
    ] {
        let mut command = lastref(arguments);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command.envs(environment.iter().map(|name| (name, "1")));
        let output = command.output().unwrap();
        assert_eq!(
            text(&output.stdout).contains('\x1b'),
            expected,
            "{arguments:?} {environment:?}: {output:?}"
        );
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = lastref(&["schema"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("standard output"));
}

#[test]
fn what_is_read_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = example(&directory);
    let before = fs::read(&path).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for (reader, writer) in [
        ("--baseline", "--output"),
        ("--suppress", "--output"),
        ("--baseline", "--prometheus"),
        ("--baseline", "--ready-file"),
    ] {
        let mut command = lastref(&["run", reader]);
        command
            .arg(&path)
            .arg(writer)
            .arg(&link)
            .args(["--", "true"]);
        let output = command.output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(&format!("name another file for {writer}")),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn names_in_messages_do_nothing_to_a_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = directory.path().join("\x1b]0;title\x07\n.json");
    fs::write(&hostile, "").unwrap();
    let output = lastref(&["merge"]).arg(&hostile).output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("\\u{1b}]0;title\\u{7}\\n.json is empty"),
        "{error}"
    );
    assert!(!error.contains(['\x1b', '\x07']), "{error}");
    assert!(
        error.lines().all(|line| line.starts_with("lastref: ")),
        "{error}"
    );
}

#[test]
fn provoking_is_refused_where_it_makes_no_sense() {
    for (arguments, expected) in [
        (
            &["run", "--provoke", "--level", "final"][..],
            "--level latent",
        ),
        (
            &["run", "--provoke=memory", "--level=evictions"],
            "leave --level out",
        ),
        (&["run", "--provoke", "--provoke-duty", "0"], "1..=100"),
        (&["run", "--provoke", "--provoke-duty", "101"], "1..=100"),
        (&["run", "--provoke=prayer"], "drop-caches, memory"),
        (&["run", "--provoke-duty", "20"], "--provoke"),
        (&["run", "--provoke-this-host"], "--provoke"),
        (&["watch", "--provoke"], "--provoke"),
    ] {
        let output = run(&[arguments, &["--", "false"]].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn passes_are_made_by_order_and_answered() {
    let directory = tempfile::tempdir().unwrap();
    let cgroup = directory.path().join("cgroup");
    let orders = || {
        let path = directory.path().join("orders");
        fs::write(&path, "\n\n").unwrap();
        fs::File::open(path).unwrap()
    };
    let passes = || {
        let mut command = lastref(&["provoke-passes", "memory-high"]);
        command.arg(&cgroup).stdin(orders()).output().unwrap()
    };
    let without_orders = lastref(&["provoke-passes", "drop-caches"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(without_orders.status.code(), Some(0), "{without_orders:?}");
    assert!(without_orders.stdout.is_empty(), "{without_orders:?}");

    let failed = passes();
    let answers = text(&failed.stdout);
    assert_eq!(answers.matches("{\"failed\":\"").count(), 2, "{answers}");

    fs::create_dir(&cgroup).unwrap();
    let made = passes();
    let answers = text(&made.stdout);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert_eq!(answers.matches("{\"took-ns\":").count(), 2, "{answers}");
    let limit = fs::read_to_string(cgroup.join("memory.high")).unwrap();
    assert_eq!(limit, "max");
}

/// A configuration that has all that is required, on standard input.
#[test]
fn a_configuration_is_judged_without_its_kernel() {
    let doctor = |arguments: &[&str], config: &[u8]| -> Output {
        let mut child = lastref(&[&["doctor", "--config", "-"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have refused what it was given before the end of it.
        let _ = child.stdin.take().unwrap().write_all(config);
        child.wait_with_output().unwrap()
    };
    let bare = b"# Linux/x86 6.12.1 Kernel Configuration\nCONFIG_X86_64=y\n";
    let lacking = doctor(&[], bare);
    assert_eq!(lacking.status.code(), Some(4));
    assert!(text(&lacking.stdout).contains("cannot be watched: it needs CONFIG_BPF_SYSCALL=y"));
    let fragment = doctor(&["--fragment"], bare);
    assert_eq!(fragment.status.code(), Some(0));
    // Options without a prompt come with others, as Kconfig has it.
    let derived = b"CONFIG_BPF_EVENTS=y\nCONFIG_KPROBES_ON_FTRACE=y\n";
    let whole = [bare, fragment.stdout.as_slice(), derived].concat();
    assert_eq!(doctor(&[], &whole).status.code(), Some(0));
    let json: serde_json::Value =
        serde_json::from_slice(&doctor(&["--json"], &whole).stdout).unwrap();
    assert_eq!(json["watchable"], true);
    assert_eq!(json["release"], "6.12.1");

    let whole_text = text(&whole);
    let undone = format!("{whole_text}# CONFIG_KPROBES is not set\n");
    let contradicted = doctor(&[], undone.as_bytes());
    assert_eq!(contradicted.status.code(), Some(4));
    assert!(text(&contradicted.stdout).contains("CONFIG_KPROBES is set more than once"));

    for foreign in [
        &b"\x7fELF\x02\x01"[..],
        b"",
        b"\x1f\x8b\x08garbage",
        &[0xff; 1 << 12],
    ] {
        let refused = doctor(&[], foreign);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(!text(&refused.stderr).contains("panicked"));
    }
    assert_eq!(
        run(&["doctor", "--config", "/nowhere"]).status.code(),
        Some(2)
    );
    assert_eq!(
        run(&["doctor", "--config", "/dev/zero"]).status.code(),
        Some(2)
    );
    assert_eq!(run(&["doctor", "--fragment"]).status.code(), Some(2));
}
