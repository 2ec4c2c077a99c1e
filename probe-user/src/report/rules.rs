//! The rules for people: the table, one rule in full, and all of them as a document.

pub(super) mod markdown;

use super::page::{Page, Style};
use crate::hazard::rules::{Accounts, RULES, Rule};
pub use markdown::markdown;

/// Every rule in a line or two, by severity.
#[must_use]
pub fn table(colour: bool) -> String {
    let mut page = Page::new(colour);
    let mut severity = None;
    for rule in RULES {
        if severity != Some(rule.worst()) {
            severity = Some(rule.worst());
            page.gap();
            page.paragraph(rule.worst().style(), rule.worst().name());
        }
        page.entry(rule.id, rule.title);
    }
    page.gap();
    page.paragraph(Style::Plain, "`lastref hazards ID` explains a rule.");
    page.finish()
}

/// One rule in full.
#[must_use]
pub fn explain(rule: &Rule, colour: bool) -> String {
    let mut page = Page::new(colour);
    page.paragraph(
        rule.worst().style(),
        &format!("{}: {}", rule.id, rule.title),
    );
    for case in rule.cases {
        page.field(case.severity.name(), &format!("when {}", case.when));
    }
    for (label, text) in paragraphs(rule) {
        page.field(label, &text);
    }
    page.finish()
}

/// What is to be said of a rule, each with its label; the page and the document have the same.
fn paragraphs(rule: &Rule) -> Vec<(&'static str, String)> {
    let mut paragraphs = vec![
        ("meaning", rule.means.to_owned()),
        ("why", rule.why.to_owned()),
    ];
    for said in rule.says {
        let text = format!("\"{}\" ({})", said.words, said.place);
        paragraphs.push(("kernel says", text));
    }
    paragraphs.push(("seen in", rule.seen_in.to_owned()));
    paragraphs.push(("way out", rule.way_out.to_owned()));
    paragraphs.push(("expected", rule.expected_when.to_owned()));
    let Accounts { facts, locks } = &rule.accounts_for;
    let names = facts.iter().map(|fact| fact.name());
    let classes = locks.iter().map(|lock| lock.class);
    for (label, all) in [
        ("explains", names.collect::<Vec<_>>()),
        ("and locks", classes.collect()),
    ] {
        if !all.is_empty() {
            paragraphs.push((label, all.join(", ")));
        }
    }
    paragraphs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_listed_and_explained_in_100_columns() {
        let table = table(false);
        for rule in RULES {
            assert!(table.contains(rule.id) && table.contains(rule.title));
            let text = explain(rule, false);
            for line in table.lines().chain(text.lines()) {
                assert!(line.chars().count() <= 100, "{line}");
            }
            assert!(
                text.contains(&format!("{}  ", rule.worst().name())),
                "{text}"
            );
        }
    }
}
