//! Recipes that configure a kernel, in the part of a tree that Kconfig needs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::surroundings::Surroundings;
use super::{AS_CACHED, Bench, End};
use crate::host_packages;
use crate::progress::{output_of, tail};
use crate::table::Kind;

/// What Kconfig and its makefiles need of this machine.
const PACKAGES: [(&str, &str); 5] = [
    ("bison", "Kconfig"),
    ("flex", "Kconfig"),
    ("libc6-dev", "Kconfig"),
    ("make", "Kconfig"),
    (
        "pahole",
        "Kconfig asks for its version before it offers BTF",
    ),
];

/// $1 a kernel's tree, $2 where to put what Kconfig needs of it: a hundredth.
const COPY: &str = r#"
    cd "$1"
    find . -name 'Kconfig*' -not -path './scripts/*' -print0 |
        tar --null -cf - -T - Makefile Kbuild scripts arch/x86/Makefile* arch/x86/configs kernel/configs |
        tar -xf - -C "$2"
"#;

/// Virtme-ng's own configuration, and another, until they can be watched.
pub fn configure(bench: &Bench) -> Result<End> {
    let Some(tree) = tree(bench)? else {
        return Ok(End::Skipped(
            "no kernel that is built here is cached".into(),
        ));
    };
    let surroundings = bench.surroundings("configure", AS_CACHED)?;
    output_of(
        Command::new("sh")
            .args(["-ec", COPY, "sh"])
            .arg(&tree)
            .arg(&surroundings.directory),
    )?;
    configure_for_virtme_ng(bench, &surroundings)?;
    // The least that could be watched, of a configuration of one's own.
    let made = surroundings.run("defconfig", "make defconfig\n")?;
    ensure!(made.status == 0, "{}", tail(&made.output, 20));
    recipe(bench, &surroundings, "configure-own")?;
    Ok(End::Passed)
}

/// Virtme-ng's own configuration, and what it lacks.
pub fn configure_for_virtme_ng(bench: &Bench, surroundings: &Surroundings) -> Result<()> {
    host_packages::install(bench.context, &PACKAGES)?;
    recipe(bench, surroundings, "configure")?;
    let fragment = surroundings.read("lastref.config");
    // virtme-ng's own configuration has no types: without the fragment it could not be watched.
    ensure!(
        fragment.contains("\nCONFIG_DEBUG_INFO_BTF=y\n"),
        "the fragment is:\n{fragment}"
    );
    Ok(())
}

/// Runs the recipe; its last line checks the configuration that it has made.
fn recipe(bench: &Bench, surroundings: &Surroundings, name: &str) -> Result<()> {
    let ran = surroundings.run(name, bench.document.recipe(name)?)?;
    ensure!(
        ran.status == 0 && ran.output.contains("A kernel built so can be watched."),
        "status {}:\n{}",
        ran.status,
        tail(&ran.output, 20)
    );
    Ok(())
}

/// The tree of a kernel that was built here.
pub fn tree(bench: &Bench) -> Result<Option<PathBuf>> {
    for spec in &bench.context.table.kernels {
        if matches!(spec.kind, Kind::Built { .. }) {
            let tree = bench
                .context
                .cache
                .join("kernels")
                .join(&spec.name)
                .join("build");
            if tree.join("Kconfig").is_file() {
                return fs::canonicalize(&tree)
                    .map(Some)
                    .with_context(|| format!("{} cannot be found", tree.display()));
            }
        }
    }
    Ok(None)
}
