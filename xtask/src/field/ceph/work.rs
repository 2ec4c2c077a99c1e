//! What is done to a Ceph filesystem while `lastref` watches.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;
use memmap2::MmapMut;
use rustix::process::{Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use crate::field::workload::{Caches, drop_caches};

/// One object in the data pool for each file, written by one request.
const FILE: &[u8] = &[0x6c; 64 << 10];
const ROUNDS: u64 = 3;
/// Files of each round.
const FILES: u64 = 40;
/// How many of them are renamed, and as many others unlinked.
const CHANGED: u64 = 10;
/// Files that another client truncates.
const TRUNCATED: u64 = 4;
/// Where a page of them is written.
const MAPPED: usize = 32 << 10;
/// For the metadata server to acknowledge what a client has flushed: it writes its journal first,
/// under emulation.
const ACKNOWLEDGED: Duration = Duration::from_secs(15);
/// For the client to hand back what it no longer wants, see `super::inside::EAGER`, and for the
/// metadata server to tell it of a truncation.
const SETTLED: Duration = Duration::from_secs(10);
/// For the flusher to come by.
const FLUSHED: Duration = Duration::from_secs(15);
/// For a flusher that does not end to be called stuck by `lastref`, see `field::watch`, and for the
/// kernel to say so itself.
const STUCK: Duration = Duration::from_secs(45);
const HUNG_TASK_SECONDS: u64 = 15;
/// For the dentry cache to be shrunk once more, if it is shrunk at all.
const SHRUNK: Duration = Duration::from_secs(5);

/// A part of the workload, watched on its own.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Buffered writes, sync, dropped caches, rename, unlink: what any use of a filesystem is.
    Ordinary,
    /// The same writes, but with the data's store held up while the metadata server answers; the
    /// dentry cache is shrunk meanwhile.
    HeldUp,
    /// Mapped writes to files that another client has open as well and then truncates.
    Truncated,
    /// The same, while the dentry cache is shrunk.
    TruncatedProvoked,
}

/// Where the filesystem is mounted.
#[derive(Debug)]
pub struct Mounts {
    /// By the client that is looked at.
    pub here: PathBuf,
    /// By another one.
    pub there: PathBuf,
}

impl Phase {
    /// Its name, also in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::HeldUp => "held-up",
            Self::Truncated => "truncated",
            Self::TruncatedProvoked => "truncated-provoked",
        }
    }

    /// Does it in a directory of its own.
    pub fn run(self, mounts: &Mounts, cluster: &Cluster) -> Result<()> {
        let place = mounts.here.join(self.name());
        fs::create_dir(&place).context("the filesystem takes no directory")?;
        let there = mounts.there.join(self.name());
        match self {
            Self::Ordinary => ordinary(&place),
            Self::HeldUp => held_up(&place, cluster),
            Self::Truncated => truncated(&place, &there, FLUSHED),
            Self::TruncatedProvoked => truncated(&place, &there, STUCK),
        }
    }
}

fn ordinary(place: &Path) -> Result<()> {
    for round in 0..ROUNDS {
        let file = |number: u64| place.join(format!("{round}-{number}"));
        write(&(0..FILES).map(file).collect::<Vec<_>>())?;
        // As a rule nobody syncs what has just been written: in the last round the metadata server
        // knows all of it when the data goes.
        if round + 1 == ROUNDS {
            thread::sleep(ACKNOWLEDGED);
        }
        rustix::fs::sync();
        drop_caches(Caches::All)?;
        for number in 0..CHANGED {
            fs::rename(
                file(number),
                place.join(format!("{round}-{number}-renamed")),
            )
            .context("a file cannot be renamed")?;
            fs::remove_file(file(CHANGED + number)).context("a file cannot be unlinked")?;
        }
    }
    Ok(())
}

fn held_up(place: &Path, cluster: &Cluster) -> Result<()> {
    let files: Vec<PathBuf> = (0..FILES).map(|n| place.join(n.to_string())).collect();
    write(&files)?;
    let directory = File::open(place).context("the directory cannot be opened")?;
    let store = cluster.data_store()?;
    kill_process(store, Signal::STOP).context("the data's store cannot be stopped")?;
    thread::scope(|scope| {
        // It has the writes sent, then the capabilities flushed, then it waits for the writes
        // (fs/sync.c, sync_filesystem()).
        let sync = scope.spawn(|| rustix::fs::syncfs(&directory));
        thread::sleep(ACKNOWLEDGED);
        kill_process(store, Signal::CONT).context("the data's store cannot be continued")?;
        sync.join()
            .map_err(|_| anyhow!("syncfs has panicked"))?
            .context("the filesystem cannot be synced")
    })
}

/// Leaves dirty pages behind the end of files, in inodes that nobody here uses, to the flusher.
///
/// A client that shares a file with another one that writes may neither cache nor buffer. A page
/// that is written by way of a mapping is dirty all the same (fs/ceph/addr.c,
/// `ceph_page_mkwrite()` takes the buffer capability only if there is one). When the other client
/// then truncates a file that is closed here, its size changes here, and its pages stay
/// (fs/ceph/inode.c, `ceph_fill_file_size()`).
fn truncated(here: &Path, there: &Path, flushed: Duration) -> Result<()> {
    set("kernel/hung_task_timeout_secs", HUNG_TASK_SECONDS)?;
    // The flusher is not to come before all is ready.
    write_pages_after(Duration::from_mins(10))?;
    let names: Vec<String> = (0..TRUNCATED).map(|number| number.to_string()).collect();
    let mut others = Vec::new();
    for name in &names {
        let ours = here.join(name);
        fs::write(&ours, FILE).with_context(|| format!("{} cannot be written", ours.display()))?;
        let ours = open(&ours)?;
        ours.sync_all().context("a file cannot be synced")?;
        let other = open(&there.join(name))?;
        for file in [&ours, &other] {
            file.write_all_at(b"shared", 0)
                .context("a file that two clients share cannot be written")?;
        }
        // SAFETY: the file is not truncated before the mapping is gone, and no reference into the
        // mapping is kept.
        let mut mapping = unsafe { MmapMut::map_mut(&ours) }.context("a file cannot be mapped")?;
        mapping[MAPPED] = 0;
        others.push(other);
    }
    thread::sleep(SETTLED);
    for other in &others {
        other.set_len(0).context("a file cannot be truncated")?;
    }
    thread::sleep(SETTLED);
    // The dentries have lost their leases by the other client's doing, and Ceph drops such ones
    // itself (fs/ceph/dir.c, ceph_trim_dentries()). Somebody looks at the files again.
    for name in &names {
        fs::metadata(here.join(name)).context("a file has vanished")?;
    }
    thread::sleep(SHRUNK);
    write_pages_after(Duration::from_secs(1))?;
    thread::sleep(flushed);
    Ok(())
}

/// Has the flusher write pages that have been dirty for so long.
fn write_pages_after(age: Duration) -> Result<()> {
    let centiseconds = age.as_secs() * 100;
    set("vm/dirty_expire_centisecs", centiseconds)?;
    set("vm/dirty_writeback_centisecs", centiseconds)
}

/// Sets one of the kernel's own settings.
fn set(name: &str, value: u64) -> Result<()> {
    let path = Path::new("/proc/sys").join(name);
    fs::write(&path, value.to_string())
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("{} cannot be opened", path.display()))
}

/// Writes files and closes them; nothing waits for the data to be stored.
fn write(files: &[PathBuf]) -> Result<()> {
    for file in files {
        fs::write(file, FILE).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}
