//! Guests as process groups of their own: ended as a whole, also when we are told to end.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static WATCH: Once = Once::new();

/// A running child with all that it started.
#[derive(Debug)]
pub struct Group {
    child: Child,
}

/// Starts a command as the leader of a process group of its own.
pub fn spawn(command: &mut Command) -> io::Result<Group> {
    let mut watching = Ok(());
    WATCH.call_once(|| watching = watch());
    watching?;
    // Held over the start, so that a signal meanwhile finds the child in the list.
    let mut groups = groups();
    let child = command.process_group(0).spawn()?;
    groups.insert(child.id());
    drop(groups);
    Ok(Group { child })
}

impl Group {
    /// The leader.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The leader's status, if it has ended.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends the whole group.
    pub fn kill(&mut self) {
        end(self.child.id());
        // Nothing to be done if it cannot be waited for: it was killed.
        let _ = self.child.wait();
        groups().remove(&self.child.id());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn groups() -> MutexGuard<'static, BTreeSet<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(group: u32) {
    if let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // The group may be gone already, which is what is wanted.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            for group in groups().iter() {
                end(*group);
            }
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_group_ends_as_a_whole() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 100 & echo $!; wait"]);
        command.stdout(std::process::Stdio::piped());
        let mut group = spawn(&mut command).unwrap();
        let mut output = io::BufReader::new(group.child().stdout.take().unwrap());
        let mut line = String::new();
        io::BufRead::read_line(&mut output, &mut line).unwrap();
        let process = format!("/proc/{}/stat", line.trim());
        assert!(std::fs::exists(&process).unwrap());
        group.kill();
        let start = Instant::now();
        // A killed orphan stays as a zombie until its new parent looks.
        while std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }
}
