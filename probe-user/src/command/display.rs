//! What is shown while a run goes on: by a thread of its own, so that nothing waits for a
//! reader or a terminal that is slow, or stopped.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use lastref::report::{
    changes::{Changes, Wanted},
    model::Report,
    text,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};

use super::output;

/// How many news of one interval are told as text.
const NEWS: usize = 10;

/// A report on its way to the thread.
#[derive(Clone, Debug)]
pub struct Update {
    /// The report.
    pub report: Arc<Report>,
    /// Whether no other follows.
    pub last: bool,
}

/// How showing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was no more to show, or nobody to see it.
    Over,
    /// Watching is to end as well.
    Stop,
}

/// The thread that shows. Dropping it has it end.
pub struct Display {
    updates: Option<watch::Sender<Option<Update>>>,
    stop: Arc<Notify>,
    /// `None` once it was waited for.
    thread: Option<JoinHandle<Result<()>>>,
    /// How long it may take to end.
    patience: Duration,
}

impl Display {
    /// Starts `show` in a thread. It ends when the mailbox is closed, and is waited for no longer
    /// than `patience`.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(
        patience: Duration,
        show: impl FnOnce(Mailbox) -> Result<Outcome> + Send + 'static,
    ) -> Result<Self> {
        let (sender, receiver) = watch::channel(None);
        let mailbox = Mailbox {
            updates: receiver,
            runtime: Handle::current(),
        };
        let stop = Arc::new(Notify::new());
        let asks = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("display".to_owned())
            .spawn(move || match show(mailbox) {
                Ok(Outcome::Over) => Ok(()),
                Ok(Outcome::Stop) => {
                    asks.notify_one();
                    Ok(())
                }
                Err(error) => {
                    output::tell(format_args!(
                        "{error:#}; watching goes on without showing it"
                    ));
                    Err(error)
                }
            })
            .context("cannot start a thread")?;
        Ok(Self {
            updates: Some(sender),
            stop,
            thread: Some(thread),
            patience,
        })
    }

    /// Has `report` shown, at once or when what was shown before is through.
    pub fn show(&self, report: &Arc<Report>, last: bool) {
        if let Some(updates) = &self.updates {
            updates.send_replace(Some(Update {
                report: Arc::clone(report),
                last,
            }));
        }
    }

    /// Has the last report shown, and waits until it is.
    ///
    /// # Errors
    /// If not all could be shown.
    pub fn finish(mut self, report: &Arc<Report>) -> Result<()> {
        self.show(report, true);
        self.end()
    }

    /// Closes the mailbox and waits until all is shown.
    fn end(&mut self) -> Result<()> {
        drop(self.updates.take());
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let began = Instant::now();
        while !thread.is_finished() {
            if began.elapsed() >= self.patience {
                // Left behind: who shows nothing any more has no more to say.
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the display has broken down; report this")))
    }

    /// Ends when the one who watches wants to stop; never, if nobody does.
    pub async fn stop_requested(display: Option<&Self>) {
        match display {
            Some(display) => display.stop.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Display {
    /// When it does not matter any more what was shown.
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Where the thread finds the latest report. One that it was too slow for is gone: the next has
/// all that was in it.
pub struct Mailbox {
    updates: watch::Receiver<Option<Update>>,
    runtime: Handle,
}

/// What is in a mailbox.
pub enum Mail {
    /// A report that was not there before.
    New(Update),
    /// Nothing new yet.
    Nothing,
    /// Nothing new, and there will not be.
    Closed,
}

impl Mailbox {
    /// Waits for the next report; `None` when there will be none.
    pub fn wait(&mut self) -> Option<Update> {
        self.runtime.block_on(self.updates.changed()).ok()?;
        self.updates.borrow_and_update().clone()
    }

    /// Looks without waiting.
    pub fn look(&mut self) -> Mail {
        let current = self.updates.borrow_and_update();
        if current.has_changed()
            && let Some(update) = &*current
        {
            return Mail::New(update.clone());
        }
        drop(current);
        if self.updates.has_changed().is_err() {
            Mail::Closed
        } else {
            Mail::Nothing
        }
    }

    /// The runtime of those who send.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

/// Tells what is new in sentences on standard error.
pub fn sentences(mut mailbox: Mailbox, wanted: Wanted) -> Outcome {
    let mut changes = Changes::new(wanted);
    while let Some(update) = mailbox.wait() {
        // The last report is shown in full anyway.
        if update.last {
            break;
        }
        let news: Vec<String> = changes
            .since(&update.report, false)
            .iter()
            .filter_map(text::sentence)
            .collect();
        for sentence in news.iter().take(NEWS) {
            output::tell(sentence);
        }
        if let Some(more) = news.len().checked_sub(NEWS).filter(|more| *more > 0) {
            output::tell(format_args!("and {more} more"));
        }
        // A slow reader gets what is new when it has read what was.
        output::settle(Duration::MAX);
    }
    Outcome::Over
}

/// Writes what is new to standard output in lines of JSON. A reader that is gone has seen
/// enough: then `at_broken_pipe` is to be done.
///
/// # Errors
/// If standard output cannot be written.
pub fn lines(mut mailbox: Mailbox, wanted: Wanted, at_broken_pipe: Outcome) -> Result<Outcome> {
    let mut changes = Changes::new(wanted);
    while let Some(Update { report, last }) = mailbox.wait() {
        if is_reader_gone() {
            return Ok(at_broken_pipe);
        }
        for line in changes.since(&report, last) {
            let written = line.write(&mut io::stdout());
            if matches!(&written, Err(error) if error.kind() == ErrorKind::BrokenPipe) {
                return Ok(at_broken_pipe);
            }
            written.context("cannot write to standard output; check where it goes")?;
        }
    }
    Ok(Outcome::Over)
}

/// Whether standard output is a pipe or socket that nobody reads any more. Without it, that would
/// be noticed only when there is something to write.
fn is_reader_gone() -> bool {
    let output = io::stdout();
    let mut watched = [PollFd::new(&output, PollFlags::empty())];
    poll(&mut watched, Some(&Timespec::default())).is_ok()
        && watched[0]
            .revents()
            .intersects(PollFlags::ERR | PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const FIXTURE: &str = include_str!("../../tests/demo.json");

    fn report() -> Arc<Report> {
        Arc::new(serde_json::from_str(FIXTURE).unwrap())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn nothing_waits_for_who_is_slow() {
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let display = Display::start(Duration::MAX, move |mut mailbox| {
            wait.recv()?;
            while let Some(update) = mailbox.wait() {
                tell.send(update.last)?;
            }
            Ok(Outcome::Stop)
        })
        .unwrap();
        for _ in 0..1000 {
            display.show(&report(), false);
        }
        display.show(&report(), true);
        go.send(()).unwrap();
        let stop = Arc::clone(&display.stop);
        drop(display);
        assert_eq!(told.iter().collect::<Vec<_>>(), [true]);
        stop.notified().await;
    }

    #[tokio::test]
    async fn who_hangs_is_left_behind() {
        let (_go, wait) = mpsc::channel::<()>();
        let display = Display::start(Duration::from_millis(20), move |_| {
            wait.recv()?;
            Ok(Outcome::Over)
        })
        .unwrap();
        let began = Instant::now();
        drop(display);
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn what_could_not_be_shown_is_known_at_the_end() {
        let display = Display::start(Duration::MAX, |mut mailbox| {
            mailbox.wait();
            anyhow::bail!("the disk is full")
        })
        .unwrap();
        let error = display.finish(&report()).unwrap_err();
        assert_eq!(error.to_string(), "the disk is full");
    }

    #[tokio::test]
    async fn mail_is_there_once() {
        let (sender, updates) = watch::channel(None);
        let mut mailbox = Mailbox {
            updates,
            runtime: Handle::current(),
        };
        assert!(matches!(mailbox.look(), Mail::Nothing));
        sender.send_replace(Some(Update {
            report: report(),
            last: false,
        }));
        assert!(matches!(mailbox.look(), Mail::New(_)));
        assert!(matches!(mailbox.look(), Mail::Nothing));
        drop(sender);
        assert!(matches!(mailbox.look(), Mail::Closed));
    }
}
