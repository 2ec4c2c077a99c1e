//! One finding in text: what, where, why, what to do, and the whole stack.

use std::collections::BTreeSet;

use probe_common::Fact;

use super::frames;
use crate::report::model::{Context, Counts, Example, Hazard, Site, StuckCall};
use crate::report::page::Page;
use crate::report::units::{count, duration, duration_ms, sum};

/// One site that is a finding.
pub fn write(page: &mut Page, number: usize, site: &Site, explained: &mut BTreeSet<String>) {
    page.paragraph(site.severity.style(), &format!("{number}. {}", title(site)));
    summary(page, site);
    for (index, context) in site.contexts.iter().enumerate() {
        if index == 0 {
            details(page, context);
            hazards(page, &context.hazards, site.suppressed.is_none(), explained);
        } else {
            page.field("also", &brief(context));
        }
    }
    frames::chain(page, site);
    for call in &site.stuck {
        stuck(page, call);
    }
    if site.stuck_left_out > 0 {
        let left_out = count(site.stuck_left_out, "call");
        page.field("stuck", &format!("{left_out} more, for less long"));
    }
}

/// How bad a site is, and by which rule.
pub fn title(site: &Site) -> String {
    let worst = site
        .contexts
        .first()
        .and_then(|context| context.hazards.first());
    let (title, rule) = worst.map_or(("", "no rule"), |hazard| (&hazard.title, &hazard.rule));
    format!("{}: {title} ({rule})", site.severity.name().to_uppercase())
}

/// Which site it is, and how often it was called.
pub fn summary(page: &mut Page, site: &Site) {
    let known = if site.known {
        " (known: the baseline has it)"
    } else {
        ""
    };
    page.field("site", &format!("{}{known}", site.id));
    page.field("suppressed", site.suppressed.as_deref().unwrap_or_default());
    if let Some(seen_in) = &site.seen_in {
        page.field(
            "seen",
            &format!(
                "in {}, on {}",
                count(seen_in.reports, "report"),
                seen_in.kernels.join(", ")
            ),
        );
    }
    page.field("counts", &counts(&site.counts));
    page.field("provoked", &provoked(site));
}

/// The task, the inode and the facts of a context.
pub fn details(page: &mut Page, context: &Context) {
    if let Some(example) = &context.example {
        page.field("filesystem", &filesystem(example));
        page.field("inode", &inode(example));
        if let Some(references) = &context.references {
            page.field("i_count", &references.i_counts());
            page.field("held by", &references.holders());
        }
        page.field(
            "task",
            &format!(
                "{}, process {}, thread {}",
                example.comm, example.process, example.thread
            ),
        );
        if let Some(work) = &example.work {
            let flags = match work.flags.as_slice() {
                [] => String::new(),
                flags => format!(" ({})", flags.join(", ")),
            };
            let text = format!("{} on workqueue {}{flags}", work.function, work.workqueue);
            page.field("worker", &text);
        }
        page.field("locks", &locks(example));
        if let Some(bytes) = example.stack_left_bytes {
            page.field("stack left", &format!("{bytes} bytes"));
        }
    } else {
        page.field("example", "none was kept");
    }
    page.field("facts", &context.facts.yes.join(", "));
    page.field("unknown", &context.facts.unknown.join(", "));
}

/// The rules that matched: the worst in full, the milder ones in a line.
pub fn hazards(
    page: &mut Page,
    hazards: &[Hazard],
    site_is_charged: bool,
    explained: &mut BTreeSet<String>,
) {
    let worst = hazards.first().map(|hazard| hazard.severity);
    for (index, hazard) in hazards.iter().enumerate() {
        let evidence = hazard.evidence.join(" ");
        let (severity, title, rule) = (hazard.severity.name(), &hazard.title, &hazard.rule);
        if let Some(severity) = hazard.if_final {
            let severity = severity.name();
            page.field("if final", &format!("{severity}: {title} ({rule})"));
        } else if Some(hazard.severity) != worst {
            page.field("and", &format!("{severity}: {title} ({rule}). {evidence}"));
            continue;
        }
        if index > 0 && hazard.if_final.is_none() {
            page.field("and", &format!("{severity}: {title} ({rule})"));
        }
        page.field("evidence", &evidence);
        // Where all of the site is, it has been said above.
        if site_is_charged {
            page.field(
                "suppressed",
                hazard.suppressed.as_deref().unwrap_or_default(),
            );
        }
        page.field("waits for", hazard.waits_for.as_deref().unwrap_or_default());
        if explained.insert(rule.clone()) {
            page.field("why", &hazard.why);
            page.field("way out", &hazard.way_out);
        } else {
            page.field("why", &format!("see {rule} above"));
        }
    }
}

/// A further context of a site, in a line.
pub fn brief(context: &Context) -> String {
    let rules: Vec<&str> = context
        .hazards
        .iter()
        .map(|hazard| hazard.rule.as_str())
        .collect();
    let place = context
        .example
        .as_ref()
        .map(|example| format!(" on {}", filesystem(example)))
        .unwrap_or_default();
    format!(
        "{} ({}){place}: {}; facts: {}",
        context.severity.name(),
        rules.join(", "),
        counts(&context.counts),
        context.facts.yes.join(", ")
    )
}

/// The counts in words.
fn counts(counts: &Counts) -> String {
    let mut parts = Vec::new();
    if counts.final_puts > 0 || counts.non_final == 0 {
        parts.push(format!(
            "{}: {} evicted, {} kept",
            count(counts.final_puts, "final put"),
            counts.evicted,
            counts.kept
        ));
    }
    let ended = counts.evicted.saturating_sub(counts.in_flight);
    if let Some(average) = counts.eviction_total_ns.checked_div(ended) {
        let longest = duration(counts.eviction_longest_ns);
        let average = duration(average);
        parts.push(format!(
            "evictions took {longest} at most, {average} on average, {} slept",
            counts.slept
        ));
    }
    if counts.in_flight > 0 {
        parts.push(format!("{} not ended yet", counts.in_flight));
    }
    if counts.non_final > 0 {
        parts.push(format!("{} not final", count(counts.non_final, "put")));
    }
    parts.join("; ")
}

/// How many of a site's final puts `--provoke` made the last ones, if it did any.
fn provoked(site: &Site) -> String {
    let name = Fact::Provoked.name();
    let provoked = site
        .contexts
        .iter()
        .filter(|context| context.facts.yes.iter().any(|fact| fact == name));
    let by_provocation = sum(provoked.map(|context| context.counts.final_puts));
    if by_provocation == 0 {
        return String::new();
    }
    let by_itself = site.counts.final_puts.saturating_sub(by_provocation);
    format!(
        "{by_provocation} final after a pass had dropped a dentry of the inode, {by_itself} by itself"
    )
}

/// The filesystem of the example.
fn filesystem(example: &Example) -> String {
    let inode = &example.inode;
    format!(
        "{} on {} ({})",
        inode.filesystem, inode.superblock, inode.device
    )
}

/// The inode of the example.
pub fn inode(example: &Example) -> String {
    let inode = &example.inode;
    let i_count = inode
        .i_count
        .map(|count| format!(", i_count {count}"))
        .unwrap_or_default();
    let dentries = inode
        .dentries
        .as_ref()
        .map(|found| {
            let or_more = if found.complete { "" } else { " or more" };
            let dentries = count(found.aliases.into(), "dentry");
            format!(", {dentries}{or_more}, {} unused", found.unused)
        })
        .unwrap_or_default();
    let written = example
        .written_ino
        .map(|ino| format!("; the task writes inode {ino}"))
        .unwrap_or_default();
    format!(
        "{}, i_nlink {}, i_state {}{i_count}{dentries}{written}",
        inode.ino, inode.nlink, inode.i_state
    )
}

/// The locks of the example.
pub fn locks(example: &Example) -> String {
    let mut locks: Vec<String> = example
        .held_locks
        .iter()
        .map(|lock| format!("{} ({})", lock.describe(), lock.mode))
        .collect();
    if example.held_locks_left_out > 0 {
        locks.push(format!("{} more", example.held_locks_left_out));
    }
    locks.join(", ")
}

/// A call that does not come back.
pub fn stuck(page: &mut Page, call: &StuckCall) {
    page.field(
        "stuck",
        &format!(
            "{}, thread {}, for {}, inode {} ({})",
            call.comm,
            call.thread,
            duration_ms(call.age_ms),
            call.ino,
            call.device
        ),
    );
    page.field("waits for", call.waits_for.as_deref().unwrap_or_default());
    if call.stack.is_empty() {
        page.field("", "its stack could not be read");
    }
    for line in &call.stack {
        page.verbatim(frames::INDENT, line.trim());
    }
}
