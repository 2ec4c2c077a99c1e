//! Stopping and going on (SIGTSTP, SIGCONT), so that the terminal is never left in raw mode.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result};
use rustix::process::{Signal, getpid, getppid, getsid, kill_process};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

/// Which of the signals have come.
pub struct JobControl {
    stop: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

impl JobControl {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the signals cannot be caught.
    pub fn listen(runtime: &Handle) -> Result<Self> {
        Ok(Self {
            stop: note(runtime, Signal::TSTP)?,
            continued: note(runtime, Signal::CONT)?,
        })
    }

    /// Whether SIGTSTP has come since the last call.
    pub fn is_stop_requested(&self) -> bool {
        self.stop.swap(false, Ordering::Relaxed)
    }

    /// Whether SIGCONT has come since the last call.
    pub fn was_continued(&self) -> bool {
        self.continued.swap(false, Ordering::Relaxed)
    }
}

/// Notes each signal of that kind.
fn note(runtime: &Handle, kind: Signal) -> Result<Arc<AtomicBool>> {
    let _context = runtime.enter();
    let mut signals =
        signal(SignalKind::from_raw(kind.as_raw())).context("cannot catch signals")?;
    let has_come = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&has_come);
    runtime.spawn(async move {
        while signals.recv().await.is_some() {
            shared.store(true, Ordering::Relaxed);
        }
    });
    Ok(has_come)
}

/// Stops this process, if there is a shell that could have it go on: the kernel does not stop by
/// SIGTSTP who has none either.
pub fn stop() {
    let has_shell = match (getppid().map(|parent| getsid(Some(parent))), getsid(None)) {
        (Some(Ok(parent)), Ok(own)) => parent == own,
        _ => false,
    };
    if has_shell {
        // To oneself it is always allowed.
        let _ = kill_process(getpid(), Signal::STOP);
    }
}
