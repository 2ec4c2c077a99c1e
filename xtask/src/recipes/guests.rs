//! Recipes that boot a guest, each with a test that must, or must not, fail by it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::surroundings::{Boots, Ran, Surroundings};
use super::{AS_CACHED, Bench, End};
use crate::progress::tail;

/// Where fstests is once it is installed.
const FSTESTS: &str = "/var/lib/xfstests";
/// Where recipes leave the report.
pub const REPORT: &str = "out/report.json";
/// The test of the reader, in the document.
const TEST: &str = "my-test";
/// How much of a recipe's output a failure shows.
const SHOWN_LINES: usize = 40;

/// A test that has the lab's module put inodes in the context that `scenario` names.
fn putting(bench: &Bench, scenario: &str) -> String {
    let module = bench.module.display();
    format!(
        "#!/bin/sh\nlab=/sys/kernel/debug/lastref_lab\n[ -e $lab ] || insmod {module} || exit 1\n\
         echo \"{scenario}\" > $lab/run\n"
    )
}

fn finding(bench: &Bench) -> String {
    putting(bench, "spinlock 3")
}

fn clean(bench: &Bench) -> String {
    putting(bench, "process_unlinked 11")
}

/// Runs the recipe and checks its status.
pub fn expect(
    bench: &Bench,
    surroundings: &Surroundings,
    recipe: &str,
    log: &str,
    status: i32,
) -> Result<Ran> {
    let ran = surroundings.run(log, bench.document.recipe(recipe)?)?;
    ensure!(
        ran.status == status,
        "the status is {}, not {status}:\n{}",
        ran.status,
        tail(&ran.output, SHOWN_LINES)
    );
    Ok(ran)
}

/// The report that the recipe left.
pub fn report(surroundings: &Surroundings) -> Result<Value> {
    serde_json::from_str(&surroundings.read(REPORT)).context("the recipe left no report")
}

/// Findings of severity `unsafe` or worse.
fn unsafe_findings(report: &Value) -> Vec<&Value> {
    let findings = report["findings"].as_array().into_iter().flatten();
    findings
        .filter(|finding| {
            let severity = finding["severity"].as_str();
            severity.is_some_and(|severity| ["unsafe", "deadlock"].contains(&severity))
        })
        .collect()
}

/// Keeps the report for the steps that look at reports.
fn keep(bench: &Bench, name: &str) -> Result<()> {
    let from = bench.surroundings.directory.join(REPORT);
    let to = bench.output.join(name);
    fs::copy(&from, &to).with_context(|| format!("{} cannot be written", to.display()))?;
    Ok(())
}

/// The gate, shut.
pub fn a_finding_fails(bench: &Bench) -> Result<End> {
    let surroundings = &bench.surroundings;
    surroundings.program(TEST, &finding(bench))?;
    let ran = expect(bench, surroundings, "run", "run", 1)?;
    let report = report(surroundings)?;
    ensure!(
        unsafe_findings(&report).len() == 1,
        "one finding is expected:\n{}",
        tail(&ran.output, SHOWN_LINES)
    );
    ensure!(
        ran.output.contains("UNSAFE: ") && ran.output.contains("[lastref_lab]"),
        "the report is not on standard output:\n{}",
        tail(&ran.output, SHOWN_LINES)
    );
    keep(bench, "finding.json")?;
    Ok(End::Passed)
}

/// The same finding once more, known by now.
pub fn a_known_one_does_not(bench: &Bench) -> Result<End> {
    let surroundings = &bench.surroundings;
    expect(bench, surroundings, "baseline", "baseline", 0)?;
    let report = report(surroundings)?;
    let findings = unsafe_findings(&report);
    ensure!(
        findings.len() == 1 && findings[0]["known"] == true,
        "one known finding is expected: {findings:?}"
    );
    Ok(End::Passed)
}

/// The gate, open.
pub fn no_finding_passes(bench: &Bench) -> Result<End> {
    let surroundings = &bench.surroundings;
    surroundings.program(TEST, &clean(bench))?;
    expect(bench, surroundings, "run", "run-clean", 0)?;
    let report = report(surroundings)?;
    ensure!(
        unsafe_findings(&report).is_empty() && report["capture"]["workload"]["status"] == 0,
        "no finding is expected, and that the test passed"
    );
    keep(bench, "clean.json")?;
    Ok(End::Passed)
}

/// A kernel that lets nobody look.
pub fn a_locked_kernel_is_skipped(bench: &Bench) -> Result<End> {
    let surroundings =
        bench.surroundings("locked-down", Boots::Cached(&["lockdown=confidentiality"]))?;
    surroundings.program(TEST, "#!/bin/sh\n")?;
    let ran = expect(bench, &surroundings, "run", "run", 4)?;
    ensure!(
        ran.output.contains("lockdown"),
        "the message does not say what is missing:\n{}",
        tail(&ran.output, SHOWN_LINES)
    );
    Ok(End::Passed)
}

/// What the wrapper must make of a test: name, test, whether there is a lastref, status, and lines.
struct Wrapped<'a> {
    name: &'a str,
    test: &'a str,
    path: &'a str,
    status: &'a str,
    lines: &'a [&'a str],
}

/// The wrapper around tests of every kind, in one guest.
pub fn kselftest(bench: &Bench) -> Result<End> {
    const PATH: &str = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const WITHOUT: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
    let wrapped = |name, path, status, lines| Wrapped {
        name,
        test: name,
        path,
        status,
        lines,
    };
    let cases = [
        wrapped(
            "finding",
            PATH,
            "1",
            &["1..2", "ok 1 ./finding", "not ok 2 final iput"][..],
        ),
        wrapped(
            "clean",
            PATH,
            "0",
            &["1..2", "ok 1 ./clean", "ok 2 final iput"],
        ),
        wrapped(
            "failing",
            PATH,
            "1",
            &["1..2", "not ok 1 ./failing", "ok 2 final iput"],
        ),
        Wrapped {
            name: "without",
            test: "clean",
            path: WITHOUT,
            status: "4",
            lines: &["1..0 # SKIP there is no lastref"],
        },
    ];
    let surroundings = bench.surroundings("kselftest", AS_CACHED)?;
    surroundings.program("lastref_test.sh", bench.document.recipe("kselftest")?)?;
    surroundings.program("finding", &finding(bench))?;
    surroundings.program("clean", &clean(bench))?;
    surroundings.program("failing", "#!/bin/sh\necho what went wrong\nexit 3\n")?;
    let mut script = "#!/bin/sh\n".to_string();
    for Wrapped {
        name, test, path, ..
    } in &cases
    {
        let _ = write!(
            script,
            "PATH={path} TEST=./{test} ./lastref_test.sh > out/{name}.tap 2> out/{name}.err\n\
             echo $? > out/{name}.status\n"
        );
    }
    surroundings.program("all", &script)?;
    let guest = "mkdir out\ntimeout 10m vng --user root --rwdir=out -- ./all\n";
    let ran = surroundings.run("kselftest", guest)?;
    for case in &cases {
        let tap = surroundings.read(&format!("out/{}.tap", case.name));
        let status = surroundings.read(&format!("out/{}.status", case.name));
        // What is no result is a diagnostic.
        let results: Vec<&str> = tap.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [&["TAP version 13"], case.lines].concat();
        ensure!(
            status.trim() == case.status && results == expected,
            "{}: status {status:?}, expected {}; {}\n{}\n{}",
            case.name,
            case.status,
            expected.join("; "),
            tail(&tap, SHOWN_LINES),
            tail(&ran.output, SHOWN_LINES)
        );
    }
    let told = surroundings.read("out/failing.tap");
    ensure!(
        told.contains("\n# what went wrong\n"),
        "the test's own words are lost:\n{told}"
    );
    Ok(End::Passed)
}

/// fstests, where there is one.
pub fn fstests(bench: &Bench) -> Result<End> {
    if !Path::new(FSTESTS).join("check").is_file() {
        return Ok(End::Skipped(format!("fstests is not in {FSTESTS}")));
    }
    let surroundings = bench.surroundings("fstests", AS_CACHED)?;
    surroundings.program("fstests.sh", bench.document.recipe("fstests-guest")?)?;
    let ran = expect(bench, &surroundings, "fstests", "fstests", 0)?;
    let report = report(&surroundings)?;
    ensure!(
        report["capture"]["workload"]["status"] == 0 && ran.output.contains("generic/001"),
        "check did not pass:\n{}",
        tail(&ran.output, SHOWN_LINES)
    );
    Ok(End::Passed)
}
