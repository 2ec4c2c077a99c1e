//! One site in full for a narrow pane: what happens now first, then where, then why.

use super::{finding, frames};
use crate::report::{
    model::{Counts, Site},
    page::{Page, Style},
    parts,
    units::duration,
};

/// Columns of a histogram's longest bar, where there is room, and of what is before it.
const BAR: usize = 30;
const BEFORE_BAR: usize = 40;

/// Columns before what goes on in the next line.
const CONTINUED: usize = 7;

/// `site` in lines of at most `width` columns, each with how it is to stand out.
#[must_use]
pub fn detail(site: &Site, width: usize) -> Vec<(Style, String)> {
    let mut lines = Vec::new();
    let mut section = |style, write: &dyn Fn(&mut Page)| {
        let mut page = Page::new(false).wide(width);
        write(&mut page);
        let text = page.finish();
        lines.extend(
            text.lines()
                .flat_map(|line| fold(line, width))
                .map(|line| (style, line)),
        );
    };
    section(site.severity.style(), &|page| {
        page.paragraph(Style::Plain, &finding::title(site));
    });
    section(Style::Alarm, &|page| {
        for call in &site.stuck {
            finding::stuck(page, call);
        }
    });
    section(Style::Plain, &|page| {
        finding::summary(page, site);
        durations(page, &site.counts);
        frames::chain(page, site, true);
        for (index, context) in site.contexts.iter().enumerate() {
            if index == 0 {
                finding::details(page, context);
                finding::hazards(page, site, context);
            } else {
                page.field("also", &parts::brief(context));
            }
        }
    });
    lines
}

/// How long the ended evictions took.
fn durations(page: &mut Page, counts: &Counts) {
    let most = counts
        .eviction_histogram
        .iter()
        .map(|bucket| bucket.count)
        .max()
        .unwrap_or(0);
    let longest = page.width().saturating_sub(BEFORE_BAR).clamp(1, BAR) as u64;
    for (index, bucket) in counts.eviction_histogram.iter().enumerate() {
        let label = if index == 0 { "durations" } else { "" };
        // What is there is seen, be it ever so rare.
        let bar = bucket.count.saturating_mul(longest).div_ceil(most.max(1));
        let bar = "█".repeat(usize::try_from(bar).unwrap_or(0));
        let from = match bucket.at_least_us {
            0 | 1 => "below 2 µs".to_owned(),
            at_least => format!("from {}", duration(at_least.saturating_mul(1000))),
        };
        page.columns(label, &from, &format!("{:>9} {bar}", bucket.count));
    }
}

/// A line that is too long, in several.
fn fold(line: &str, width: usize) -> Vec<String> {
    if line.chars().count() <= width || width <= CONTINUED {
        return vec![line.to_owned()];
    }
    let characters: Vec<char> = line.chars().collect();
    let (first, rest) = characters.split_at(width);
    std::iter::once(first.iter().collect())
        .chain(rest.chunks(width - CONTINUED).map(|chunk| {
            let mut line = " ".repeat(CONTINUED);
            line.extend(chunk);
            line
        }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_pane_holds_all_of_it() {
        let report = sample::report();
        for width in [20, 40, 60, 100] {
            for site in report.findings.iter().chain(&report.other_sites) {
                for (_, line) in detail(site, width) {
                    assert!(line.chars().count() <= width.max(24), "{width}: {line}");
                }
            }
        }
        let lines = detail(&report.findings[0], 60);
        let text: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn rare_durations_are_seen() {
        let mut site = sample::report().findings.remove(0);
        let bucket = |at_least_us, count| crate::report::model::Bucket { at_least_us, count };
        site.counts.eviction_histogram = vec![bucket(1, 1), bucket(2, 1_000_000), bucket(4096, 7)];
        let bars: Vec<usize> = detail(&site, 80)
            .iter()
            .map(|(_, line)| line.matches('█').count())
            .filter(|bar| *bar > 0)
            .collect();
        assert_eq!(bars, [1, 30, 1]);
    }

    #[test]
    fn long_lines_are_folded() {
        assert_eq!(fold("12345678901", 10), ["1234567890", "       1"]);
        assert_eq!(fold("1234567890", 10), ["1234567890"]);
    }
}
