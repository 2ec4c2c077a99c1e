//! Very many puts by the lab's module (lab/module/fire.c), on all CPUs at once.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow};

/// A writer makes the puts of its line; read, it gives the number of each kind so far.
const CONTROL: &str = "/sys/kernel/debug/lastref_lab_fire";
/// How many puts a writer of a [`Background`] makes before it looks whether it is to stop.
const VOLLEY: u64 = 500;

/// A kind of put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Benign, of an inode that is kept.
    Kept,
    /// Benign, of an inode that is evicted.
    Evicted,
    /// In a NOFS scope, which is kept at a site.
    Nofs,
}

/// Every kind.
pub const KINDS: [Kind; 3] = [Kind::Kept, Kind::Evicted, Kind::Nofs];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Evicted => "evicted",
            Self::Nofs => "nofs",
        }
    }

    /// Has each of `writers` tasks make its share of `puts`, by that many chains of calls, and
    /// waits for them.
    pub fn fire(self, puts: u64, writers: u64, chains: u32) -> Result<()> {
        let threads: Vec<_> = (0..writers)
            .map(|writer| {
                let share = puts / writers + u64::from(writer < puts % writers);
                thread::spawn(move || write(self, share, chains))
            })
            .collect();
        threads.into_iter().try_for_each(join)
    }
}

fn write(kind: Kind, puts: u64, chains: u32) -> Result<()> {
    let name = kind.name();
    fs::write(CONTROL, format!("{name} {puts} {chains}\n"))
        .with_context(|| format!("the module does not make {puts} puts {name}"))
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow!("a writer panicked"))?
}

/// How many puts of each kind the module has made since it was loaded.
pub fn puts_so_far() -> Result<BTreeMap<Kind, u64>> {
    let text = fs::read_to_string(CONTROL).with_context(|| format!("{CONTROL} cannot be read"))?;
    KINDS
        .into_iter()
        .map(|kind| {
            let number = text
                .lines()
                .find_map(|line| line.strip_prefix(kind.name())?.trim().parse().ok())
                .with_context(|| format!("{CONTROL} does not tell of {}", kind.name()))?;
            Ok((kind, number))
        })
        .collect()
}

/// How many CPUs are online.
pub fn cpus() -> u64 {
    thread::available_parallelism().map_or(1, |number| number.get() as u64)
}

/// Puts of all kinds on all CPUs for as long as this lives.
#[derive(Debug)]
pub struct Background {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<()>>>,
}

impl Background {
    /// Starts a writer for each CPU, which makes puts of one kind after the other.
    pub fn start(chains: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..cpus())
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    let mut kinds = KINDS.into_iter().cycle();
                    while !stop.load(Ordering::Relaxed) {
                        if let Some(kind) = kinds.next() {
                            write(kind, VOLLEY, chains)?;
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        Self { stop, writers }
    }

    /// Lets each writer finish what it is at.
    pub fn stop(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.drain(..).try_for_each(join)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            // What it failed at, a check that failed before has hidden.
            let _ = writer.join();
        }
    }
}
