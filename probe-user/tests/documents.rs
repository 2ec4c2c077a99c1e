//! `docs/hazards.md` has a section for every rule, and for nothing else; and every fact.

use std::collections::BTreeSet;

use lastref::hazard::RULES;

const HAZARDS: &str = include_str!("../../docs/hazards.md");

/// The sections about rules: `### `id` ...`.
fn sections() -> Vec<(&'static str, &'static str)> {
    HAZARDS
        .split("\n### ")
        .skip(1)
        .filter_map(|section| {
            let (heading, text) = section.split_once('\n')?;
            let id = heading.strip_prefix('`')?.split_once('`')?.0;
            Some((id, text))
        })
        .collect()
}

#[test]
fn every_rule_has_a_section_and_every_section_a_rule() {
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    let sections: Vec<&str> = sections().into_iter().map(|(id, _)| id).collect();
    assert_eq!(
        sections, rules,
        "docs/hazards.md, in the order of the table"
    );
}

#[test]
fn sections_state_the_severities_of_the_table() {
    for (id, text) in sections() {
        let rule = RULES.iter().find(|rule| rule.id == id).unwrap();
        let stated: BTreeSet<&str> = text
            .trim_start()
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("Severity: ")
            .split([',', '.', ' ', ';'])
            .filter(|word| ["deadlock", "unsafe", "risky", "latent", "expected"].contains(word))
            .collect();
        let cases: BTreeSet<&str> = rule.cases.iter().map(|case| case.severity.name()).collect();
        assert_eq!(stated, cases, "the first line of the section on {id}");
    }
}

#[test]
fn every_fact_is_explained() {
    for fact in probe_common::ALL_FACTS {
        let row = format!("\n| `{}` | {} |\n", fact.name(), fact.meaning());
        assert!(HAZARDS.contains(&row), "the table of facts lacks: {row}");
    }
}

#[test]
fn bugs_that_are_told_are_on_record() {
    let history = include_str!("history.jsonl");
    let named = HAZARDS.split("`history:").skip(1);
    let mut count = 0;
    for rest in named {
        let id = rest.split_once('`').unwrap().0;
        assert!(history.contains(&format!("\"id\": \"{id}\"")), "{id}");
        count += 1;
    }
    assert!(count >= 10, "{count}");
}
