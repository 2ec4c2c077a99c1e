//! The standard library's source for the running rustc: the eBPF half builds `core` from it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::apt::{Apt, Package, newest};
use crate::context::{Context, Staged};
use crate::progress::{on_path, output_of, run_logged, step};

/// Brings it from wherever it can be had: rustup, else Debian.
pub fn ensure(context: &Context) -> Result<()> {
    step("rust-src", || {
        let sysroot = output_of(Command::new("rustc").args(["--print", "sysroot"]))?;
        let place = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
        if is_source(&place) {
            return Ok(());
        }
        let by_rustup = by_rustup(context);
        if is_source(&place) {
            return Ok(());
        }
        if let Err(error) = by_rustup {
            eprintln!(
                "    rustup has no rust-src for us, trying Debian's: {}",
                first_line(&error)
            );
        }
        by_debian(context, &place)?;
        ensure!(
            is_source(&place),
            "{} is not Rust's source",
            place.display()
        );
        Ok(())
    })
}

fn first_line(error: &anyhow::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_string()
}

fn is_source(place: &Path) -> bool {
    place.join("library/core/src/lib.rs").is_file()
}

fn by_rustup(context: &Context) -> Result<()> {
    let rustup = on_path("rustup").ok_or_else(|| anyhow!("there is no rustup"))?;
    run_logged(
        "rustup component add rust-src",
        Command::new(rustup).args(["component", "add", "rust-src"]),
        &context.cache.join("logs/rustup.log"),
    )
}

/// Debian's package of exactly the running version, linked into the sysroot.
fn by_debian(context: &Context, place: &Path) -> Result<()> {
    let version = output_of(Command::new("rustc").arg("--version"))?;
    let version = version
        .split_whitespace()
        .nth(1)
        .with_context(|| format!("rustc calls itself {version}"))?;
    let directory = context.cache.join("rust-src").join(version);
    let source: PathBuf = directory.join(format!("usr/src/rustc-{version}"));
    if !is_source(&source) {
        let (apt, package) = find(context, version)?;
        let staged = Staged::beside(&directory)?;
        apt.unpack(&[package], staged.path())?;
        staged.commit()?;
    }
    let parent = place.parent().context("the sysroot has no parent")?;
    fs::create_dir_all(parent)
        .with_context(|| format!("{} cannot be created", parent.display()))?;
    if place
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_symlink())
    {
        fs::remove_file(place)
            .with_context(|| format!("{} cannot be replaced", place.display()))?;
    }
    symlink(&source, place).with_context(|| format!("{} cannot be linked", place.display()))
}

/// The package, from the newest Debian release that has it: no older one need be looked at then.
fn find<'a>(context: &'a Context, version: &str) -> Result<(Apt<'a>, Package)> {
    for debian in context.table.debians().into_iter().rev() {
        let apt = Apt::new(context, debian);
        let versions = apt.versions(&["rust-src".to_string()])?;
        if let Some(package) = newest(of_version(versions, version))? {
            return Ok((apt, package));
        }
    }
    Err(anyhow!(
        "no rust-src {version}: rustup cannot fetch it and no suite of kernels.toml has that version; \
         install it with rustup component add rust-src"
    ))
}

fn of_version(packages: Vec<Package>, version: &str) -> impl Iterator<Item = Package> {
    packages.into_iter().filter(move |package| {
        package
            .version
            .strip_prefix(version)
            .is_some_and(|rest| rest.starts_with(['+', '-', '~']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_version_will_do() {
        let packages: Vec<Package> = [
            "1.95.0+dfsg1-2~bpo13+1",
            "1.95.01-1",
            "1.9-1",
            "1.96.1+dfsg1-2",
            "1.95.0-3",
        ]
        .map(|version| Package {
            name: "rust-src".to_string(),
            version: version.to_string(),
        })
        .to_vec();
        let versions: Vec<String> = of_version(packages, "1.95.0").map(|p| p.version).collect();
        assert_eq!(versions, ["1.95.0+dfsg1-2~bpo13+1", "1.95.0-3"]);
    }
}
