//! `docs/hazards.md` explains the rules and facts as the tables have them, and bugs on record.

use lastref::hazard::RULES;
use lastref::report::rules;

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
