//! Children, most as process groups of their own: ended as a whole, also when we are told to end.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long groups that were asked to end may take to.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// Each group's leader, and the signal that ends the group when we are told to end.
static GROUPS: Mutex<BTreeMap<u32, Signal>> = Mutex::new(BTreeMap::new());
static WATCH: Once = Once::new();

/// A running child with all that it started.
#[derive(Debug)]
pub struct Group {
    child: Child,
}

/// Starts a command as the leader of a process group of its own, which `ending` ends when we are
/// told to end: `KILL` a guest, `TERM` what may have groups of its own to end first.
pub fn spawn(command: &mut Command, ending: Signal) -> io::Result<Group> {
    let mut watching = Ok(());
    WATCH.call_once(|| watching = watch());
    watching?;
    // Held over the start, so that a signal meanwhile finds the child in the list.
    let mut groups = groups();
    let child = command.process_group(0).spawn()?;
    groups.insert(child.id(), ending);
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
        send(self.child.id(), Signal::KILL);
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

fn groups() -> MutexGuard<'static, BTreeMap<u32, Signal>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks a child that has not been waited for to end, as a user does.
pub fn interrupt(child: &Child) -> io::Result<()> {
    signal(child, Signal::INT)
}

/// Sends a signal to a child that has not been waited for.
pub fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let pid = pid(child.id()).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(pid, signal)?)
}

fn pid(group: u32) -> Option<Pid> {
    i32::try_from(group).ok().and_then(Pid::from_raw)
}

fn send(group: u32, signal: Signal) {
    if let Some(pid) = pid(group) {
        // The group may be gone already, which is what is wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// Ends all groups, each by its signal, and waits for those that have something to do first.
fn end(groups: &BTreeMap<u32, Signal>) {
    for (group, signal) in groups {
        send(*group, *signal);
    }
    let start = Instant::now();
    let busy = |(group, signal): (&u32, &Signal)| {
        *signal != Signal::KILL
            && pid(*group).is_some_and(|pid| test_kill_process_group(pid).is_ok())
    };
    while groups.iter().any(busy) && start.elapsed() < GRACE {
        thread::sleep(POLL);
    }
}

fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Held to the end, so that nothing more is started.
            let groups = groups();
            end(&groups);
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_can_end_its_own_first() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap 'exit 3' TERM; echo ready; sleep 100 & wait"]);
        command.stdout(std::process::Stdio::piped());
        let mut group = spawn(&mut command, Signal::TERM).unwrap();
        let mut output = io::BufReader::new(group.child().stdout.take().unwrap());
        io::BufRead::read_line(&mut output, &mut String::new()).unwrap();
        let only = BTreeMap::from([(group.child().id(), Signal::TERM)]);
        let ending = thread::spawn(move || end(&only));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = group.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < GRACE);
        };
        ending.join().unwrap();
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn a_group_ends_as_a_whole() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 100 & echo $!; wait"]);
        command.stdout(std::process::Stdio::piped());
        let mut group = spawn(&mut command, Signal::KILL).unwrap();
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
