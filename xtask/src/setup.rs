//! `cargo xtask setup`: makes a bare Debian machine ready. Every step is skipped where it is done.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::apt::Apt;
use crate::context::Context;
use crate::kernels::Kernel;
use crate::progress::{elapsed, run_logged, step};
use crate::toolchain::Toolchain;
use crate::{host_packages, kernels, python_program, rust_src};

/// The last release that links against rustc's own LLVM; later ones need one installed.
const BPF_LINKER: &str = "0.10.3";
/// guest.rs names the console's device as this release does inside.
const VIRTME_NG: &str = "1.42";

/// Options of `setup`.
#[derive(Debug, Args)]
pub struct Setup {
    /// Kernel to make ready (see kernels.toml); all if none is named
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// Look for newer versions than those in the cache
    #[arg(long)]
    refresh: bool,
}

/// Makes the machine ready for the kernels named.
pub fn run(context: &Context, options: &Setup) -> Result<u8> {
    ready(context, &options.kernels, options.refresh)?;
    Ok(0)
}

/// Tools, kernels and their toolchains; returns the kernels.
pub fn ready(context: &Context, names: &[String], refresh: bool) -> Result<Vec<Kernel>> {
    let start = Instant::now();
    let specs = context.kernels(names)?;
    eprintln!("set-up, in {}", context.cache.display());
    host_packages::install(context, &host_packages::ALWAYS)?;
    rust_src::ensure(context)?;
    bpf_linker(context)?;
    python_program::ensure(context, "virtme-ng", VIRTME_NG)?;
    let mut apts = BTreeMap::new();
    let mut kernels = Vec::new();
    for spec in specs {
        eprintln!("  {}: {}", spec.name, spec.purpose);
        let apt = apts
            .entry(&spec.toolchain)
            .or_insert_with(|| Apt::new(context, &spec.toolchain));
        kernels.push(kernels::ensure(context, apt, spec, refresh)?);
        Toolchain::ensure(context, &spec.toolchain)?;
    }
    eprintln!("set-up: ready, {}", elapsed(start));
    Ok(kernels)
}

fn bpf_linker(context: &Context) -> Result<()> {
    step("bpf-linker", || {
        let _lock = context.lock("bpf-linker")?;
        let installed = Command::new(context.tools().join("bin/bpf-linker"))
            .arg("--version")
            .output()
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(BPF_LINKER));
        if installed {
            return Ok(());
        }
        run_logged(
            "cargo install bpf-linker",
            Command::new("cargo")
                .args(["install", "--locked", "--force", "--root"])
                .arg(context.tools())
                .arg(format!("bpf-linker@{BPF_LINKER}"))
                // Cargo's own settings for the checkout are not for a tool.
                .env_remove("CARGO_TARGET_DIR")
                .env_remove("RUSTFLAGS")
                .current_dir(&context.cache),
            &context.cache.join("logs/bpf-linker.log"),
        )
    })
}
