//! The tarball: a directory to unpack anywhere, with `bin` and `share` in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::contents::{self, Inputs, Layout};
use super::{NAME, Release};
use crate::progress::output_of;

const LAYOUT: Layout = Layout {
    prefix: ".",
    zsh: "share/zsh/site-functions",
    fish: "share/fish/vendor_completions.d",
    licences: contents::DOCUMENTS,
};

/// The directory that the tarball unpacks to.
pub fn top(release: &Release) -> String {
    format!("{NAME}-{}-x86_64-linux", release.version)
}

/// Writes it into `directory`.
pub fn build(inputs: &Inputs, release: &Release, directory: &Path) -> Result<PathBuf> {
    let top = top(release);
    let path = directory.join(format!("{top}.tar.gz"));
    let root = tempfile::tempdir().context("no directory to stage the tarball in")?;
    contents::write(&inputs.laid_out(&LAYOUT), &root.path().join(&top))?;
    output_of(
        Command::new("tar")
            .env("LC_ALL", "C")
            .args(["--create", "--format=ustar", "--sort=name"])
            .args(["--owner=0", "--group=0", "--numeric-owner"])
            .arg(format!("--mtime=@{}", release.epoch))
            // No name and no time in gzip's header.
            .arg("--use-compress-program=gzip -9n")
            .arg("--file")
            .arg(&path)
            .arg("--directory")
            .arg(root.path())
            .arg(&top),
    )?;
    Ok(path)
}
