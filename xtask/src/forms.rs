//! The forms of reports, checked by the programs that they are made for: KTAP by the kernel's own
//! parser, `JUnit`'s XML by its schema; and each on a large report, in bounded memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::agent;
use crate::context::Context;
use crate::progress::{output_of, run_logged};
use crate::tally::Tally;

/// How many sites the large report has.
const SITES: &str = "10000";

/// The most that a form may allocate, the report itself included.
const MEMORY_LIMIT: u64 = 200 << 20;

/// The kernel whose source is in the cache, and the parser in it.
const SOURCE_OF: &str = "7.3-lockdep";
const PARSER: &str = "tools/testing/kunit";

/// Lets the kernel's parser read KTAP and prints what it understood. $1 its directory, $2 the file.
const PARSE: &str = r"
import json, sys
sys.path.insert(0, sys.argv[1])
import kunit_parser
from kunit_printer import null_printer
lines = open(sys.argv[2], encoding='utf-8')
test = kunit_parser.parse_run_tests(lines, null_printer)
counts = test.counts
names = ('passed', 'failed', 'crashed', 'skipped', 'errors')
print(json.dumps({name: getattr(counts, name) for name in names}))
";

/// The part of a report that decides what the tests are to say.
#[derive(Debug, Deserialize)]
struct Sites {
    findings: Vec<Site>,
    other_sites: Vec<Site>,
}

/// The part of a site that does.
#[derive(Debug, Deserialize)]
struct Site {
    #[serde(default)]
    known: bool,
}

/// Everything that is checked.
pub fn check(context: &Context, stage: &str) -> Tally {
    let directory = context.cache.join("run/forms");
    let reports = prepare(context, stage, &directory);
    let forms = reports.and_then(|(lastref, reports)| {
        let forms = forms(&lastref)?;
        Ok((lastref, reports, forms))
    });
    let Ok((lastref, reports, forms)) = forms.inspect_err(|error| println!("{error:#}")) else {
        return Tally::of(false);
    };
    let mut tally = Tally::default();
    let mut count = |name: &str, result: Result<()>| {
        if let Err(error) = &result {
            println!("{name}: {error:#}");
        }
        tally.add(Tally::of(result.is_ok()));
    };
    for (name, report) in &reports {
        for form in &forms {
            count(&format!("{name} as {form}"), write(&lastref, report, form));
        }
        count(&format!("{name} by xmllint"), junit(context, report));
    }
    let parser = context
        .cache
        .join("kernels")
        .join(SOURCE_OF)
        .join("build")
        .join(PARSER);
    for (name, report) in &reports {
        if parser.is_dir() {
            count(&format!("{name} by kunit_parser"), ktap(&parser, report));
        }
    }
    if !parser.is_dir() {
        println!("not checked by the kernel's KTAP parser: kernel {SOURCE_OF} is not in the cache");
        tally.skipped += reports.len() as u64;
    }
    tally
}

/// Builds the agent and makes the reports; returns where they are.
fn prepare(
    context: &Context,
    stage: &str,
    directory: &Path,
) -> Result<(PathBuf, BTreeMap<&'static str, PathBuf>)> {
    let lastref = agent::build(context)?;
    // With the agent, so that what the unit tests were built of is used again.
    let build = ["build", "--quiet", "--locked", "--package", "probe-user"];
    run_logged(
        stage,
        context.command("cargo").args(build).args([
            "--bin",
            "lastref",
            "--example",
            "large_report",
        ]),
        &context.cache.join(format!("logs/test-{stage}.log")),
    )?;
    fs::create_dir_all(directory)
        .with_context(|| format!("{} cannot be created", directory.display()))?;
    let generator = context.target().join("debug/examples/large_report");
    let large = output_of(Command::new(generator).arg(SITES))?;
    let page = context.root.join("docs/report.md");
    let page =
        fs::read_to_string(&page).with_context(|| format!("{} cannot be read", page.display()))?;
    let example = page
        .split_once("```json\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .context("docs/report.md has no example")?
        .0;
    let mut reports = BTreeMap::new();
    for (name, text) in [("example", example), ("large", &large)] {
        let path = directory.join(format!("{name}.json"));
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        reports.insert(name, path);
    }
    Ok((lastref, reports))
}

/// Every form that `lastref report` knows, as it says itself where it is asked for another.
fn forms(lastref: &Path) -> Result<Vec<String>> {
    let output = Command::new(lastref)
        .args(["report", "--format", "?"])
        .output()
        .with_context(|| format!("{} cannot be started", lastref.display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let names = told
        .split_once("[possible values: ")
        .and_then(|(_, rest)| rest.split_once(']'))
        .with_context(|| format!("lastref report does not tell its forms: {told}"))?
        .0;
    Ok(names.split(", ").map(String::from).collect())
}

/// Where a report in a form is.
fn shown(report: &Path, form: &str) -> PathBuf {
    report.with_extension(format!("json.{form}"))
}

/// Writes a report in a form, with no more memory than there may be.
fn write(lastref: &Path, report: &Path, form: &str) -> Result<()> {
    output_of(
        Command::new("prlimit")
            .arg(format!("--data={MEMORY_LIMIT}"))
            .arg(lastref)
            .args(["report", "--format", form, "--output"])
            .arg(shown(report, form))
            .arg(report),
    )
    .map(drop)
}

/// `JUnit`'s XML by the schema of Jenkins.
fn junit(context: &Context, report: &Path) -> Result<()> {
    output_of(
        Command::new("xmllint")
            .args(["--noout", "--huge", "--schema"])
            .arg(context.root.join("probe-user/tests/schemas/junit-10.xsd"))
            .arg(shown(report, "junit")),
    )
    .map(drop)
}

/// KTAP by the kernel's parser: it must find no errors in it, and all that is there.
fn ktap(parser: &Path, report: &Path) -> Result<()> {
    let output = output_of(
        Command::new("/usr/bin/python3")
            .args(["-B", "-c", PARSE])
            .arg(parser)
            .arg(shown(report, "ktap")),
    )?;
    let counts: BTreeMap<String, usize> =
        serde_json::from_str(&output).context("the parser printed something else")?;
    let text = fs::read(report).with_context(|| format!("{} cannot be read", report.display()))?;
    let sites: Sites = serde_json::from_slice(&text)?;
    let new = sites.findings.iter().filter(|site| !site.known).count();
    for (what, wanted) in [("errors", 0), ("crashed", 0), ("failed", new)] {
        let found = counts.get(what).copied();
        ensure!(found == Some(wanted), "{what}: {found:?}, not {wanted}");
    }
    let passed = counts.get("passed").copied().unwrap_or_default();
    ensure!(
        passed >= sites.other_sites.len(),
        "{passed} passed, but {} sites are no findings",
        sites.other_sites.len()
    );
    Ok(())
}
