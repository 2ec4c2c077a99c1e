//! Standard output and standard error, and readers that have seen enough.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

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

/// Whether standard output is a terminal on which colours are wanted (<https://no-color.org>).
pub fn is_coloured() -> bool {
    io::stdout().is_terminal() && is_colour_wanted()
}

/// Whether the environment does not forbid colours.
pub fn is_colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
