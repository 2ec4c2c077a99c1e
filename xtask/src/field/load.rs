//! The load that stress-ng puts on a filesystem: a table, bounded by operations and not by time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::filesystems::Filesystem;
use crate::progress::{read_lossy, tail};

/// A stressor, how many of its operations on a local filesystem, and its further options.
type Stressor = (&'static str, u64, &'static [&'static str]);

const STRESSORS: [Stressor; 8] = [
    ("dentry", 300, &["--dentries", "200"]),
    ("dir", 100, &["--dir-dirs", "64"]),
    ("fallocate", 3, &["--fallocate-bytes", "1m"]),
    ("hdd", 32, &["--hdd-bytes", "1m"]),
    (
        "mmap",
        2,
        &["--mmap-file", "--mmap-async", "--mmap-bytes", "1m"],
    ),
    ("msync", 50, &["--msync-bytes", "1m"]),
    ("rename", 200, &[]),
    ("sync-file", 2, &["--sync-file-bytes", "1m"]),
];
/// Only a hang takes as long: the number of operations is what ends it.
const LIMIT: &str = "90s";

/// A running stress-ng.
#[derive(Debug)]
pub struct Load {
    child: Child,
    stressors: Vec<&'static Stressor>,
    log: PathBuf,
    figures: PathBuf,
}

impl Load {
    /// Starts what can run on the filesystem, in `directory`; its output goes to `logs`.
    pub fn start(filesystem: &Filesystem, directory: &Path, logs: &Path) -> Result<Self> {
        let name = filesystem.name;
        let stressors: Vec<&Stressor> = STRESSORS
            .iter()
            .filter(|(stressor, ..)| !filesystem.without.contains(stressor))
            .collect();
        let log = logs.join(format!("{name}.stress-ng.log"));
        let figures = logs.join(format!("{name}.stress-ng.yaml"));
        let output =
            File::create(&log).with_context(|| format!("{} cannot be created", log.display()))?;
        let errors = output.try_clone().context("a file cannot be shared")?;
        let mut command = Command::new("stress-ng");
        command
            .arg("--temp-path")
            .arg(directory)
            .args(["--timeout", LIMIT, "--metrics", "--yaml"])
            .arg(&figures);
        for (stressor, operations, options) in &stressors {
            command
                .args([format!("--{stressor}"), "1".to_string()])
                .args([
                    format!("--{stressor}-ops"),
                    filesystem.share_of(*operations).to_string(),
                ])
                .args(*options);
        }
        let child = command
            .current_dir(logs)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("stress-ng cannot be started")?;
        Ok(Self {
            child,
            stressors,
            log,
            figures,
        })
    }

    /// Its status, once it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("stress-ng cannot be waited for")
    }

    /// What its stressors have done; an error if one has done nothing.
    pub fn judge(&self, status: ExitStatus) -> Result<BTreeMap<String, u64>> {
        let log = || complaints(&read_lossy(&self.log));
        ensure!(status.success(), "stress-ng ended with {status}: {}", log());
        let text = fs::read_to_string(&self.figures).context("stress-ng left no figures")?;
        let done = operations(&text);
        for (stressor, ..) in &self.stressors {
            ensure!(
                done.get(*stressor).is_some_and(|count| *count > 0),
                "stress-ng's {stressor} did nothing: {}",
                log()
            );
        }
        Ok(done)
    }
}

/// Its errors and warnings, or all of the end if there are none.
fn complaints(log: &str) -> String {
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| {
            ["error:", "fail:", "warn:"]
                .iter()
                .any(|what| line.contains(what))
        })
        .collect();
    if lines.is_empty() {
        tail(log, 15)
    } else {
        lines.join("; ")
    }
}

/// Reads `- stressor: NAME` and the `bogo-ops: COUNT` below it.
fn operations(yaml: &str) -> BTreeMap<String, u64> {
    let mut done = BTreeMap::new();
    let mut stressor = None;
    for line in yaml.lines() {
        let line = line.trim_start_matches([' ', '-']);
        if let Some(name) = line.strip_prefix("stressor:") {
            stressor = Some(name.trim().to_string());
        } else if let (Some(count), Some(name)) = (line.strip_prefix("bogo-ops:"), &stressor) {
            done.insert(name.clone(), count.trim().parse().unwrap_or(0));
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::operations;

    #[test]
    fn operations_are_read_by_stressor() {
        let yaml = "metrics:\n    - stressor: dentry\n      bogo-ops: 1200\n      bogo-ops-per-second-usr-sys-time: 1.5\n\n    - stressor: link\n      bogo-ops: 0\n";
        let done = operations(yaml);
        assert_eq!(done["dentry"], 1200);
        assert_eq!(done["link"], 0);
        assert_eq!(done.len(), 2);
    }
}
