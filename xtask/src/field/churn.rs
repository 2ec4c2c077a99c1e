//! Work on files that is counted: how many inodes must have been evicted by a final put is known.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// More than a page, so that there is something to truncate and to write back.
const CONTENT: [u8; 6000] = [b'x'; 6000];
/// A stream is written in such pieces.
const PIECE: usize = 1 << 20;
/// How much of a long file may be dirty: less than a memory cgroup holds.
const SYNC_MIB: u64 = 8;
/// What a loader does between two pauses, in which an unmount can come through.
const BURST: usize = 20;
/// How many files are made before an unmount is tried.
const ENOUGH: u64 = 80;
const PAUSE: Duration = Duration::from_millis(20);
/// Pauses grow up to this, so that the unmount comes through on a slow machine, too: NFS ends its calls
/// behind the loaders' backs, and is busy until it has.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Names that an inode is given besides its own.
const LINKS: [&str; 3] = ["a", "b", "c"];

/// A piece of work with so many files in an empty directory of its own; how many inodes it left
/// without link and user.
type Work = fn(&Path, u64) -> Result<u64>;

const WORKS: [(&str, Work); 6] = [
    ("unlink", unlink),
    ("rename-over", rename_over),
    ("unlink-open", unlink_open),
    ("hard-links", hard_links),
    ("directories", directories),
    ("symlinks", symlinks),
];

/// Does all of it, with `files` in the largest piece and a part of them in others, and returns how
/// many inodes must have been evicted.
pub fn all(directory: &Path, files: u64) -> Result<u64> {
    let mut gone = 0;
    for (name, work) in WORKS {
        let place = directory.join(name);
        fs::create_dir(&place).with_context(|| format!("{name}: no directory"))?;
        gone += work(&place, files).with_context(|| name.to_string())?;
        fs::remove_dir(&place).with_context(|| format!("{name}: not empty"))?;
        gone += 1;
    }
    Ok(gone)
}

/// Fills `directory` with files that stay.
pub fn fill(directory: &Path, count: u64) -> Result<()> {
    fs::create_dir_all(directory)?;
    for name in names(directory, count) {
        write(&name)?;
    }
    Ok(())
}

/// Appends to every file of `directory` and removes it; how many there were.
pub fn change_and_remove(directory: &Path) -> Result<u64> {
    let mut gone = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        OpenOptions::new()
            .append(true)
            .open(&path)?
            .write_all(&CONTENT)?;
        fs::remove_file(&path)?;
        gone += 1;
    }
    Ok(gone)
}

/// Writes a file of so many MiB, reads it back and removes it.
///
/// It is synced now and then: 9p does not write back for a memory cgroup (it lacks
/// `SB_I_CGROUPWB`), so that one full of its dirty pages has nothing to reclaim, and kills.
pub fn stream(path: &Path, mib: u64) -> Result<u64> {
    let mut piece = vec![b'y'; PIECE];
    let mut file = File::create(path)?;
    for written in 1..=mib {
        file.write_all(&piece)?;
        if written % SYNC_MIB == 0 {
            file.sync_data()?;
        }
    }
    drop(file);
    let mut file = File::open(path)?;
    while file.read(&mut piece)? > 0 {}
    drop(file);
    fs::remove_file(path)?;
    Ok(1)
}

/// Has threads work in `directory` until `work` is done or takes it away from under them; also says
/// how many files they made.
pub fn load_while<T>(directory: &Path, work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    const THREADS: usize = 2;
    let stop = AtomicBool::new(false);
    let made = AtomicU64::new(0);
    let result = thread::scope(|scope| {
        let loaders: Vec<_> = (0..THREADS)
            .map(|number| {
                let (stop, made) = (&stop, &made);
                scope.spawn(move || load(directory, number, stop, made))
            })
            .collect();
        // The unmount is to come upon work that goes on.
        while made.load(Ordering::Relaxed) < ENOUGH
            && !loaders.iter().all(ScopedJoinHandle::is_finished)
        {
            thread::sleep(PAUSE);
        }
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    Ok((result, made.into_inner()))
}

fn load(directory: &Path, number: usize, stop: &AtomicBool, made: &AtomicU64) {
    let mut name = 0_u64;
    let mut pause = PAUSE;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            name += 1;
            let path = directory.join(format!("load-{number}-{name}"));
            // Once the filesystem is unmounted there is no such directory.
            if fs::write(&path, CONTENT).is_err() {
                return;
            }
            made.fetch_add(1, Ordering::Relaxed);
            // Half of them stay for the unmount to drop.
            if name.is_multiple_of(2) && fs::remove_file(&path).is_err() {
                return;
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn unlink(place: &Path, files: u64) -> Result<u64> {
    fill(place, files)?;
    for name in names(place, files) {
        fs::remove_file(name)?;
    }
    Ok(files)
}

/// The inode that had the name goes with the rename, the other one when it is removed.
fn rename_over(place: &Path, files: u64) -> Result<u64> {
    let pairs = files / 2;
    fill(place, pairs)?;
    let other = place.join("other");
    for name in names(place, pairs) {
        write(&other)?;
        fs::rename(&other, &name)?;
        fs::remove_file(&name)?;
    }
    Ok(2 * pairs)
}

/// The last user goes after the last link.
fn unlink_open(place: &Path, files: u64) -> Result<u64> {
    let count = files / 4;
    let mut open = Vec::new();
    for name in names(place, count) {
        let mut file = File::create(&name)?;
        file.write_all(&CONTENT)?;
        open.push(file);
        fs::remove_file(&name)?;
    }
    for file in &mut open {
        file.write_all(&CONTENT)?;
    }
    drop(open);
    Ok(count)
}

fn hard_links(place: &Path, files: u64) -> Result<u64> {
    let count = files / 4;
    fill(place, count)?;
    for name in names(place, count) {
        for link in LINKS {
            fs::hard_link(&name, name.with_extension(link))?;
        }
        fs::remove_file(&name)?;
        for link in LINKS {
            fs::remove_file(name.with_extension(link))?;
        }
    }
    Ok(count)
}

fn directories(place: &Path, files: u64) -> Result<u64> {
    let count = files / 4;
    for name in names(place, count) {
        fs::create_dir_all(name.join("inner"))?;
    }
    for name in names(place, count) {
        fs::remove_dir_all(name)?;
    }
    Ok(2 * count)
}

fn symlinks(place: &Path, files: u64) -> Result<u64> {
    let count = files / 4;
    for name in names(place, count) {
        symlink("nowhere", name)?;
    }
    for name in names(place, count) {
        fs::remove_file(name)?;
    }
    Ok(count)
}

fn names(place: &Path, count: u64) -> impl Iterator<Item = PathBuf> {
    (0..count).map(move |number| place.join(format!("file-{number}")))
}

fn write(path: &Path) -> Result<()> {
    fs::write(path, CONTENT).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_work_leaves_nothing_and_is_counted() {
        let place = tempfile::tempdir().unwrap();
        let gone = all(place.path(), 240).unwrap();
        assert_eq!(gone, 240 + 240 + 60 + 60 + 120 + 60 + 6);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        fill(&place.path().join("seeds"), 3).unwrap();
        assert_eq!(change_and_remove(&place.path().join("seeds")).unwrap(), 3);
    }

    #[test]
    fn a_loader_ends_with_its_directory() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("load");
        fs::create_dir(&directory).unwrap();
        let ((), made) = load_while(&directory, || {
            fs::rename(&directory, place.path().join("away"))?;
            Ok(())
        })
        .unwrap();
        assert!(made >= 80, "{made}");
    }
}
