//! The comparison of two reports for people.

use std::io::{self, Write};

use super::model::{Calls, Change, Diff, Side, SiteChange};
use crate::report::format::Options;
use crate::report::model::Severity;
use crate::report::order::FINDING;
use crate::report::page::{Page, Style};
use crate::report::text::frames;
use crate::report::units::{count, duration_ms};

/// Writes `diff`; with `all` of `options` also what is the same and what is no finding.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(diff: &Diff, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(options.colour);
    summary(&mut page, diff);
    let is_shown = |site: &&SiteChange| {
        options.all || (site.severity() >= FINDING && site.change != Change::Same)
    };
    for (number, site) in diff.sites.iter().filter(is_shown).enumerate() {
        page.gap();
        change(&mut page, number + 1, site);
        page.flush(out)?;
    }
    let hidden = diff.sites.iter().filter(|site| !is_shown(site)).count();
    if hidden > 0 {
        page.gap();
        let sites = count(hidden as u64, "site");
        page.paragraph(
            Style::Plain,
            &format!("{sites} unchanged or no finding: --all shows them"),
        );
    }
    page.flush(out)
}

/// What was compared, and the result in one line.
fn summary(page: &mut Page, diff: &Diff) {
    page.paragraph(Style::Heading, "Two reports compared");
    for (label, side) in [("old", &diff.old), ("new", &diff.new)] {
        page.field(label, &side_in_words(side));
    }
    let numbers = &diff.numbers;
    let is_bad = diff.sites.iter().any(|site| {
        matches!(site.change, Change::New | Change::Worse) && site.charge >= Some(FINDING)
    });
    let findings = |change: Change| {
        let sites = diff.sites.iter().filter(|site| site.change == change);
        sites.filter(|site| site.severity() >= FINDING).count()
    };
    let style = if is_bad { Style::Alarm } else { Style::Heading };
    page.gap();
    page.paragraph(
        style,
        &format!(
            "Findings: {} new, {} worse, {} gone, {} better, {} the same. All sites: {} new, {} \
             worse, {} gone, {} better, {} the same.",
            findings(Change::New),
            findings(Change::Worse),
            findings(Change::Gone),
            findings(Change::Better),
            findings(Change::Same),
            numbers.new,
            numbers.worse,
            numbers.gone,
            numbers.better,
            numbers.same
        ),
    );
    if !diff.caveats.is_empty() {
        page.gap();
        page.paragraph(Style::Warning, "They were not watched alike");
        for caveat in &diff.caveats {
            let doubts: Vec<&str> = caveat.doubts.iter().map(|change| change.name()).collect();
            page.field(
                "but",
                &format!(
                    "{} (what is {} may come of that)",
                    caveat.what,
                    doubts.join(" or ")
                ),
            );
        }
    }
}

fn side_in_words(side: &Side) -> String {
    let merged = side
        .merged_from
        .map(|reports| format!(", merged from {}", count(reports, "report")))
        .unwrap_or_default();
    let incomplete = if side.complete { "" } else { ", INCOMPLETE" };
    format!(
        "Linux {}, from {} for {}, level {} by {}{merged}{incomplete}",
        side.kernel,
        side.started,
        duration_ms(side.duration_ms),
        side.level.name(),
        side.attach.name()
    )
}

/// One site.
fn change(page: &mut Page, number: usize, site: &SiteChange) {
    let severity = severity(site);
    let what = match (&site.title, &site.rule) {
        (Some(title), Some(rule)) => format!(": {title} ({rule})"),
        _ => String::new(),
    };
    let style = match site.change {
        Change::New | Change::Worse => site.severity().style(),
        Change::Gone | Change::Better | Change::Same => Style::Heading,
    };
    let name = site.change.name().to_uppercase();
    page.paragraph(style, &format!("{number}. {name}, {severity}{what}"));
    let before = site
        .old_id
        .as_ref()
        .map(|id| format!(", before {id}: the same calls in the source"))
        .unwrap_or_default();
    page.field("site", &format!("{}{before}", site.id));
    if site.is_doubtful {
        page.field("doubtful", "the two were not watched alike, see above");
    }
    if site.known {
        page.field("known", "the baseline has it");
    }
    if let Some(reason) = &site.suppressed {
        page.field("suppressed", reason);
    }
    page.field("found", &site.rules_appeared.join(", "));
    page.field("not found", &site.rules_gone.join(", "));
    for (label, calls) in [("old", &site.old), ("new", &site.new)] {
        if let Some(calls) = calls {
            page.field(label, &calls_in_words(calls));
        }
    }
    if let Some(similar) = &site.similar {
        page.field(
            "similar to",
            &format!("{} of the other report: {}", similar.id, similar.how),
        );
    }
    frames::stack(page, &site.frames, site.truncated);
}

/// The severity, or both if they differ.
fn severity(site: &SiteChange) -> String {
    let name = |calls: &Calls| calls.severity.name();
    match (&site.old, &site.new) {
        (Some(old), Some(new)) if old.severity != new.severity => {
            format!("{} → {}", name(old), name(new))
        }
        (_, Some(calls)) | (Some(calls), None) => name(calls).to_owned(),
        (None, None) => Severity::Benign.name().to_owned(),
    }
}

fn calls_in_words(calls: &Calls) -> String {
    let rate = |rate: Option<f64>| {
        rate.map(|rate| format!(" ({} an hour)", rounded(rate)))
            .unwrap_or_default()
    };
    let mut parts = Vec::new();
    if calls.final_puts > 0 || calls.non_final == 0 {
        parts.push(format!(
            "{}{}",
            count(calls.final_puts, "final put"),
            rate(calls.final_puts_per_hour)
        ));
    }
    if calls.non_final > 0 {
        parts.push(format!(
            "{} not final{}",
            count(calls.non_final, "put"),
            rate(calls.non_final_per_hour)
        ));
    }
    if calls.stuck > 0 {
        parts.push(format!("{} stuck", calls.stuck));
    }
    parts.join("; ")
}

/// A rate with as many digits as people read.
fn rounded(rate: f64) -> String {
    if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}
