//! What is new in a run that goes on, each in one line of text.

use super::frames;
use crate::report::{
    jsonl::{Change, Line, LossesLine, SiteLine, StuckLine},
    units::duration_ms,
};

/// The line in words; `None` if it says nothing that a reader waits for.
#[must_use]
pub fn sentence(line: &Line) -> Option<String> {
    match line {
        Line::Site(SiteLine {
            at_ms,
            change,
            severity,
            site: Some(site),
            ..
        }) => {
            let what = match change {
                Change::New => "new",
                Change::Worse => "worse",
                Change::Contexts | Change::Counts => return None,
            };
            Some(format!(
                "{}: {what}: {} {}",
                duration_ms(*at_ms),
                severity.name().to_uppercase(),
                frames::line(site)
            ))
        }
        Line::Stuck(StuckLine {
            at_ms,
            site,
            over,
            call,
            ..
        }) => Some(format!(
            "{}: {} {}, thread {}, for {}, inode {} ({}){}, at site {site}",
            duration_ms(*at_ms),
            if *over { "no longer stuck:" } else { "STUCK:" },
            call.comm,
            call.thread,
            duration_ms(call.age_ms),
            call.ino,
            call.device,
            call.waits_for
                .as_ref()
                .map(|waits_for| format!(", waits for {waits_for}"))
                .unwrap_or_default(),
        )),
        Line::Losses(LossesLine { at_ms, losses }) => {
            let lost: Vec<String> = losses
                .named()
                .filter(|loss| loss.number > 0)
                .map(|loss| loss.sentence())
                .collect();
            Some(format!(
                "{}: lost so far: {}",
                duration_ms(*at_ms),
                lost.join("; ")
            ))
        }
        Line::Site(_) | Line::Start(_) | Line::End(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        changes::{Changes, Wanted},
        model::Severity,
        sample,
    };

    #[test]
    fn news_are_told_in_a_line_each() {
        let mut changes = Changes::new(Wanted {
            mildest: Severity::Risky,
            all: false,
        });
        let mut report = sample::report();
        let mut lines = changes.since(&report, false);
        report.capture.duration_ms += 2_000;
        report.findings[0].stuck.clear();
        report.findings[0].counts.in_flight = 0;
        report.findings[1].counts.final_puts += 1;
        lines.extend(changes.since(&report, true));
        let text: Vec<String> = lines.iter().filter_map(sentence).collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
