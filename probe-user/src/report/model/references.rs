//! The references that puts left: how many there were, and what was seen to hold them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What held the inode besides the reference that was put, over all puts of a context. Of these
/// five numbers the last four add up to the first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct References {
    /// The distribution of `i_count` as the puts found it.
    pub i_count: Vec<CountBucket>,
    /// Puts that left dentries that nobody used, and nothing else.
    pub unused_dentries: u64,
    /// Puts that left dentries alone, at least one of them in use.
    pub used_dentries: u64,
    /// Puts that left something that is no dentry, besides what dentries there were.
    pub others: u64,
    /// Puts of which that is not known: there were too many dentries to look at, or something
    /// changed meanwhile.
    pub not_known: u64,
}

/// How many puts found an `i_count`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct CountBucket {
    /// The `i_count`; the last bucket, 17, has those that found more, too.
    pub at_least: u32,
    /// How many.
    pub count: u64,
}

/// The dentries of an inode that was put.
#[derive(
    Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
pub struct Dentries {
    /// How many were looked at, 16 at most. Each holds one reference.
    pub aliases: u32,
    /// How many of those nobody used (`d_lockref.count` is zero).
    pub unused: u32,
    /// False if there may be more, or if something changed meanwhile.
    pub complete: bool,
}

/// `17` has all that is more.
const LAST_BUCKET: u32 = 17;

impl References {
    /// The distribution in words, as in "2 (5 puts), 17 or more (1 put)".
    #[must_use]
    pub fn i_counts(&self) -> String {
        let parts: Vec<String> = self
            .i_count
            .iter()
            .map(|bucket| {
                let or_more = if bucket.at_least < LAST_BUCKET {
                    ""
                } else {
                    " or more"
                };
                let puts = crate::report::units::count(bucket.count, "put");
                format!("{}{or_more} ({puts})", bucket.at_least)
            })
            .collect();
        parts.join(", ")
    }

    /// What held the rest, in words, the most frequent first.
    #[must_use]
    pub fn holders(&self) -> String {
        let mut parts = vec![
            (self.unused_dentries, "unused dentries alone"),
            (self.used_dentries, "dentries alone, some in use"),
            (self.others, "something that is no dentry"),
            (self.not_known, "not known"),
        ];
        parts.retain(|(puts, _)| *puts > 0);
        parts.sort_by_key(|(puts, _)| std::cmp::Reverse(*puts));
        let parts: Vec<String> = parts
            .into_iter()
            .map(|(puts, what)| format!("{what} ({})", crate::report::units::count(puts, "put")))
            .collect();
        parts.join(", ")
    }
}
