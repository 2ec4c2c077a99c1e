//! What `watch` and `run` share: the options, the loop, the end.

use std::{
    ffi::OsString,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use lastref::{
    kernel::features::AttachChoice,
    observe::{Baseline, Session, SessionOptions},
    report::{
        file,
        model::{Level, Report, Severity},
    },
};
use tokio::{
    runtime,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    CANNOT_WATCH, FAILED,
    display::Display,
    files, live, output,
    outputs::{OutputArgs, Outputs},
    privileges,
    provoke::{MemoryCgroup, Plan, Provoker},
    stop::Stop,
    suppress,
    workload::Child,
};

/// A time that no session comes to.
const FAR_AWAY: Duration = Duration::from_hours(24 * 365);

/// The options of `watch` and `run`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct ObserveArgs {
    /// Stop after this long (30s, 5m), if SIGINT or SIGTERM does not come before
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// How often to read what the kernel half has counted, and to write the report so far
    #[arg(long, default_value = "2s", value_parser = duration)]
    interval: Duration,
    /// What to watch: evictions only, every final put, or others in unsafe contexts as well;
    /// the default is final, unless an option implies another
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// How to attach the probes; auto takes fentry where it is safe to detach and misses no calls
    #[arg(long, value_enum, default_value_t = AttachChoice::Auto)]
    attach: AttachChoice,
    /// Only sites of these filesystem types (ext4,ceph)
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    fs: Vec<String>,
    /// Exit with status 1 if a finding is at least as bad as this
    #[arg(long, value_enum, default_value_t = Severity::Unsafe)]
    fail_on: Severity,
    /// A report of an earlier run: its sites do not make this one fail, unless they became worse,
    /// and puts that were final there make those that are not final here latent
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// A file with findings that are excused, each for a reason: they do not make the run fail, and
    /// are shown with --all only (docs/report.md)
    #[arg(long, value_name = "FILE")]
    suppress: Option<PathBuf>,
    /// A final put that takes longer than this is reported as stuck
    #[arg(long, default_value = "10s", value_parser = duration)]
    stuck_after: Duration,
    /// Follow the mutexes and rwsems that tasks take, to know what is held without lockdep;
    /// costs two more probes for each lock taken
    #[arg(long)]
    track_locks: bool,
    #[command(flatten)]
    outputs: OutputArgs,
    /// Keep raw kernel addresses in the report (they defeat KASLR)
    #[arg(long)]
    addresses: bool,
    /// A kernel image with debug information, for source lines
    #[arg(long, value_name = "FILE")]
    vmlinux: Option<PathBuf>,
    /// Create this file once the probes are attached
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Report what watching costs, as the kernel counts it; the count itself adds two readings of the
    /// clock to each run of every BPF program of the system
    #[arg(long)]
    cost: bool,
    /// Let the kernel half log what it does, to standard error
    #[arg(long)]
    debug_ebpf: bool,
}

/// Where a run is shown while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On the terminal, if there is one that can be had.
    Screen,
    /// In lines of text.
    Lines,
}

/// The command that `run` runs.
pub struct WorkloadArgs<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// Whether its exit status is to be ours.
    pub passthrough: bool,
    /// What is to be provoked while it runs.
    pub provocation: Option<Plan>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text
        .parse()
        .map_err(|error| format!("{error}; write it as 30s, 5m or 1h"))?;
    Duration::try_from(parsed).map_err(|_| "a time cannot be negative".to_owned())
}

/// Watches and reports.
///
/// # Errors
/// If the command cannot be started, or the report cannot be made or written.
pub fn run(args: &ObserveArgs, stage: Stage, workload: Option<&WorkloadArgs>) -> Result<ExitCode> {
    if args.interval.is_zero() {
        anyhow::bail!("--interval must be longer than nothing");
    }
    args.keep_inputs()?;
    if args.debug_ebpf {
        env_logger::Builder::new()
            .filter_level(log::LevelFilter::Debug)
            .init();
    }
    // A worker besides this thread, so that a second SIGINT is heard while the report is
    // being made.
    runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(observe(args, stage, workload))
}

async fn observe(
    args: &ObserveArgs,
    stage: Stage,
    workload: Option<&WorkloadArgs<'_>>,
) -> Result<ExitCode> {
    let mut stop = Stop::listen()?;
    if let Some(path) = &args.ready_file {
        // One that an earlier run left would tell too early.
        remove(path)?;
    }
    let suppressions = suppress::read(args.suppress.as_deref())?;
    let plan = workload.and_then(|workload| workload.provocation);
    let mut session = match Session::start(args.session_options(plan.is_some())?) {
        Ok(session) => session,
        Err(error) => {
            // The verifier's log, if it is part of it, is of many lines.
            error.to_string().lines().for_each(output::tell);
            return Ok(ExitCode::from(if error.is_our_failure() {
                FAILED
            } else {
                CANNOT_WATCH
            }));
        }
    };
    let (attach, reason) = session.attachment();
    output::tell(format_args!("watching by {} ({reason})", attach.name()));
    let mut log = args
        .debug_ebpf
        .then(|| EbpfLogger::init(session.probe().object()))
        .transpose()
        .context("cannot read the kernel half's log")?;
    let mut provoker = plan
        .map(|plan| Provoker::start(plan, args.stuck_after))
        .transpose()?;
    if let Some(provoker) = &provoker {
        session.set_provoker(Some(provoker.thread()))?;
    }
    if let Some(path) = &args.ready_file {
        fs::write(path, "").with_context(|| format!("cannot create {}", path.display()))?;
    }
    let mut child = workload
        .map(|workload| {
            let cgroup = provoker.as_ref().and_then(Provoker::cgroup);
            Child::start(workload.command, cgroup)
        })
        .transpose()?;
    if let Some(provoker) = &mut provoker {
        provoker.go();
    }

    // The kernel half's log goes to standard error at any time, over what is on the screen.
    let stage = if args.debug_ebpf { Stage::Lines } else { stage };
    // After the command, which is to have all that the caller has; before the display's thread.
    let written = args.written(stage, provoker.as_ref());
    if let Err(error) = privileges::give_up(&session, &written, child.is_some()).await {
        output::tell(format_args!("{error:#}"));
    }
    let mut outputs = Outputs::start(&args.outputs, suppressions, stage, workload.is_some())?;
    outputs.interim(&mut session, provoker.as_ref());

    let end = args
        .duration
        .and_then(|duration| Instant::now().checked_add(duration));
    // One that is beyond all time never comes.
    let first_tick = Instant::now()
        .checked_add(args.interval)
        .unwrap_or_else(|| Instant::now() + FAR_AWAY);
    let mut ticks = interval_at(first_tick, args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.requested() => break,
            () = Child::ended(child.as_mut()) => break,
            () = until(end) => break,
            () = Display::stop_requested(outputs.display()) => break,
            _ = ticks.tick() => {}
        }
        if let Some(log) = &mut log {
            log.flush();
        }
        outputs.interim(&mut session, provoker.as_ref());
    }
    // First, so that the command is not kept from ending by it.
    if let Some(provoker) = &mut provoker
        && provoker.end().await
        && let Err(error) = session.set_provoker(None)
    {
        output::tell(error);
    }
    let workload_end = match &mut child {
        Some(child) => Some(child.finish().await),
        None => None,
    };
    if let Some(log) = &mut log {
        log.flush();
    }
    let mut report = session.report(false, workload_end)?;
    if let Some(provoker) = &provoker {
        provoker.note(&mut report);
    }
    let (report, written) = outputs.finish(report, args.fail_on)?;
    if let Err(error) = written {
        output::tell(format_args!("{error:#}"));
        return Ok(ExitCode::from(FAILED));
    }
    // The probes first: to clean up after a provocation that hangs may hang, too.
    drop(session);
    drop(provoker);
    Ok(verdict(args, workload, &report))
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn verdict(args: &ObserveArgs, workload: Option<&WorkloadArgs>, report: &Report) -> ExitCode {
    let ended = report.capture.workload.as_ref();
    if let Some(ended) = ended {
        output::tell(format_args!("the command {}", ended.end()));
    }
    if workload.is_some_and(|workload| workload.passthrough) {
        // As a shell has it: the status, or 128 and the signal's number.
        let status = ended.and_then(|ended| {
            ended
                .status
                .or_else(|| ended.signal.map(|signal| 128 + signal))
        });
        return ExitCode::from(
            status
                .and_then(|status| u8::try_from(status).ok())
                .unwrap_or(FAILED),
        );
    }
    ExitCode::from(super::verdict(report, args.fail_on))
}

impl ObserveArgs {
    /// What `--level` said.
    pub fn level(&self) -> Option<Level> {
        self.level
    }

    /// The first interval replaces files; none may be one that is read.
    fn keep_inputs(&self) -> Result<()> {
        let [output, prometheus] = self.outputs.files();
        files::keep(
            &[
                ("--baseline", self.baseline.as_deref()),
                ("--suppress", self.suppress.as_deref()),
                ("--vmlinux", self.vmlinux.as_deref()),
            ],
            &[
                output,
                prometheus,
                ("--ready-file", self.ready_file.as_deref()),
            ],
        )
    }

    /// What is opened for writing after the start: files, the cgroup that is cleaned up, and for
    /// the live view the terminal that is given back and the directory that its reports go to.
    fn written(&self, stage: Stage, provoker: Option<&Provoker>) -> Vec<PathBuf> {
        let files = self
            .outputs
            .files()
            .into_iter()
            .filter_map(|(_, path)| path);
        let cgroup = provoker.and_then(Provoker::cgroup);
        let live: &[&str] = match stage {
            Stage::Screen => &[live::OUTPUT, "."],
            Stage::Lines => &[],
        };
        files
            .chain(cgroup.map(MemoryCgroup::directory))
            .chain(live.iter().map(Path::new))
            .map(Path::to_owned)
            .collect()
    }

    fn session_options(&self, provokes: bool) -> Result<SessionOptions> {
        let default = if provokes {
            Level::Latent
        } else {
            Level::Final
        };
        let baseline = match &self.baseline {
            Some(path) => Baseline::of(&file::read(path)?),
            None => Baseline::default(),
        };
        Ok(SessionOptions {
            baseline,
            provokes,
            level: self.level.unwrap_or(default),
            attach: self.attach,
            filesystems: self.fs.clone(),
            stuck_after: self.stuck_after,
            addresses: self.addresses,
            track_locks: self.track_locks,
            vmlinux: self.vmlinux.clone(),
            cost: self.cost,
            debug: self.debug_ebpf,
        })
    }
}
