//! Draws the state into a buffer: only what is seen, so that the number of sites does not matter.

mod header;

use lastref::report::{
    page::{Style as Emphasis, escape, wrap},
    units::duration_ms,
};
use ratatui::{
    buffer::Buffer,
    layout::{Rect, Rows},
    style::{Color, Modifier, Style},
};

use super::{
    columns,
    keys::BINDINGS,
    layout::{LIST, Pane, content},
    state::State,
};

/// How things stand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    is_coloured: bool,
}

impl Theme {
    /// With or without colours; without, nothing is told by colour alone either.
    pub const fn new(is_coloured: bool) -> Self {
        Self { is_coloured }
    }

    fn of(self, emphasis: Emphasis) -> Style {
        let colour = |style: Style, colour| {
            if self.is_coloured {
                style.fg(colour)
            } else {
                style
            }
        };
        match emphasis {
            Emphasis::Plain => Style::new(),
            Emphasis::Heading => Style::new().add_modifier(Modifier::BOLD),
            Emphasis::Alarm => colour(Style::new().add_modifier(Modifier::BOLD), Color::Red),
            Emphasis::Warning => colour(Style::new(), Color::Yellow),
        }
    }
}

/// Draws `state`, which has been fitted into the buffer's area.
pub fn render(state: &State, theme: Theme, buffer: &mut Buffer) {
    let layout = &state.layout;
    for (row, (emphasis, text)) in layout
        .header
        .rows()
        .zip(header::lines(state, usize::from(layout.header.height)))
    {
        put(buffer, row, &text, theme.of(emphasis));
    }
    footer(state, theme, buffer);
    if state.is_help {
        let top = layout.header.bottom();
        let area = Rect {
            y: top,
            height: layout.footer.y - top,
            ..buffer.area
        };
        return help(theme, area, buffer);
    }
    stuck(state, theme, buffer);
    sites(state, theme, buffer);
    detail(state, theme, buffer);
}

/// Writes `text` into a line, which all of it has `style`; what does not fit is cut off, visibly.
fn put(buffer: &mut Buffer, line: Rect, text: &str, style: Style) {
    if line.is_empty() {
        return;
    }
    let text = escape(text);
    let width = usize::from(line.width);
    buffer.set_style(line, style);
    let (end, _) = buffer.set_stringn(line.x, line.y, &text, width, style);
    let is_cut = text.chars().count() > width;
    if is_cut && end > line.x {
        buffer.set_string(line.right() - 1, line.y, "…", style);
    }
}

/// The title line of a pane, and the lines below it.
fn titled(theme: Theme, pane: Rect, title: &str, has_keys: bool, buffer: &mut Buffer) -> Rows {
    let (mark, emphasis) = if has_keys {
        ("▶ ", Emphasis::Heading)
    } else {
        ("─ ", Emphasis::Plain)
    };
    let mut line = format!("{mark}{title} ");
    let left = usize::from(pane.width).saturating_sub(line.chars().count());
    line.extend(std::iter::repeat_n('─', left));
    if let Some(row) = pane.rows().next() {
        put(buffer, row, &line, theme.of(emphasis));
    }
    content(pane).rows()
}

/// What is selected is seen as such.
fn selected(style: Style, is_selected: bool) -> Style {
    if is_selected {
        style.add_modifier(Modifier::REVERSED)
    } else {
        style
    }
}

/// `1-5 of 30`, or nothing if all is seen.
fn part(top: usize, height: usize, length: usize) -> String {
    if length <= height {
        return String::new();
    }
    let last = (top + height).min(length);
    format!(", {}-{last} of {length}", top + 1)
}

fn stuck(state: &State, theme: Theme, buffer: &mut Buffer) {
    let pane = state.layout.stuck;
    let has_keys = state.focus == Pane::Stuck;
    let calls = &state.stuck_calls;
    let height = usize::from(content(pane).height);
    let title = format!("STUCK{}", part(state.stuck.top, height, calls.len()));
    let lines = titled(theme, pane, &title, has_keys, buffer);
    let seen = calls.iter().enumerate().skip(state.stuck.top);
    for (line, (index, place)) in lines.zip(seen) {
        let Some((site, call)) = state.stuck_call(*place) else {
            continue;
        };
        let text = format!(
            "{} for {}, {} thread {}, inode {} ({}){}",
            site.severity.name().to_uppercase(),
            duration_ms(call.age_ms),
            call.comm,
            call.thread,
            call.ino,
            call.device,
            call.waits_for
                .as_ref()
                .map(|waits_for| format!(", waits for {waits_for}"))
                .unwrap_or_default()
        );
        let style = selected(
            theme.of(Emphasis::Alarm),
            has_keys && index == state.stuck.at,
        );
        put(buffer, line, &text, style);
    }
}

fn sites(state: &State, theme: Theme, buffer: &mut Buffer) {
    let pane = state.layout.sites;
    let has_keys = state.focus == Pane::Sites;
    let height = usize::from(pane.height.saturating_sub(LIST));
    let what = if state.wanted.all {
        "All sites"
    } else {
        "Findings"
    };
    let filter = match state.filter.as_str() {
        "" => String::new(),
        filter => format!(" with \"{filter}\""),
    };
    let title = format!(
        "{what}{filter} by {}{}",
        state.sort.name(),
        part(state.sites.top, height, state.rows.len())
    );
    let mut lines = titled(theme, pane, &title, has_keys, buffer);
    let width = usize::from(pane.width);
    if state.rows.is_empty() {
        let hint = match (state.report(), state.filter.as_str()) {
            (None, _) => "reading what the kernel has counted …",
            (Some(_), "") => "none so far",
            (Some(_), _) => "none with this text; Esc lists all",
        };
        if let Some(line) = lines.next() {
            put(buffer, line, hint, Style::new());
        }
        return;
    }
    if let Some(line) = lines.next() {
        let titles: Vec<String> = columns::of(width)
            .map(|column| column.align(column.title))
            .collect();
        put(buffer, line, &titles.join(" "), Style::new());
    }
    let seen = state.rows.iter().enumerate().skip(state.sites.top);
    for (line, (index, row)) in lines.zip(seen) {
        let Some(site) = state.site(*row) else {
            continue;
        };
        let rate = state.rates.of(site);
        let cells: Vec<String> = columns::of(width)
            .map(|column| column.cell(site, rate))
            .collect();
        let style = theme.of(site.severity.style());
        put(
            buffer,
            line,
            &cells.join(" "),
            selected(style, index == state.sites.at),
        );
    }
}

fn detail(state: &State, theme: Theme, buffer: &mut Buffer) {
    let pane = state.layout.detail;
    let height = usize::from(content(pane).height);
    let title = format!(
        "Details{}",
        part(state.detail_top, height, state.detail.len())
    );
    let lines = titled(theme, pane, &title, state.focus == Pane::Detail, buffer);
    let seen = state.detail.iter().skip(state.detail_top);
    for (line, (emphasis, text)) in lines.zip(seen) {
        put(buffer, line, text, theme.of(*emphasis));
    }
}

/// The keys, or what is being written, or what there is to tell.
fn footer(state: &State, theme: Theme, buffer: &mut Buffer) {
    let line = state.layout.footer;
    let width = usize::from(line.width);
    let (text, emphasis) = if state.is_editing {
        let keys = "(Enter keeps, Esc clears)";
        let text = format!("filter: {}▏ {keys}", state.filter);
        (text, Emphasis::Heading)
    } else if let Some(notice) = &state.notice {
        (notice.clone(), Emphasis::Warning)
    } else {
        let mut text = String::new();
        for binding in BINDINGS.iter().filter(|binding| !binding.hint.is_empty()) {
            let hint = format!("{} {}", binding.name, binding.hint);
            let used = text.chars().count();
            if used + 3 + hint.chars().count() > width {
                break;
            }
            if used > 0 {
                text.push_str(" · ");
            }
            text.push_str(&hint);
        }
        (text, Emphasis::Heading)
    };
    put(buffer, line, &text, theme.of(emphasis));
}

/// What every key does: one a line, or all in one paragraph if that is too much.
fn help(theme: Theme, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let lines: Vec<String> = BINDINGS
        .iter()
        .map(|binding| format!("{:>9}  {}", binding.name, binding.help))
        .collect();
    let fits = lines.len() < usize::from(area.height)
        && lines.iter().all(|line| line.chars().count() <= width);
    let lines = if fits {
        lines
    } else {
        let all: Vec<String> = BINDINGS
            .iter()
            .map(|binding| {
                let what = if binding.hint.is_empty() {
                    binding.help
                } else {
                    binding.hint
                };
                format!("{}: {what}.", binding.name)
            })
            .collect();
        wrap(&all.join(" "), width)
    };
    let rows = titled(theme, area, "Keys", true, buffer);
    for (row, line) in rows.zip(lines) {
        put(buffer, row, &line, Style::new());
    }
}
