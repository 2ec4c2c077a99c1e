//! The live view of `watch`: what is found, on a terminal, while it is found.
//!
//! Reports and keys change the [`State`], [`view`] draws it; neither knows a terminal. This file
//! ties them to one, in the thread of a [`Display`](super::display::Display).

mod columns;
mod job;
mod keys;
mod layout;
mod rates;
mod rows;
mod screen;
mod state;
mod view;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use lastref::report::{changes::Wanted, file};
use ratatui::crossterm::event::{self, Event};

pub use screen::{OUTPUT, is_usable, restore};

use self::{job::JobControl, keys::Action, screen::Screen, state::State, view::Theme};
use super::{
    display::{Mail, Mailbox, Outcome},
    output,
};

/// How long a key is waited for before the mailbox is looked at again.
const TICK: Duration = Duration::from_millis(100);

/// How long the view may take to end before the terminal is taken from it.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// What the view is to show and to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which sites are shown at first.
    pub wanted: Wanted,
    /// Where `w` writes the report; without it, to a new file in the working directory.
    pub output: Option<PathBuf>,
}

/// Shows the live view until the mailbox is closed or the user quits.
///
/// # Errors
/// If the terminal cannot be used any more.
pub fn run(mailbox: Mailbox, options: &Options) -> Result<Outcome> {
    output::hold();
    let shown = show(mailbox, options);
    restore();
    output::release();
    shown
}

fn show(mut mailbox: Mailbox, options: &Options) -> Result<Outcome> {
    let job = JobControl::listen(mailbox.runtime())?;
    let mut screen = Screen::enter()?;
    let mut state = State::new(options.wanted);
    let theme = Theme::new(output::colour());
    let mut is_stale = true;
    loop {
        match mailbox.look() {
            Mail::New(update) if update.last => return Ok(Outcome::Over),
            Mail::New(update) => {
                state.update(update.report);
                is_stale = true;
            }
            Mail::Nothing => {}
            Mail::Closed => return Ok(Outcome::Over),
        }
        if state.take_message(output::latest_held()) {
            is_stale = true;
        }
        if job.is_stop_requested() {
            suspend(&mut screen)?;
            is_stale = true;
        }
        if job.was_continued() {
            screen.enter_again()?;
            is_stale = true;
        }
        if is_stale {
            screen.draw(|area, buffer| {
                state.fit(area);
                view::render(&state, theme, buffer);
            })?;
            is_stale = false;
        }
        if !event::poll(TICK).context("cannot wait for keys")? {
            continue;
        }
        is_stale = true;
        let Event::Key(key) = event::read().context("cannot read keys")? else {
            continue;
        };
        match state.key(key) {
            None => {}
            Some(Action::Quit) => return Ok(Outcome::Stop),
            Some(Action::Redraw) => screen.enter_again()?,
            Some(Action::Suspend) => suspend(&mut screen)?,
            Some(Action::Write) => {
                let notice = write(&state, options);
                state.notice = Some(notice);
            }
        }
    }
}

/// Gives the terminal back and stops this process, until it is told to go on.
fn suspend(screen: &mut Screen) -> Result<()> {
    restore();
    job::stop();
    screen.enter_again()
}

/// Writes the report that is shown, and says what came of it.
fn write(state: &State, options: &Options) -> String {
    let Some(report) = state.report() else {
        return "there is no report yet".to_owned();
    };
    let path = options.output.clone().unwrap_or_else(|| {
        let time = report.capture.started.replace(':', "");
        PathBuf::from(format!("lastref-{time}.json"))
    });
    match file::write(&path, report) {
        Ok(()) => format!("the report so far is in {}", path.display()),
        Err(error) => error.to_string(),
    }
}
