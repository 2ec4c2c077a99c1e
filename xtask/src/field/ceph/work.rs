//! What is done to CephFS while `lastref` watches.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;
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
/// For the metadata server to acknowledge what a client has flushed: it writes its journal first,
/// under emulation.
const ACKNOWLEDGED: Duration = Duration::from_secs(15);

/// A part of the workload, watched on its own.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Buffered writes, sync, dropped caches, rename, unlink: what any use of a filesystem is.
    Ordinary,
    /// The same writes, but with the data's store held up while the metadata server answers and
    /// the dentry cache is shrunk.
    HeldUp,
}

impl Phase {
    /// Its name, also in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::HeldUp => "held-up",
        }
    }

    /// Does it in `place`, a directory of its own.
    pub fn run(self, place: &Path, cluster: &Cluster) -> Result<()> {
        fs::create_dir(place).context("the filesystem takes no directory")?;
        match self {
            Self::Ordinary => ordinary(place),
            Self::HeldUp => held_up(place, cluster),
        }
    }
}

fn ordinary(place: &Path) -> Result<()> {
    for round in 0..ROUNDS {
        let file = |number: u64| place.join(format!("{round}-{number}"));
        write(&(0..FILES).map(file).collect::<Vec<_>>())?;
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
    let directory = fs::File::open(place).context("the directory cannot be opened")?;
    let store = cluster.data_store()?;
    kill_process(store, Signal::STOP).context("the data's store cannot be stopped")?;
    thread::scope(|scope| {
        // It has the writes sent, then the capabilities flushed, then it waits for the writes
        // (fs/sync.c, sync_filesystem()).
        let sync = scope.spawn(|| rustix::fs::syncfs(&directory));
        thread::sleep(ACKNOWLEDGED);
        let dropped = drop_caches(Caches::Dentries);
        kill_process(store, Signal::CONT).context("the data's store cannot be continued")?;
        dropped?;
        sync.join()
            .map_err(|_| anyhow!("syncfs has panicked"))?
            .context("the filesystem cannot be synced")
    })
}

/// Writes files and closes them; nothing waits for the data to be stored.
fn write(files: &[PathBuf]) -> Result<()> {
    for file in files {
        fs::write(file, FILE).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}
