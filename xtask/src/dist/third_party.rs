//! The licences of what is linked into the binary, as their texts ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::agent::{PACKAGE, STATIC_TARGET};
use crate::context::Context;
use crate::progress::output_of;

/// The kernel half: a program of its own inside the agent's binary.
const KERNEL_HALF: &str = "probe-ebpf";
/// What a licence's file may be called, in lower case.
const NAMES: [&str; 4] = ["license", "licence", "copying", "notice"];

const HEAD: &str = "\
The binary `lastref` contains the packages below, the standard library of Rust (MIT OR Apache-2.0)
and the GNU C Library (LGPL-2.1-or-later). To link it with another C library, build it from its
source: `cargo xtask dist`.

";

/// What `cargo metadata` prints, as far as it is used.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `None` is a normal dependency: neither for building nor for testing.
    kind: Option<String>,
}

/// Every package that the binary is made of, and each licence text once.
pub fn text(context: &Context) -> Result<String> {
    let metadata = output_of(
        context
            .command("cargo")
            .args(["metadata", "--locked", "--format-version=1"])
            .args(["--filter-platform", STATIC_TARGET]),
    )?;
    let metadata: Metadata =
        serde_json::from_str(&metadata).context("cargo's metadata cannot be understood")?;
    render(&metadata)
}

fn render(metadata: &Metadata) -> Result<String> {
    let linked = linked(metadata);
    let mut text = HEAD.to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Cargo lists packages in the order of their names.
    for package in &metadata.packages {
        if package.source.is_none() || !linked.contains(package.id.as_str()) {
            continue;
        }
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("see below");
        let repository = package.repository.as_deref().unwrap_or_default();
        writeln!(text, "{name}: {licence} {repository}")?;
        for licence in licences(&package.manifest_path)? {
            texts.entry(licence).or_default().push(name.clone());
        }
    }
    let mut texts: Vec<(Vec<String>, String)> = texts
        .into_iter()
        .map(|(text, packages)| (packages, text))
        .collect();
    texts.sort();
    for (packages, licence) in texts {
        write!(
            text,
            "\n{}\n{}:\n\n{}\n",
            "=".repeat(78),
            packages.join(", "),
            licence.trim_end()
        )?;
    }
    Ok(text)
}

/// The ids of the packages that the two halves need when they run.
fn linked(metadata: &Metadata) -> BTreeSet<&str> {
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let mut waiting: Vec<&str> = metadata
        .packages
        .iter()
        .filter(|package| [PACKAGE, KERNEL_HALF].contains(&package.name.as_str()))
        .map(|package| package.id.as_str())
        .collect();
    let mut linked = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !linked.insert(id) {
            continue;
        }
        let needed = nodes.get(id).into_iter().flat_map(|node| &node.deps);
        waiting.extend(
            needed
                .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()))
                .map(|dependency| dependency.pkg.as_str()),
        );
    }
    linked
}

/// The texts of the licences beside a manifest.
fn licences(manifest: &Path) -> Result<Vec<String>> {
    let directory = manifest
        .parent()
        .context("a manifest without a directory")?;
    let entries = fs::read_dir(directory)
        .with_context(|| format!("{} cannot be listed", directory.display()))?;
    let mut texts = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if NAMES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            let bytes = fs::read(entry.path())
                .with_context(|| format!("{} cannot be read", entry.path().display()))?;
            texts.push(String::from_utf8_lossy(&bytes).replace('\r', ""));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The agent needs `a`, which needs `b` to run and `c` to be built.
    fn metadata(directory: &Path) -> Metadata {
        let package = |name: &str, source: Option<&str>| {
            serde_json::json!({
                "id": name, "name": name, "version": "1.0.0", "license": "MIT",
                "repository": null, "source": source,
                "manifest_path": directory.join(name).join("Cargo.toml"),
            })
        };
        let needs = |name: &str, kind: Option<&str>| serde_json::json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = serde_json::json!({
            "packages": [
                package("a", Some("registry")),
                package("b", Some("registry")),
                package("c", Some("registry")),
                package(PACKAGE, None),
            ],
            "resolve": {"nodes": [
                {"id": PACKAGE, "deps": [needs("a", None)]},
                {"id": "a", "deps": [needs("b", None), needs("c", Some("build"))]},
                {"id": "b", "deps": []},
                {"id": "c", "deps": []},
            ]},
        });
        serde_json::from_value(metadata).unwrap()
    }

    #[test]
    fn what_is_linked_is_named_and_each_licence_given_once() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            let package = directory.path().join(name);
            fs::create_dir(&package).unwrap();
            fs::write(package.join("LICENSE-MIT"), "Do as you like.\r\n").unwrap();
            fs::write(package.join("README"), "Read me.").unwrap();
        }
        let text = render(&metadata(directory.path())).unwrap();
        assert!(text.contains("\na 1.0.0: MIT"), "{text}");
        assert!(
            text.contains("\na 1.0.0, b 1.0.0:\n\nDo as you like.\n"),
            "{text}"
        );
        assert!(
            !text.contains("c 1.0.0") && !text.contains("Read me."),
            "{text}"
        );
    }
}
