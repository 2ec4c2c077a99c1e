//! The terminal: taken, drawn on, and given back whatever happens.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, IsTerminal as _, Stdout, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    buffer::Buffer,
    crossterm::{
        Command as _,
        cursor::{Hide, Show},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::{Position, Rect},
};
use rustix::{process::getpgrp, termios::tcgetpgrp};

/// Whether the terminal is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Standard output, to be opened once more.
pub const OUTPUT: &str = "/proc/self/fd/1";

/// Enough for a whole screen, which is then written in few pieces.
const BUFFER: usize = 1 << 16;

/// How often it is tried to write to a terminal that takes nothing, and after what pause.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Whether there is a terminal to draw on and to read keys from, and it is ours: a process in the
/// background would be stopped by its first use.
pub fn is_usable() -> bool {
    let is_foreground = || tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
    let is_dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb && is_foreground()
}

/// The terminal, taken. [`restore`] gives it back.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<io::BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If it cannot be set up.
    pub fn enter() -> Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |information| {
                restore();
                previous(information);
            }));
        });
        take()?;
        let output = io::BufWriter::with_capacity(BUFFER, io::stdout());
        let terminal =
            Terminal::new(CrosstermBackend::new(output)).context("cannot use the terminal")?;
        Ok(Self { terminal })
    }

    /// Takes the terminal anew, whatever became of it meanwhile.
    ///
    /// # Errors
    /// If it cannot be set up.
    pub fn enter_again(&mut self) -> Result<()> {
        restore();
        take()?;
        // Not clear(): that asks the terminal where its cursor is, and fails if it does not answer.
        self.terminal
            .size()
            .and_then(|size| self.terminal.resize(Rect::from((Position::ORIGIN, size))))
            .context("cannot clear the terminal")
    }

    /// Draws what `content` does.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn draw(&mut self, content: impl FnOnce(Rect, &mut Buffer)) -> Result<()> {
        self.terminal
            .draw(|frame| content(frame.area(), frame.buffer_mut()))
            .map(drop)
            .context("cannot draw on the terminal")
    }
}

fn take() -> Result<()> {
    // First, so that what goes wrong half-way is put right, too.
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode().context("cannot read single keys from the terminal")?;
    execute!(io::stdout(), EnterAlternateScreen, Hide).context("cannot use the terminal")
}

/// Gives the terminal back, if it is taken. Never blocks for long: the thread that draws may hang
/// in a write to a terminal that takes nothing, with standard output locked.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nobody could be told of an error.
    let _ = disable_raw_mode();
    let mut sequence = String::new();
    let _ = LeaveAlternateScreen.write_ansi(&mut sequence);
    let _ = Show.write_ansi(&mut sequence);
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let Ok(flags) = i32::try_from(flags.bits()) else {
        return;
    };
    let Ok(mut output) = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(OUTPUT)
    else {
        return;
    };
    for _ in 0..TRIES {
        match output.write_all(sequence.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            _ => return,
        }
    }
}
