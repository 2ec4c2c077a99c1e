//! Debian packages that this machine needs, each with what for; only missing ones are installed, or
//! unpacked elsewhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::context::Context;
use crate::progress::{output_of, run_logged, step};

/// What everything needs: package and purpose.
pub const ALWAYS: [(&str, &str); 15] = [
    ("busybox-static", "the guests' initramfs"),
    ("ca-certificates", "downloads by Cargo and pip"),
    (
        "debian-archive-keyring",
        "packages and toolchains of other suites",
    ),
    ("debootstrap", "toolchains of other suites"),
    ("dpkg", "comparing versions, unpacking packages"),
    ("file", "virtme-ng reads a kernel's release with it"),
    ("gcc", "linking Rust programs"),
    ("kmod", "depmod for unpacked kernels, insmod in guests"),
    ("libc6-dev", "linking Rust programs"),
    ("libxml2-utils", "xmllint checks reports against a schema"),
    ("python3-venv", "virtme-ng's own environment"),
    ("qemu-system-x86", "the guests"),
    // Without udev nothing loads virtio_console in a guest whose kernel has it as a module,
    // and the guest's output is lost.
    ("udev", "loading drivers in the guests"),
    ("xz-utils", "compressed kernel modules"),
    ("zstd", "compressed kernel modules"),
];

/// Installs what is missing.
pub fn install(context: &Context, packages: &[(&str, &str)]) -> Result<()> {
    step("Debian packages", || {
        let _lock = context.lock("packages")?;
        let mut missing = Vec::new();
        for &(package, purpose) in packages {
            if !is_installed(package) {
                eprintln!("    {package} is missing: {purpose}");
                missing.push(package);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        ensure!(
            rustix::process::geteuid().is_root(),
            "packages can be installed by root only: apt-get install {}",
            missing.join(" ")
        );
        let log = context.cache.join("logs/packages.log");
        run_logged("apt-get update", apt_get().arg("update"), &log)
            .context("the machine's own package lists cannot be fetched")?;
        run_logged(
            "apt-get install",
            apt_get()
                .args(["install", "--yes", "--no-install-recommends"])
                .args(&missing),
            &log,
        )
    })
}

/// Unpacks packages into `target`, with all that they need and this machine has not installed.
/// Nothing is installed, so that no daemon starts.
pub fn unpack(context: &Context, packages: &[&str], target: &Path) -> Result<()> {
    let _lock = context.lock("packages")?;
    ensure!(
        rustix::process::geteuid().is_root(),
        "apt resolves dependencies for root only: run this as root"
    );
    let archives = tempfile::Builder::new()
        .prefix("download-")
        .tempdir_in(&context.cache)
        .with_context(|| format!("{} cannot be written", context.cache.display()))?;
    let partial = archives.path().join("partial");
    fs::create_dir(&partial).with_context(|| format!("{} cannot be created", partial.display()))?;
    let log = context.cache.join("logs/packages.log");
    run_logged("apt-get update", apt_get().arg("update"), &log)
        .context("the machine's own package lists cannot be fetched")?;
    run_logged(
        &format!("download {}", packages.join(" ")),
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .arg("--download-only")
            // The cache may lie where apt's own user cannot look.
            .arg("-oAPT::Sandbox::User=root")
            .arg(format!(
                "-oDir::Cache::archives={}",
                archives.path().display()
            ))
            .args(packages),
        &log,
    )?;
    for entry in fs::read_dir(archives.path()).context("downloads cannot be listed")? {
        let archive = entry.context("downloads cannot be listed")?.path();
        if archive.extension().is_some_and(|kind| kind == "deb") {
            output_of(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(target))?;
        }
    }
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    command
}

fn is_installed(package: &str) -> bool {
    output_of(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]))
        .is_ok_and(|status| status.trim() == "installed")
}
