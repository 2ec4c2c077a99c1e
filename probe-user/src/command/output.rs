//! Standard output and standard error, and readers that have seen enough.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

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

/// Tells the user something on standard error, in one line. Nobody may be listening there,
/// which must not end a run that has a report to write.
pub fn tell(message: impl Display) {
    let _ = writeln!(io::stderr(), "lastref: {message}");
}
