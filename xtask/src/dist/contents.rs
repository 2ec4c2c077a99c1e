//! What is in the packages: one table of files, and where each kind of package has them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::{NAME, third_party};
use crate::context::Context;
use crate::progress::output_of;

/// What a file is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The binary.
    Program,
    /// A man page, compressed.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
    /// Documentation.
    Document,
    /// A licence.
    Licence,
}

/// A file of a package.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path in the package, without a leading slash.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Where a kind of package has its files.
#[derive(Debug)]
pub struct Layout {
    /// What all paths start with.
    pub prefix: &'static str,
    /// Functions of zsh.
    pub zsh: &'static str,
    /// Completions of fish.
    pub fish: &'static str,
    /// Licences.
    pub licences: &'static str,
}

/// Completions of bash, in every layout.
const BASH: &str = "share/bash-completion/completions";
/// Man pages, in every layout.
const MAN: &str = "share/man/man1";
/// Documentation, in every layout.
pub const DOCUMENTS: &str = "share/doc/lastref";

/// Completions: what is generated, and the name by which its shell looks for it.
const COMPLETIONS: [(Kind, &str, &str); 3] = [
    (Kind::Bash, "lastref.bash", NAME),
    (Kind::Zsh, "_lastref", "_lastref"),
    (Kind::Fish, "lastref.fish", "lastref.fish"),
];

/// All that the packages have in common: a file's kind, its name there, and its bytes.
#[derive(Debug)]
pub struct Inputs {
    files: Vec<(Kind, String, Vec<u8>)>,
}

impl Inputs {
    /// Gathers the binary, what it says of itself, and the checkout's documents and licences.
    pub fn collect(context: &Context, binary: &Path) -> Result<Self> {
        let mut files = vec![(Kind::Program, NAME.to_owned(), read(binary)?)];
        let pages = generated(binary, "man")?;
        for path in sorted(pages.path())? {
            let page = gzip(&read(&path)?)?;
            files.push((Kind::Man, format!("{}.gz", name(&path)), page));
        }
        let completions = generated(binary, "completions")?;
        for (kind, file, name) in COMPLETIONS {
            let bytes = read(&completions.path().join(file))?;
            files.push((kind, name.to_owned(), bytes));
        }
        let readme = read(&context.root.join("README.md"))?;
        files.push((Kind::Document, "README.md".to_owned(), readme));
        // Beside README.md as in the checkout, so that its links hold.
        for path in sorted(&context.root.join("docs"))? {
            if path.is_file() {
                let document = format!("docs/{}", name(&path));
                files.push((Kind::Document, document, read(&path)?));
            }
        }
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let path = context.root.join(licence);
            files.push((Kind::Licence, licence.to_owned(), read(&path)?));
        }
        let text = third_party::text(context)?;
        files.push((
            Kind::Licence,
            "LICENSES-THIRD-PARTY".to_owned(),
            text.into_bytes(),
        ));
        Ok(Self { files })
    }

    /// The files as this layout has them.
    pub fn laid_out(&self, layout: &Layout) -> Vec<File> {
        self.files
            .iter()
            .map(|(kind, name, bytes)| {
                let directory = match kind {
                    Kind::Program => "bin",
                    Kind::Man => MAN,
                    Kind::Bash => BASH,
                    Kind::Zsh => layout.zsh,
                    Kind::Fish => layout.fish,
                    Kind::Document => DOCUMENTS,
                    Kind::Licence => layout.licences,
                };
                File {
                    path: format!("{}/{directory}/{name}", layout.prefix),
                    kind: *kind,
                    bytes: bytes.clone(),
                }
            })
            .collect()
    }

    /// The text of a licence.
    pub fn licence(&self, wanted: &str) -> Result<&str> {
        let (_, _, bytes) = self
            .files
            .iter()
            .find(|(kind, name, _)| *kind == Kind::Licence && name == wanted)
            .with_context(|| format!("there is no {wanted}"))?;
        std::str::from_utf8(bytes).with_context(|| format!("{wanted} is no text"))
    }
}

impl File {
    /// The permissions that it has.
    pub fn mode(&self) -> u16 {
        if self.kind == Kind::Program {
            0o755
        } else {
            0o644
        }
    }
}

/// Writes `files` below `root`, with the same modes whatever the umask is.
pub fn write(files: &[File], root: &Path) -> Result<()> {
    for file in files {
        let path = root.join(&file.path);
        let directory = path.parent().context("a file without a directory")?;
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path, &file.bytes))
            .and_then(|()| {
                fs::set_permissions(&path, fs::Permissions::from_mode(file.mode().into()))
            })
            .and_then(|()| {
                directory
                    .ancestors()
                    .take_while(|ancestor| ancestor.starts_with(root))
                    .try_for_each(|directory| {
                        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
                    })
            })
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// Compressed as well as gzip can, with no time in it.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// A directory with what the binary generates.
fn generated(binary: &Path, what: &str) -> Result<TempDir> {
    let directory = tempfile::tempdir().context("no directory for generated files")?;
    output_of(
        Command::new(binary)
            .args(["generate", what])
            .arg(directory.path()),
    )?;
    Ok(directory)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The entries of a directory, in the order of their names.
fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("{} cannot be listed", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    ensure!(!paths.is_empty(), "{} is empty", directory.display());
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_bytes_is_in_what_is_compressed() {
        let compressed = gzip(b"text").unwrap();
        // RFC 1952: no name, no time; made for the smallest size.
        assert_eq!(compressed[..9], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn modes_do_not_depend_on_the_umask() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, kind| File {
            path: path.to_owned(),
            kind,
            bytes: Vec::new(),
        };
        let files = [
            file("usr/bin/a", Kind::Program),
            file("usr/share/b", Kind::Document),
        ];
        write(&files, root.path()).unwrap();
        for (path, mode) in [("usr", 0o755), ("usr/bin/a", 0o755), ("usr/share/b", 0o644)] {
            let metadata = fs::metadata(root.path().join(path)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
        }
    }
}
