//! The RPM package, packed by the crate `rpm`: no `rpmbuild` is needed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rpm::{BuildConfig, CompressionType, FileMode, FileOptions, PackageBuilder};

use super::contents::{self, Inputs, Kind, Layout};
use super::{DESCRIPTION, LICENCE, NAME, Release, SUMMARY};

const ARCHITECTURE: &str = "x86_64";
const RELEASE: &str = "1";
/// Not the machine's name: the same bytes everywhere.
const BUILD_HOST: &str = "localhost";

const LAYOUT: Layout = Layout {
    prefix: "/usr",
    zsh: "share/zsh/site-functions",
    fish: "share/fish/vendor_completions.d",
    licences: "share/licenses/lastref",
};

/// Writes it into `directory`.
pub fn build(inputs: &Inputs, release: &Release, directory: &Path) -> Result<PathBuf> {
    let Release {
        version,
        maintainer,
        epoch,
    } = release;
    let path = directory.join(format!("{NAME}-{version}-{RELEASE}.{ARCHITECTURE}.rpm"));
    let mut builder = PackageBuilder::new(NAME, version, LICENCE, ARCHITECTURE, SUMMARY);
    builder
        .using_config(
            BuildConfig::v4()
                .source_date(*epoch)
                .compression(CompressionType::Gzip),
        )
        .release(RELEASE)
        .description(DESCRIPTION)
        .packager(maintainer)
        .build_host(BUILD_HOST)
        .add_changelog_entry(
            format!("{maintainer} - {version}-{RELEASE}"),
            "- Built from the project's source; its history has the changes.",
            *epoch,
        );
    // Directories of its own go with the package.
    let documents = format!("{}/{}", LAYOUT.prefix, contents::DOCUMENTS);
    let licences = format!("{}/{}", LAYOUT.prefix, LAYOUT.licences);
    for own in [format!("{documents}/docs"), documents, licences] {
        builder.with_dir_entry(FileOptions::dir(own).permissions(0o755))?;
    }
    for file in inputs.laid_out(&LAYOUT) {
        let mode = FileMode::regular(file.mode());
        let options = FileOptions::new(&file.path).mode(mode);
        let options = match file.kind {
            Kind::Man | Kind::Document => options.doc(),
            Kind::Licence => options.license(),
            Kind::Program | Kind::Bash | Kind::Zsh | Kind::Fish => options,
        };
        builder.with_file_contents(file.bytes, options)?;
    }
    builder
        .build()
        .and_then(|package| package.write_file(&path))
        .with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(path)
}
