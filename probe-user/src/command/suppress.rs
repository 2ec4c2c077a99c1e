//! `--suppress`, as several subcommands have it.

use std::path::Path;

use jiff::{Timestamp, tz::TimeZone};
use lastref::report::model::{Report, SuppressionState};
use lastref::report::suppress::{self, Suppressions};
use lastref::report::text;

use super::output;

/// The entries in `path`; none without one.
///
/// # Errors
///
/// When the file cannot be read, or an entry is wrong.
pub fn read(path: Option<&Path>) -> anyhow::Result<Option<Suppressions>> {
    Ok(path.map(suppress::read).transpose()?)
}

/// Marks what `suppressions` excuse in `report`; without any it stays as it is.
pub fn apply(suppressions: Option<&Suppressions>, report: &mut Report) {
    if let Some(suppressions) = suppressions {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        suppressions.apply(report, today);
    }
}

/// Tells of entries that excuse nothing any more, so that they are taken out.
pub fn tell_idle(report: &Report) {
    for entry in &report.capture.suppressions {
        if matches!(
            entry.state,
            SuppressionState::Unused | SuppressionState::Expired
        ) {
            output::tell(text::suppression(entry));
        }
    }
}
