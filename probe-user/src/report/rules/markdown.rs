//! The rules and the facts as Markdown: the part of `docs/hazards.md` that is made of the tables.

use std::fmt::Write as _;

use probe_common::ALL_FACTS;

use super::super::page::{WIDTH, wrap};
use super::paragraphs;
use crate::hazard::{RULES, Rule};

/// A section for each severity with one for each rule in it, and the table of facts.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    let mut severity = None;
    for rule in RULES {
        if severity != Some(rule.worst()) {
            severity = Some(rule.worst());
            let _ = writeln!(text, "## {}\n", capital(rule.worst().name()));
        }
        section(&mut text, rule);
    }
    text.push_str("## Facts\n\n| fact | yes means |\n|---|---|\n");
    for fact in ALL_FACTS {
        let _ = writeln!(text, "| `{}` | {} |", fact.name(), fact.meaning());
    }
    text
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn section(text: &mut String, rule: &Rule) {
    let _ = writeln!(text, "### `{}`: {}\n", rule.id, rule.title);
    for case in rule.cases {
        let when = format!("{} when {}.", case.severity.name(), case.when);
        let when = mark_all(&when, |word| is_name(word) || is_fact(word));
        paragraph(text, &format!("*Severity:* {when}"));
    }
    for (label, words) in paragraphs(rule) {
        paragraph(text, &format!("*{}:* {}", capital(label), code(&words)));
    }
}

fn paragraph(text: &mut String, words: &str) {
    for line in wrap(words, WIDTH) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
}

/// `text` with the names in it marked as code: functions, fields, constants, files, records.
pub fn code(text: &str) -> String {
    mark_all(text, is_name)
}

fn mark_all(text: &str, is_name: impl Fn(&str) -> bool) -> String {
    let words: Vec<String> = calls_whole(text)
        .iter()
        .map(|word| mark(word, &is_name))
        .collect();
    words.join(" ")
}

/// The words of `text`; a call with its arguments is one.
fn calls_whole(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(call) if is_open_call(call) => {
                call.push(' ');
                call.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn is_open_call(word: &str) -> bool {
    let call = word.trim_start_matches('(');
    call.matches('(').count() > call.matches(')').count()
}

/// A word, marked if it is a name. Punctuation around it stays outside.
fn mark(word: &str, is_name: impl Fn(&str) -> bool) -> String {
    let start = word.trim_start_matches(['(', '"', '\'']);
    let before = &word[..word.len() - start.len()];
    let mut name = start;
    while let Some(shorter) = name
        .strip_suffix("'s")
        .or_else(|| name.strip_suffix(['.', ',', ':', ';', '"', '\'']))
        .or_else(|| name.strip_suffix(')').filter(|rest| !is_open_call(rest)))
    {
        name = shorter;
    }
    let after = &start[name.len()..];
    if is_name(name) && !word.contains('`') {
        format!("{before}`{name}`{after}")
    } else {
        word.to_owned()
    }
}

fn is_name(word: &str) -> bool {
    const FILES: [&str; 4] = [".c", ".h", ".rst", ".jsonl"];
    word.contains('/') && FILES.iter().any(|end| word.ends_with(end))
        || word.ends_with("()")
        || word.contains('_')
        || word.contains("->")
        || word.starts_with("history:")
        || word.starts_with("--")
        || word.contains('-') && Rule::find(word).is_some()
}

fn is_fact(word: &str) -> bool {
    ALL_FACTS.iter().any(|fact| fact.name() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_marked_as_code() {
        for (text, marked) in [
            ("evict() waits", "`evict()` waits"),
            ("(fs/inode.c, iput()).", "(`fs/inode.c`, `iput()`)."),
            ("\"quoted iput()\"", "\"quoted `iput()`\""),
            ("I_SYNC's bit; __GFP_FS", "`I_SYNC`'s bit; `__GFP_FS`"),
            (
                "current->journal_info is set",
                "`current->journal_info` is set",
            ),
            ("(history:a-b-2025)", "(`history:a-b-2025`)"),
            ("see mount-unmount.", "see `mount-unmount`."),
            ("a worker, and/or stuck", "a worker, and/or stuck"),
            ("`iput()` is code", "`iput()` is code"),
            ("or f(&inode->x, 1) is", "or `f(&inode->x, 1)` is"),
            ("(f(), or (g_h)).", "(`f()`, or (`g_h`))."),
        ] {
            assert_eq!(code(text), marked);
        }
    }

    #[test]
    fn every_rule_has_a_section_and_every_fact_a_row() {
        let text = markdown();
        for rule in RULES {
            assert!(text.contains(&format!("\n### `{}`: {}\n", rule.id, rule.title)));
        }
        for fact in ALL_FACTS {
            assert!(text.contains(&format!("\n| `{}` | ", fact.name())));
        }
        assert!(text.contains("\n## Deadlock\n") || text.starts_with("## Deadlock\n"));
    }
}
