//! The report's words for time: how much was evicted when.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Severity;

/// What happened between the moment before, or the begin, and this one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct Moment {
    /// When, in milliseconds since the begin.
    pub at_ms: u64,
    /// Puts that found `i_count == 1`; at level `evictions`, those of them that evicted.
    pub final_puts: u64,
    /// Evictions that final puts began, by how bad their site is by now. Those that are benign
    /// by their facts alone have no site; they are among the benign.
    pub evictions: BTreeMap<Severity, u64>,
    /// Calls that were stuck at this moment.
    pub stuck: u64,
}

impl Moment {
    /// Adds the moment after this one: what happened in both.
    pub fn join(&mut self, next: &Self) {
        self.at_ms = next.at_ms;
        self.final_puts += next.final_puts;
        for (severity, evictions) in &next.evictions {
            *self.evictions.entry(*severity).or_default() += evictions;
        }
        self.stuck = self.stuck.max(next.stuck);
    }
}
