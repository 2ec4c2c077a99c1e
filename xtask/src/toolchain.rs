//! Toolchains: a minimal Debian of a kernel's own suite, to build with the compiler it was built with.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::apt::{KEYRING, Mirrors};
use crate::context::{Context, Staged};
use crate::progress::{run_logged, step};
use crate::table::ToolchainSpec;

/// Names the packages that a complete toolchain was made with.
const STAMP: &str = "etc/lastref-toolchain";

/// Mounts live in the namespace of this one command and vanish with it.
/// $1 toolchain, $2 cache, $3 unpacked headers or nothing, $4 script; the rest are its arguments.
const ENTER: &str = r#"
    toolchain=$1 cache=$2 headers=$3 script=$4; shift 4
    mount --make-rprivate /
    mount -t proc proc "$toolchain/proc"
    mount --rbind /dev "$toolchain/dev"
    mkdir -p "$toolchain$cache"
    mount --bind "$cache" "$toolchain$cache"
    if [ -n "$headers" ]; then
        mount -t overlay overlay -o "ro,lowerdir=$headers/usr:$toolchain/usr" "$toolchain/usr"
    fi
    exec chroot "$toolchain" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root \
        /bin/sh -euc "$script" sh "$@"
"#;

/// A toolchain in the cache.
#[derive(Debug)]
pub struct Toolchain {
    directory: PathBuf,
    cache: PathBuf,
    /// The compiler's command.
    pub compiler: String,
}

impl Toolchain {
    /// The toolchain of that name, made if need be.
    pub fn ensure(context: &Context, suite: &str) -> Result<Self> {
        let spec = context
            .table
            .toolchains
            .get(suite)
            .with_context(|| format!("there is no toolchain {suite} in kernels.toml"))?;
        let directory = context.cache.join("toolchains").join(suite);
        step(&format!("toolchain {suite}"), || {
            let _lock = context.lock(&format!("toolchain-{suite}"))?;
            let packages = spec.packages.join(",");
            if fs::read_to_string(directory.join(STAMP)).is_ok_and(|stamp| stamp == packages) {
                return Ok(());
            }
            make(context, suite, spec, &directory)
        })?;
        Ok(Self {
            directory,
            cache: context.cache.clone(),
            compiler: spec.compiler.clone(),
        })
    }

    /// A command that runs `script` (sh) inside, with the cache at its own path and, where given,
    /// a kernel's unpacked headers laid over /usr.
    pub fn command<I, S>(&self, headers: Option<&Path>, script: &str, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--", "sh", "-euc", ENTER, "sh"])
            .arg(&self.directory)
            .arg(&self.cache)
            .arg(headers.unwrap_or(Path::new("")))
            .arg(script)
            .args(arguments);
        command
    }
}

/// A second stage that dpkg need not make safe against power failure: a failed toolchain is dropped.
/// $1 toolchain.
const SECOND_STAGE: &str = r#"
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    echo force-unsafe-io > "$1/etc/dpkg/dpkg.cfg.d/unsafe-io"
    exec chroot "$1" /debootstrap/debootstrap --second-stage
"#;

fn make(context: &Context, suite: &str, spec: &ToolchainSpec, directory: &Path) -> Result<()> {
    let mirror = Mirrors::of_this_machine()?.main;
    let packages = spec.packages.join(",");
    let staged = Staged::beside(directory)?;
    let log = context.cache.join(format!("logs/toolchain-{suite}.log"));
    run_logged(
        &format!("debootstrap {suite}"),
        Command::new("debootstrap")
            .args(["--foreign", "--variant=minbase"])
            .arg(format!("--keyring={KEYRING}"))
            .arg(format!("--include={packages}"))
            .arg(suite)
            .arg(staged.path())
            .arg(mirror),
        &log,
    )?;
    run_logged(
        &format!("install {suite}"),
        Command::new("unshare")
            .args(["--mount", "--", "sh", "-euc", SECOND_STAGE, "sh"])
            .arg(staged.path()),
        &log,
    )?;
    let stamp = staged.path().join(STAMP);
    fs::write(&stamp, packages)
        .with_context(|| format!("{} cannot be written", stamp.display()))?;
    staged.commit()
}
