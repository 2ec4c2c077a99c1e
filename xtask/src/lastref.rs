//! A running `lastref` inside a guest: started, waited for until it watches, ended as a user would.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::children::{self, Signal};
use crate::progress::{read_lossy, tail};

/// Everything takes long under emulation, with other guests beside.
const READY: Duration = Duration::from_mins(5);
const STOPPED: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(50);

/// A running `lastref`. It is killed if it is let go without having been stopped.
#[derive(Debug)]
pub struct Lastref {
    child: Child,
    log: PathBuf,
    ready: PathBuf,
}

impl Lastref {
    /// Starts the binary with one of its commands and that command's arguments. Its log and its
    /// ready file go to `directory`, under the name that is given.
    pub fn spawn<S: AsRef<OsStr>>(
        binary: &Path,
        command: &str,
        arguments: impl IntoIterator<Item = S>,
        directory: &Path,
        name: &str,
    ) -> Result<Self> {
        let ready = directory.join(format!("{name}.ready"));
        let log = directory.join(format!("{name}.log"));
        if ready.exists() {
            std::fs::remove_file(&ready)
                .with_context(|| format!("{} cannot be removed", ready.display()))?;
        }
        let messages =
            File::create(&log).with_context(|| format!("{} cannot be created", log.display()))?;
        let errors = messages.try_clone().context("a file cannot be shared")?;
        let child = Command::new(binary)
            .arg(command)
            .arg("--ready-file")
            .arg(&ready)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(messages)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        Ok(Self { child, log, ready })
    }

    /// Whether its probes are attached.
    pub fn is_ready(&self) -> bool {
        self.ready.exists()
    }

    /// Waits until its probes are attached.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.is_ready() {
            if let Some(status) = self.status()? {
                bail!(
                    "lastref ended with {status} before it was ready: {}",
                    self.log_tail()
                );
            }
            if start.elapsed() > READY {
                bail!("lastref was not ready in time: {}", self.log_tail());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its status, if it has ended.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("lastref cannot be waited for")
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.status()?.is_none() {
            children::signal(&self.child, signal)
                .with_context(|| format!("lastref cannot be sent {signal:?}"))?;
        }
        Ok(())
    }

    /// Ends it as a user would, and waits for its report.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::INT)?;
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if start.elapsed() >= STOPPED {
                bail!("lastref did not end in time: {}", self.log_tail());
            }
            thread::sleep(POLL);
        }
    }

    /// What it said, and what it printed.
    pub fn log(&self) -> String {
        read_lossy(&self.log)
    }

    /// The end of that.
    pub fn log_tail(&self) -> String {
        tail(&self.log(), 20)
    }
}

impl Drop for Lastref {
    fn drop(&mut self) {
        // Nothing to be done if it is gone already, as it should be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
