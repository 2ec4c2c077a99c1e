//! The keys: one table that the view reads, too, so that what is shown is what works.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// One line up.
    Up,
    /// One line down.
    Down,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// To the first line.
    First,
    /// To the last line.
    Last,
    /// To the next pane.
    NextPane,
    /// To the pane before.
    PreviousPane,
    /// To the selected site's details.
    Open,
    /// Away with what is in front: help, a filter, the details.
    Back,
    /// All sites, or findings only.
    All,
    /// The next order.
    Sort,
    /// Begin to write a filter.
    Filter,
    /// Hold the display.
    Pause,
    /// Show or hide what the keys do.
    Help,
    /// For the terminal's side.
    Act(Action),
}

/// What only the terminal's side can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End watching.
    Quit,
    /// Write the report.
    Write,
    /// Stop the process, as a shell's job.
    Suspend,
    /// Draw all anew.
    Redraw,
}

/// A line of the table.
#[derive(Clone, Copy)]
pub struct Binding {
    /// Keys without Ctrl.
    plain: &'static [KeyCode],
    /// The letter to be pressed with Ctrl.
    control: Option<char>,
    /// How they are shown.
    pub name: &'static str,
    /// What they do in a word, for the bottom line; empty for keys that are in the help only.
    pub hint: &'static str,
    /// What they do.
    pub help: &'static str,
    command: Command,
}

const fn binding(
    plain: &'static [KeyCode],
    name: &'static str,
    hint: &'static str,
    help: &'static str,
    command: Command,
) -> Binding {
    Binding {
        plain,
        control: None,
        name,
        hint,
        help,
        command,
    }
}

const fn with_control(letter: char, binding: Binding) -> Binding {
    Binding {
        control: Some(letter),
        ..binding
    }
}

/// All keys, those first that must be seen when there is little room.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    with_control('c', binding(&[KeyCode::Char('q')], "q", "quit", "end watching and print the report (Ctrl-C, too)", Command::Act(Action::Quit))),
    binding(&[KeyCode::Char('?'), KeyCode::F(1)], "?", "help", "show or hide this help", Command::Help),
    binding(&[KeyCode::Up, KeyCode::Char('k')], "↑", "up", "select the line above (k, too)", Command::Up),
    binding(&[KeyCode::Down, KeyCode::Char('j')], "↓", "down", "select the line below (j, too)", Command::Down),
    binding(&[KeyCode::Tab], "Tab", "pane", "go to the next pane: stuck calls, sites, details", Command::NextPane),
    binding(&[KeyCode::Char('/')], "/", "filter", "list only sites that have a text in a function, module, filesystem, rule, fact, severity or id", Command::Filter),
    binding(&[KeyCode::Char('a')], "a", "all sites", "list every site, or findings only", Command::All),
    binding(&[KeyCode::Char('s')], "s", "sort", "sort by severity and rate, rate, puts, longest eviction", Command::Sort),
    binding(&[KeyCode::Char('p'), KeyCode::Char(' ')], "p", "pause", "hold the display; watching goes on", Command::Pause),
    binding(&[KeyCode::Char('w')], "w", "write", "write the report as it is shown to a file", Command::Act(Action::Write)),
    binding(&[KeyCode::PageUp], "PgUp", "", "a page up", Command::PageUp),
    binding(&[KeyCode::PageDown], "PgDn", "page", "a page down", Command::PageDown),
    binding(&[KeyCode::Home, KeyCode::Char('g')], "Home", "", "to the first line, and stay there when worse comes", Command::First),
    binding(&[KeyCode::End, KeyCode::Char('G')], "End", "", "to the last line", Command::Last),
    binding(&[KeyCode::Enter], "Enter", "details", "go to the details of the selected site", Command::Open),
    binding(&[KeyCode::Esc], "Esc", "", "leave help, filter or details", Command::Back),
    binding(&[KeyCode::BackTab], "Shift-Tab", "", "go to the pane before", Command::PreviousPane),
    with_control('l', binding(&[], "Ctrl-L", "", "draw the screen anew", Command::Act(Action::Redraw))),
    with_control('z', binding(&[], "Ctrl-Z", "", "stop, until the shell's fg", Command::Act(Action::Suspend))),
];

/// What `key` does, if anything.
pub fn command(key: KeyEvent) -> Option<Command> {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let has_key = |binding: &&Binding| match key.code {
        KeyCode::Char(letter) if with_control => binding.control == Some(letter),
        code => !with_control && binding.plain.contains(&code),
    };
    BINDINGS.iter().find(has_key).map(|binding| binding.command)
}
