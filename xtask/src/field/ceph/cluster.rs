//! A Ceph cluster inside the guest: its daemons on the loopback interface, all data in memory.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::Pid;

use crate::progress::{output_of, read_lossy};

/// Where clients find the monitor: the kernel speaks the first messenger's protocol by default.
const MONITOR: &str = "v1:127.0.0.1:6789";
/// What the filesystem is mounted from.
pub const SOURCE: &str = "127.0.0.1:6789:/";
/// Any will do.
const FSID: &str = "6c617374-7265-4000-8000-000000000000";
/// What each object store is for. With stores of their own for the two, files' data can be held up
/// while the metadata server goes on writing its journal.
const STORES: [&str; 2] = ["metadata", "data"];
const DATA_STORE: usize = 1;
const PLACEMENT_GROUPS: u32 = 4;
/// Where Debian keeps libraries, below the root.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// Debian has libfuse here.
const MORE_LIBRARIES: &str = "lib/x86_64-linux-gnu";
/// A daemon that is stopped for a while is not to be declared dead.
const PATIENCE_S: u32 = 600;

/// A running cluster with one filesystem.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
}

impl Cluster {
    /// Starts the daemons that were unpacked in `packages`, with all that they write in `directory`.
    pub fn start(packages: &Path, directory: &Path) -> Result<Self> {
        for part in ["mon", "mds"] {
            create(&directory.join(part))?;
        }
        let configuration = directory.join("ceph.conf");
        fs::write(&configuration, settings(packages, directory)?)
            .with_context(|| format!("{} cannot be written", configuration.display()))?;
        let programs = Programs {
            packages,
            configuration: &configuration,
        };
        let map = directory.join("monmap");
        output_of(
            programs
                .plain("monmaptool")?
                .args(["--create", "--fsid", FSID, "--addv", "a", MONITOR])
                .arg(&map),
        )?;
        output_of(
            programs
                .named("ceph-mon", "a")?
                .args(["--mkfs", "--monmap"])
                .arg(&map),
        )?;
        output_of(&mut programs.named("ceph-mon", "a")?)?;
        let stores: Vec<(usize, &str)> = STORES.iter().copied().enumerate().collect();
        programs.tell(&lines(&stores, |number, _| {
            format!("osd new {}", identity(number))
        }))?;
        for (number, _) in &stores {
            create(&directory.join(format!("osd-{number}")))?;
            let id = number.to_string();
            output_of(programs.named("ceph-osd", &id)?.args([
                "--mkfs",
                "--osd-uuid",
                &identity(*number),
            ]))?;
            output_of(&mut programs.named("ceph-osd", &id)?)?;
        }
        output_of(&mut programs.named("ceph-mds", "a")?)?;
        let mut commands = lines(&stores, |number, what| {
            format!(
                "osd crush add osd.{number} 1 root=default host=field\n\
                 osd crush set-device-class {what} osd.{number}\n\
                 osd crush rule create-replicated {what} default osd {what}\n\
                 osd pool create {what} {PLACEMENT_GROUPS} {PLACEMENT_GROUPS} replicated {what}"
            )
        });
        writeln!(commands, "fs new field {}", STORES.join(" "))?;
        programs.tell(&commands)?;
        Ok(Self::started(directory))
    }

    /// The cluster that was started in `directory`.
    pub fn started(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
        }
    }

    /// The daemon that stores files' data.
    pub fn data_store(&self) -> Result<Pid> {
        let path = self.directory.join(format!("osd.{DATA_STORE}.pid"));
        read_lossy(&path)
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| anyhow!("{} holds no process id", path.display()))
    }
}

/// How Ceph's programs are run where they were unpacked.
struct Programs<'a> {
    packages: &'a Path,
    configuration: &'a Path,
}

impl Programs<'_> {
    /// One that takes no configuration.
    fn plain(&self, name: &str) -> Result<Command> {
        let unpacked = self.packages.join("usr/bin").join(name);
        // A machine that has the package installed has nothing to unpack.
        let program = if unpacked.is_file() {
            unpacked.into_os_string()
        } else {
            OsString::from(name)
        };
        let libraries = self.packages.join(LIBRARIES);
        let mut command = Command::new(program);
        command
            .env(
                "LD_LIBRARY_PATH",
                std::env::join_paths([
                    libraries.clone(),
                    libraries.join("ceph"),
                    self.packages.join(MORE_LIBRARIES),
                ])
                .context("the cache's path has a colon")?,
            )
            .env(
                "PYTHONPATH",
                self.packages.join("usr/lib/python3/dist-packages"),
            );
        Ok(command)
    }

    /// One that takes the configuration.
    fn configured(&self, name: &str) -> Result<Command> {
        let mut command = self.plain(name)?;
        command.arg("--conf").arg(self.configuration);
        Ok(command)
    }

    /// One that acts for a daemon.
    fn named(&self, name: &str, id: &str) -> Result<Command> {
        let mut command = self.configured(name)?;
        command.args(["-i", id]);
        Ok(command)
    }

    /// Gives the cluster commands, a line each, all in one run of the interpreter: to start it is
    /// what takes long.
    fn tell(&self, commands: &str) -> Result<()> {
        let mut child = self
            .configured("ceph")?
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("ceph cannot be started")?;
        if let Some(mut input) = child.stdin.take() {
            input
                .write_all(commands.as_bytes())
                .context("ceph takes no commands")?;
        }
        let output = child.wait_with_output().context("ceph has no end")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        // It goes on after a command that failed, and its status says nothing of it.
        ensure!(
            output.status.success() && !errors.contains("Error"),
            "Ceph refused a command of {commands:?}: {}",
            errors.trim()
        );
        Ok(())
    }
}

fn lines(stores: &[(usize, &str)], line: impl Fn(usize, &str) -> String) -> String {
    stores
        .iter()
        .map(|(number, what)| line(*number, what) + "\n")
        .collect()
}

fn identity(number: usize) -> String {
    format!("6c617374-7265-4000-8000-{number:012}")
}

/// The configuration: nothing is authenticated, nothing is kept on a disk, nothing is replicated.
///
/// Stores do not find their places by themselves: one that has not heard of the cluster's identity
/// when it asks for its place is refused, and ends.
fn settings(packages: &Path, directory: &Path) -> Result<String> {
    let directory = directory.display();
    let mut text = format!(
        "[global]
fsid = {FSID}
mon_host = {MONITOR}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = true
run_dir = {directory}
crash_dir = {directory}
log_file = {directory}/$name.log
admin_socket = {directory}/$name.asok
pid_file = {directory}/$name.pid
mon_data = {directory}/mon
mds_data = {directory}/mds
osd_data = {directory}/osd-$id
osd_objectstore = memstore
memstore_device_bytes = 1G
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
osd_class_update_on_start = false
osd_crush_update_on_start = false
osd_heartbeat_grace = {PATIENCE_S}
mds_beacon_grace = {PATIENCE_S}
mon_data_avail_warn = 1
mon_data_avail_crit = 0
"
    );
    let libraries = packages.join(LIBRARIES);
    for (setting, place) in [
        ("plugin_dir", "ceph"),
        ("osd_class_dir", "rados-classes"),
        ("erasure_code_dir", "ceph/erasure-code"),
    ] {
        let place = libraries.join(place);
        // What is installed is found without a word.
        if place.is_dir() {
            writeln!(text, "{setting} = {}", place.display())?;
        }
    }
    Ok(text)
}

fn create(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("{} cannot be created", directory.display()))
}
