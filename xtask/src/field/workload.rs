//! What is done to one filesystem while `lastref` watches.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::filesystems::Filesystem;
use super::load::Load;
use super::memory::Cgroup;
use super::mounts::{self, Mounted};
use super::session::Session;
use super::{churn, delegations};

/// For each file of the largest piece of counted work, so many are closed and stay for reclaim to
/// drop.
const KEPT: u64 = 3;
/// Files that lie below a filesystem of layers before it is mounted.
const SEEDS: u64 = 100;
const RECLAIMS: usize = 2;
/// The directory that most of it happens in.
const WORK: &str = "work";
/// Where puts are provoked, only so small a part of the counted work is done: it is there to be
/// disturbed.
const PROVOKED_PART: u64 = 4;
/// Rounds of sync, `drop_caches` and remount beside the load, and the pause between two of them.
const ROUNDS: u64 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What a workload has done.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Done {
    /// What went wrong, if anything.
    pub problem: Option<String>,
    /// Inodes that lost their last link and user: each was evicted by a final put.
    pub unlinked: u64,
    /// Delegations that the server has recalled.
    #[serde(default)]
    pub recalled: u64,
    /// Operations of stress-ng's stressors.
    pub load: BTreeMap<String, u64>,
    /// Rounds of sync, `drop_caches` and remount beside it.
    pub rounds: u64,
    /// What the memory cgroup counted.
    pub memory: BTreeMap<String, u64>,
    /// Files made while it was being unmounted.
    pub made_under_unmount: u64,
    /// How often the unmount was refused.
    pub unmounts_refused: u64,
    /// How long each step took, in seconds.
    pub steps: Vec<(String, f64)>,
}

/// Runs all steps of a session; what went wrong is in what it returns.
pub fn run(session: Session, shared: &Path, logs: &Path) -> Done {
    let mut run = Run {
        done: Done::default(),
        step: Instant::now(),
    };
    let result = match session.provoke {
        None => run.all(session.filesystem, shared, logs),
        Some(_) => run.provoked(session.filesystem, shared),
    };
    run.done.problem = result.err().map(|error| format!("{error:#}"));
    run.done
}

struct Run {
    done: Done,
    step: Instant,
}

impl Run {
    fn all(&mut self, filesystem: &'static Filesystem, shared: &Path, logs: &Path) -> Result<()> {
        let mounted = Mounted::mount(filesystem, shared)?;
        if let Some(seeds) = &mounted.seeds {
            churn::fill(&seeds.join("seeds"), SEEDS)?;
        }
        let cgroup = Cgroup::enter(filesystem.name)?;
        mounted.attach()?;
        self.ended("mount");

        let place = mounted.directory.join(WORK);
        fs::create_dir(&place).context("the filesystem takes no directory")?;
        self.done.unlinked += churn::all(&place, filesystem.files)?;
        if mounted.seeds.is_some() {
            self.done.unlinked += churn::change_and_remove(&mounted.directory.join("seeds"))?;
        }
        self.ended("churn");

        self.recall(&mounted, filesystem)?;
        self.ended("recall");

        let kept = place.join("kept");
        let count = KEPT * filesystem.files;
        churn::fill(&kept, count)?;
        self.done.unlinked += churn::stream(&place.join("stream"), filesystem.stream_mib)?;
        for _ in 0..RECLAIMS {
            cgroup.reclaim();
        }
        self.ended("reclaim");

        self.under_load(filesystem, &mounted, &place, logs)?;
        self.ended("load");

        fs::remove_dir_all(&kept).context("what was kept cannot be removed")?;
        self.done.unlinked += count;
        churn::fill(&kept, filesystem.files)?;
        rustix::fs::sync();
        drop_caches(Caches::Dentries)?;
        for options in ["ro", "rw"] {
            mounted.remount(options)?;
        }
        self.ended("remount");

        let (refused, made) = churn::load_while(&place, || mounted.detach())?;
        self.done.unmounts_refused = refused;
        self.done.made_under_unmount = made;
        self.ended("unmount");

        mounted.attach().context("it cannot be mounted again")?;
        if mounted.outlives_its_mount() {
            ensure!(kept.is_dir(), "what was written is gone after the unmount");
            fs::remove_dir_all(&place).context("what was kept cannot be removed")?;
            self.done.unlinked += filesystem.files;
        }
        mounted.detach()?;
        mounts::unmount_lower(filesystem)?;
        self.done.memory = cgroup.events()?;
        self.ended("end");
        Ok(())
    }

    /// What is short, stays in the cgroup that it is put into, and leaves memory to `lastref`.
    fn provoked(&mut self, filesystem: &'static Filesystem, shared: &Path) -> Result<()> {
        let mounted = Mounted::mount(filesystem, shared)?;
        mounted.attach()?;
        self.ended("mount");

        let place = mounted.directory.join(WORK);
        fs::create_dir(&place).context("the filesystem takes no directory")?;
        self.done.unlinked += churn::all(&place, filesystem.files / PROVOKED_PART)?;
        self.ended("churn");

        self.recall(&mounted, filesystem)?;
        self.ended("recall");

        fs::remove_dir(&place).context("it is not empty")?;
        mounted.detach()?;
        self.ended("end");
        Ok(())
    }

    /// Has the server behind the filesystem, if there is one, recall delegations.
    fn recall(&mut self, mounted: &Mounted, filesystem: &Filesystem) -> Result<()> {
        let Some(served) = &mounted.served else {
            return Ok(());
        };
        let place = Path::new(WORK).join("recall");
        self.done.recalled = delegations::recall(
            &mounted.directory.join(&place),
            &served.join(&place),
            filesystem.files,
        )?;
        // And their directory.
        self.done.unlinked += filesystem.files + 1;
        Ok(())
    }

    /// stress-ng, and beside it sync, `drop_caches` and remounts.
    fn under_load(
        &mut self,
        filesystem: &Filesystem,
        mounted: &Mounted,
        place: &Path,
        logs: &Path,
    ) -> Result<()> {
        let mut load = Load::start(filesystem, place, logs)?;
        let mut remounts = filesystem.remounts.iter().cycle();
        let mut caches = [Caches::All, Caches::Dentries, Caches::Pages]
            .iter()
            .cycle();
        let status = loop {
            if let Some(status) = load.ended()? {
                break status;
            }
            if self.done.rounds < ROUNDS {
                if let Some(options) = remounts.next() {
                    mounted.remount(options)?;
                }
                rustix::fs::sync();
                if let Some(caches) = caches.next() {
                    drop_caches(*caches)?;
                }
                self.done.rounds += 1;
            }
            thread::sleep(PAUSE);
        };
        self.done.load = load.judge(status)?;
        Ok(())
    }

    fn ended(&mut self, step: &str) {
        let took = self.step.elapsed().as_secs_f64();
        println!("  {step}: {took:.1} s");
        self.done.steps.push((step.to_string(), took));
        self.step = Instant::now();
    }
}

/// What `drop_caches` is to drop.
#[derive(Clone, Copy, Debug)]
pub enum Caches {
    Pages = 1,
    Dentries = 2,
    All = 3,
}

pub fn drop_caches(caches: Caches) -> Result<()> {
    fs::write("/proc/sys/vm/drop_caches", format!("{}\n", caches as u8))
        .context("caches cannot be dropped")
}
