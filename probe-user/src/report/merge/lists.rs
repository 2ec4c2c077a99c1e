//! Sorted lists without repetition, and lists in words.

use std::collections::BTreeMap;

/// How many things are named in a sentence.
const NAMED: usize = 6;

/// Inserts `item`, if it is not there.
pub fn insert(list: &mut Vec<String>, item: &str) {
    if let Err(at) = list.binary_search_by(|other| other.as_str().cmp(item)) {
        list.insert(at, item.to_owned());
    }
}

/// The things in words, each as it is or with its number.
pub fn in_words<'a>(things: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = things.len().saturating_sub(NAMED);
    let mut words: Vec<String> = things.take(NAMED).cloned().collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

/// In what reports differ, as in "levels differ: final in 2 reports, latent in 1 report"; `None`
/// if they do not.
pub fn difference(what: &str, values: &BTreeMap<String, u64>) -> Option<String> {
    if values.len() < 2 {
        return None;
    }
    let parts: Vec<String> = values
        .iter()
        .map(|(value, reports)| format!("{value} in {}", super::count(*reports, "report")))
        .collect();
    Some(format!("{what} differ: {}", in_words(parts.iter())))
}
