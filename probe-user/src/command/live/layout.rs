//! Where on the screen what is, from one line to hundreds.

use ratatui::layout::Rect;

/// What can be moved in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// Calls that do not come back.
    Stuck,
    /// The list of sites.
    #[default]
    Sites,
    /// One site in full.
    Detail,
}

/// The places of all parts; those without room or content are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// What is watched, in numbers, and what was lost.
    pub header: Rect,
    /// Stuck calls; its first line is its title, as that of the other panes.
    pub stuck: Rect,
    /// The list of sites.
    pub sites: Rect,
    /// One site in full.
    pub detail: Rect,
    /// The keys.
    pub footer: Rect,
}

/// From this width on, sites and details are side by side.
const SIDE_BY_SIDE: u16 = 120;

/// From this height on, they are one above the other; with less room only one is there.
const STACKED: u16 = 14;

/// Lines of a list besides its rows: its title and the names of its columns.
pub const LIST: u16 = 2;

/// Lines of the header, and from which height on.
const HEADER: u16 = 3;
const HEADER_FROM: u16 = 8;

/// How many stuck calls are seen at once, with much or little room.
const STUCK: u16 = 5;
const STUCK_NARROW: u16 = 2;

/// Divides `area` when there are that many stuck calls and listed sites, and `focus` has the keys.
pub fn divide(area: Rect, stuck_calls: usize, listed: usize, focus: Pane) -> Layout {
    let mut rest = area;
    let header = if area.height >= HEADER_FROM {
        take(&mut rest, HEADER)
    } else {
        // What was lost is in the last line of the header.
        take(&mut rest, 1)
    };
    let body_height = rest.height.saturating_sub(1);
    let mut body = Rect {
        height: body_height,
        ..rest
    };
    let footer = Rect {
        y: rest.y + body_height,
        height: rest.height - body_height,
        ..rest
    };
    let stuck_limit = if body_height >= STACKED {
        STUCK
    } else {
        STUCK_NARROW
    };
    let stuck_height = match u16::try_from(stuck_calls).unwrap_or(u16::MAX) {
        0 => 0,
        calls => calls.min(stuck_limit) + 1,
    };
    let stuck = take(&mut body, stuck_height);
    let empty = Rect { height: 0, ..body };
    let (sites, detail) = if body.width >= SIDE_BY_SIDE {
        let sites = Rect {
            width: body.width / 2,
            ..body
        };
        // One column between them.
        let detail = Rect {
            x: sites.right() + 1,
            width: body.width - sites.width - 1,
            ..body
        };
        (sites, detail)
    } else if body.height >= STACKED {
        let wanted = u16::try_from(listed.max(1)).unwrap_or(u16::MAX);
        let most = body.height * 2 / 5;
        let sites = take(&mut body, wanted.saturating_add(LIST).min(most));
        (sites, body)
    } else if focus == Pane::Detail {
        (empty, body)
    } else {
        (body, empty)
    };
    Layout {
        header,
        stuck,
        sites,
        detail,
        footer,
    }
}

/// Cuts up to `height` lines from the top of `rest`.
fn take(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    rest.y += height;
    rest.height -= height;
    taken
}

/// The lines of a pane below its title.
pub const fn content(pane: Rect) -> Rect {
    if pane.height == 0 {
        return pane;
    }
    Rect {
        y: pane.y + 1,
        height: pane.height - 1,
        ..pane
    }
}
