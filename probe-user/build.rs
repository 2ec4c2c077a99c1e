//! Builds the kernel half for the BPF target, and leaves it where the agent includes it.
//!
//! Cargo has no stable way to depend on a binary built for another target, so this calls
//! cargo again. Stable rustc builds `core` for BPF when told so (`RUSTC_BOOTSTRAP`,
//! `-Z build-std`); it needs rust-src and bpf-linker, which `cargo xtask setup` brings.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

const PACKAGE: &str = "probe-ebpf";
const LINKER: &str = "bpf-linker";

fn main() -> Result<()> {
    let directory = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .parent()
        .context("the agent's package lies in a workspace")?
        .to_owned();
    for watched in [PACKAGE, "probe-common", "Cargo.lock"] {
        println!(
            "cargo::rerun-if-changed={}",
            directory.join(watched).display()
        );
    }
    println!("cargo::rerun-if-env-changed=LASTREF_CACHE");

    let target = match variable("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    let out = PathBuf::from(variable("OUT_DIR")?);
    // <target directory>/<profile>/build/<package>/out: one build serves every profile.
    let target_directory = out
        .ancestors()
        .nth(4)
        .context("OUT_DIR lies in a target directory")?
        .join("bpf");
    let flags = [
        format!(
            "--cfg=bpf_target_arch=\"{}\"",
            variable("CARGO_CFG_TARGET_ARCH")?
        ),
        format!("-Clinker={}", linker().display()),
        // The object keeps its sources' names: not those of this very checkout.
        format!("--remap-path-prefix={}=/lastref", directory.display()),
        // Line information in the verifier's log, and types for the kernel.
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    let status = Command::new(variable("CARGO")?)
        .current_dir(&directory)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "-Z",
            "build-std=core",
        ])
        .args(["--package", PACKAGE, "--target", target, "--target-dir"])
        .arg(&target_directory)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // The outer build's wrapper (clippy's, say) is not for this one.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .context("cannot start cargo for the kernel half")?;
    if !status.success() {
        bail!(
            "the kernel half did not build. It needs rust-src and {LINKER}: \
             run `cargo xtask setup` once, which brings both"
        );
    }
    let built = target_directory.join(target).join("release").join(PACKAGE);
    fs::copy(&built, out.join(PACKAGE))
        .with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(())
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("cargo does not tell {name}"))
}

/// The linker that `cargo xtask setup` installed, or the one on the path.
fn linker() -> PathBuf {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let directory = |name| {
        env::var_os(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let cache = directory("LASTREF_CACHE").unwrap_or_else(|| {
        directory("XDG_CACHE_HOME")
            .unwrap_or_else(|| home.join(".cache"))
            .join("lastref")
    });
    let installed = cache.join("tools/bin").join(LINKER);
    if installed.exists() {
        installed
    } else {
        Path::new(LINKER).to_owned()
    }
}
