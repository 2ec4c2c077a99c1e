//! One command in one guest: booted under virtme-ng, with a time limit, its console kept.
//!
//! The guest sees this machine's files as they are, and what it writes is gone with it, but for the
//! directories it was given read-write.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::children::{self, Group, Signal};
use crate::context::Context;
use crate::guest_command::GuestCommand;
use crate::kernels::Kernel;
use crate::kvm;
use crate::progress::{SignsOfLife, read_lossy, seconds, tail};

/// How long a guest may take to shut down after its command has ended.
const SHUTDOWN: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);
/// Devices and modules that no guest uses; udev would load drivers for them, half of the time that
/// booting takes under emulation.
pub const UNUSED_DEVICES: &str = "sata=off,smbus=off,i8042=off,usb=off";
/// See [`UNUSED_DEVICES`].
pub const UNUSED_MODULES: &str = "i6300esb,iTCO_wdt,kvm_amd,kvm_intel,lpc_ich,pcspkr,powernow_k8";
/// The guest's clock goes on by a nanosecond with each instruction, and while it is idle.
const INSTRUCTION_COUNT: &str = "-icount shift=0,sleep=on";
/// Emulated CPUs take turns. With a thread for each, QEMU 7.2 may go on with what it has translated of
/// code that another CPU patched meanwhile: it locks a page only once it has translated it (up to
/// 8.0; accel/tcg/translate-all.c, `tb_gen_code()`). Kernels patch code whenever something attaches,
/// and then trip over a breakpoint that is gone or jump to where nothing is.
const ONE_THREAD: &str = "-accel tcg,thread=single";
const SHOWN_LINES: usize = 40;
/// How often a guest is booted whose kernel dies before the command begins.
const BOOTS_MAX: u32 = 3;

/// A guest to boot.
#[derive(Debug)]
pub struct Guest<'a> {
    context: &'a Context,
    kernel: &'a Kernel,
    command: Vec<OsString>,
    timeout: Duration,
    memory: String,
    cpus: u32,
    writable: Vec<PathBuf>,
    kernel_arguments: Vec<String>,
    console: Option<PathBuf>,
    counts_instructions: bool,
    echo: bool,
    quiet: bool,
}

/// What became of a guest.
#[derive(Debug)]
pub struct GuestResult {
    /// How it ended.
    pub outcome: Outcome,
    /// What the command wrote to standard output.
    pub stdout: String,
    /// What the command and virtme-ng wrote to standard error.
    pub stderr: String,
    /// All that the kernel wrote to its console.
    pub console: String,
    /// Where the console was kept, if that was asked for.
    pub console_path: Option<PathBuf>,
    /// From start to end.
    pub took: Duration,
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command ended with this status. The guest may have been unable to shut down after that.
    Exited(i32),
    /// The kernel panicked.
    Panicked,
    /// The time limit passed before the command ended.
    TimedOut,
    /// The guest ended without a word on the command's status.
    Lost,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(formatter, "the command ended with status {status}"),
            Self::Panicked => write!(formatter, "the guest's kernel panicked"),
            Self::TimedOut => write!(formatter, "the guest hung: the time limit passed"),
            Self::Lost => write!(
                formatter,
                "the guest was lost: it ended without its command's status"
            ),
        }
    }
}

impl GuestResult {
    /// The outcome with the console's end, for people.
    pub fn describe(&self) -> String {
        let mut parts = vec![format!("{}, after {}", self.outcome, seconds(self.took))];
        for (what, content) in [
            ("console", &self.console),
            ("standard output", &self.stdout),
            ("standard error", &self.stderr),
        ] {
            if !content.trim().is_empty() {
                parts.push(format!(
                    "the end of its {what}:\n{}",
                    tail(content, SHOWN_LINES)
                ));
            }
        }
        if let Some(path) = &self.console_path {
            parts.push(format!("its whole console is in {}", path.display()));
        }
        parts.join("\n")
    }
}

impl<'a> Guest<'a> {
    /// A guest that runs `command` as root in the current directory.
    pub fn new<I, S>(context: &'a Context, kernel: &'a Kernel, command: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        Self {
            context,
            kernel,
            command: command.into_iter().map(Into::into).collect(),
            timeout: Duration::from_mins(5),
            memory: "2G".to_string(),
            cpus: 2,
            writable: Vec::new(),
            kernel_arguments: Vec::new(),
            console: None,
            counts_instructions: false,
            echo: false,
            quiet: false,
        }
    }

    /// The time limit from boot to the command's end.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Memory, as QEMU reads it.
    #[must_use]
    pub fn memory(mut self, memory: &str) -> Self {
        self.memory = memory.to_string();
        self
    }

    /// Virtual CPUs.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// A directory that the guest can write to.
    #[must_use]
    pub fn writable(mut self, directory: impl Into<PathBuf>) -> Self {
        self.writable.push(directory.into());
        self
    }

    /// Something for the kernel's command line.
    #[must_use]
    pub fn kernel_argument(mut self, argument: &str) -> Self {
        self.kernel_arguments.push(argument.to_string());
        self
    }

    /// Keeps the console in this file.
    #[must_use]
    pub fn keep_console(mut self, path: impl Into<PathBuf>) -> Self {
        self.console = Some(path.into());
        self
    }

    /// Has the cycle counter count instructions: emulated, and on one CPU, whatever else was said.
    #[must_use]
    pub fn count_instructions(mut self) -> Self {
        self.counts_instructions = true;
        self.cpus(1)
    }

    /// Passes the command's output on while it comes.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Shows no signs of life.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Boots it and waits for its end. That the command failed or the guest hung is no error here.
    ///
    /// A kernel that dies before the command begins says nothing of the command, and it is booted
    /// again: under emulation with several CPUs a kernel may trip over code that it has just
    /// patched (a breakpoint of `text_poke_bp()` that is gone when its handler looks).
    pub fn run(&self) -> Result<GuestResult> {
        let mut boot = 1;
        loop {
            let (result, began) = self.boot()?;
            let died = matches!(result.outcome, Outcome::Panicked | Outcome::Lost);
            if began || !died || boot == BOOTS_MAX {
                return Ok(result);
            }
            println!(
                "  guest {}: {} before its command began; booting it again",
                self.kernel.name, result.outcome
            );
            if let Some(path) = &self.console {
                let kept = path.with_extension(format!("boot-{boot}"));
                fs::rename(path, &kept)
                    .with_context(|| format!("{} cannot be written", kept.display()))?;
            }
            boot += 1;
        }
    }

    /// Boots it once; says whether its command began.
    fn boot(&self) -> Result<(GuestResult, bool)> {
        let runs = self.context.cache.join("run");
        fs::create_dir_all(&runs)
            .with_context(|| format!("{} cannot be created", runs.display()))?;
        let directory = tempfile::Builder::new()
            .prefix(&format!("{}-", self.kernel.name))
            .tempdir_in(&runs)
            .with_context(|| format!("{} cannot be written", runs.display()))?;
        let run = GuestCommand::prepare(directory.path(), &self.command)?;
        let mut command = self.virtme_ng(&run)?;
        let start = Instant::now();
        let mut group = children::spawn(&mut command, Signal::KILL)
            .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        let streams = (group.child().stdout.take(), group.child().stderr.take());
        let stdout = collect(streams.0, self.echo.then(io::stdout));
        let stderr = collect(streams.1, self.echo.then(io::stderr));
        let timed_out = self.wait(&run, &mut group, start)?;
        group.kill();
        let took = start.elapsed();
        let console = read_lossy(&run.console);
        if let Some(path) = &self.console {
            fs::write(path, &console)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        let result = GuestResult {
            outcome: judge(run.status(), timed_out, &console),
            stdout: joined(stdout)?,
            stderr: joined(stderr)?,
            console,
            console_path: self.console.clone(),
            took,
        };
        Ok((result, run.began()))
    }

    /// Waits for the guest's end, or for as long as it may take; says whether that was too short.
    fn wait(&self, run: &GuestCommand, group: &mut Group, start: Instant) -> Result<bool> {
        let mut status_since: Option<Instant> = None;
        let label = format!("guest {}", self.kernel.name);
        let mut life = SignsOfLife::new(&label);
        while group
            .try_wait()
            .context("virtme-ng cannot be waited for")?
            .is_none()
        {
            thread::sleep(POLL);
            if !self.quiet {
                life.show(&run.console);
            }
            if status_since.is_none() && run.status().is_some() {
                status_since = Some(Instant::now());
            }
            match status_since {
                // A task stuck in the kernel can keep a guest from ever shutting down.
                Some(since) if since.elapsed() > SHUTDOWN => return Ok(false),
                None if start.elapsed() > self.timeout => return Ok(true),
                _ => {}
            }
        }
        Ok(false)
    }

    fn virtme_ng(&self, run: &GuestCommand) -> Result<Command> {
        let tools = self.context.tools().join("virtme-ng/bin");
        let program = tools.join("vng");
        ensure!(
            program.is_file(),
            "{} is missing: run cargo xtask setup",
            program.display()
        );
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path)))
            .context("PATH cannot be extended")?;
        let is_emulated = self.counts_instructions || !kvm::works(self.context, self.kernel)?;
        let mut command = Command::new(&program);
        command
            .env("PATH", path)
            .arg("--run")
            .arg(self.kernel.image())
            .args([
                "--user",
                "root",
                "--force-9p",
                "--disable-microvm",
                "--memory",
                &self.memory,
            ])
            .args(["--cpus", &self.cpus.to_string()])
            // virtme-ng sends the console to standard error or nowhere: name it a file instead.
            .arg(format!(
                "--qemu-opts=-set chardev.console.path={} -machine {UNUSED_DEVICES} {}",
                plain(&run.console)?,
                match (self.counts_instructions, is_emulated) {
                    (true, _) => INSTRUCTION_COUNT,
                    (false, true) => ONE_THREAD,
                    (false, false) => "",
                }
            ))
            .arg(format!(
                "--append=loglevel=5 oops=panic modprobe.blacklist={UNUSED_MODULES} {}",
                self.kernel_arguments.join(" ")
            ));
        for directory in self.writable.iter().chain([&run.shared]) {
            let directory = fs::canonicalize(directory)
                .with_context(|| format!("{} cannot be given to the guest", directory.display()))?;
            command.arg(format!("--rwdir={}", plain(&directory)?));
        }
        if is_emulated {
            command.arg("--disable-kvm");
        }
        command
            .args(["--", "sh"])
            .arg(plain(&run.script)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }
}

/// virtme-ng hands its arguments through a shell unquoted.
fn plain(path: &Path) -> Result<&str> {
    path.to_str()
        .filter(|text| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c)))
        .ok_or_else(|| {
            anyhow!(
                "{} cannot be given to virtme-ng: use a path of letters, digits and ./_-+ (LASTREF_CACHE moves the cache)",
                path.display()
            )
        })
}

fn judge(status: Option<i32>, timed_out: bool, console: &str) -> Outcome {
    match status {
        _ if console.contains("Kernel panic - not syncing") => Outcome::Panicked,
        Some(status) => Outcome::Exited(status),
        None if timed_out => Outcome::TimedOut,
        None => Outcome::Lost,
    }
}

fn collect<W: Write + Send + 'static>(
    stream: Option<impl Read + Send + 'static>,
    mut echo: Option<W>,
) -> JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let Some(mut stream) = stream else {
            return Ok(all);
        };
        let mut buffer = [0; 8192];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(all);
            }
            all.extend_from_slice(&buffer[..count]);
            if let Some(echo) = &mut echo {
                echo.write_all(&buffer[..count])?;
                echo.flush()?;
            }
        }
    })
}

fn joined(thread: JoinHandle<io::Result<Vec<u8>>>) -> Result<String> {
    let bytes = thread
        .join()
        .map_err(|_| anyhow!("the guest's output was lost"))?
        .context("the guest's output cannot be read")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &str = "[ 1.0] Kernel panic - not syncing: sysrq triggered crash\n";

    #[test]
    fn the_verdict_on_a_guest() {
        assert_eq!(judge(Some(0), false, "fine"), Outcome::Exited(0));
        assert_eq!(judge(Some(255), false, ""), Outcome::Exited(255));
        assert_eq!(judge(None, false, "fine"), Outcome::Lost);
        assert_eq!(judge(None, true, "fine"), Outcome::TimedOut);
        assert_eq!(judge(None, false, PANIC), Outcome::Panicked);
        assert_eq!(judge(None, true, PANIC), Outcome::Panicked);
        assert_eq!(judge(Some(0), false, PANIC), Outcome::Panicked);
    }

    #[test]
    fn paths_that_virtme_ng_would_split_are_refused() {
        assert!(plain(Path::new("/a/b-1.0+deb13")).is_ok());
        assert!(plain(Path::new("/a b")).is_err());
        assert!(plain(Path::new("/a$b")).is_err());
    }
}
