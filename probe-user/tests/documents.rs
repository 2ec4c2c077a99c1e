//! `docs/hazards.md` explains the rules and facts as the tables have them, and bugs on record;
//! `docs/ci.md` has the table of kernel options.

use lastref::hazard::RULES;
use lastref::kernel::options::{KernelOption, Need, OPTIONS};
use lastref::report::rules;

const CI: &str = include_str!("../../docs/ci.md");
const HAZARDS: &str = include_str!("../../docs/hazards.md");
const HISTORY: &str = include_str!("history.jsonl");

/// The line after which the document is made of the tables.
const MARKER: &str = "<!-- From here on: lastref hazards --markdown -->\n\n";

#[test]
fn the_document_is_made_of_the_tables() {
    let (_, made) = HAZARDS.split_once(MARKER).unwrap();
    let expected = rules::markdown();
    let differs = made
        .lines()
        .zip(expected.lines())
        .find(|(is, must)| is != must);
    assert!(
        made == expected,
        "docs/hazards.md is out of date ({differs:?}); \
         update it: replace what is after `{}` by `cargo run -- hazards --markdown`",
        MARKER.trim_end()
    );
}

#[test]
fn bugs_that_are_told_are_on_record() {
    let mut count = 0;
    for rule in RULES {
        let named = rule.seen_in.split("history:").skip(1);
        for rest in named {
            let end = rest.find([')', ',', ';', '.', ' ']).unwrap_or(rest.len());
            let id = &rest[..end];
            assert!(HISTORY.contains(&format!("\"id\": \"{id}\"")), "{id}");
            count += 1;
        }
    }
    assert!(count >= 30, "{count}");
}

/// A row of the table in `docs/ci.md`.
fn row(option: &KernelOption) -> String {
    let value = if option.wanted { "y" } else { "n" };
    let need = match option.need {
        Need::Required => "required",
        Need::Recommended => "recommended",
        Need::Testing => "testing",
    };
    let facts: Vec<String> = option
        .facts
        .iter()
        .map(|fact| format!("`{}`", fact.name()))
        .collect();
    format!(
        "| `{}={value}` | {need} | {} | {} | {} |\n",
        option.name,
        option.gives,
        facts.join(", "),
        option.kconfig
    )
}

#[test]
fn the_options_that_matter_are_told() {
    const HEAD: &str = "| option | | gives | unknown without it | described in |\n\
                        |---|---|---|---|---|\n";
    let expected: String = OPTIONS.iter().map(row).collect();
    let (_, made) = CI.split_once(HEAD).unwrap_or_default();
    assert!(
        made.starts_with(&(expected.clone() + "\n")),
        "docs/ci.md is out of date; its table is to be:\n{HEAD}{expected}"
    );
}
