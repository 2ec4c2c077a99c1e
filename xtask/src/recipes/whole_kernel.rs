//! The way of `docs/ci.md` from a tree to a verdict: its kernel configured, built, and watched.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::configuration::{configure_for_virtme_ng, tree};
use super::guests::{REPORT, expect, report};
use super::surroundings::Boots;
use super::{Bench, End};
use crate::host_packages;
use crate::progress::{output_of, step};

/// What the document has its reader install for a build.
const PACKAGES: [(&str, &str); 4] = [
    ("bc", "kernel builds"),
    ("build-essential", "kernel builds"),
    ("libelf-dev", "kernel builds"),
    ("libssl-dev", "kernel builds"),
];

/// $1 a kernel's tree that may have been built in, $2 where to put its sources.
const COPY: &str = r#"
    tar --exclude='*.o' --exclude='*.a' --exclude='*.ko' --exclude='*.cmd' --exclude='./vmlinux*' \
        --exclude='./arch/x86/boot/bzImage' -C "$1" -cf - . | tar -xf - -C "$2"
    make -s -C "$2" mrproper
"#;

/// A test that creates files and removes them, which puts inodes for the last time in contexts
/// where that is right.
const TEST: &str =
    "#!/bin/sh\nfor file in $(seq 20); do : > /tmp/file.$file; rm /tmp/file.$file; done\n";

/// Builds what virtme-ng and the fragment configure, boots it, and passes the gate.
pub fn build_and_run(bench: &Bench) -> Result<End> {
    let Some(tree) = tree(bench)? else {
        return Ok(End::Skipped(
            "no kernel that is built here is cached".into(),
        ));
    };
    host_packages::install(bench.context, &PACKAGES)?;
    let surroundings = bench.surroundings("build", Boots::Built)?;
    let directory = &surroundings.directory;
    step("copy the tree", || {
        output_of(
            Command::new("sh")
                .args(["-ec", COPY, "sh"])
                .arg(&tree)
                .arg(directory),
        )
    })?;
    configure_for_virtme_ng(bench, &surroundings)?;
    expect(bench, &surroundings, "build", "build", 0)?;
    surroundings.program("my-test", TEST)?;
    expect(bench, &surroundings, "run", "run", 0)?;
    let report = report(&surroundings)?;
    let release = report["kernel"]["release"].as_str().unwrap_or_default();
    // virtme-ng's own addition to a release.
    ensure!(
        release.ends_with("-virtme") && report["totals"]["final_puts"].as_u64() >= Some(20),
        "the report is not of the kernel that was built, or saw nothing: {release}, {}",
        report["totals"]
    );
    let kept = bench.output.join("built.json");
    fs::copy(directory.join(REPORT), &kept)
        .with_context(|| format!("{} cannot be written", kept.display()))?;
    // Some gigabytes.
    fs::remove_dir_all(directory)
        .with_context(|| format!("{} cannot be removed", directory.display()))?;
    Ok(End::Passed)
}
