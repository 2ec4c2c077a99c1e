//! Report files: read with care, written whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::format::{Format, Options};
use super::model::{Report, SCHEMA_VERSION};

/// No report is this large: the kernel half keeps a bounded number of sites.
pub const SIZE_LIMIT: u64 = 256 << 20;

/// How many names are tried for the temporary file.
const TEMPORARY_NAMES: u32 = 16;

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner only (mode 0600): a report in any form names processes and inodes.
    Owner,
    /// Everyone (mode 0644, whatever the umask): for files that name neither.
    Everyone,
}

/// Why a report could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file cannot be read.
    #[error("cannot read report {}: {cause}; {}", path.display(), remedy(cause))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file is empty.
    #[error(
        "report {} is empty; its writer did not get to write it: run lastref again",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than any report.
    #[error(
        "{} is larger than {} MiB, so it is no report; name a file that `lastref watch --output` \
         wrote",
        path.display(), SIZE_LIMIT >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file ends in the middle.
    #[error(
        "report {} is cut short: it ends in line {line}; copy it again, or run lastref again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The last line.
        line: usize,
    },
    /// The file is something else.
    #[error(
        "{} is not a lastref report: {reason}; name a file that `lastref watch --output` wrote",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What gave it away.
        reason: String,
    },
    /// The file is from a newer version.
    #[error(
        "report {} has schema version {found}, this lastref knows {SCHEMA_VERSION}; read it with \
         lastref {writer} or newer",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The version of the program that wrote it.
        writer: String,
    },
    /// The file says that it is a report, but does not have the form of one.
    #[error(
        "report {} is damaged: {cause}; compare it with the schema that `lastref schema` prints",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("cannot write report {}: {cause}; {}", path.display(), remedy(cause))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// What to do about an error of the file system.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "check the path: every directory in it must exist",
        ErrorKind::PermissionDenied => "run as a user who may, or name another file",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space, or name a file on another filesystem"
        }
        ErrorKind::ReadOnlyFilesystem => "name a file on a writable filesystem",
        ErrorKind::IsADirectory => "name a file in it",
        _ => "name another file",
    }
}

/// The part of a report that every version of it has.
#[derive(Deserialize)]
struct Header {
    schema_version: Option<u32>,
    tool: Option<HeaderTool>,
}

/// The part of `tool` that every version of it has.
#[derive(Deserialize)]
struct HeaderTool {
    name: String,
    #[serde(default)]
    version: String,
}

/// Reads the report in `path`.
///
/// # Errors
///
/// When the file cannot be read, or is no report of a known schema version.
pub fn read(path: &Path) -> Result<Report, ReportError> {
    let unreadable = |cause| ReportError::Read {
        path: path.to_owned(),
        cause,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut size = file.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::new();
    if size <= SIZE_LIMIT {
        // Growing step by step, it would take twice the room.
        bytes.reserve_exact(usize::try_from(size + 1).unwrap_or_default());
        // A pipe has no size, and a file may grow.
        let mut limited = file.take(SIZE_LIMIT + 1);
        size = limited.read_to_end(&mut bytes).map_err(unreadable)? as u64;
    }
    if size > SIZE_LIMIT {
        return Err(ReportError::TooLarge {
            path: path.to_owned(),
        });
    }
    parse(path, &bytes)
}

/// Reads the report in `bytes`, which came from `path`.
fn parse(path: &Path, bytes: &[u8]) -> Result<Report, ReportError> {
    let path = || path.to_owned();
    let foreign = |reason: &str| ReportError::Foreign {
        path: path(),
        reason: reason.to_owned(),
    };
    if bytes.trim_ascii().is_empty() {
        return Err(ReportError::Empty { path: path() });
    }
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(foreign("it is not a JSON object"));
    }
    let header: Header = serde_json::from_slice(bytes).map_err(|source| {
        if source.is_eof() {
            ReportError::Truncated {
                path: path(),
                line: source.line(),
            }
        } else {
            foreign(&source.to_string())
        }
    })?;
    let (Some(version), Some(tool)) = (header.schema_version, header.tool) else {
        return Err(foreign("it has no `schema_version` and `tool`"));
    };
    if tool.name != "lastref" {
        return Err(foreign(&format!("it was written by {:?}", tool.name)));
    }
    if version > SCHEMA_VERSION {
        return Err(ReportError::Newer {
            path: path(),
            found: version,
            writer: tool.version.escape_default().to_string(),
        });
    }
    serde_json::from_slice(bytes).map_err(|cause| ReportError::Damaged {
        path: path(),
        cause,
    })
}

/// Writes `report` to `path` as JSON, see [`write_with`].
///
/// # Errors
///
/// When the file cannot be written; then nothing of it is left behind.
pub fn write(path: &Path, report: &Report) -> Result<(), ReportError> {
    let options = Options::default();
    write_with(path, |out| Format::Json.write(report, &options, out))
}

/// Writes what `content` writes to `path`, readable by its owner only: a report in any form names
/// processes and inodes.
///
/// A regular file is replaced in one step, so that a reader sees the old report or the new
/// one. Anything else that is there (a pipe, a terminal) is written to.
///
/// # Errors
///
/// When the file cannot be written; then nothing of it is left behind.
pub fn write_with(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ReportError> {
    write_for(Readers::Owner, path, content)
}

/// Writes what `content` writes to `path`, see [`write_with`].
///
/// # Errors
///
/// When the file cannot be written; then nothing of it is left behind.
pub fn write_for(
    readers: Readers,
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ReportError> {
    write_file(readers, path, content).map_err(|cause| ReportError::Write {
        path: path.to_owned(),
        cause,
    })
}

/// See [`write_for`].
fn write_file(
    readers: Readers,
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            fill(OpenOptions::new().write(true).open(path)?, content).map(drop)
        }
        // A symbolic link stays one: what it points to is replaced.
        Ok(_) => replace(readers, &fs::canonicalize(path)?, content),
        Err(_) => replace(readers, path, content),
    }
}

/// Writes a file beside `path` and renames it into place.
fn replace(
    readers: Readers,
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let (temporary, file) = create_beside(path)?;
    let written = fill(file, content)
        .and_then(|file| match readers {
            Readers::Owner => file.sync_all(),
            // Numbers of the moment: after a crash of the host nobody wants them.
            Readers::Everyone => file.set_permissions(Permissions::from_mode(0o644)),
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report.
        drop(fs::remove_file(&temporary));
    }
    written
}

/// Creates a new file in the directory of `path`.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(ErrorKind::IsADirectory, "not the name of a file"))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    for number in 0..TEMPORARY_NAMES {
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}.{number}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary);
        match options.open(&temporary) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (temporary, file)),
        }
    }
    Err(io::Error::new(
        ErrorKind::AlreadyExists,
        "temporary files are in the way",
    ))
}

/// Lets `content` write to `file`.
fn fill(file: File, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut writer = BufWriter::new(file);
    content(&mut writer)?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::report::sample;

    fn entries(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        for report in [sample::report(), sample::empty()] {
            write(&path, &report).unwrap();
            assert_eq!(read(&path).unwrap(), report);
        }
        assert_eq!(entries(directory.path()), 1);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_names_nobody_may_be_read_by_everyone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lastref.prom");
        for _ in 0..2 {
            write_for(Readers::Everyone, &path, |out| out.write_all(b"x 1\n")).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o644);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "x 1\n");
        assert_eq!(entries(directory.path()), 1);
    }

    #[test]
    fn links_and_devices_stay_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        let link = directory.path().join("link");
        fs::write(&target, "old").unwrap();
        symlink(&target, &link).unwrap();
        write(&link, &sample::empty()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&target).unwrap(), sample::empty());
        write(Path::new("/dev/null"), &sample::empty()).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn failures_leave_nothing_and_say_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing/report.json");
        let text = write(&missing, &sample::empty()).unwrap_err().to_string();
        assert!(text.contains("every directory in it must exist"), "{text}");
        let text = write(directory.path(), &sample::empty())
            .unwrap_err()
            .to_string();
        assert!(text.contains("name a file in it"), "{text}");
        // Every write to it fails with "no space left".
        let text = write(Path::new("/dev/full"), &sample::report())
            .unwrap_err()
            .to_string();
        assert!(text.contains("free some space"), "{text}");
        assert_eq!(entries(directory.path()), 0);
    }

    #[test]
    fn bad_files_are_told_apart() {
        let good = serde_json::to_string_pretty(&sample::report()).unwrap();
        let newer = good.replacen("\"schema_version\": 1", "\"schema_version\": 99", 1);
        let damaged = good.replacen("\"totals\"", "\"sums\"", 1);
        for (bytes, expected) in [
            (String::new(), "is empty"),
            (" \n".to_owned(), "is empty"),
            (good[..good.len() / 2].to_owned(), "is cut short"),
            (good[..1].to_owned(), "is cut short"),
            ("[1, 2]".to_owned(), "it is not a JSON object"),
            ("\u{7f}ELF".to_owned(), "it is not a JSON object"),
            ("{\"a\": 1}".to_owned(), "it has no `schema_version`"),
            ("{a}".to_owned(), "is not a lastref report"),
            (
                "{\"schema_version\":1,\"tool\":{\"name\":\"other\"}}".to_owned(),
                "was written by \"other\"",
            ),
            (newer, "has schema version 99"),
            (damaged, "is damaged: missing field `totals`"),
        ] {
            let error = parse(Path::new("f.json"), bytes.as_bytes()).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("f.json") && text.contains(expected), "{text}");
        }
    }

    #[test]
    fn unreadable_files_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let text = read(&directory.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(text.contains("check the path"), "{text}");
        let text = read(directory.path()).unwrap_err().to_string();
        assert!(text.contains("name a file in it"), "{text}");
        let large = directory.path().join("large");
        File::create(&large)
            .unwrap()
            .set_len(SIZE_LIMIT + 1)
            .unwrap();
        assert!(matches!(read(&large), Err(ReportError::TooLarge { .. })));
    }
}
