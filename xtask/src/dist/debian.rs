//! The Debian package, packed by `dpkg-deb`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::contents::{self, File, Inputs, Kind, Layout};
use super::{DESCRIPTION, NAME, Release, SUMMARY, date};
use crate::progress::output_of;

const ARCHITECTURE: &str = "amd64";

const LAYOUT: Layout = Layout {
    prefix: "usr",
    zsh: "share/zsh/vendor-completions",
    fish: "share/fish/vendor_completions.d",
    licences: contents::DOCUMENTS,
};

/// Tags of lintian that hold, and why they must. Its versions differ on which of the two a static
/// program that can be loaded at any address gets.
const OVERRIDES: [(&str, &str); 2] = [
    ("shared-library-lacks-prerequisites", STATIC),
    ("statically-linked-binary", STATIC),
];
const STATIC: &str = "One build for every distribution, and for guests without any libraries.";

/// Writes it into `directory`.
pub fn build(inputs: &Inputs, release: &Release, directory: &Path) -> Result<PathBuf> {
    let version = &release.version;
    let path = directory.join(format!("{NAME}_{version}_{ARCHITECTURE}.deb"));
    let root = tempfile::tempdir().context("no directory to stage the package in")?;
    let mut files: Vec<File> = inputs
        .laid_out(&LAYOUT)
        .into_iter()
        // Debian has these two in the file `copyright`, or refers to its own copy from there.
        .filter(|file| !file.path.ends_with("/LICENSE-MIT") && !file.path.ends_with("-APACHE"))
        .collect();
    files.extend(own_files(inputs, release)?);
    contents::write(&files, root.path())?;
    let installed: usize = files
        .iter()
        .map(|file| file.bytes.len().div_ceil(1024))
        .sum();
    let control = [
        control_file("control", control(release, installed)),
        control_file("md5sums", md5sums(root.path(), &files)?),
    ];
    contents::write(&control, root.path())?;
    output_of(
        Command::new("dpkg-deb")
            .args([
                "--build",
                "--root-owner-group",
                "--uniform-compression",
                "-Zxz",
            ])
            .env("SOURCE_DATE_EPOCH", release.epoch.to_string())
            .arg(root.path())
            .arg(&path),
    )?;
    Ok(path)
}

fn control_file(name: &str, text: String) -> File {
    File {
        path: format!("DEBIAN/{name}"),
        kind: Kind::Document,
        bytes: text.into_bytes(),
    }
}

fn control(release: &Release, installed_kib: usize) -> String {
    let Release {
        version,
        maintainer,
        ..
    } = release;
    let description: Vec<String> = DESCRIPTION.lines().map(|line| format!(" {line}")).collect();
    format!(
        "Package: {NAME}\n\
         Version: {version}\n\
         Architecture: {ARCHITECTURE}\n\
         Maintainer: {maintainer}\n\
         Installed-Size: {installed_kib}\n\
         Section: devel\n\
         Priority: optional\n\
         Description: {SUMMARY}\n{}\n",
        description.join("\n")
    )
}

/// What Debian wants besides: its form of the licence and of the changelog, and reasons for what
/// lintian would complain of.
fn own_files(inputs: &Inputs, release: &Release) -> Result<[File; 3]> {
    let documents = format!("usr/{}", contents::DOCUMENTS);
    let document = |path: String, bytes: Vec<u8>| File {
        path,
        kind: Kind::Document,
        bytes,
    };
    let overrides: Vec<String> = OVERRIDES
        .iter()
        .map(|(tag, reason)| format!("# {reason}\n{NAME}: {tag}\n"))
        .collect();
    Ok([
        document(
            format!("{documents}/copyright"),
            copyright(inputs.licence("LICENSE-MIT")?).into_bytes(),
        ),
        document(
            format!("{documents}/changelog.gz"),
            contents::gzip(changelog(release)?.as_bytes())?,
        ),
        document(
            format!("usr/share/lintian/overrides/{NAME}"),
            overrides.concat().into_bytes(),
        ),
    ])
}

/// In Debian's machine-readable format (version 1.0).
fn copyright(mit: &str) -> String {
    let holder = mit
        .lines()
        .find_map(|line| line.strip_prefix("Copyright (c) "))
        .unwrap_or("The lastref authors");
    let terms: Vec<String> = mit
        .lines()
        .skip_while(|line| !line.starts_with("Permission"))
        .map(|line| {
            if line.is_empty() {
                " .".to_owned()
            } else {
                format!(" {line}")
            }
        })
        .collect();
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: {NAME}\n\
         Comment: LICENSES-THIRD-PARTY has the licences of what is linked in.\n\
         \n\
         Files: *\n\
         Copyright: {holder}\n\
         License: MIT or Apache-2.0\n\
         \n\
         License: MIT\n{}\n\
         \n\
         License: Apache-2.0\n \
         On Debian systems, the full text of the Apache License, Version 2.0, is in\n \
         /usr/share/common-licenses/Apache-2.0.\n",
        terms.join("\n")
    )
}

fn changelog(release: &Release) -> Result<String> {
    let Release {
        version,
        maintainer,
        epoch,
    } = release;
    let date = date(*epoch, "%a, %d %b %Y %H:%M:%S %z")?;
    Ok(format!(
        "{NAME} ({version}) unstable; urgency=medium\n\n  \
         * Built from the project's source; its history has the changes.\n\n \
         -- {maintainer}  {date}\n"
    ))
}

fn md5sums(root: &Path, files: &[File]) -> Result<String> {
    let mut paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    let root = fs::canonicalize(root).with_context(|| format!("{} is gone", root.display()))?;
    output_of(Command::new("md5sum").current_dir(root).args(paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release {
            version: "1.2.3".to_owned(),
            maintainer: "A B <a@example.org>".to_owned(),
            epoch: 1_000_000_000,
        }
    }

    #[test]
    fn fields_are_as_debian_reads_them() {
        let control = control(&release(), 5000);
        assert!(control.contains("\nVersion: 1.2.3\n"), "{control}");
        // What goes on over several lines is indented.
        let (_, description) = control.split_once("Description: ").unwrap();
        assert!(
            description
                .lines()
                .skip(1)
                .all(|line| line.starts_with(' '))
        );
        let changelog = changelog(&release()).unwrap();
        assert!(
            changelog.ends_with("\n -- A B <a@example.org>  Sun, 09 Sep 2001 01:46:40 +0000\n"),
            "{changelog}"
        );
        let licence = include_str!("../../../LICENSE-MIT");
        let copyright = copyright(licence);
        assert!(
            copyright.contains("\nCopyright: 2026 The lastref authors\n"),
            "{copyright}"
        );
        assert!(
            copyright.contains("\n Permission is hereby granted"),
            "{copyright}"
        );
    }
}
