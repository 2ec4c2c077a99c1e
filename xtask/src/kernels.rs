//! Kernels in the cache: found, fetched or built, and unpacked; complete or not there at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::apt::{Apt, Package, newest};
use crate::build_kernel;
use crate::context::{Context, Staged};
use crate::progress::{output_of, step};
use crate::table::{KernelSpec, Kind, Release};

const MANIFEST: &str = "manifest.json";

/// A kernel that can be booted and built against.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its name in `kernels.toml`.
    pub name: String,
    /// Its directory in the cache.
    pub directory: PathBuf,
    /// What is in there.
    pub manifest: Manifest,
}

/// What is known of an unpacked kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What `uname -r` prints there.
    pub release: String,
    /// The version of the package it comes from.
    pub version: String,
    /// What decides whether it must be made anew, besides the version.
    pub key: String,
}

impl Kernel {
    /// The image to boot.
    pub fn image(&self) -> PathBuf {
        self.root()
            .join(format!("boot/vmlinuz-{}", self.manifest.release))
    }

    /// The configuration that it was built with.
    pub fn config(&self) -> PathBuf {
        self.root()
            .join(format!("boot/config-{}", self.manifest.release))
    }

    /// The unpacked image packages; virtme-ng looks for `lib/modules` above the image.
    pub fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// The unpacked headers packages of a stock kernel.
    pub fn headers(&self) -> PathBuf {
        self.directory.join("headers")
    }

    /// The build tree of a built kernel.
    pub fn build_tree(&self) -> PathBuf {
        self.directory.join("build")
    }

    fn load(name: &str, directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join(MANIFEST)).ok()?;
        Some(Self {
            name: name.to_string(),
            directory: directory.to_path_buf(),
            manifest: serde_json::from_str(&text).ok()?,
        })
    }
}

/// The kernel as the cache has it, else fetched or built; with `refresh`, the newest there is.
pub fn ensure(context: &Context, apt: &Apt, spec: &KernelSpec, refresh: bool) -> Result<Kernel> {
    step(&format!("kernel {}", spec.name), || {
        let _lock = context.lock(&format!("kernel-{}", spec.name))?;
        let directory = context.cache.join("kernels").join(&spec.name);
        let cached = Kernel::load(&spec.name, &directory);
        let key = key(context, spec)?;
        if let Some(kernel) = &cached
            && kernel.manifest.key == key
            && !refresh
        {
            return Ok(kernel.clone());
        }
        if refresh {
            apt.refresh(true)?;
        }
        let wanted = Wanted::find(apt, spec)?;
        if let Some(kernel) = cached
            && kernel.manifest.key == key
            && kernel.manifest.version == wanted.version
        {
            return Ok(kernel);
        }
        let staged = Staged::beside(&directory)?;
        let release = match &spec.kind {
            Kind::Stock { .. } => unpack_stock(apt, &wanted, staged.path()),
            Kind::Built { config, .. } => build_kernel::build(
                context,
                apt,
                spec,
                &wanted.image,
                &context.root.join(config),
                staged.path(),
            ),
        }?;
        let manifest = Manifest {
            release,
            version: wanted.version,
            key,
        };
        let text = serde_json::to_string_pretty(&manifest)?;
        fs::write(staged.path().join(MANIFEST), text).context("the manifest cannot be written")?;
        staged.commit()?;
        Kernel::load(&spec.name, &directory)
            .ok_or_else(|| anyhow!("{} was not written", directory.display()))
    })
    .with_context(|| format!("kernel {}", spec.name))
}

/// The kernel of that name, fetched or built if need be.
pub fn named(context: &Context, name: &str) -> Result<Kernel> {
    let spec = context.table.kernel(name)?;
    ensure(context, &Apt::new(context, &spec.toolchain), spec, false)
}

/// A kernel is made anew when this changes.
fn key(context: &Context, spec: &KernelSpec) -> Result<String> {
    Ok(match &spec.kind {
        Kind::Stock {
            image,
            headers,
            release,
        } => {
            format!("{release} {} {}", image.join(" "), headers.join(" "))
        }
        Kind::Built { config, source } => {
            let toolchain = &context.table.toolchains[&spec.toolchain];
            build_kernel::key(source, &context.root.join(config), &toolchain.compiler)?
        }
    })
}

/// The packages of the newest version that is complete.
#[derive(Debug)]
struct Wanted {
    version: String,
    release: String,
    image: Vec<Package>,
    headers: Vec<Package>,
}

impl Wanted {
    fn find(apt: &Apt, spec: &KernelSpec) -> Result<Self> {
        match &spec.kind {
            Kind::Built { source, .. } => {
                let package = apt.newest(source)?;
                Ok(Self {
                    version: package.version.clone(),
                    release: String::new(),
                    image: vec![package],
                    headers: Vec::new(),
                })
            }
            Kind::Stock {
                release,
                image,
                headers,
            } => Self::find_stock(apt, release, image, headers),
        }
    }

    fn find_stock(apt: &Apt, pattern: &str, image: &[String], headers: &[String]) -> Result<Self> {
        let pattern = Regex::new(pattern)?;
        let template = image.first().context("the table names no image package")?;
        let prefix = template.split('{').next().unwrap_or_default();
        let names: Vec<String> = apt
            .names(prefix)?
            .into_iter()
            .filter(|name| Release::of_package(name, template, &pattern).is_some())
            .collect();
        let mut candidates = apt.versions(&names)?;
        // Image and headers come from different builds: the newest image may have no headers yet.
        while let Some(best) = newest(candidates.clone())? {
            if let Some(release) = Release::of_package(&best.name, template, &pattern)
                && let Some(image) = same_version(apt, &release, image, &best.version)?
                && let Some(headers) = same_version(apt, &release, headers, &best.version)?
            {
                return Ok(Self {
                    version: best.version,
                    release: release.release,
                    image,
                    headers,
                });
            }
            candidates.retain(|candidate| *candidate != best);
        }
        Err(anyhow!(
            "no suite has all of {} {} for a release like {pattern}",
            image.join(" "),
            headers.join(" ")
        ))
    }
}

/// All packages of a release in one version, or nothing if one is missing.
fn same_version(
    apt: &Apt,
    release: &Release,
    templates: &[String],
    version: &str,
) -> Result<Option<Vec<Package>>> {
    let wanted: Vec<Package> = templates
        .iter()
        .map(|template| Package {
            name: release.package(template),
            version: version.to_string(),
        })
        .collect();
    let names: Vec<String> = wanted.iter().map(|package| package.name.clone()).collect();
    let there = apt.versions(&names)?;
    Ok(wanted
        .iter()
        .all(|package| there.contains(package))
        .then_some(wanted))
}

fn unpack_stock(apt: &Apt, wanted: &Wanted, directory: &Path) -> Result<String> {
    let root = directory.join("root");
    let headers = directory.join("headers");
    for target in [&root, &headers] {
        fs::create_dir(target)
            .with_context(|| format!("{} cannot be created", target.display()))?;
    }
    apt.unpack(&wanted.image, &root)?;
    apt.unpack(&wanted.headers, &headers)?;
    tidy(&root, &wanted.release)?;
    Ok(wanted.release.clone())
}

/// Brings the layouts of different packages to one, and indexes the modules.
pub fn tidy(root: &Path, release: &str) -> Result<()> {
    let modules = root.join("lib/modules").join(release);
    let merged = root.join("usr/lib/modules").join(release);
    if !modules.exists() {
        // Packages for a merged /usr.
        let parent = root.join("lib/modules");
        fs::create_dir_all(&parent)
            .and_then(|()| fs::rename(&merged, &modules))
            .with_context(|| format!("{} is not in the packages", merged.display()))?;
    }
    let boot = root.join("boot");
    fs::create_dir_all(&boot).with_context(|| format!("{} cannot be created", boot.display()))?;
    for (name, inside) in [("vmlinuz", "vmlinuz"), ("config", "config")] {
        let target = boot.join(format!("{name}-{release}"));
        if !target.exists() {
            // From 7.x on the packages have these beside the modules.
            let source = modules.join(inside);
            fs::copy(&source, &target).with_context(|| {
                format!(
                    "neither {} nor {} is in the packages",
                    target.display(),
                    source.display()
                )
            })?;
        }
    }
    output_of(Command::new("depmod").arg("-b").arg(root).arg(release)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_kernel_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Kernel::load("x", directory.path()).is_none());
        fs::write(directory.path().join(MANIFEST), "{\"release\": \"6.1").unwrap();
        assert!(Kernel::load("x", directory.path()).is_none());
    }

    #[test]
    fn a_manifest_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = Manifest {
            release: "6.1.0-56-amd64".to_string(),
            version: "6.1.192-2".to_string(),
            key: "k".to_string(),
        };
        fs::write(
            directory.path().join(MANIFEST),
            serde_json::to_string(&manifest).unwrap(),
        )
        .unwrap();
        let kernel = Kernel::load("6.1", directory.path()).unwrap();
        assert_eq!(kernel.manifest, manifest);
        assert!(kernel.image().ends_with("root/boot/vmlinuz-6.1.0-56-amd64"));
    }
}
