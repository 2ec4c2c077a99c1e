//! The command of `lastref run`: started, waited for, and ended when collection ends first.

use std::{ffi::OsString, fs::File, io, os::unix::process::ExitStatusExt as _, time::Duration};

use anyhow::{Context as _, Result};
use lastref::report::model::Workload;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{process, time::timeout};

use super::provoke::MemoryCgroup;

/// How long a command may take to end after SIGTERM. One that hangs in the kernel never
/// does, and its report is the one that matters.
const GRACE: Duration = Duration::from_secs(3);

/// A running command.
pub struct Child {
    command: Vec<String>,
    process: process::Child,
    /// Whether it leads a process group of its own.
    is_leader: bool,
}

impl Child {
    /// Starts it, in `cgroup` if there is one.
    ///
    /// It leads a process group of its own, so that its children can be ended with it; but not on a
    /// terminal, where one that reads would be stopped (SIGTTIN), and where ^C reaches them all.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &[OsString], cgroup: Option<&MemoryCgroup>) -> Result<Self> {
        Self::spawn(command, cgroup, !has_terminal())
    }

    fn spawn(command: &[OsString], cgroup: Option<&MemoryCgroup>, is_leader: bool) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command was given")?;
        let mut process = process::Command::new(program);
        process.args(arguments);
        if is_leader {
            process.process_group(0);
        }
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
            is_leader,
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
            let _ = if self.is_leader {
                kill_process_group(id, Signal::TERM)
            } else {
                kill_process(id, Signal::TERM)
            };
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

/// Whether this process has a controlling terminal: else there is no such file (`tty_open_current_tty()`,
/// `drivers/tty/tty_io.c`).
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, thread, time::Instant};

    use super::*;

    /// Whether a process still runs: one that has ended may be waited for by nobody.
    fn runs(id: &str) -> bool {
        fs::read_to_string(Path::new("/proc").join(id).join("stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[tokio::test]
    async fn children_end_with_the_command_without_a_terminal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("id");
        let script = format!("sleep 1000 & echo $! > {}; wait", path.display());
        let command = ["sh", "-c", &script].map(OsString::from);
        let mut child = Child::spawn(&command, None, true).unwrap();
        let began = Instant::now();
        let id = loop {
            match fs::read_to_string(&path) {
                Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
                _ => thread::sleep(Duration::from_millis(5)),
            }
            assert!(began.elapsed() < Duration::from_mins(1));
        };
        assert!(runs(&id));
        let workload = child.finish().await;
        assert_eq!(workload.signal, Some(15));
        while runs(&id) {
            thread::sleep(Duration::from_millis(5));
            assert!(began.elapsed() < Duration::from_mins(1));
        }
    }
}
