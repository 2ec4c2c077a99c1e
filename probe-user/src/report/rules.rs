//! The rules for people: the table, and one rule in full.

use super::page::{Page, Style};
use crate::hazard::{RULES, Rule};

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
    page.field("why", rule.why);
    page.field("way out", rule.way_out);
    let facts: Vec<&str> = rule
        .accounts_for
        .facts
        .iter()
        .map(|fact| fact.name())
        .collect();
    page.field("explains", &facts.join(", "));
    let locks: Vec<&str> = rule
        .accounts_for
        .locks
        .iter()
        .map(|lock| lock.class)
        .collect();
    page.field("and locks", &locks.join(", "));
    page.finish()
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
