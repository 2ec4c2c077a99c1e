//! The test of the packages: looked at here, then installed, used and removed in a guest.

use std::path::Path;

use anyhow::Result;

use super::{Packages, Release, guest, host_checks};
use crate::context::Context;
use crate::tally::Tally;
use crate::{host_packages, setup};

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
