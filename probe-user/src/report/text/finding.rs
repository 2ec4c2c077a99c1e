//! One finding in text: what, where, why, what to do, and the whole stack. It is complete: it can be
//! read without the rest of the report.

use super::frames;
use crate::report::model::{Context, Kernel, Site, StuckCall};
use crate::report::page::Page;
use crate::report::parts::{self, Part};
use crate::report::units::count;

/// One site that is a finding, with the addresses that the report has or without.
pub fn write(page: &mut Page, number: usize, site: &Site, kernel: &Kernel, addresses: bool) {
    page.paragraph(site.severity.style(), &format!("{number}. {}", title(site)));
    page.field("kernel", &parts::kernel(kernel));
    summary(page, site);
    for (index, context) in site.contexts.iter().enumerate() {
        if index == 0 {
            details(page, context);
            hazards(page, site, context);
        } else {
            page.field("also", &parts::brief(context));
        }
    }
    for check in parts::to_check(site) {
        page.field("to check", &format!("{}: {}", check.what, check.command));
    }
    frames::chain(page, site, addresses);
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
    let (title, rule) = parts::worst(site).map_or(("", "no rule"), |hazard| {
        (hazard.title.as_str(), hazard.rule.as_str())
    });
    format!("{}: {title} ({rule})", site.severity.name().to_uppercase())
}

/// Which site it is, and how often it was called.
pub fn summary(page: &mut Page, site: &Site) {
    fields(page, &parts::overview(site));
}

fn fields(page: &mut Page, parts: &[Part]) {
    for (label, text) in parts {
        page.field(label, text);
    }
}

/// The task, the inode and the facts of a context.
pub fn details(page: &mut Page, context: &Context) {
    page.field("facts", &context.facts.yes.join(", "));
    fields(page, &parts::details(context));
}

/// The rules that matched: the worst in full, the milder ones in a line.
pub fn hazards(page: &mut Page, site: &Site, context: &Context) {
    let hazards = &context.hazards;
    let worst = hazards.first().map(|hazard| hazard.severity);
    for (index, hazard) in hazards.iter().enumerate() {
        let evidence = hazard.evidence.join(" ");
        let (severity, title, rule) = (hazard.severity.name(), &hazard.title, &hazard.rule);
        if let Some(severity) = hazard.if_final {
            let severity = severity.name();
            page.field("if final", &format!("{severity}: {title} ({rule})"));
        } else if Some(hazard.severity) != worst {
            page.field("and", &format!("{severity}: {title} ({rule}). {evidence}"));
            fields(page, &parts::excuses(site, hazard));
            continue;
        }
        if index > 0 && hazard.if_final.is_none() {
            page.field("and", &format!("{severity}: {title} ({rule})"));
        }
        page.field("evidence", &evidence);
        fields(page, &parts::excuses(site, hazard));
        page.field("waits for", hazard.waits_for.as_deref().unwrap_or_default());
        page.field("why", &hazard.why);
        for words in parts::kernel_says(hazard) {
            page.field("kernel says", &words);
        }
        page.field("way out", &hazard.way_out);
    }
}

/// A call that does not come back.
pub fn stuck(page: &mut Page, call: &StuckCall) {
    page.field("stuck", &parts::stuck(call));
    page.field("waits for", call.waits_for.as_deref().unwrap_or_default());
    if call.stack.is_empty() {
        page.field("", "its stack could not be read");
    }
    for line in &call.stack {
        page.verbatim(frames::INDENT, line.trim());
    }
}
