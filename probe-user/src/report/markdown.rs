//! The report as Markdown that is also plain text: for a mail to a mailing list or for an issue, in
//! less than 80 columns. Each finding can be sent by itself.

use std::io::{self, Write};

use super::model::{Hazard, Kernel, Report, Site, StuckCall};
use super::page::{Page, Style};
use super::parts;
use super::rules::markdown::code;
use super::text::frames;
use super::units::{count, duration_ms};

/// Columns before a line of code. The kernel's own form of a frame has one more.
const CODE: usize = 4;

/// What would make a link, an image, emphasis, a character, a tag, mathematics, or call for a person
/// or an issue, if it were not code.
const MARKUP: [char; 10] = ['[', ']', '*', '~', '&', '<', '$', '@', '#', '\\'];

/// Writes the summary and all findings.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::for_mail();
    summary(&mut page, report);
    page.flush(out)?;
    for (number, site) in report.findings.iter().enumerate() {
        finding(&mut page, number + 1, site, &report.kernel);
        page.flush(out)?;
    }
    Ok(())
}

/// What was watched, how, and what came of it.
fn summary(page: &mut Page, report: &Report) {
    let capture = &report.capture;
    heading(page, "#", "lastref: final puts of inodes");
    let result = match report.findings.first() {
        None => "No findings".to_owned(),
        Some(worst) => format!(
            "{}, the worst is {}",
            count(report.findings.len() as u64, "finding"),
            worst.severity.name()
        ),
    };
    prose(
        page,
        &format!(
            "{result}, of {} and {}.",
            count(report.totals.final_puts, "final put"),
            count(report.totals.evictions, "eviction")
        ),
    );
    let mut items = vec![
        format!(
            "Kernel: {}, {}",
            linux(&report.kernel),
            span(&report.kernel.version)
        ),
        format!(
            "Watched by lastref {} from {} for {}, probes by {}",
            report.tool.version,
            capture.started,
            duration_ms(capture.duration_ms),
            capture.attach.name()
        ),
    ];
    if let Some(workload) = &capture.workload {
        let command = span(&workload.command.join(" "));
        items.push(format!("Workload: {command}, which {}", workload.end()));
    }
    if !capture.complete {
        items.push("INCOMPLETE: there may be more than this".to_owned());
        items.extend(capture.incomplete_because.iter().cloned());
    }
    list(page, &items);
}

/// One finding, complete in itself.
fn finding(page: &mut Page, number: usize, site: &Site, kernel: &Kernel) {
    let worst = parts::worst(site);
    let title = worst.map_or("A site without a rule", |hazard| &hazard.title);
    heading(page, &format!("## {number}."), title);
    let by = worst.map_or_else(String::new, |hazard| {
        format!(" by rule {}", span(&hazard.rule))
    });
    let severity = site.severity.name().to_uppercase();
    prose(
        page,
        &format!("{severity}{by}, found by lastref on {}.", linux(kernel)),
    );
    if let Some(hazard) = worst {
        prose(page, &evidence(hazard));
    }
    page.gap();
    page.paragraph(Style::Plain, "iput() was called by:");
    page.gap();
    frames::lines(page, site, false);
    seen(page, site);
    for call in &site.stuck {
        stuck(page, call);
    }
    for hazard in site
        .contexts
        .first()
        .iter()
        .flat_map(|context| &context.hazards)
    {
        rule(page, site, hazard, worst);
    }
    for check in parts::to_check(site) {
        page.gap();
        page.paragraph(Style::Plain, &format!("To check {}:", check.what));
        page.gap();
        page.verbatim(CODE, &check.command);
    }
}

/// What was seen, as a list.
fn seen(page: &mut Page, site: &Site) {
    let overview = parts::overview(site);
    let details = site
        .contexts
        .first()
        .map(parts::details)
        .unwrap_or_default();
    let mut items: Vec<String> = overview
        .iter()
        .chain(&details)
        .filter(|(_, text)| !text.is_empty())
        .map(|(label, text)| format!("{label}: {text}"))
        .collect();
    for fact in site
        .contexts
        .first()
        .iter()
        .flat_map(|context| &context.facts.yes)
    {
        items.push(match parts::meaning(fact) {
            Some(meaning) => format!("{}: {meaning}", span(fact)),
            None => span(fact),
        });
    }
    for context in site.contexts.iter().skip(1) {
        items.push(format!("also {}", parts::brief(context)));
    }
    list(page, &items);
}

/// A call that does not come back.
fn stuck(page: &mut Page, call: &StuckCall) {
    let waits_for = call
        .waits_for
        .iter()
        .map(|what| format!("; it waits for {what}"));
    let waits_for: String = waits_for.collect();
    prose(
        page,
        &format!("Still inside: {}{waits_for}.", parts::stuck(call)),
    );
    page.gap();
    for line in &call.stack {
        page.verbatim(CODE, &format!(" {}", line.trim()));
    }
}

/// A rule that matched: in full if it is as bad as the worst one, or would be.
fn rule(page: &mut Page, site: &Site, hazard: &Hazard, worst: Option<&Hazard>) {
    let is_worst = worst.is_some_and(|worst| worst.rule == hazard.rule);
    let severity = hazard.if_final.unwrap_or(hazard.severity).name();
    let (title, id) = (&hazard.title, span(&hazard.rule));
    if !is_worst {
        let also = match hazard.if_final {
            Some(_) => "If it were final",
            None => "Also",
        };
        let evidence = evidence(hazard);
        prose(
            page,
            &format!("{also} {severity}: {title} ({id}). {evidence}"),
        );
    }
    let excuses = parts::excuses(site, hazard);
    for (label, text) in excuses.iter().filter(|(_, text)| !text.is_empty()) {
        prose(page, &format!("This rule is {label}: {text}."));
    }
    if !is_worst
        && hazard.if_final.is_none()
        && worst.is_some_and(|worst| worst.severity > hazard.severity)
    {
        return;
    }
    prose(page, &format!("Why: {}", hazard.why));
    for words in parts::kernel_says(hazard) {
        prose(page, &format!("The kernel says: {words}."));
    }
    prose(page, &format!("Way out: {}", hazard.way_out));
}

/// What a rule matched on, in one paragraph.
fn evidence(hazard: &Hazard) -> String {
    let waits_for = hazard
        .waits_for
        .iter()
        .map(|what| format!("It waits for {what}."));
    let sentences: Vec<String> = hazard.evidence.iter().cloned().chain(waits_for).collect();
    sentences.join(" ")
}

/// A heading. It stays in one line.
fn heading(page: &mut Page, mark: &str, text: &str) {
    page.gap();
    page.verbatim(0, &format!("{mark} {}", markdown(text)));
}

/// A paragraph with an empty line before it; nothing at all without text.
fn prose(page: &mut Page, text: &str) {
    page.gap();
    page.paragraph(Style::Plain, &markdown(text));
}

/// A list with an empty line before it.
fn list(page: &mut Page, items: &[String]) {
    page.gap();
    for item in items {
        page.item(&markdown(item));
    }
}

/// The kernel in a few words.
fn linux(kernel: &Kernel) -> String {
    format!("Linux {} ({})", span(&kernel.release), kernel.machine)
}

/// `text` as code that nothing in it can end.
fn span(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

/// Prose that Markdown shows as it is, with the names in it marked as code: those that the kernel's
/// words are full of, and any word that Markdown would make something else of.
fn markdown(text: &str) -> String {
    let marked = code(text);
    let words: Vec<&str> = marked.split(' ').collect();
    let mut rest = words.as_slice();
    let mut shown = Vec::new();
    while let Some((word, after)) = rest.split_first() {
        let more = match after.iter().position(|word| is_half(word)) {
            Some(at) if is_half(word) => at + 1,
            _ => 0,
        };
        let (piece, after) = rest.split_at(1 + more);
        shown.push(literal(piece));
        rest = after;
    }
    shown.join(" ")
}

/// Whether code begins in `text` and does not end, or the other way round.
fn is_half(text: &str) -> bool {
    text.matches('`').count() % 2 == 1
}

/// A word, or several that code in them holds together.
fn literal(words: &[&str]) -> String {
    let mut piece = String::new();
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            // Blocks come before code: no line may begin with a mark, in code neither.
            piece.push(if block_mark(word).is_some() {
                '\u{a0}'
            } else {
                ' '
            });
        }
        piece.push_str(word);
    }
    let has_markup = |text: &str| text.contains(MARKUP);
    if is_half(&piece) || piece.contains("``") || piece.split('`').step_by(2).any(has_markup) {
        return span(&piece);
    }
    if let Some(at) = block_mark(&piece) {
        piece.insert(at, '\\');
    }
    piece
}

/// Where in `word` the mark is that would make a line that begins with it an item, a heading, a
/// quotation, a rule, code or a block of HTML.
fn block_mark(word: &str) -> Option<usize> {
    let after_number = word.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number = word.len() - after_number.len();
    if number > 0 && matches!(after_number, "." | ")") {
        return Some(number);
    }
    let is_all = |mark: char| !word.is_empty() && word.trim_start_matches(mark).is_empty();
    (word.starts_with(['>', '<'])
        || word.starts_with("~~~")
        || ['-', '+', '*', '#', '=', '_'].into_iter().any(is_all))
    .then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hazard::RULES;
    use crate::report::sample;

    fn written(report: &Report) -> String {
        let mut bytes = Vec::new();
        write(report, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_fit_into_a_mail() {
        let text = written(&sample::report());
        for line in text.lines().filter(|line| !line.starts_with("     ")) {
            assert!(line.chars().count() < 80, "{line}");
            assert_eq!(line, line.trim_end(), "{line}");
        }
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"));
    }

    #[test]
    fn what_is_not_held_against_a_site_is_marked() {
        let mut report = sample::report();
        let hazard = &mut report.findings[0].contexts[0].hazards[0];
        hazard.known = true;
        hazard.suppressed = Some("being fixed".into());
        let text = written(&report);
        for mark in [
            "This rule is known: the baseline has it, at least as bad.",
            "This rule is suppressed: being fixed.",
        ] {
            assert_eq!(text.matches(mark).count(), 1, "{text}");
        }
    }

    #[test]
    fn each_finding_can_be_sent_by_itself() {
        let text = written(&sample::report());
        let findings: Vec<&str> = text.split("\n## ").skip(1).collect();
        assert_eq!(findings.len(), 3);
        for finding in &findings {
            let words: Vec<&str> = finding.split_whitespace().collect();
            let kernel = "found by lastref on Linux `7.3.4-amd64` (`x86_64`).";
            assert!(words.join(" ").contains(kernel), "{finding}");
            assert!(
                finding.contains("iput() was called by:\n\n     "),
                "{finding}"
            );
        }
        let mut rest = findings[0];
        for expected in [
            "1. Final put from inside writeback of the very inode\n\nDEADLOCK by rule `writeback-self-wait`",
            "The task is inside",
            "     cephlike_put_wrbuffer_cap_refs+0x1f/0x90 [cephlike]\n         fs/cephlike/caps.c:3494\n",
            "     do_writepages+0x1f/0x90\n",
            "\n- site: 0f3a5b7c9d1e2f40",
            "\n- task: kworker/u4:1, process 12",
            "\n- unknown: `rcu_reader`",
            "\n- `kthread`: ",
            "Still inside: kworker/u4:1, thread 12, for 14.2 s",
            "\n     inode_wait_for_writeback+0x9a/0xe0",
            "\nWhy: Writeback pins the inode with `I_SYNC`",
            "\nThe kernel says: \"",
            "\nWay out: Do not drop the last reference here.",
            "\nAlso risky: ",
            "\n    scripts/faddr2line vmlinux do_writepages+0x1f/0x90",
            "\n    cat /proc/12/stack\n",
        ] {
            let at = rest
                .find(expected)
                .unwrap_or_else(|| panic!("no {expected:?} (in this place) in:\n{text}"));
            rest = &rest[at + expected.len()..];
        }
    }

    #[test]
    fn the_rules_words_are_left_as_they_are() {
        for rule in RULES {
            for text in [rule.title, rule.why, rule.way_out] {
                let shown = markdown(text).replace("\\>", ">");
                assert_eq!(shown.replace('`', ""), text.replace('`', ""));
            }
        }
    }

    #[test]
    fn names_stay_text() {
        for (text, shown) in [
            ("a <b> c", "a `<b>` c"),
            (
                "# not - a > list 1) of 2. + =",
                "`#` not \\- a \\> list 1\\) of 2\\. \\+ \\=",
            ),
            ("=== ->f() 1.5", "\\=== `->f()` 1.5"),
            (
                "![](//x) [a](//b) *c* &lt; @d #1 \\e",
                "`![](//x)` `[a](//b)` `*c*` `&lt;` `@d` `#1` `\\e`",
            ),
            // Code that ends, and code that does not.
            ("`x y` < 5", "`x y` `<` 5"),
            ("`x < y - z` 5", "`x\u{a0}< y\u{a0}- z` 5"),
            ("a` <b> `c", "a`\u{a0}<b> `c"),
            ("a`b <i> c", "`a'b` `<i>` c"),
            ("`` ` <b> ``", "`''` `'` `<b>` `''`"),
            ("(`x`)[y]", "`('x')[y]`"),
        ] {
            assert_eq!(markdown(text), shown);
        }
        assert_eq!(span("a`b"), "`a'b`");
        let mut report = sample::report();
        let site = &mut report.findings[0];
        site.frames[0].function = Some("\n# heading\n".into());
        site.contexts[0].example.as_mut().unwrap().comm = "\n> <img src=x>".into();
        let example = site.contexts[0].example.as_mut().unwrap();
        example.inode.superblock = "![](//x)".into();
        if let Some(work) = &mut example.work {
            work.workqueue = "` @name `<b>".into();
        }
        site.stuck[0].comm = "`<i>".into();
        let text = written(&report);
        assert!(
            !text.contains("\n# heading") && !text.contains("\n>"),
            "{text}"
        );
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for shown in ["\\n> `<img` src=x>", "`![](//x)`", "`'<i>,`"] {
            assert!(words.contains(shown), "{shown}:\n{text}");
        }
        // All that is not code in lines or in blocks.
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("    "))
            .collect();
        for outside in lines.join("\n").split('`').step_by(2) {
            assert!(
                !outside.contains(['[', '<', '@', '&']),
                "{outside}:\n{text}"
            );
        }
    }
}
