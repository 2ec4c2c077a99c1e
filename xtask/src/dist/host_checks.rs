//! What can be said of the packages without installing them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Packages, Release, make};
use crate::context::Context;
use crate::progress::output_of;
use crate::tally::Tally;

/// One check of the packages.
type Check = fn(&Packages) -> Result<()>;

const CHECKS: [(&str, Check); 4] = [
    ("the checksums are right", sums),
    ("lintian has nothing to say", lintian),
    ("the .rpm's digests are right", digests),
    ("the .rpm needs nothing but rpm", needs_nothing),
];

/// Runs all, and packs once more to see that the same binary gives the same bytes.
pub fn run(context: &Context, release: &Release, binary: &Path, packages: &Packages) -> Tally {
    let mut tally = Tally::default();
    let mut told = |what: &str, result: Result<()>| {
        match &result {
            Ok(()) => println!("ok: {what}"),
            Err(error) => println!("NOT ok: {what}: {error:#}"),
        }
        tally.add(Tally::of(result.is_ok()));
    };
    for (what, check) in CHECKS {
        told(what, check(packages));
    }
    told(
        "packed again, the bytes are the same",
        same_again(context, release, binary, packages),
    );
    tally
}

fn sums(packages: &Packages) -> Result<()> {
    output_of(
        Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(&packages.directory),
    )
    .map(drop)
}

fn lintian(packages: &Packages) -> Result<()> {
    let output = Command::new("lintian")
        .args([
            "--fail-on=error,warning",
            "--tag-display-limit=0",
            "--allow-root",
        ])
        .arg(&packages.deb)
        .output()
        .context("lintian cannot be started")?;
    let found = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {found}", output.status);
    Ok(())
}

fn digests(packages: &Packages) -> Result<()> {
    output_of(
        Command::new("rpm")
            .args(["--checksig", "--nosignature"])
            .arg(&packages.rpm),
    )
    .map(drop)
}

fn needs_nothing(packages: &Packages) -> Result<()> {
    let needs = output_of(
        Command::new("rpm")
            .args(["--query", "--package", "--requires"])
            .arg(&packages.rpm),
    )?;
    let other = needs.lines().find(|line| !line.starts_with("rpmlib("));
    ensure!(other.is_none(), "it needs {}", other.unwrap_or_default());
    Ok(())
}

fn same_again(
    context: &Context,
    release: &Release,
    binary: &Path,
    packages: &Packages,
) -> Result<()> {
    let directory = tempfile::tempdir().context("no directory to pack in")?;
    let again = make(context, release, binary, directory.path())?;
    for (first, second) in packages.files().into_iter().zip(again.files()) {
        ensure!(
            fs::read(first)? == fs::read(second)?,
            "{} differs",
            first.display()
        );
    }
    Ok(())
}
