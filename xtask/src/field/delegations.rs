//! Delegations that an NFS server takes back: the client returns all of them at once, behind the
//! back of those who work with the files.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::OFlags;

use super::churn;

/// For all to be returned. A server takes by force what does not come within its lease time.
const RETURNED: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Has the client, in `client`, read and close so many files, and whoever is at the server open
/// them for writing, in `server`, until all may be opened. Removes the files, and returns how many
/// delegations were recalled.
///
/// Two opens of a file cannot conflict by themselves: the one that is refused waits for a delegation
/// (`break_lease()`, fs/locks.c).
pub fn recall(client: &Path, server: &Path, files: u64) -> Result<u64> {
    churn::fill(client, files)?;
    // Who reads gets a delegation if nobody writes.
    let mut readers = Vec::new();
    for entry in fs::read_dir(client)? {
        readers.push(File::open(entry?.path())?);
    }
    drop(readers);
    let mut held = Vec::new();
    for entry in fs::read_dir(server)? {
        let path = entry?.path();
        if !opens(&path)? {
            held.push(path);
        }
    }
    let recalled = held.len();
    ensure!(recalled > 0, "the client holds no delegation");
    let start = Instant::now();
    while let Some(path) = held.last() {
        if opens(path)? {
            held.pop();
            continue;
        }
        ensure!(
            start.elapsed() < RETURNED,
            "{} of {recalled} delegations are not returned",
            held.len()
        );
        thread::sleep(POLL);
    }
    fs::remove_dir_all(client).context("files cannot be removed")?;
    Ok(u64::try_from(recalled)?)
}

/// Whether a file may be opened for writing at once; if not, whoever holds the delegation is asked to
/// return it.
fn opens(path: &Path) -> Result<bool> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits())?;
    match OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(path)
    {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error).with_context(|| format!("{} cannot be opened", path.display())),
    }
}
