//! Building `lastref` itself, and the static binary to hand out.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::context::Context;
use crate::progress::{output_of, run_logged, step};

/// The agent's package; its binary is `lastref`.
const PACKAGE: &str = "probe-user";
const BINARY: &str = "lastref";
const STATIC_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the release binary and returns where it is.
pub fn build(context: &Context) -> Result<PathBuf> {
    step("build lastref", || {
        run_logged(
            "build lastref",
            &mut cargo_build(context),
            &context.cache.join("logs/lastref.log"),
        )?;
        let binary = context.target().join("release").join(BINARY);
        ensure!(binary.is_file(), "the build left no {}", binary.display());
        Ok(binary)
    })
}

/// `cargo xtask dist`: a static binary in `target/dist`.
pub fn dist(context: &Context) -> Result<u8> {
    let target = step("build static lastref", || {
        run_logged(
            "build static lastref",
            cargo_build(context)
                .args(["--target", STATIC_TARGET])
                .env("RUSTFLAGS", "-C target-feature=+crt-static"),
            &context.cache.join("logs/dist.log"),
        )?;
        let built = context
            .target()
            .join(STATIC_TARGET)
            .join("release")
            .join(BINARY);
        let target = context.target().join("dist").join(BINARY);
        let directory = context.target().join("dist");
        fs::create_dir_all(&directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
        fs::copy(&built, &target).with_context(|| {
            format!(
                "{} cannot be copied to {}",
                built.display(),
                target.display()
            )
        })?;
        Ok(target)
    })?;
    let headers = output_of(
        Command::new("readelf")
            .args(["--program-headers", "--dynamic", "--wide"])
            .arg(&target)
            .env("LC_ALL", "C"),
    )?;
    if let Some(dependency) = dynamic_dependency(&headers) {
        anyhow::bail!("{} is not static: {dependency}", target.display());
    }
    output_of(Command::new(&target).arg("--version")).context("the static binary does not run")?;
    println!("{}", target.display());
    Ok(0)
}

fn cargo_build(context: &Context) -> Command {
    let mut command = context.command("cargo");
    command.args([
        "build",
        "--locked",
        "--release",
        "--package",
        PACKAGE,
        "--bin",
        BINARY,
    ]);
    command
}

/// What in `readelf`'s output makes a program need a loader or a library.
fn dynamic_dependency(headers: &str) -> Option<&str> {
    headers
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("INTERP") || line.contains("(NEEDED)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_or_a_library_is_a_dependency() {
        let interpreter = "  LOAD 0x0\n  INTERP         0x000318\n";
        let needed = " 0x0000000000000001 (NEEDED)  Shared library: [libc.so.6]\n";
        // A static position-independent program has a dynamic section, too.
        let neither = "  LOAD 0x0\n  DYNAMIC 0x1\n 0x000000006ffffffb (FLAGS_1)  Flags: NOW PIE\n";
        assert!(dynamic_dependency(interpreter).is_some());
        assert!(dynamic_dependency(needed).is_some());
        assert_eq!(dynamic_dependency(neither), None);
    }
}
