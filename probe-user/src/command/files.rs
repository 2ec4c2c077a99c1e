//! Files that are named more than once: one that is read must not be replaced.

use std::path::Path;

use anyhow::bail;
use rustix::fs::stat;

/// What an option names, if it was given.
pub type Named<'a> = (&'static str, Option<&'a Path>);

/// Whether both names are of the same file, which exists.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| stat(path).map(|stat| (stat.st_dev, stat.st_ino));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

/// Refuses to replace what is read.
///
/// # Errors
/// If one of `replaced` is the same file as one of `read`.
pub fn keep(read: &[Named], replaced: &[Named]) -> anyhow::Result<()> {
    for (reader, input) in read {
        for (writer, output) in replaced {
            if let (Some(input), Some(output)) = (input, output)
                && is_same(input, output)
            {
                bail!(
                    "{} is what {reader} reads, and {writer} would replace it; name another file \
                     for {writer}",
                    input.display()
                );
            }
        }
    }
    Ok(())
}
