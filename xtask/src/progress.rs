//! Running what takes long: its name, the time it took, signs of life meanwhile, its output when it fails.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::children::{self, Signal};

/// A line this often while something runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// How much of a failed command's output is shown.
const TAIL_LINES: usize = 30;

/// Runs a step and prints its name and how long it took.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "done" } else { "FAILED" };
    eprintln!("  {name}: {verdict}, {}", elapsed(start));
    result
}

/// Shows now and then that something still runs.
#[derive(Debug)]
pub struct SignsOfLife<'a> {
    name: &'a str,
    start: Instant,
    shown: Instant,
}

impl<'a> SignsOfLife<'a> {
    /// Starts the clock.
    pub fn new(name: &'a str) -> Self {
        let start = Instant::now();
        Self {
            name,
            start,
            shown: start,
        }
    }

    /// Prints the elapsed time and the last line of `log`, if it is time to.
    pub fn show(&mut self, log: &Path) {
        if self.shown.elapsed() < SIGN_OF_LIFE {
            return;
        }
        self.shown = Instant::now();
        let last = tail(&read_lossy(log), 1);
        eprintln!(
            "    {}: {} … {}",
            self.name,
            elapsed(self.start),
            shorten(last.trim())
        );
    }
}

/// Runs a command to its end with its output in `log`; that output's end is in the error.
pub fn run_logged(name: &str, command: &mut Command, log: &Path) -> Result<()> {
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
    }
    let output =
        File::create(log).with_context(|| format!("{} cannot be created", log.display()))?;
    let errors = output.try_clone().context("a file cannot be shared")?;
    let mut life = SignsOfLife::new(name);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    // It may have guests of its own to end.
    let mut group = children::spawn(command, Signal::TERM)
        .with_context(|| format!("{name}: {} cannot be started", program(command)))?;
    let status = loop {
        if let Some(status) = group.try_wait().context("a child cannot be waited for")? {
            break status;
        }
        life.show(log);
        thread::sleep(POLL);
    };
    ensure!(
        status.success(),
        "{name}: {} ended with {status}; its output is in {} and ends:\n{}",
        program(command),
        log.display(),
        tail(&read_lossy(log), TAIL_LINES)
    );
    Ok(())
}

/// Runs a short command and returns its standard output; its standard error is in the error.
pub fn output_of(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} cannot be started", program(command)))?;
    if !status.success() {
        bail!(
            "{} ended with {status}: {}",
            program(command),
            String::from_utf8_lossy(&stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Where `program` is on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// A file's text, whatever bytes are in it; nothing if there is none.
pub fn read_lossy(path: &Path) -> String {
    fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// The last `count` lines.
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The time since `start`, as people read it.
pub fn elapsed(start: Instant) -> String {
    seconds(start.elapsed())
}

/// A duration, as people read it.
pub fn seconds(duration: Duration) -> String {
    let total = duration.as_secs();
    if total >= 60 {
        format!("{} min {:02} s", total / 60, total % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

fn shorten(line: &str) -> String {
    const WIDTH: usize = 80;
    line.chars()
        .filter(|character| !character.is_control())
        .take(WIDTH)
        .collect()
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n\n", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
        assert_eq!(tail("", 5), "");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(1520)), "1.5 s");
        assert_eq!(seconds(Duration::from_secs(61)), "1 min 01 s");
    }

    #[test]
    fn a_failure_shows_the_output() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo why; exit 3"]);
        let error = run_logged("a step", &mut command, &log).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }
}
