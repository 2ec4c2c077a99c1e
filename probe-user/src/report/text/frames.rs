//! Call chains in text: in full, in the kernel's own form, or in one line.

use std::collections::BTreeSet;

use crate::report::model::{Frame, Inlined, Site, Source};
use crate::report::page::Page;
use crate::report::parts::position;

/// Columns before a frame. The kernel's own form begins with a space, which is one of them.
pub const INDENT: usize = 5;

/// How many functions of a chain are named in a line.
const LINE_FRAMES: usize = 4;

/// The chain of a site and what it is.
pub fn chain(page: &mut Page, site: &Site, addresses: bool) {
    page.field("stack", "iput(), called by");
    lines(page, site, addresses);
}

/// The chain of a site, `iput`'s caller first, with source lines where they are known, and with
/// the addresses that the report has or without.
pub fn lines(page: &mut Page, site: &Site, addresses: bool) {
    let called: BTreeSet<&str> = site
        .contexts
        .iter()
        .filter_map(|context| context.called.as_deref())
        .collect();
    for function in called {
        page.verbatim(
            INDENT,
            &format!("{function} (no frame: it ended in a jump)"),
        );
    }
    rest(page, &site.frames, site.truncated, addresses);
}

/// A chain of which no more is known than its frames.
pub fn stack(page: &mut Page, frames: &[Frame], truncated: bool) {
    page.field("stack", "iput(), called by");
    rest(page, frames, truncated, true);
}

fn rest(page: &mut Page, frames: &[Frame], truncated: bool, addresses: bool) {
    for frame in frames {
        for inlined in &frame.inlined {
            let Inlined { function, source } = inlined;
            located(page, &format!("{function} (inlined)"), source.as_ref());
        }
        located(page, &name(frame, addresses), frame.source.as_ref());
    }
    if truncated {
        page.verbatim(INDENT, "… the kernel's limit may have cut the stack short");
    }
}

/// One line for `text` and its source, or two if they do not fit.
fn located(page: &mut Page, text: &str, source: Option<&Source>) {
    let Some(Source { file, line }) = source else {
        return page.verbatim(INDENT, text);
    };
    let place = format!("{file}:{line}");
    if INDENT + text.chars().count() + 2 + place.chars().count() <= page.width() {
        page.verbatim(INDENT, &format!("{text}  {place}"));
    } else {
        page.verbatim(INDENT, text);
        page.verbatim(INDENT + 4, &place);
    }
}

/// A frame as the kernel prints it, `func+0x1f/0x90 [module]`, and its address if wanted.
pub fn name(frame: &Frame, addresses: bool) -> String {
    let address = frame.address.iter().filter(|_| addresses);
    let address = address.map(|address| format!(" ({address})"));
    let module = frame.module.iter().map(|module| format!(" [{module}]"));
    std::iter::once(position(frame))
        .chain(module)
        .chain(address)
        .collect()
}

/// The innermost functions of a chain in one line.
#[must_use]
pub fn functions(site: &Site) -> String {
    let functions: Vec<&str> = site
        .frames
        .iter()
        .take(LINE_FRAMES)
        .map(|frame| frame.function.as_deref().unwrap_or("?"))
        .collect();
    functions.join(" < ")
}

/// A site in one line: where, how often, by which design.
pub fn line(site: &Site) -> String {
    let context = site.contexts.first();
    let filesystem = context
        .and_then(|context| context.example.as_ref())
        .map(|example| format!(" on {}", example.inode.filesystem))
        .unwrap_or_default();
    let rule = context
        .and_then(|context| context.hazards.first())
        .map(|hazard| format!(" ({})", hazard.rule))
        .unwrap_or_default();
    let puts = match site.counts.non_final {
        0 => format!("{}x", site.counts.final_puts),
        non_final => format!("{}x final, {non_final}x not", site.counts.final_puts),
    };
    format!("{} {puts}{filesystem}{rule}: {}", site.id, functions(site))
}
