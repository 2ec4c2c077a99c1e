//! `kernels.toml`: the kernels to run on, and the toolchains that build for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use regex::Regex;
use serde::Deserialize;

/// The whole of `kernels.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Debian's suites to look in, of older releases first.
    pub suites: Vec<String>,
    /// The kernels, in the order they are tested.
    #[serde(rename = "kernel")]
    pub kernels: Vec<KernelSpec>,
    /// Toolchains by suite.
    #[serde(rename = "toolchain")]
    pub toolchains: BTreeMap<String, ToolchainSpec>,
}

/// One kernel of the table.
#[derive(Clone, Debug, Deserialize)]
pub struct KernelSpec {
    /// The name used on command lines and in the cache.
    pub name: String,
    /// What it is tested for.
    pub purpose: String,
    /// The Debian release that it comes from and that the toolchain for it is made of.
    pub toolchain: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub kind: Kind,
}

/// Where a kernel comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// Debian's packages, unpacked.
    Stock {
        /// Matches the whole release string; its group `abi` names the headers.
        release: String,
        /// Packages with image and modules; the first one's name tells which releases exist.
        image: Vec<String>,
        /// Packages with what modules are built against.
        headers: Vec<String>,
    },
    /// Built from Debian's source package.
    Built {
        /// The source package.
        source: String,
        /// The options that are on, relative to the checkout: allnoconfig's fragment.
        config: PathBuf,
    },
}

/// What a toolchain is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolchainSpec {
    /// The compiler's command.
    pub compiler: String,
    /// Packages beyond the minimal system.
    pub packages: Vec<String>,
}

impl Table {
    /// Reads and checks the table.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a kernel table", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text)?;
        for (index, kernel) in table.kernels.iter().enumerate() {
            kernel
                .check(&table)
                .with_context(|| format!("kernel {}", kernel.name))?;
            ensure!(
                !table.kernels[..index]
                    .iter()
                    .any(|other| other.name == kernel.name),
                "kernel {} is there twice",
                kernel.name
            );
        }
        Ok(table)
    }

    /// The suites of a Debian release: its own and those named after it, as `trixie-security`.
    pub fn suites_of(&self, debian: &str) -> Vec<&str> {
        self.suites
            .iter()
            .map(String::as_str)
            .filter(|suite| debian_of(suite) == debian)
            .collect()
    }

    /// The Debian releases that the suites are of, in their order.
    pub fn debians(&self) -> Vec<&str> {
        let mut debians: Vec<&str> = self.suites.iter().map(|suite| debian_of(suite)).collect();
        debians.dedup();
        debians
    }

    /// The kernel of that name.
    pub fn kernel(&self, name: &str) -> Result<&KernelSpec> {
        self.kernels
            .iter()
            .find(|kernel| kernel.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = self.kernels.iter().map(|k| k.name.as_str()).collect();
                anyhow!(
                    "no kernel {name} in kernels.toml; there are {}",
                    names.join(", ")
                )
            })
    }
}

fn debian_of(suite: &str) -> &str {
    suite.split('-').next().unwrap_or(suite)
}

impl KernelSpec {
    fn check(&self, table: &Table) -> Result<()> {
        ensure!(
            table.toolchains.contains_key(&self.toolchain),
            "there is no toolchain {}",
            self.toolchain
        );
        ensure!(
            !table.suites_of(&self.toolchain).is_empty(),
            "suites has none of {}",
            self.toolchain
        );
        if let Kind::Stock { release, image, .. } = &self.kind {
            let pattern = Regex::new(release).context("release is not a regular expression")?;
            ensure!(
                pattern.capture_names().flatten().any(|name| name == "abi"),
                "release has no group named abi"
            );
            ensure!(
                image.first().is_some_and(|name| name.contains("{release}")),
                "the first image package has no {{release}} in its name"
            );
        }
        Ok(())
    }
}

/// One release of a series that packages may exist for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// What `uname -r` prints.
    pub release: String,
    abi: String,
}

impl Release {
    /// Reads the release out of `package`'s name, if it is one of the series' image packages.
    pub fn of_package(package: &str, template: &str, pattern: &Regex) -> Option<Self> {
        let (before, after) = template.split_once("{release}")?;
        let release = package.strip_prefix(before)?.strip_suffix(after)?;
        let captures = pattern.captures(release)?;
        (captures.get_match().as_str() == release).then(|| Self {
            release: release.to_string(),
            abi: captures
                .name("abi")
                .map_or_else(String::new, |group| group.as_str().to_string()),
        })
    }

    /// The package that `template` names for this release.
    pub fn package(&self, template: &str) -> String {
        template
            .replace("{release}", &self.release)
            .replace("{abi}", &self.abi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"
        suites = ["trixie"]
        [[kernel]]
        name = "6.12"
        purpose = "x"
        kind = "stock"
        release = '(?<abi>6\.12\.\d+\+deb\d+(\.\d+)?)-amd64'
        image = ["linux-image-{release}"]
        headers = ["linux-headers-{release}", "linux-kbuild-{abi}"]
        toolchain = "trixie"
        [toolchain.trixie]
        compiler = "gcc-14"
        packages = []
    "#;

    fn release_of(package: &str) -> Option<Release> {
        let pattern = Regex::new(r"(?<abi>6\.12\.\d+\+deb\d+(\.\d+)?)-amd64").unwrap();
        Release::of_package(package, "linux-image-{release}", &pattern)
    }

    #[test]
    fn the_projects_table_is_valid() {
        let table = Table::parse(include_str!("../../kernels.toml")).unwrap();
        assert!(table.kernel("7.3").is_ok());
        assert!(
            table
                .kernel("2.4")
                .unwrap_err()
                .to_string()
                .contains("there are 5.10")
        );
    }

    #[test]
    fn suites_go_by_their_release() {
        let table = ENTRY.replace(
            "[\"trixie\"]",
            "[\"sid\", \"sidux-security\", \"trixie\", \"trixie-security\"]",
        );
        let table = Table::parse(&table).unwrap();
        assert_eq!(table.suites_of("trixie"), ["trixie", "trixie-security"]);
        assert_eq!(table.suites_of("sid"), ["sid"]);
        assert_eq!(table.debians(), ["sid", "sidux", "trixie"]);
    }

    #[test]
    fn mistakes_in_the_table_are_named() {
        for (from, to, message) in [
            (
                "toolchain = \"trixie\"",
                "toolchain = \"sid\"",
                "no toolchain sid",
            ),
            ("[\"trixie\"]", "[\"sid\"]", "none of trixie"),
            ("?<abi>", "?:", "no group named abi"),
            ("kind = \"stock\"", "kind = \"odd\"", "odd"),
            ("-{release}\"]", "\"]", "{release}"),
        ] {
            let error = Table::parse(&ENTRY.replace(from, to)).unwrap_err();
            assert!(format!("{error:#}").contains(message), "{error:#}");
        }
        let kernel = ENTRY.split("[toolchain").next().unwrap();
        let twice = kernel.split("[[kernel]]").nth(1).unwrap();
        let error = Table::parse(&format!(
            "{kernel}[[kernel]]{twice}[toolchain.trixie]\ncompiler = \"c\"\npackages = []\n"
        ));
        assert!(error.unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_release_is_read_from_a_package_name() {
        let release = release_of("linux-image-6.12.115+deb13.1-amd64").unwrap();
        assert_eq!(release.release, "6.12.115+deb13.1-amd64");
        assert_eq!(
            release.package("linux-kbuild-{abi}"),
            "linux-kbuild-6.12.115+deb13.1"
        );
        assert_eq!(
            release.package("linux-headers-{release}"),
            "linux-headers-6.12.115+deb13.1-amd64"
        );
    }

    #[test]
    fn other_flavours_and_series_are_not_taken() {
        for package in [
            "linux-image-6.12.115+deb13-rt-amd64",
            "linux-image-6.12.115+deb13-amd64-unsigned",
            "linux-image-6.1.0-56-amd64",
            "linux-image-16.12.1+deb13-amd64",
            "linux-headers-6.12.115+deb13-amd64",
        ] {
            assert_eq!(release_of(package), None, "{package}");
        }
    }
}
