//! What a merged report was made from, in text.

use crate::report::model::{Merged, Report, ReportSource};
use crate::report::page::{Page, Style};
use crate::report::units::{count, duration_ms};

/// How many hosts of a source are named.
const HOSTS: usize = 8;

/// The sources of a merged report and in what they differ; nothing for others.
pub fn write(page: &mut Page, report: &Report) {
    let Some(merged) = &report.merged else {
        return;
    };
    page.paragraph(
        Style::Heading,
        &format!("Merged from {}", count(merged.reports, "report")),
    );
    for (label, text) in made_from(merged) {
        page.field(label, &text);
    }
}

/// The sources and in what they differ, as labels and texts.
pub fn made_from(merged: &Merged) -> Vec<(&'static str, String)> {
    let sources = merged
        .sources
        .iter()
        .map(|source| ("source", in_words(source)));
    let conflicts = merged
        .conflicts
        .iter()
        .map(|conflict| ("but", conflict.clone()));
    sources.chain(conflicts).collect()
}

fn in_words(source: &ReportSource) -> String {
    let more = source.hosts.len().saturating_sub(HOSTS);
    let mut hosts: Vec<String> = source.hosts.iter().take(HOSTS).cloned().collect();
    if more > 0 {
        hosts.push(format!("{more} more"));
    }
    let hosts = if hosts.is_empty() {
        String::new()
    } else {
        format!(" ({})", hosts.join(", "))
    };
    format!(
        "Linux {}, level {} by {}: {}{hosts}, {} together",
        source.kernel.release,
        source.level.name(),
        source.attach.name(),
        count(source.reports, "report"),
        duration_ms(source.duration_ms)
    )
}
