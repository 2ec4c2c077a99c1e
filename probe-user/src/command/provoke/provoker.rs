//! The agent's side of provoking: starts the process that makes the passes, paces it, ends it.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use lastref::report::model::{Provocation, Report};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    Plan,
    cgroup::MemoryCgroup,
    means::Means,
    pace::pause,
    passes::{Answer, SUBCOMMAND},
};
use crate::command::output;

/// How long the process may take to end. One that hangs in the kernel never does.
const GRACE: Duration = Duration::from_secs(1);

/// What makes the dentries vanish. Dropping it ends the process, but waits for nothing.
pub struct Provoker {
    plan: Plan,
    means: Means,
    cgroup: Option<MemoryCgroup>,
    /// A pass that takes longer than this is stuck.
    stuck_after: Duration,
    process: Child,
    thread: u32,
    /// The process' orders and answers, until the passes begin.
    pipes: Option<Pipes>,
    pacing: Option<JoinHandle<()>>,
    progress: watch::Sender<Progress>,
    /// When provoking was over and the process had ended, too.
    ended: Option<Instant>,
}

/// What has become of the passes so far.
#[derive(Clone, Debug, Default)]
struct Progress {
    passes: u64,
    busy: Duration,
    /// When the pass began that is not over.
    pass_began: Option<Instant>,
    failure: Option<String>,
}

impl Provoker {
    /// Starts the process. It does nothing yet.
    ///
    /// # Errors
    /// If this kernel or host does not allow what was asked for; the message says what to do.
    pub fn start(plan: Plan, stuck_after: Duration) -> Result<Self> {
        let (means, cgroup) = Means::prepare(plan.method)?;
        let name = means
            .to_possible_value()
            .context("the means to provoke have no name")?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("lastref")
            .args([SUBCOMMAND, name.get_name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A SIGINT of the terminal is for the agent, which ends this process itself.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(cgroup) = &cgroup {
            command.arg(cgroup.directory());
        }
        let mut process = command
            .spawn()
            .context("cannot start the process that provokes, from /proc/self/exe")?;
        let pipes = Pipes::of(&mut process);
        // It has this one thread only.
        let thread = process.id();
        let (Some(pipes), Some(thread)) = (pipes, thread) else {
            anyhow::bail!("the process that provokes ended at once");
        };
        Ok(Self {
            plan,
            means,
            cgroup,
            stuck_after,
            process,
            thread,
            pipes: Some(pipes),
            pacing: None,
            progress: watch::Sender::new(Progress::default()),
            ended: None,
        })
    }

    /// The thread that makes the passes.
    pub fn thread(&self) -> u32 {
        self.thread
    }

    /// The cgroup that the command is to run in, if any.
    pub fn cgroup(&self) -> Option<&MemoryCgroup> {
        self.cgroup.as_ref()
    }

    /// Begins with the passes.
    pub fn go(&mut self) {
        if let Some(pipes) = self.pipes.take() {
            if let Some(cgroup) = &mut self.cgroup {
                cgroup.set_in_use(true);
            }
            let rest = Rest {
                duty_percent: self.plan.duty_percent,
                shortest: self.means.shortest_pause(),
            };
            let progress = self.progress.clone();
            self.pacing = Some(tokio::spawn(pace(pipes, rest, progress)));
        }
    }

    /// Ends the passes, and returns whether their process has ended, too.
    pub async fn end(&mut self) -> bool {
        let now = Instant::now();
        if let Some(pacing) = self.pacing.take() {
            pacing.abort();
        }
        // Before anything is waited for: a pass may have lowered the command's limit.
        self.release();
        // It has ended already if it failed.
        let _ = self.process.start_kill();
        let is_gone = matches!(timeout(GRACE, self.process.wait()).await, Ok(Ok(_)));
        if is_gone {
            self.ended = Some(now);
        } else {
            output::tell("the process that provokes has not ended yet: a pass is under way");
            self.progress.send_modify(|progress| {
                progress.failure = Some("a pass had not ended when it was over".to_owned());
            });
        }
        if let Some(cgroup) = &mut self.cgroup {
            cgroup.set_in_use(!is_gone);
        }
        self.release();
        is_gone
    }

    /// Lifts the limit that a pass may have left in force.
    fn release(&self) {
        if let Some(cgroup) = &self.cgroup
            && let Err(error) = self.means.release(cgroup.directory())
        {
            output::tell(format_args!(
                "cannot lift the limit of {}: {error}",
                cgroup.directory().display()
            ));
        }
    }

    /// Writes into a report what was provoked so far.
    pub fn note(&self, report: &mut Report) {
        let provocation = self.provocation();
        if let Some(shortfall) = provocation.shortfall() {
            report.capture.complete = false;
            report.capture.incomplete_because.push(shortfall);
        }
        report.capture.provocation = Some(provocation);
    }

    fn provocation(&self) -> Provocation {
        let progress = self.progress.borrow();
        let now = self.ended.unwrap_or_else(Instant::now);
        let unfinished = progress
            .pass_began
            .map(|began| now.saturating_duration_since(began));
        Provocation {
            method: self.means.method(),
            by: self.means.file().to_owned(),
            reach: self.means.reach().to_owned(),
            duty_percent: self.plan.duty_percent,
            passes: progress.passes,
            busy_ms: milliseconds(progress.busy),
            unfinished_ms: unfinished.map(milliseconds),
            stuck: unfinished.is_some_and(|unfinished| unfinished > self.stuck_after),
            failure: progress.failure.clone(),
        }
    }
}

impl Drop for Provoker {
    /// When something else failed, and [`Provoker::end`] was not reached.
    fn drop(&mut self) {
        if self.pacing.take().is_some() {
            self.release();
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the pauses are made of.
#[derive(Clone, Copy)]
struct Rest {
    duty_percent: u8,
    shortest: Duration,
}

/// Orders one pass after another, with pauses, until one fails.
async fn pace(mut pipes: Pipes, rest: Rest, progress: watch::Sender<Progress>) {
    loop {
        progress.send_modify(|progress| progress.pass_began = Some(Instant::now()));
        let passed = pipes.pass().await;
        progress.send_modify(|progress| {
            progress.pass_began = None;
            match &passed {
                Ok(took) => {
                    progress.passes += 1;
                    progress.busy += *took;
                }
                Err(error) => progress.failure = Some(format!("{error:#}")),
            }
        });
        match passed {
            Ok(took) => sleep(pause(took, rest.duty_percent, rest.shortest)).await,
            Err(error) => {
                output::tell(format_args!("provoking ended early: {error:#}"));
                return;
            }
        }
    }
}

/// The process' orders and answers.
struct Pipes {
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Pipes {
    fn of(process: &mut Child) -> Option<Self> {
        Some(Self {
            orders: process.stdin.take()?,
            answers: BufReader::new(process.stdout.take()?).lines(),
        })
    }

    /// Has one pass made, and returns how long it took.
    async fn pass(&mut self) -> Result<Duration> {
        self.orders
            .write_all(b"\n")
            .await
            .context("cannot give an order to the process that provokes")?;
        let answer = self
            .answers
            .next_line()
            .await
            .context("cannot read the answer of the process that provokes")?
            .context("the process that provokes has ended")?;
        match serde_json::from_str(&answer)
            .with_context(|| format!("the process that provokes answers `{answer}`"))?
        {
            Answer::TookNs(nanoseconds) => Ok(Duration::from_nanos(nanoseconds)),
            Answer::Failed(reason) => Err(anyhow::Error::msg(reason)),
        }
    }
}
