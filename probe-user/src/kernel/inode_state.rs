//! The values of the inode state flags (`I_SYNC` and its like) on the running kernel.
//!
//! They have moved: `I_SYNC` is `1 << 7` on 6.1 and `1 << 1` on 6.12. From 7.x they are
//! enumerators, described by BTF; before, they are macros, but the kernel prints them by
//! name in its writeback tracepoints (`show_inode_state`, include/trace/events/writeback.h),
//! and a tracepoint's format file states name and value.

use std::{collections::BTreeMap, fs};

use super::btf::Btf;

/// Where tracefs is found: its own mount, or the old one below debugfs.
const TRACEFS: &[&str] = &["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// A tracepoint that prints inode states on every kernel from 5.10 on.
const FORMAT: &str = "events/writeback/writeback_dirty_inode/format";

/// The flags that are needed, each set as a mask.
const NEEDED: &[&str] = &[
    "I_SYNC",
    "I_DIRTY_SYNC",
    "I_DIRTY_DATASYNC",
    "I_DIRTY_PAGES",
    "I_DIRTY_TIME",
    "I_FREEING",
    "I_WILL_FREE",
];

/// The inode state flags, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InodeState {
    flags: BTreeMap<String, u64>,
}

impl InodeState {
    /// Asks the kernel's types, then its tracepoints. Flags that neither tells are missing.
    #[must_use]
    pub fn resolve(btf: &Btf) -> Self {
        let enumerated = Self {
            flags: NEEDED
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), btf.enumerator(name)?)))
                .collect(),
        };
        if enumerated.is_complete() {
            return enumerated;
        }
        TRACEFS
            .iter()
            .find_map(|mount| fs::read_to_string(format!("{mount}/{FORMAT}")).ok())
            .map(|format| Self::from_format(&format))
            .unwrap_or_default()
    }

    /// Reads the flags from a tracepoint's format: `{(1 << 7), "I_SYNC"}` and so on.
    fn from_format(format: &str) -> Self {
        let flags = format
            .split('{')
            .filter_map(|item| {
                let (value, rest) = item.split_once(", \"")?;
                let (name, _) = rest.split_once('"')?;
                Some((name.to_owned(), shifted_bit(value)?))
            })
            .collect();
        Self { flags }
    }

    /// Whether every flag that is needed is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        NEEDED.iter().all(|name| self.flags.contains_key(*name))
    }

    /// All of `names` as one mask; 0, which is no mask, if one is unknown.
    #[must_use]
    pub fn mask(&self, names: &[&str]) -> u64 {
        names
            .iter()
            .try_fold(0, |mask, name| Some(mask | self.flags.get(*name)?))
            .unwrap_or(0)
    }
}

/// The value of `(1 << 7)`, `1 << 7`, `(1U << 7)` or a plain number.
fn shifted_bit(text: &str) -> Option<u64> {
    let text = text.trim().trim_start_matches('(').trim_end_matches(')');
    let number = |text: &str| {
        let text = text.trim().trim_end_matches(['U', 'L']);
        match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse::<u64>().ok(),
        }
    };
    match text.split_once("<<") {
        Some((one, shift)) => number(one)?.checked_shl(u32::try_from(number(shift)?).ok()?),
        None => number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_names_its_flags() {
        let state = InodeState::from_format(
            "print fmt: \"%s\", __print_flags(REC->state, \"|\", {(1 << 0), \"I_DIRTY_SYNC\"}, \
             {(1 << 7), \"I_SYNC\"}, {0x20, \"I_FREEING\"}, {(1U << 4), \"I_WILL_FREE\"} )",
        );
        assert_eq!(state.mask(&["I_SYNC"]), 1 << 7);
        assert_eq!(state.mask(&["I_FREEING", "I_WILL_FREE"]), 0x30);
        assert!(!state.is_complete());
    }

    #[test]
    fn an_unknown_flag_makes_no_mask() {
        let state = InodeState::from_format("{(1 << 7), \"I_SYNC\"}");
        assert_eq!(state.mask(&["I_SYNC", "I_FREEING"]), 0);
    }

    #[test]
    fn names_without_values_are_left_out() {
        let state = InodeState::from_format("{I_SYNC, \"I_SYNC\"}, {(1 << 99), \"I_NEW\"}");
        assert_eq!(state, InodeState::default());
    }
}
