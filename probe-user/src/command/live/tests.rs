//! The live view without a terminal: what it shows of real and of large reports, and what keys do.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lastref::report::{
    changes::Wanted,
    model::{Report, Severity},
};
use ratatui::{
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    layout::Rect,
    style::{Color, Modifier},
};

use super::{
    keys::{Action, BINDINGS},
    layout::Pane,
    state::State,
    view::{self, Theme},
};

/// What `cargo xtask demo` left: one deadlock, one thread that hangs.
const DEMO: &str = include_str!("../../../tests/demo.json");

fn demo() -> Report {
    serde_json::from_str(DEMO).unwrap()
}

/// That many sites, most of them findings, called ever more often; only the first hangs.
fn many(number: usize) -> Report {
    const SEVERITIES: [Severity; 6] = [
        Severity::Deadlock,
        Severity::Unsafe,
        Severity::Risky,
        Severity::Latent,
        Severity::Expected,
        Severity::Benign,
    ];
    let mut report = demo();
    let model = report.findings.remove(0);
    for index in 0..number {
        let mut site = model.clone();
        site.id = format!("{index:016x}");
        site.severity = SEVERITIES[index % SEVERITIES.len()];
        site.counts.final_puts = index as u64;
        site.frames[0].function = Some(format!("function_{index}"));
        if index > 0 {
            site.stuck.clear();
        }
        if site.severity >= Severity::Latent {
            report.findings.push(site);
        } else {
            report.other_sites.push(site);
        }
    }
    report
}

fn state(report: Report) -> State {
    let mut state = State::new(Wanted {
        mildest: Severity::Latent,
        all: false,
    });
    state.update(Arc::new(report));
    state
}

fn draw_with(state: &mut State, width: u16, height: u16, theme: Theme) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    state.fit(area);
    view::render(state, theme, &mut buffer);
    buffer
}

/// The screen as text.
fn draw(state: &mut State, width: u16, height: u16) -> String {
    let buffer = draw_with(state, width, height, Theme::new(true));
    let cells = usize::from(width);
    buffer
        .content()
        .chunks(cells)
        .map(|line| {
            let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
            line.trim_end().to_owned() + "\n"
        })
        .collect()
}

fn press(state: &mut State, code: KeyCode) -> Option<Action> {
    state.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn write(state: &mut State, text: &str) {
    for letter in text.chars() {
        assert_eq!(press(state, KeyCode::Char(letter)), None);
    }
}

fn selected(state: &State) -> usize {
    usize::from_str_radix(&state.selected().unwrap().id, 16).unwrap()
}

#[test]
fn the_demo_on_screens_of_many_sizes() {
    for (width, height) in [(40, 12), (80, 24), (120, 40), (200, 60)] {
        let text = draw(&mut state(demo()), width, height);
        insta::assert_snapshot!(format!("demo_{width}x{height}"), text);
    }
}

#[test]
fn a_long_list_in_a_small_window() {
    let mut state = state(many(1000));
    press(&mut state, KeyCode::End);
    insta::assert_snapshot!(draw(&mut state, 80, 24));
}

#[test]
fn before_the_first_report() {
    let mut state = State::new(Wanted {
        mildest: Severity::Latent,
        all: false,
    });
    let text = draw(&mut state, 60, 10);
    assert!(text.contains("reading what the kernel"), "{text}");
    assert_eq!(press(&mut state, KeyCode::Down), None);
    assert_eq!(press(&mut state, KeyCode::Tab), None);
    draw(&mut state, 60, 10);
}

#[test]
fn no_screen_is_too_small() {
    let mut state = state(many(50));
    for width in 0..45 {
        for height in 0..26 {
            for code in [
                KeyCode::End,
                KeyCode::Tab,
                KeyCode::Char('?'),
                KeyCode::PageUp,
            ] {
                press(&mut state, code);
                draw_with(&mut state, width, height, Theme::new(true));
            }
        }
    }
}

#[test]
fn what_is_lost_is_always_seen() {
    for (width, height) in [(40, 2), (40, 5), (40, 12), (100, 30)] {
        let mut report = demo();
        let seen = |state: &mut State| draw(state, width, height);
        assert!(height < 3 || seen(&mut state(report.clone())).contains("nothing lost"));
        report.losses.sites_full = 7;
        report.capture.incomplete_because = report.losses.gaps();
        let mut state = state(report.clone());
        assert!(seen(&mut state).contains("INCOMPLETE: 7 calls"));
        // Also while the display is held, with help in front.
        press(&mut state, KeyCode::Char('p'));
        press(&mut state, KeyCode::Char('?'));
        report.losses.sites_full = 8;
        state.update(Arc::new(report));
        assert!(seen(&mut state).contains("INCOMPLETE: 8 calls"));
    }
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let mut state = state(demo());
    let colours = |buffer: &Buffer| buffer.content().iter().any(|cell| cell.fg != Color::Reset);
    assert!(colours(&draw_with(&mut state, 80, 24, Theme::new(true))));
    let plain = draw_with(&mut state, 80, 24, Theme::new(false));
    assert!(!colours(&plain));
    let is_reversed = |cell: &ratatui::buffer::Cell| cell.modifier.contains(Modifier::REVERSED);
    assert!(plain.content().iter().any(is_reversed));
}

#[test]
fn names_from_the_kernel_do_not_reach_the_terminal_raw() {
    let mut report = demo();
    report.findings[0].stuck[0].comm = "evil\x1b[2J\u{202e}".into();
    report.findings[0].frames[0].function = Some("\x1b]0;title\x07".into());
    let mut state = state(report);
    for (width, height) in [(80, 24), (200, 60)] {
        let text = draw(&mut state, width, height);
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text:?}");
        assert!(text.contains("evil\\u{1b}"), "{text}");
    }
}

#[test]
fn keys_move_and_stay_in_bounds() {
    let mut state = state(many(60));
    draw(&mut state, 80, 24);
    let findings = state.rows.len();
    assert_eq!(findings, 40);
    // Of the deadlocks, every sixth, the one that is called most.
    assert_eq!(selected(&state), 54);
    press(&mut state, KeyCode::Down);
    assert_eq!(selected(&state), 48);
    press(&mut state, KeyCode::Up);
    press(&mut state, KeyCode::Up);
    assert_eq!(state.sites.at, 0);
    press(&mut state, KeyCode::PageDown);
    let page = state.sites.at;
    assert!(page > 1, "{page}");
    press(&mut state, KeyCode::End);
    assert_eq!(state.sites.at, findings - 1);
    draw(&mut state, 80, 24);
    press(&mut state, KeyCode::Down);
    assert_eq!(state.sites.at, findings - 1);
    let height = usize::from(state.layout.sites.height) - 2;
    assert_eq!(state.sites.top, findings - height);
    press(&mut state, KeyCode::Home);
    draw(&mut state, 80, 24);
    assert_eq!((state.sites.at, state.sites.top), (0, 0));
}

#[test]
fn the_same_site_stays_selected() {
    let mut report = many(60);
    let mut state = state(report.clone());
    press(&mut state, KeyCode::Down);
    let before = selected(&state);
    report.capture.duration_ms += 2_000;
    report.findings[0].counts.final_puts += 1_000_000;
    state.update(Arc::new(report.clone()));
    assert_eq!(selected(&state), before);
    assert_eq!(state.sites.at, 2, "another came before it");
    // At the top it is the worst that stays selected, whichever that is.
    press(&mut state, KeyCode::Home);
    assert_eq!(selected(&state), 0);
    report.capture.duration_ms += 2_000;
    report.findings[4].counts.final_puts += 90_000_000;
    let busiest = report.findings[4].id.clone();
    state.update(Arc::new(report));
    assert_eq!(state.selected().unwrap().id, busiest);
}

#[test]
fn panes_take_turns() {
    let mut state = state(many(60));
    let mut turns = Vec::new();
    for code in [KeyCode::Tab, KeyCode::Tab, KeyCode::Tab, KeyCode::BackTab] {
        press(&mut state, code);
        turns.push(state.focus);
    }
    assert_eq!(turns, [Pane::Detail, Pane::Stuck, Pane::Sites, Pane::Stuck]);
    // The stuck call's site is the one in full.
    assert_eq!(selected(&state), 0);
    // The details can be read to their end.
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.focus, Pane::Detail);
    draw(&mut state, 40, 12);
    press(&mut state, KeyCode::End);
    let text = draw(&mut state, 40, 12);
    let last = state.detail.last().unwrap().1.clone();
    assert!(text.contains(last.trim()), "{last}: {text}");
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.focus, Pane::Sites);
    // Nothing hangs any more.
    press(&mut state, KeyCode::BackTab);
    let mut report = many(60);
    report.findings[0].stuck.clear();
    state.update(Arc::new(report));
    assert_eq!(state.focus, Pane::Sites);
}

#[test]
fn filters_are_written_kept_and_cleared() {
    let mut state = state(many(60));
    press(&mut state, KeyCode::Char('/'));
    write(&mut state, "Function_1q");
    assert!(state.rows.is_empty());
    press(&mut state, KeyCode::Backspace);
    assert!(state.is_editing);
    assert!(draw(&mut state, 80, 24).contains("filter: Function_1"));
    // 1 and 10 to 19, of which 4, 5 of each six are no findings.
    assert_eq!(state.rows.len(), 7);
    press(&mut state, KeyCode::Char('a'));
    assert!(state.rows.is_empty(), "a letter is written, not obeyed");
    press(&mut state, KeyCode::Backspace);
    assert_eq!(press(&mut state, KeyCode::Enter), None);
    press(&mut state, KeyCode::Char('a'));
    assert_eq!(state.rows.len(), 11);
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.rows.len(), 60);
    press(&mut state, KeyCode::Char('/'));
    write(&mut state, "writeback-self-wait");
    assert_eq!(state.rows.len(), 60);
    write(&mut state, "!");
    press(&mut state, KeyCode::Esc);
    assert!(!state.is_editing);
    assert_eq!(state.rows.len(), 60);
}

#[test]
fn sorting_goes_round() {
    let mut report = many(60);
    report.findings[7].counts.eviction_longest_ns = u64::MAX;
    let longest = report.findings[7].id.clone();
    let mut state = state(report);
    let mut firsts = Vec::new();
    for _ in 0..4 {
        press(&mut state, KeyCode::Char('s'));
        firsts.push(state.selected().unwrap().id.clone());
    }
    let id = |index: usize| format!("{index:016x}");
    assert_eq!(firsts, [id(57), id(57), longest, id(54)]);
}

#[test]
fn a_held_display_stands_still_and_catches_up() {
    let mut state = state(many(6));
    press(&mut state, KeyCode::Char('p'));
    assert!(draw(&mut state, 80, 24).contains("PAUSED"));
    state.update(Arc::new(many(60)));
    assert_eq!(state.rows.len(), 4);
    press(&mut state, KeyCode::Char('p'));
    assert_eq!(state.rows.len(), 40);
    assert!(!draw(&mut state, 80, 24).contains("PAUSED"));
}

#[test]
fn messages_are_shown_until_the_next_key() {
    let mut state = state(demo());
    assert!(state.take_message(Some("no space left".to_owned())));
    assert!(!state.take_message(Some("no space left".to_owned())));
    assert!(draw(&mut state, 80, 24).contains("no space left"));
    press(&mut state, KeyCode::Down);
    assert!(draw(&mut state, 80, 24).contains("q quit"));
}

#[test]
fn what_is_left_to_the_terminal() {
    let mut state = state(demo());
    let with_control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    assert_eq!(press(&mut state, KeyCode::Char('q')), Some(Action::Quit));
    assert_eq!(press(&mut state, KeyCode::Char('w')), Some(Action::Write));
    assert_eq!(state.key(with_control('z')), Some(Action::Suspend));
    assert_eq!(state.key(with_control('l')), Some(Action::Redraw));
    assert_eq!(state.key(with_control('q')), None);
    // Also while a filter is written.
    press(&mut state, KeyCode::Char('/'));
    assert_eq!(press(&mut state, KeyCode::Char('q')), None);
    assert_eq!(state.key(with_control('c')), Some(Action::Quit));
}

#[test]
fn help_names_every_key() {
    let mut state = state(demo());
    press(&mut state, KeyCode::Char('?'));
    for (width, height) in [(120, 40), (80, 14)] {
        let text = draw(&mut state, width, height);
        for binding in BINDINGS {
            assert!(text.contains(binding.name), "{}: {text}", binding.name);
        }
    }
    press(&mut state, KeyCode::Esc);
    assert!(!state.is_help);
}

/// The shortest of some times that it takes to draw, in a window of 120x40.
fn frame_time(state: &mut State) -> Duration {
    (0..20)
        .map(|_| {
            let began = Instant::now();
            draw_with(state, 120, 40, Theme::new(true));
            began.elapsed()
        })
        .min()
        .unwrap()
}

#[test]
fn a_frame_takes_no_longer_with_ten_thousand_sites() {
    let few = frame_time(&mut state(many(60)));
    let mut large = state(many(10_000));
    press(&mut large, KeyCode::Char('a'));
    press(&mut large, KeyCode::End);
    assert_eq!(large.rows.len(), 10_000);
    let many = frame_time(&mut large);
    eprintln!("a frame: {few:?} with 60 sites, {many:?} with 10,000");
    // All lines would be a hundred times as many.
    assert!(many < few * 10, "{many:?} against {few:?}");
}
