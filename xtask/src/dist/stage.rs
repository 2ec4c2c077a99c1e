//! The test of the packages: looked at here, then installed, used and removed in a guest.

use std::path::Path;

use anyhow::Result;

use super::{MAINTAINER, Packages, Release, guest, host_checks, make};
use crate::context::{Context, fresh_directory};
use crate::tally::Tally;
use crate::{agent, host_packages, setup};

/// What the test needs besides: package and purpose.
const PACKAGES: [(&str, &str); 7] = [
    ("bash", "completions are loaded in it"),
    ("binutils", "to see that the binary is static"),
    ("fish", "completions are loaded in it"),
    ("lintian", "the .deb is checked by it"),
    ("man-db", "the man pages are read by it"),
    ("rpm", "the .rpm is checked and installed by it"),
    ("zsh", "completions are loaded in it"),
];

/// Builds, packs and checks; `target/dist` is left alone.
pub fn stage(context: &Context, kernel: &str) -> Tally {
    let all = || -> Result<Tally> {
        let release = Release::of(context, MAINTAINER)?;
        let binary = agent::build(context)?;
        let directory = fresh_directory(&context.target().join("dist-check"))?;
        let packages = make(context, &release, &binary, &directory)?;
        check(context, &release, &binary, &packages, kernel)
    };
    all().unwrap_or_else(|error| {
        println!("{error:#}");
        Tally::of(false)
    })
}

/// Checks packages that were made of `binary`.
pub fn check(
    context: &Context,
    release: &Release,
    binary: &Path,
    packages: &Packages,
    kernel: &str,
) -> Result<Tally> {
    host_packages::install(context, &PACKAGES)?;
    let names = [kernel.to_owned()];
    let kernels = setup::ready(context, &names, false)?;
    let mut tally = host_checks::run(context, release, binary, packages);
    for kernel in &kernels {
        tally.add(guest::run(context, kernel, release, packages)?);
    }
    Ok(tally)
}
