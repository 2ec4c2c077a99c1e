//! The file of `--suppress`: TOML, each entry with its line, so that what is wrong can be found.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use globset::{Glob, GlobMatcher};
use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::{Entry, Suppressions};
use crate::report::model::{Suppression, SuppressionState};

/// No file with entries that people wrote is this large.
const SIZE_LIMIT: u64 = 4 << 20;

/// Why entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SuppressError {
    /// The file cannot be read.
    #[error("cannot read suppressions {}: {cause}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file is too large.
    #[error(
        "suppressions {} are larger than {} MiB; name a file of [[suppress]] entries",
        path.display(), SIZE_LIMIT >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {problem}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    suppress: Vec<Spanned<WrittenEntry>>,
}

/// An entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    rule: Option<String>,
    frame: Option<String>,
    filesystem: Option<String>,
    kernel: Option<String>,
    expires: Option<Datetime>,
    reason: Option<String>,
}

/// Reads the entries in `path`.
///
/// # Errors
///
/// When the file cannot be read, or an entry is wrong: the message has the line and what to do.
pub fn read(path: &Path) -> Result<Suppressions, SuppressError> {
    let unreadable = |cause| SuppressError::Read {
        path: path.to_owned(),
        cause,
    };
    let mut text = String::new();
    let size = File::open(path)
        .and_then(|file| file.take(SIZE_LIMIT + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    if size as u64 > SIZE_LIMIT {
        return Err(SuppressError::TooLarge {
            path: path.to_owned(),
        });
    }
    parse(path, &text)
}

/// Reads the entries in `text`, which came from `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Suppressions, SuppressError> {
    let wrong = |offset: usize, problem: String| SuppressError::Entry {
        path: path.to_owned(),
        line: line(text, offset),
        problem,
    };
    let written: Written = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let message = error.message().trim().replace('\n', ", ");
        wrong(
            offset,
            format!(
                "{message}; an entry is [[suppress]] with `rule` or `frame` and a `reason`, and \
                 may have `filesystem`, `kernel` and `expires` (docs/report.md)"
            ),
        )
    })?;
    let entries = written.suppress.into_iter().map(|written| {
        let offset = written.span().start;
        let place = format!("{}:{}", path.display(), line(text, offset));
        entry(written.into_inner(), place).map_err(|problem| wrong(offset, problem))
    });
    Ok(Suppressions {
        entries: entries.collect::<Result<_, _>>()?,
    })
}

/// The line that `offset` is in, counted from 1.
fn line(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// An entry; else what is wrong with it, and what to do.
fn entry(written: WrittenEntry, place: String) -> Result<Entry, String> {
    if written.rule.is_none() && written.frame.is_none() {
        return Err(
            "the entry would excuse everything; give it a `rule` (`lastref hazards` lists them) \
             or a `frame` (a function in the stack)"
                .to_owned(),
        );
    }
    let reason = written.reason.unwrap_or_default().trim().to_owned();
    if reason.is_empty() {
        return Err(
            "the entry has no reason; add `reason = \"…\"`: why is this no finding here?"
                .to_owned(),
        );
    }
    let expires = written.expires.map(|expires| date(&expires)).transpose()?;
    Ok(Entry {
        rule: glob("rule", written.rule.as_deref())?,
        frame: glob("frame", written.frame.as_deref())?,
        filesystem: glob("filesystem", written.filesystem.as_deref())?,
        kernel: glob("kernel", written.kernel.as_deref())?,
        expires,
        told: Suppression {
            place,
            rule: written.rule,
            frame: written.frame,
            filesystem: written.filesystem,
            kernel: written.kernel,
            expires: expires.map(|date| date.to_string()),
            reason,
            state: SuppressionState::Unused,
            sites: 0,
        },
    })
}

fn glob(key: &str, pattern: Option<&str>) -> Result<Option<GlobMatcher>, String> {
    let Some(pattern) = pattern else {
        return Ok(None);
    };
    if pattern.is_empty() {
        return Err(format!(
            "`{key}` is empty and matches nothing; leave it out, or write * for anything"
        ));
    }
    let glob = Glob::new(pattern).map_err(|error| {
        format!(
            "`{key}` is no glob: {}; `*`, `?`, `[ab]` and `{{a,b}}` have a meaning, `\\` takes it \
             away",
            error.kind()
        )
    })?;
    Ok(Some(glob.compile_matcher()))
}

fn date(written: &Datetime) -> Result<Date, String> {
    let wrong = || format!("`expires` is no date: {written}; write it as 2027-03-31");
    match (written.date, written.time, written.offset) {
        (Some(_), None, None) => written.to_string().parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}
