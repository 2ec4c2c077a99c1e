//! What a merged report was made from, in text.

use crate::report::model::{Report, ReportSource};
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
    for source in &merged.sources {
        page.field("source", &in_words(source));
    }
    for conflict in &merged.conflicts {
        page.field("but", conflict);
    }
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
