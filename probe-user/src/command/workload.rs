//! The command of `lastref run`: started, waited for, and ended when collection ends first.

use std::{ffi::OsString, io, os::unix::process::ExitStatusExt as _, time::Duration};

use anyhow::{Context as _, Result};
use lastref::report::model::Workload;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{process, time::timeout};

use super::provoke::MemoryCgroup;

/// How long a command may take to end after SIGTERM. One that hangs in the kernel never
/// does, and its report is the one that matters.
const GRACE: Duration = Duration::from_secs(3);

/// A running command.
pub struct Child {
    command: Vec<String>,
    process: process::Child,
}

impl Child {
    /// Starts it, in `cgroup` if there is one.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &[OsString], cgroup: Option<&MemoryCgroup>) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command was given")?;
        let mut process = process::Command::new(program);
        process.args(arguments);
        if let Some(cgroup) = cgroup {
            let door = cgroup.door()?;
            let enter = move || match rustix::io::write(&door, b"0") {
                Ok(_) => Ok(()),
                Err(error) => Err(io::Error::from(error)),
            };
            // SAFETY: between fork and exec it makes one system call, on a file that is open: it
            // allocates nothing and takes no locks.
            unsafe { process.pre_exec(enter) };
        }
        let process = process.spawn().with_context(|| {
            format!(
                "cannot run `{}`; check its name and that it is executable",
                program.display()
            )
        })?;
        Ok(Self {
            command: command
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            process,
        })
    }

    /// Ends when the command does; never, if there is none.
    pub async fn ended(child: Option<&mut Self>) {
        match child {
            Some(child) => drop(child.process.wait().await),
            None => std::future::pending().await,
        }
    }

    /// Ends the command if it still runs, and says how it ended.
    pub async fn finish(&mut self) -> Workload {
        if let Some(id) = self
            .process
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
        {
            // It may end by itself at this very moment.
            let _ = kill_process(id, Signal::TERM);
        }
        let status = match timeout(GRACE, self.process.wait()).await {
            Ok(Ok(status)) => Some(status),
            _ => None,
        };
        Workload {
            command: self.command.clone(),
            status: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
        }
    }
}
