//! Building `lastref` itself: the binary that is handed out is the one that is tested.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::progress::{output_of, run_logged, step};

/// The agent's package; its binary is `lastref`.
pub const PACKAGE: &str = "probe-user";
const BINARY: &str = "lastref";
/// What the static binary is built for.
pub const STATIC_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the release binary, static and without symbols; returns where it is.
///
/// It is linked with the GNU C Library: of what needs its shared parts at run time (name services,
/// character sets) the agent uses nothing.
pub fn build(context: &Context) -> Result<PathBuf> {
    step("build lastref", || {
        run_logged(
            "build lastref",
            context
                .command("cargo")
                .args(["build", "--locked", "--release"])
                .args(["--package", PACKAGE, "--bin", BINARY])
                .args(["--target", STATIC_TARGET])
                .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
                .env_remove("RUSTFLAGS")
                .env("CARGO_ENCODED_RUSTFLAGS", flags(context)?),
            &context.cache.join("logs/lastref.log"),
        )?;
        let binary = context
            .target()
            .join(STATIC_TARGET)
            .join("release")
            .join(BINARY);
        let headers = output_of(
            Command::new("readelf")
                .args(["--program-headers", "--dynamic", "--wide"])
                .arg(&binary)
                .env("LC_ALL", "C"),
        )?;
        if let Some(dependency) = dynamic_dependency(&headers) {
            anyhow::bail!("{} is not static: {dependency}", binary.display());
        }
        output_of(Command::new(&binary).arg("--version"))
            .context("the static binary does not run")?;
        Ok(binary)
    })
}

/// Static, and without the paths of the checkout and of Cargo's packages.
fn flags(context: &Context) -> Result<String> {
    let cargo = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set: where packages are is not known")?;
    // The last one that fits is taken: the checkout may lie below Cargo's directory, or it there.
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/cargo", cargo.display()),
        format!("--remap-path-prefix={}=/lastref", context.root.display()),
    ];
    Ok(flags.join("\u{1f}"))
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
