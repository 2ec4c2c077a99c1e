//! Standard output and standard error: readers that have seen enough, and colour.

mod messages;

use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use messages::{PATIENCE, hold, latest_held, release, settle, tell};

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
    // A terminal shows both streams: what was told before comes before.
    settle(PATIENCE);
    let mut output = BufWriter::new(io::stdout().lock());
    match content(&mut output).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => written
            .context("cannot write to standard output; check where it goes")
            .map(|()| ExitCode::SUCCESS),
    }
}

/// Whether standard output is a terminal that takes nothing for as long as `patience`: it is stopped
/// (^S), or whoever has its other side is.
pub fn is_terminal_stuck(patience: Duration) -> bool {
    let output = io::stdout();
    let Ok(patience) = Timespec::try_from(patience) else {
        return false;
    };
    output.is_terminal()
        && poll(&mut [PollFd::new(&output, PollFlags::OUT)], Some(&patience)) == Ok(0)
}

/// Whether standard output is to be coloured: as `--color` said, else unless `NO_COLOR` is set,
/// if it is a terminal that can or `CLICOLOR_FORCE` is set.
pub fn colour() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}
