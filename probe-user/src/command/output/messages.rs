//! Messages to the user on standard error: in one line each that a terminal can be shown, and by a
//! thread of their own, so that nothing waits for a terminal that is stopped or a pipe that is full.

use std::{
    collections::VecDeque,
    fmt::Display,
    io::{self, Write},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use lastref::report::{page::escape, units::count};
use rustix::thread::CapabilitySet;

use super::super::privileges::keep_only;

/// Messages that wait until the screen is free; `None` while it is.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// What waits for the screen.
#[derive(Default)]
struct Held {
    messages: VecDeque<String>,
    /// How many earlier ones there were.
    left_out: u64,
}

/// How many messages wait at most: the latest ones for the screen, the first ones for whoever
/// reads standard error.
const WAITING_AT_MOST: usize = 100;

/// How long standard error is waited for before something else is shown, and at the end.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether all is written.
const TICK: Duration = Duration::from_millis(1);

/// Tells the user something on standard error. Names in it may be of anyone's choosing (a thread's,
/// a file's), so what a terminal would act on is escaped, line ends too. Nobody may be listening
/// there, which must not end or delay a run that has a report to write.
pub fn tell(message: impl Display) {
    let message = escape(&message.to_string()).into_owned();
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(held) = &mut *held {
        held.push(message);
        return;
    }
    drop(held);
    write(message);
}

impl Held {
    fn push(&mut self, message: String) {
        // One place is for the number of those left out.
        if self.messages.len() == WAITING_AT_MOST - 1 {
            self.messages.pop_front();
            self.left_out += 1;
        }
        self.messages.push_back(message);
    }

    fn tell(self, mut write: impl FnMut(String)) {
        if self.left_out > 0 {
            let left_out = count(self.left_out, "earlier message");
            write(format!("{left_out} left out, the latest follow"));
        }
        self.messages.into_iter().for_each(write);
    }
}

/// From now on messages wait: the screen is in use.
pub fn hold() {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.get_or_insert_default();
}

/// The latest message that waits.
pub fn latest_held() -> Option<String> {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.as_ref()?.messages.back().cloned()
}

/// Tells what has waited; no message waits from now on.
pub fn release() {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(held) = held {
        held.tell(write);
    }
}

/// Waits until all that was told is written, but no longer than `patience`.
pub fn settle(patience: Duration) {
    if let Some(Some(writer)) = WRITER.get() {
        writer.settle(patience);
    }
}

/// What writes to standard error; without a thread, whoever tells does.
static WRITER: OnceLock<Option<Writer>> = OnceLock::new();

fn write(message: String) {
    match WRITER.get_or_init(|| Writer::start(io::stderr()).ok()) {
        Some(writer) => writer.write(message),
        None => write_line(&mut io::stderr(), &message),
    }
}

fn write_line(out: &mut dyn Write, message: &str) {
    let _ = out.write_all(format!("lastref: {message}\n").as_bytes());
}

/// A thread that writes messages.
struct Writer {
    messages: Sender<String>,
    /// How many are not written yet.
    waiting: Arc<AtomicUsize>,
    /// How many have been left out since that was last told.
    left_out: Arc<AtomicU64>,
}

impl Writer {
    fn start(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (messages, received) = mpsc::channel::<String>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        let left_out = Arc::new(AtomicU64::new(0));
        let not_told = Arc::clone(&left_out);
        thread::Builder::new()
            .name("messages".to_owned())
            .spawn(move || {
                // It started before the others gave theirs up, and needs none.
                let _ = keep_only(CapabilitySet::empty());
                for message in received {
                    write_line(&mut out, &message);
                    // Those left out came after all that waited.
                    if left.load(Ordering::Acquire) == 1 {
                        let number = not_told.swap(0, Ordering::Relaxed);
                        if number > 0 {
                            let number = count(number, "message");
                            write_line(&mut out, &format!("{number} left out here"));
                        }
                    }
                    left.fetch_sub(1, Ordering::Release);
                }
            })?;
        Ok(Self {
            messages,
            waiting,
            left_out,
        })
    }

    /// Has it written, unless too many wait already: the report says all that matters, and errors
    /// that stay come again.
    fn write(&self, message: String) {
        let is_full = self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_AT_MOST;
        if is_full || self.messages.send(message).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn settle(&self, patience: Duration) {
        let began = Instant::now();
        while self.waiting.load(Ordering::Acquire) > 0 && began.elapsed() < patience {
            thread::sleep(TICK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender};

    /// Takes each write when it is asked for, as a terminal that is stopped and goes on.
    struct Slow(SyncSender<String>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Writer, Receiver<String>) {
        let (sender, written) = mpsc::sync_channel(0);
        (Writer::start(Slow(sender)).unwrap(), written)
    }

    #[test]
    fn nothing_waits_for_a_stopped_terminal() {
        let (writer, written) = slow();
        for number in 0..2 * WAITING_AT_MOST {
            writer.write(number.to_string());
        }
        let began = Instant::now();
        writer.settle(Duration::from_millis(20));
        assert!(began.elapsed() < Duration::from_secs(10));
        let lines: Vec<String> = (0..WAITING_AT_MOST)
            .map(|_| written.recv().unwrap())
            .collect();
        assert_eq!(lines[0], "lastref: 0\n");
        assert_eq!(lines[WAITING_AT_MOST - 1], "lastref: 99\n");
        assert_eq!(
            written.recv().unwrap(),
            "lastref: 100 messages left out here\n"
        );
        writer.settle(Duration::MAX);
        assert!(written.try_recv().is_err());
        writer.write("on again".to_owned());
        assert_eq!(written.recv().unwrap(), "lastref: on again\n");
    }

    #[test]
    fn the_latest_wait_for_the_screen() {
        for (told, first) in [
            (99, "0"),
            (101, "2 earlier messages left out, the latest follow"),
        ] {
            let mut held = Held::default();
            for number in 0..told {
                held.push(number.to_string());
            }
            let mut written = Vec::new();
            held.tell(|message| written.push(message));
            assert_eq!(written[0], first);
            assert_eq!(written.last(), Some(&(told - 1).to_string()));
            assert!(written.len() <= WAITING_AT_MOST);
        }
    }

    #[test]
    fn names_in_messages_do_nothing_to_a_terminal() {
        hold();
        tell("STUCK: evil\x1b]0;title\x07\nlastref: all is well\u{202e}, thread 12");
        assert_eq!(
            latest_held().unwrap(),
            "STUCK: evil\\u{1b}]0;title\\u{7}\\nlastref: all is well\\u{202e}, thread 12"
        );
        release();
        assert_eq!(latest_held(), None);
    }
}
