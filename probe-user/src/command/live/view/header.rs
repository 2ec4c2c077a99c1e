//! The lines at the top: what is watched, what came of it, and what was lost.

use lastref::report::{
    losses::{INTERIM, Loss},
    model::{Report, Severity},
    page::Style,
    units::{count, duration_ms},
};

use crate::command::live::{rates, state::State};

/// The header in `height` lines. What was lost is in the last of them, however few there are.
pub fn lines(state: &State, height: usize) -> Vec<(Style, String)> {
    // While the display is held, it is not hidden that more was lost.
    let (Some(report), Some(latest)) = (state.report(), state.latest()) else {
        return vec![(Style::Heading, "lastref".to_owned())];
    };
    let mut lines = vec![
        (Style::Heading, watched(report, state.is_paused)),
        found(state, report),
        lost(latest),
    ];
    lines.drain(..lines.len().saturating_sub(height));
    lines
}

fn watched(report: &Report, is_paused: bool) -> String {
    let capture = &report.capture;
    let paused = if is_paused { "PAUSED, " } else { "" };
    format!(
        "{paused}lastref on Linux {}, {}, {}",
        report.kernel.release,
        duration_ms(capture.duration_ms),
        capture.attach.name(),
    )
}

fn found(state: &State, report: &Report) -> (Style, String) {
    let number = |severity: &Severity| {
        let sites = report.findings.iter();
        sites.filter(|site| site.severity == *severity).count()
    };
    let by_severity: Vec<String> = [
        Severity::Deadlock,
        Severity::Unsafe,
        Severity::Risky,
        Severity::Latent,
    ]
    .into_iter()
    .filter(|severity| number(severity) > 0)
    .map(|severity| format!("{} {}", number(&severity), severity.name()))
    .collect();
    let findings = if by_severity.is_empty() {
        "no findings".to_owned()
    } else {
        by_severity.join(", ")
    };
    let stuck = match report.totals.stuck {
        0 => String::new(),
        stuck => format!("; {stuck} stuck"),
    };
    let style = report
        .findings
        .first()
        .map_or(Style::Plain, |site| site.severity.style());
    let text = format!(
        "{findings}{stuck}; {} ({}/s), {}",
        count(report.totals.final_puts, "final put"),
        rates::text(state.rates.final_puts()),
        count(report.totals.evictions, "eviction"),
    );
    (style, text)
}

fn lost(report: &Report) -> (Style, String) {
    let mut lost: Vec<_> = report
        .losses
        .named()
        .filter(|loss| loss.number > 0)
        .collect();
    lost.sort_by_key(|loss| !loss.is_gap);
    let sentences: Vec<String> = lost.iter().map(Loss::sentence).collect();
    let gaps = report.losses.gaps();
    // Other reasons than losses.
    let reasons: Vec<&str> = report
        .capture
        .incomplete_because
        .iter()
        .filter(|reason| *reason != INTERIM && !gaps.contains(reason))
        .map(String::as_str)
        .collect();
    let all = [sentences, reasons.iter().map(ToString::to_string).collect()].concat();
    if all.is_empty() {
        (Style::Plain, "nothing lost".to_owned())
    } else if gaps.is_empty() && reasons.is_empty() {
        (Style::Warning, format!("lost: {}", all.join("; ")))
    } else {
        (Style::Alarm, format!("INCOMPLETE: {}", all.join("; ")))
    }
}
