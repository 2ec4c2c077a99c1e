//! Kernels built from Debian's source package with a fragment of the checkout.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::apt::{Apt, Package};
use crate::context::Context;
use crate::kernels::tidy;
use crate::progress::run_logged;
use crate::table::KernelSpec;
use crate::toolchain::Toolchain;

/// $1 the directory to fill, $2 the source package's name, $3 the fragment, $4 the compiler, $5 jobs.
const BUILD: &str = r#"
    directory=$1 source=$2 fragment=$3 compiler=$4 jobs=$5
    mkdir -p "$directory/unpacked" "$directory/root/boot"
    tar -xf "$directory/source/usr/src/$source.tar.xz" -C "$directory/unpacked"
    mv "$directory/unpacked/$source" "$directory/build"
    rmdir "$directory/unpacked"
    rm -r "$directory/source"
    cd "$directory/build"
    build() {
        make CC="$compiler" HOSTCC="$compiler" KBUILD_BUILD_USER=lastref KBUILD_BUILD_HOST=lab "$@"
    }
    build KCONFIG_ALLCONFIG="$fragment" allnoconfig
    # A line of the fragment that another option switched off again would make this another kernel.
    lost=$(grep '=y$' "$fragment" | grep -vxFf .config || true)
    if [ -n "$lost" ]; then
        echo "not in the resulting configuration: $lost"
        exit 1
    fi
    build -j"$jobs" bzImage modules
    release=$(build -s kernelrelease)
    build INSTALL_MOD_PATH="$directory/root" modules_install
    cp arch/x86/boot/bzImage "$directory/root/boot/vmlinuz-$release"
    cp .config "$directory/root/boot/config-$release"
    echo "$release" > "$directory/release"
"#;

/// What decides whether the kernel must be built anew, besides the source's version.
pub fn key(source: &str, fragment: &Path, compiler: &str) -> Result<String> {
    let text =
        fs::read(fragment).with_context(|| format!("{} cannot be read", fragment.display()))?;
    let mut hash = Sha256::new();
    for part in [
        source.as_bytes(),
        compiler.as_bytes(),
        BUILD.as_bytes(),
        &text,
    ] {
        hash.update(part);
        hash.update([0]);
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Builds into `directory` and returns the release.
pub fn build(
    context: &Context,
    apt: &Apt,
    spec: &KernelSpec,
    source: &[Package],
    fragment: &Path,
    directory: &Path,
) -> Result<String> {
    let toolchain = Toolchain::ensure(context, &spec.toolchain)?;
    let unpacked = directory.join("source");
    fs::create_dir(&unpacked)
        .with_context(|| format!("{} cannot be created", unpacked.display()))?;
    apt.unpack(source, &unpacked)?;
    let package = source.first().context("there is no source package")?;
    // The checkout is not visible inside the toolchain, the cache is.
    let inside = directory.join("fragment.config");
    fs::copy(fragment, &inside)
        .with_context(|| format!("{} cannot be copied", fragment.display()))?;
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    run_logged(
        &format!("build {}", spec.name),
        &mut toolchain.command(
            None,
            BUILD,
            [
                directory.as_os_str(),
                package.name.as_ref(),
                inside.as_os_str(),
                toolchain.compiler.as_ref(),
                jobs.to_string().as_ref(),
            ],
        ),
        &context.cache.join(format!("logs/kernel-{}.log", spec.name)),
    )?;
    let file = directory.join("release");
    let release = fs::read_to_string(&file)
        .with_context(|| format!("{} was not written", file.display()))?
        .trim()
        .to_string();
    ensure!(!release.is_empty(), "the build names no release");
    tidy(&directory.join("root"), &release)?;
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_fragment_is_another_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let fragment = directory.path().join("fragment");
        fs::write(&fragment, "CONFIG_SMP=y\n").unwrap();
        let first = key("s", &fragment, "gcc-14").unwrap();
        assert_eq!(first, key("s", &fragment, "gcc-14").unwrap());
        assert_ne!(first, key("s", &fragment, "gcc-12").unwrap());
        fs::write(&fragment, "CONFIG_SMP=n\n").unwrap();
        assert_ne!(first, key("s", &fragment, "gcc-14").unwrap());
    }
}
