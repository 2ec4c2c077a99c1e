//! `lastref run` around a workload inside the guest, with a time limit.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::progress::{read_lossy, tail};
use crate::{children, exit_status};

/// For `lastref` to end after it was asked to.
const STOP: Duration = Duration::from_secs(30);
/// Under emulation slow is not stuck.
const STUCK_AFTER: &str = "30s";
const POLL: Duration = Duration::from_millis(100);

/// How a workload is watched.
#[derive(Debug)]
pub struct Watch<'a> {
    /// The `lastref` binary.
    pub lastref: &'a Path,
    /// Options of `lastref run` beside those that every run has.
    pub options: &'a [&'a str],
    /// Where the report goes.
    pub report: &'a Path,
    /// Where the output of `lastref` and of the workload goes.
    pub log: &'a Path,
    /// How long the workload may take.
    pub limit: Duration,
}

impl Watch<'_> {
    /// Has `lastref` run the workload.
    pub fn run(&self, workload: &Command) -> Result<()> {
        let output = File::create(self.log)
            .with_context(|| format!("{} cannot be created", self.log.display()))?;
        let errors = output.try_clone().context("a file cannot be shared")?;
        let mut child = Command::new(self.lastref)
            .args(["run", "--attach", "auto", "--all"])
            .args(["--stuck-after", STUCK_AFTER])
            .args(self.options)
            .arg("--output")
            .arg(self.report)
            .arg("--")
            .arg(workload.get_program())
            .args(workload.get_args())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.lastref.display()))?;
        if self.ended(wait(&mut child, self.limit)?)? {
            return Ok(());
        }
        children::interrupt(&child).context("lastref cannot be interrupted")?;
        let stopped = wait(&mut child, STOP)?.is_some();
        // Nothing to be done if it is gone already.
        let _ = child.kill();
        bail!(
            "the workload did not end in {} s{}",
            self.limit.as_secs(),
            if stopped {
                ""
            } else {
                ", nor did lastref when interrupted"
            }
        )
    }

    fn ended(&self, status: Option<ExitStatus>) -> Result<bool> {
        let Some(status) = status else {
            return Ok(false);
        };
        ensure!(
            exit_status::is_verdict(status),
            "lastref ended with {status}: {}",
            tail(&read_lossy(self.log), 20)
        );
        Ok(true)
    }
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("lastref cannot be waited for")? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}
