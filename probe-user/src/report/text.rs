//! The report for people: findings first, most severe first, in 100 columns.

use std::io::{self, Write};

use super::format::Options;
use super::model::{Level, LockSource, Report, Severity, Site, Suppression, SuppressionState};
use super::page::{Page, Style};
use super::parts;
use super::units::{count, duration_ms, sum};

mod detail;
pub(super) mod finding;
pub(super) mod frames;
mod merged;
mod progress;

pub use detail::detail;
pub use frames::functions;
pub(super) use merged::made_from;
pub use progress::sentence;

/// How many other sites are shown without `--all`.
const OTHER_SITES: usize = 10;

/// The report as text.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(report: &Report, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(options.colour);
    summary(&mut page, report);
    let shown = |site: &&Site| options.all || site.suppressed.is_none();
    for (number, site) in report.findings.iter().filter(shown).enumerate() {
        page.gap();
        finding::write(&mut page, number + 1, site, &report.kernel, true);
        page.flush(out)?;
    }
    page.gap();
    others(&mut page, report, options.all, out)?;
    page.gap();
    merged::write(&mut page, report);
    page.gap();
    losses(&mut page, report);
    page.gap();
    capture(&mut page, report);
    page.flush(out)
}

impl Severity {
    /// Its name in reports and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Expected => "expected",
            Self::Latent => "latent",
            Self::Risky => "risky",
            Self::Unsafe => "unsafe",
            Self::Deadlock => "deadlock",
        }
    }

    /// How much it should stand out.
    #[must_use]
    pub const fn style(self) -> Style {
        match self {
            Self::Deadlock | Self::Unsafe => Style::Alarm,
            Self::Risky | Self::Latent => Style::Warning,
            Self::Expected | Self::Benign => Style::Plain,
        }
    }
}

/// What was watched, and the result in one line.
fn summary(page: &mut Page, report: &Report) {
    page.paragraph(
        Style::Heading,
        &format!(
            "lastref {} on {}, from {} for {}",
            report.tool.version,
            parts::kernel(&report.kernel),
            report.capture.started,
            duration_ms(report.capture.duration_ms),
        ),
    );
    let (style, result) = match report.findings.iter().map(|site| site.severity).max() {
        None => (Style::Heading, "No findings.".to_owned()),
        Some(worst) => {
            let findings = count(report.findings.len() as u64, "finding");
            (
                worst.style(),
                format!("{findings}, the worst is {}.", worst.name()),
            )
        }
    };
    page.paragraph(style, &result);
    let suppressed = report
        .findings
        .iter()
        .filter(|site| site.suppressed.is_some());
    let suppressed = suppressed.count() as u64;
    if suppressed > 0 {
        page.paragraph(
            Style::Plain,
            &format!(
                "Of these {} suppressed: --all shows what and why.",
                if suppressed == 1 {
                    "1 is".to_owned()
                } else {
                    format!("{suppressed} are")
                }
            ),
        );
    }
    if !report.capture.complete {
        page.paragraph(
            Style::Alarm,
            "INCOMPLETE: there may be more than this report shows; the reasons are below.",
        );
    }
}

/// What was not a finding, in numbers.
fn others(page: &mut Page, report: &Report, all: bool, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
    page.paragraph(Style::Heading, "In numbers");
    page.field(
        "final puts",
        &format!(
            "{}, {} of them benign by their facts alone",
            totals.final_puts, totals.benign_final_puts
        ),
    );
    page.field(
        "evictions",
        &format!(
            "{}, {} of them benign by their facts alone; {} stuck",
            totals.evictions, totals.benign_evictions, totals.stuck
        ),
    );
    if report.capture.level == Level::Latent {
        page.field(
            "other puts",
            &format!(
                "{}, {} of them benign by their facts alone",
                totals.non_final_puts, totals.benign_non_final_puts
            ),
        );
    }
    page.field("sites", &sites_by_severity(report));
    let shown = if all {
        report.other_sites.len()
    } else {
        OTHER_SITES.min(report.other_sites.len())
    };
    if shown > 0 {
        page.gap();
        page.paragraph(Style::Heading, "Not findings");
    }
    for site in &report.other_sites[..shown] {
        page.field(site.severity.name(), &frames::line(site));
        page.flush(out)?;
    }
    let left = report.other_sites.len() - shown;
    if left > 0 {
        let left = count(left as u64, "site");
        page.field("…", &format!("{left} more: --all shows them"));
    }
    Ok(())
}

/// How many sites and puts there are of each severity.
fn sites_by_severity(report: &Report) -> String {
    let all = || report.sites();
    let mut severities: Vec<Severity> = all().map(|site| site.severity).collect();
    severities.sort_unstable_by(|a, b| b.cmp(a));
    severities.dedup();
    let parts: Vec<String> = severities
        .into_iter()
        .map(|severity| {
            let sites = || all().filter(|site| site.severity == severity);
            let final_puts = sum(sites().map(|site| site.counts.final_puts));
            let non_final = sum(sites().map(|site| site.counts.non_final));
            let others = if non_final > 0 {
                format!(", {} not final", count(non_final, "put"))
            } else {
                String::new()
            };
            format!(
                "{} {} ({}{others})",
                sites().count(),
                severity.name(),
                count(final_puts, "final put")
            )
        })
        .collect();
    parts.join(", ")
}

/// What could not be kept; silent when nothing was lost.
fn losses(page: &mut Page, report: &Report) {
    if !report.capture.complete {
        page.paragraph(Style::Alarm, "INCOMPLETE");
        for reason in &report.capture.incomplete_because {
            page.field("because", reason);
        }
    }
    for loss in report.losses.named().filter(|loss| loss.number > 0) {
        page.field("lost", &loss.sentence());
    }
}

/// How it was watched.
fn capture(page: &mut Page, report: &Report) {
    page.paragraph(Style::Heading, "How it was watched");
    for (label, text) in how_watched(report) {
        page.field(label, &text);
    }
}

/// How the kernel was watched, as labels and texts; a text may be empty.
pub(super) fn how_watched(report: &Report) -> Vec<(&'static str, String)> {
    let capture = &report.capture;
    let mut fields = Vec::new();
    let mut field = |label, text: String| fields.push((label, text));
    let level = match capture.level {
        Level::Evictions => "evictions: final puts that evict",
        Level::Final => "final: every final put, kept or evicted",
        Level::Latent => "latent: every final put, and others where a final one would be unsafe",
    };
    field("level", level.to_owned());
    field(
        "probes",
        format!("{}: {}", capture.attach.name(), capture.attach_reason),
    );
    let locks = match report.kernel.lock_source {
        LockSource::Lockdep => "lockdep: every held lock, by class",
        LockSource::Tracking => {
            "tracking: mutexes and rwsems that were seen to be taken; others are unknown"
        }
        LockSource::Owners => {
            "owner fields of i_rwsem, invalidate_lock and s_umount, held for write; no others"
        }
    };
    field("locks from", locks.to_owned());
    if let Some(tracking) = &capture.lock_tracking {
        let number = tracking.functions.len() as u64;
        field(
            "followed",
            format!("{} that take or release locks", count(number, "function")),
        );
        if let Some(agreement) = &tracking.lockdep {
            field("vs lockdep", agreement.sentence());
        }
    }
    field("sources", report.kernel.debug_information.join("; "));
    if report.losses.probe_hits_missed.is_none() {
        field(
            "unknown",
            "how many probe hits were skipped: this kernel does not count them".to_owned(),
        );
    }
    field("filesystems", capture.filesystems.join(", "));
    if let Some(provocation) = &capture.provocation {
        field("provoked", provocation.sentence());
    }
    if let Some(workload) = &capture.workload {
        field(
            "workload",
            format!("`{}` {}", workload.command.join(" "), workload.end()),
        );
    }
    for sentence in capture
        .cost
        .iter()
        .flat_map(|cost| cost.sentences(capture.duration_ms))
    {
        field("cost", sentence);
    }
    for (fact, reason) in &report.kernel.unknown_facts {
        field("unknown", format!("{fact}: {reason}"));
    }
    for entry in &capture.suppressions {
        field("suppress", suppression(entry));
    }
    field("kernel", report.kernel.version.clone());
    fields
}

/// An entry of `--suppress` and what came of it.
#[must_use]
pub fn suppression(entry: &Suppression) -> String {
    let state = match entry.state {
        SuppressionState::Used => format!("excuses something at {}", count(entry.sites, "site")),
        SuppressionState::Unused => "unused: nothing that it would excuse was found".to_owned(),
        SuppressionState::OtherKernel => "is for other kernels".to_owned(),
        SuppressionState::Expired => format!(
            "expired after {}, and excuses nothing",
            entry.expires.as_deref().unwrap_or_default()
        ),
    };
    format!("{} ({}) {state}", entry.place, entry.reason)
}

#[cfg(test)]
mod tests;
