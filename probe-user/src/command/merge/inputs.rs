//! The files to merge: as they are named, in directories, and in lists; one at a time.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use walkdir::{DirEntry, WalkDir};

/// Where a file's name is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody named it.
    Named,
    /// It was found in a directory that somebody named.
    Directory,
}

/// A file to merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The file.
    pub path: PathBuf,
    /// Where its name is from.
    pub origin: Origin,
}

/// All files to merge. A directory or list that cannot be read further is an error among them.
pub struct Inputs<'a> {
    names: Box<dyn Iterator<Item = anyhow::Result<PathBuf>> + 'a>,
    directory: Option<walkdir::IntoIter>,
}

impl<'a> Inputs<'a> {
    /// Those in `paths`, then those in the list, where each name ends with that byte.
    ///
    /// # Errors
    ///
    /// When the list cannot be opened.
    pub fn new(paths: &'a [PathBuf], list: Option<(&Path, u8)>) -> anyhow::Result<Self> {
        let (list, separator) = list.unzip();
        let named = paths.iter().cloned().map(Ok);
        let listed: Box<dyn BufRead> = match list {
            None => Box::new(io::empty()),
            Some(path) if path == Path::new("-") => Box::new(BufReader::new(io::stdin())),
            Some(path) => {
                let file = File::open(path).with_context(|| {
                    format!(
                        "cannot read --files-from {}; check the path",
                        path.display()
                    )
                })?;
                Box::new(BufReader::new(file))
            }
        };
        Ok(Self {
            names: Box::new(named.chain(names(listed, separator.unwrap_or(b'\n')))),
            directory: None,
        })
    }
}

impl Iterator for Inputs<'_> {
    type Item = anyhow::Result<Input>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(directory) = &mut self.directory {
                match directory.next() {
                    None => self.directory = None,
                    Some(Ok(entry)) if is_report(&entry) => {
                        return Some(Ok(Input {
                            path: entry.into_path(),
                            origin: Origin::Directory,
                        }));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        return Some(Err(error).context("cannot read all of a directory"));
                    }
                }
                continue;
            }
            let path = match self.names.next()? {
                Ok(path) => path,
                Err(error) => return Some(Err(error)),
            };
            if !path.is_dir() {
                return Some(Ok(Input {
                    path,
                    origin: Origin::Named,
                }));
            }
            let walk = WalkDir::new(path).sort_by_file_name().into_iter();
            self.directory = Some(walk);
        }
    }
}

/// Whether a file in a directory may be a report. Hidden ones are being written.
fn is_report(entry: &DirEntry) -> bool {
    let name = entry.path();
    let is_json = name
        .extension()
        .is_some_and(|extension| extension == "json");
    let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
    is_json && !is_hidden && name.is_file()
}

/// The names in a list, each ended by `separator`.
fn names(
    mut list: Box<dyn BufRead>,
    separator: u8,
) -> impl Iterator<Item = anyhow::Result<PathBuf>> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        while !is_over {
            let mut name = Vec::new();
            if let Err(error) = list.read_until(separator, &mut name) {
                is_over = true;
                return Some(Err(error).context("cannot read the list of files"));
            }
            is_over = name.pop_if(|last| *last == separator).is_none();
            if !name.is_empty() {
                return Some(Ok(PathBuf::from(OsString::from_vec(name))));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(list: &'static str, separator: u8) -> Vec<PathBuf> {
        names(Box::new(list.as_bytes()), separator)
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn lists_have_a_name_a_line_or_with_null_bytes() {
        assert_eq!(listed("a\n\nb c\n", b'\n'), ["a", "b c"].map(PathBuf::from));
        assert_eq!(listed("a\nb\0c", 0), ["a\nb", "c"].map(PathBuf::from));
        assert!(listed("", b'\n').is_empty());
    }

    #[test]
    fn directories_are_walked_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("deep")).unwrap();
        for name in ["b.json", "deep/a.json", ".c.json", "d.txt"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        let named = root.join("none");
        let paths = [named.clone(), root.to_owned()];
        let inputs = Inputs::new(&paths, None).unwrap();
        let inputs: Vec<Input> = inputs.map(Result::unwrap).collect();
        let expected = [
            (named, Origin::Named),
            (root.join("b.json"), Origin::Directory),
            (root.join("deep/a.json"), Origin::Directory),
        ];
        assert_eq!(
            inputs,
            expected.map(|(path, origin)| Input { path, origin })
        );
    }
}
