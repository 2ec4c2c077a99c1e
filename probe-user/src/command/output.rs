//! Standard output, for text that is complete, and whether it is coloured.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;

/// Writes `text` to standard output.
///
/// A reader that has seen enough (`| head`) is no error.
///
/// # Errors
///
/// When it cannot be written, to a full disk for example.
pub fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut output = io::stdout().lock();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => written
            .context("cannot write to standard output; check where it goes")
            .map(|()| ExitCode::SUCCESS),
    }
}

/// Tells the user something on standard error, in one line. Nobody may be listening there,
/// which must not end a run that has a report to write.
pub fn tell(message: impl Display) {
    let _ = writeln!(io::stderr(), "lastref: {message}");
}

/// Whether standard output is to be coloured: as `--color` said, else unless `NO_COLOR` is set,
/// if it is a terminal that can or `CLICOLOR_FORCE` is set.
pub fn colour() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}
