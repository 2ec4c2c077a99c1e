//! What the live view shows, and how reports and keys change it.

use std::sync::Arc;

use lastref::report::{
    changes::Wanted,
    model::{Report, Site, StuckCall},
    page::Style,
    text,
};
use ratatui::{
    crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    layout::Rect,
};

use super::{
    keys::{self, Action, Command},
    layout::{self, Layout, Pane},
    rates::Rates,
    rows::{self, Sort},
};

/// A place in a list that may be longer than its pane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// The selected line.
    pub at: usize,
    /// The first line that is seen.
    pub top: usize,
}

impl Cursor {
    /// Keeps the selected line within `length` lines, and seen in `height` of them.
    fn fit(&mut self, length: usize, height: usize) {
        self.at = self.at.min(length.saturating_sub(1));
        let last_top = length.saturating_sub(height.max(1));
        let least = (self.at + 1).saturating_sub(height.max(1));
        self.top = self.top.clamp(least, self.at).min(last_top.max(least));
    }
}

/// Everything that the view is made of.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct State {
    /// What is shown, which lags behind when the display is held.
    report: Option<Arc<Report>>,
    latest: Option<Arc<Report>>,
    pub rates: Rates,
    pub sort: Sort,
    pub wanted: Wanted,
    /// What a listed site must have somewhere.
    pub filter: String,
    pub is_paused: bool,
    pub is_help: bool,
    /// Whether keys write the filter.
    pub is_editing: bool,
    pub focus: Pane,
    /// The indices of the listed sites.
    pub rows: Vec<usize>,
    pub sites: Cursor,
    /// The stuck calls by site and index in it, the oldest first.
    pub stuck_calls: Vec<(usize, usize)>,
    pub stuck: Cursor,
    /// The selected site in lines.
    pub detail: Vec<(Style, String)>,
    pub detail_top: usize,
    /// The id of the site that is shown in full.
    selected: Option<String>,
    /// Whether the first line stays selected, whatever comes there.
    is_at_first: bool,
    /// What the user is told until the next key.
    pub notice: Option<String>,
    told: Option<String>,
    pub layout: Layout,
}

impl State {
    /// Before the first report.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            report: None,
            latest: None,
            rates: Rates::default(),
            sort: Sort::default(),
            wanted,
            filter: String::new(),
            is_paused: false,
            is_help: false,
            is_editing: false,
            focus: Pane::default(),
            rows: Vec::new(),
            sites: Cursor::default(),
            stuck_calls: Vec::new(),
            stuck: Cursor::default(),
            detail: Vec::new(),
            detail_top: 0,
            selected: None,
            is_at_first: true,
            notice: None,
            told: None,
            layout: Layout::default(),
        }
    }

    /// What is shown.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_deref()
    }

    /// The latest report, also while the display is held.
    pub fn latest(&self) -> Option<&Report> {
        self.latest.as_deref()
    }

    /// The site of a row.
    pub fn site(&self, index: usize) -> Option<&Site> {
        rows::site(self.report()?, index)
    }

    /// A stuck call and its site.
    pub fn stuck_call(&self, (site, call): (usize, usize)) -> Option<(&Site, &StuckCall)> {
        let site = self.site(site)?;
        Some((site, site.stuck.get(call)?))
    }

    /// A newer report.
    pub fn update(&mut self, report: Arc<Report>) {
        self.rates.update(&report);
        if !self.is_paused {
            self.report = Some(Arc::clone(&report));
        }
        self.latest = Some(report);
        self.list();
    }

    /// The latest message of the agent, to be told once. Says whether it is new.
    pub fn take_message(&mut self, message: Option<String>) -> bool {
        if message.is_none() || message == self.told {
            return false;
        }
        self.notice.clone_from(&message);
        self.told = message;
        true
    }

    /// Makes the lists anew. The same site stays selected, unless it is gone.
    fn list(&mut self) {
        let Some(report) = self.report.clone() else {
            return;
        };
        self.rows = rows::list(&report, &self.rates, self.sort, self.wanted, &self.filter);
        self.stuck_calls = report
            .sites()
            .enumerate()
            .flat_map(|(index, site)| (0..site.stuck.len()).map(move |call| (index, call)))
            .collect();
        let age = |place| self.stuck_call(place).map(|(_, call)| call.age_ms);
        let mut oldest_first = self.stuck_calls.clone();
        oldest_first.sort_by_key(|place| std::cmp::Reverse(age(*place)));
        self.stuck_calls = oldest_first;
        if self.stuck_calls.is_empty() && self.focus == Pane::Stuck {
            self.focus = Pane::Sites;
        }
        if self.is_at_first && self.focus != Pane::Stuck {
            self.sites.at = 0;
        } else if let Some(row) = self.row_of_selected() {
            self.sites.at = row;
        }
        if self.focus == Pane::Sites || self.selected.is_none() {
            self.select_row();
        }
    }

    fn row_of_selected(&self) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        self.rows
            .iter()
            .position(|row| self.site(*row).is_some_and(|site| site.id == selected))
    }

    /// Shows the site of the selected row in full.
    fn select_row(&mut self) {
        self.sites.at = self.sites.at.min(self.rows.len().saturating_sub(1));
        let id = self
            .rows
            .get(self.sites.at)
            .and_then(|row| self.site(*row))
            .map(|site| site.id.clone());
        self.select(id);
    }

    /// Shows the site of the selected stuck call in full.
    fn select_stuck(&mut self) {
        let id = self
            .stuck_calls
            .get(self.stuck.at)
            .and_then(|place| self.stuck_call(*place))
            .map(|(site, _)| site.id.clone());
        self.select(id);
        if let Some(row) = self.row_of_selected() {
            self.sites.at = row;
            self.is_at_first = false;
        }
    }

    fn select(&mut self, id: Option<String>) {
        if self.selected != id {
            self.detail_top = 0;
            self.selected = id;
        }
    }

    /// The site that is shown in full.
    pub fn selected(&self) -> Option<&Site> {
        let selected = self.selected.as_deref()?;
        let listed = self.rows.get(self.sites.at);
        if let Some(site) = listed.and_then(|row| self.site(*row))
            && site.id == selected
        {
            return Some(site);
        }
        self.report()?.sites().find(|site| site.id == selected)
    }

    /// Fits everything into `area`, before it is drawn.
    pub fn fit(&mut self, area: Rect) {
        self.layout = layout::divide(area, self.stuck_calls.len(), self.rows.len(), self.focus);
        let height = |pane| usize::from(layout::content(pane).height);
        let list = self.layout.sites.height.saturating_sub(layout::LIST);
        self.sites.fit(self.rows.len(), usize::from(list));
        self.stuck
            .fit(self.stuck_calls.len(), height(self.layout.stuck));
        let width = usize::from(self.layout.detail.width);
        self.detail = self
            .selected()
            .filter(|_| self.layout.detail.height > 0)
            .map(|site| text::detail(site, width))
            .unwrap_or_default();
        let last_top = self.detail.len().saturating_sub(height(self.layout.detail));
        self.detail_top = self.detail_top.min(last_top);
    }

    /// What `key` changes here, and what is left to do.
    pub fn key(&mut self, key: KeyEvent) -> Option<Action> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.notice = None;
        if self.is_editing && !key.modifiers.contains(KeyModifiers::CONTROL) {
            self.edit(key.code);
            return None;
        }
        match keys::command(key)? {
            Command::Act(action) => return Some(action),
            Command::Up => self.go(|at, _| at.saturating_sub(1)),
            Command::Down => self.go(|at, _| at.saturating_add(1)),
            Command::PageUp => self.go(usize::saturating_sub),
            Command::PageDown => self.go(usize::saturating_add),
            Command::First => {
                self.go(|_, _| 0);
                self.is_at_first = self.focus == Pane::Sites;
            }
            Command::Last => self.go(|_, _| usize::MAX),
            Command::NextPane => self.turn(1),
            Command::PreviousPane => self.turn(-1),
            Command::Open => self.focus = Pane::Detail,
            Command::Back => self.back(),
            Command::All => {
                self.wanted.all ^= true;
                self.list();
            }
            Command::Sort => {
                self.sort = self.sort.next();
                self.list();
            }
            Command::Filter => self.is_editing = true,
            Command::Pause => {
                self.is_paused ^= true;
                if !self.is_paused {
                    self.report.clone_from(&self.latest);
                    self.list();
                }
            }
            Command::Help => self.is_help ^= true,
        }
        None
    }

    fn edit(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(letter) => self.filter.push(letter),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.is_editing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_editing = false;
            }
            _ => return,
        }
        self.list();
    }

    /// Away with what is in front.
    fn back(&mut self) {
        if self.is_help {
            self.is_help = false;
        } else if self.focus == Pane::Sites {
            self.filter.clear();
            self.list();
        } else {
            self.focus = Pane::Sites;
            self.list();
        }
    }

    /// Moves in the pane that has the keys: `to` makes a new place of the old one and the
    /// height of a page.
    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        let page = |pane| usize::from(layout::content(pane).height).max(2) - 1;
        match self.focus {
            Pane::Sites => {
                self.is_at_first = false;
                self.sites.at = to(self.sites.at, page(self.layout.sites));
                self.select_row();
            }
            Pane::Stuck => {
                let last = self.stuck_calls.len().saturating_sub(1);
                self.stuck.at = to(self.stuck.at, page(self.layout.stuck)).min(last);
                self.select_stuck();
            }
            Pane::Detail => self.detail_top = to(self.detail_top, page(self.layout.detail)),
        }
    }

    /// Gives the keys to another pane.
    fn turn(&mut self, by: isize) {
        let panes: &[Pane] = if self.stuck_calls.is_empty() {
            &[Pane::Sites, Pane::Detail]
        } else {
            &[Pane::Stuck, Pane::Sites, Pane::Detail]
        };
        let at = panes.iter().position(|pane| *pane == self.focus);
        let next = at.unwrap_or(0).cast_signed() + by;
        let next = next.rem_euclid(panes.len().cast_signed()).cast_unsigned();
        self.focus = panes[next];
        match self.focus {
            Pane::Stuck => self.select_stuck(),
            Pane::Sites => self.select_row(),
            Pane::Detail => {}
        }
    }
}
