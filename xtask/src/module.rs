//! The lab's kernel module, built for a kernel with that kernel's own toolchain.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::context::{Context, Staged};
use crate::kernels::Kernel;
use crate::progress::{run_logged, step};
use crate::table::Kind;
use crate::toolchain::Toolchain;

/// The file that a build of `lab/module` leaves.
pub const MODULE: &str = "lastref_lab.ko";

/// What a module is made of; the rest of a directory is what builds left.
const SOURCES: [&str; 4] = ["c", "h", "S", "Kbuild"];

/// $1 the kernel's build tree, $2 the module's directory, $3 the compiler.
const BUILD: &str = r#"
    exec make -j"$(nproc)" -C "$1" M="$2" CC="$3" HOSTCC="$3" modules
"#;

/// Builds `lab/module` for a kernel, once for each state of its sources, and returns the module.
pub fn build_lab(context: &Context, kernel: &Kernel) -> Result<PathBuf> {
    build(context, kernel, &context.root.join("lab/module"), MODULE)
}

/// Builds the module `name` from `sources` for a kernel.
pub fn build(context: &Context, kernel: &Kernel, sources: &Path, name: &str) -> Result<PathBuf> {
    let files = source_files(sources)?;
    ensure!(
        !files.is_empty(),
        "{} has no sources of a kernel module",
        sources.display()
    );
    step(&format!("module for {}", kernel.name), || {
        let directory = context.cache.join("modules").join(key(kernel, &files)?);
        let module = directory.join(name);
        let _lock = context.lock(&format!("module-{}", kernel.name))?;
        if module.is_file() {
            return Ok(module);
        }
        let spec = context.table.kernel(&kernel.name)?;
        let toolchain = Toolchain::ensure(context, &spec.toolchain)?;
        let (headers, tree) = match spec.kind {
            Kind::Stock { .. } => (
                Some(kernel.headers()),
                PathBuf::from(format!(
                    "/usr/src/linux-headers-{}",
                    kernel.manifest.release
                )),
            ),
            Kind::Built { .. } => (None, kernel.build_tree()),
        };
        let staged = Staged::beside(&directory)?;
        for file in &files {
            let target = staged.path().join(file.file_name().unwrap_or_default());
            fs::copy(file, &target)
                .with_context(|| format!("{} cannot be copied", file.display()))?;
        }
        run_logged(
            &format!("build {name} for {}", kernel.name),
            &mut toolchain.command(
                headers.as_deref(),
                BUILD,
                [
                    tree.as_os_str(),
                    staged.path().as_os_str(),
                    toolchain.compiler.as_ref(),
                ],
            ),
            &context
                .cache
                .join(format!("logs/module-{}.log", kernel.name)),
        )?;
        ensure!(
            staged.path().join(name).is_file(),
            "the build for {} left no {name}",
            kernel.name
        );
        staged.commit()?;
        Ok(module)
    })
}

fn source_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory)
        .with_context(|| format!("{} cannot be read", directory.display()))?;
    for entry in entries {
        let path = entry.context("a directory cannot be read")?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let kind = path
            .extension()
            .map_or(name.as_str().into(), |e| e.to_string_lossy());
        // *.mod.c is modpost's.
        if path.is_file() && SOURCES.contains(&kind.as_ref()) && !name.ends_with(".mod.c") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn key(kernel: &Kernel, files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for part in [
        &kernel.manifest.release,
        &kernel.manifest.version,
        &kernel.manifest.key,
    ] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(BUILD);
    for file in files {
        let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    let hash = format!("{:x}", hash.finalize());
    Ok(format!("{}-{}", kernel.manifest.release, &hash[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Manifest;

    fn kernel(release: &str) -> Kernel {
        Kernel {
            name: "x".to_string(),
            directory: PathBuf::new(),
            manifest: Manifest {
                release: release.to_string(),
                version: "1".to_string(),
                key: String::new(),
            },
        }
    }

    #[test]
    fn only_sources_count() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "Kbuild",
            "a.c",
            "a.h",
            "a.o",
            "a.mod.c",
            "a.ko",
            "README.md",
            ".a.o.cmd",
        ] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let files = source_files(directory.path()).unwrap();
        let names: Vec<_> = files
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["Kbuild", "a.c", "a.h"]);

        let first = key(&kernel("6.1"), &files).unwrap();
        assert!(first.starts_with("6.1-"));
        assert_eq!(first, key(&kernel("6.1"), &files).unwrap());
        assert_ne!(first, key(&kernel("6.12"), &files).unwrap());
        fs::write(directory.path().join("a.c"), "other").unwrap();
        assert_ne!(first, key(&kernel("6.1"), &files).unwrap());
    }
}
