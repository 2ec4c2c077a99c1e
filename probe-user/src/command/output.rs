//! Standard output and standard error: readers that have seen enough, and colour.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;

/// Writes `text` to standard output, see [`stream`].
///
/// # Errors
///
/// When it cannot be written, to a full disk for example.
pub fn print(text: &str) -> anyhow::Result<ExitCode> {
    stream(|out| out.write_all(text.as_bytes()))
}

/// Lets `content` write to standard output.
///
/// A reader that has seen enough (`| head`) is no error.
///
/// # Errors
///
/// When it cannot be written, to a full disk for example.
pub fn stream(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<ExitCode> {
    let mut output = BufWriter::new(io::stdout().lock());
    match content(&mut output).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => written
            .context("cannot write to standard output; check where it goes")
            .map(|()| ExitCode::SUCCESS),
    }
}

/// Messages that wait until the screen is free; `None` while it is.
static HELD: Mutex<Option<VecDeque<String>>> = Mutex::new(None);

/// How many messages wait at most, the latest ones.
const HELD_AT_MOST: usize = 100;

/// Tells the user something on standard error, in one line. Nobody may be listening there,
/// which must not end a run that has a report to write.
pub fn tell(message: impl Display) {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(held) = &mut *held {
        if held.len() == HELD_AT_MOST {
            held.pop_front();
        }
        held.push_back(message.to_string());
        return;
    }
    drop(held);
    let _ = writeln!(io::stderr(), "lastref: {message}");
}

/// Whether standard output is to be coloured: as `--color` said, else unless `NO_COLOR` is set,
/// if it is a terminal that can or `CLICOLOR_FORCE` is set.
pub fn colour() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// From now on messages wait: the screen is in use.
pub fn hold() {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.get_or_insert_default();
}

/// The latest message that waits.
pub fn latest_held() -> Option<String> {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.as_ref()?.back().cloned()
}

/// Tells what has waited; no message waits from now on.
pub fn release() {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
    for message in held.into_iter().flatten() {
        tell(message);
    }
}
