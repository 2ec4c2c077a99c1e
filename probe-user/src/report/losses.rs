//! The losses in words, and which of them make the picture incomplete.

use super::model::Losses;

/// Why an interim report is not complete, whatever was lost.
pub const INTERIM: &str = "watching went on when this was written";

/// One kind of loss.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Its name: that of the report's field.
    pub kind: &'static str,
    /// How often.
    pub number: u64,
    /// What was lost, to follow the number.
    what: &'static str,
    /// Whether a call may be missing from the report, or its verdict may rest on less than
    /// could have been known.
    pub is_gap: bool,
}

impl Loss {
    /// The loss as a sentence without its stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} {}", self.number, self.what)
    }
}

impl Losses {
    /// Every kind of loss, whether it happened or not.
    pub fn named(&self) -> impl Iterator<Item = Loss> {
        let gap = |kind, number, what| Loss {
            kind,
            number,
            what,
            is_gap: true,
        };
        let detail = |kind, number, what| Loss {
            kind,
            number,
            what,
            is_gap: false,
        };
        [
            gap(
                "probe_hits_missed",
                self.probe_hits_missed.unwrap_or(0),
                "probe hits skipped by the kernel",
            ),
            gap(
                "sites_full",
                self.sites_full,
                "calls at sites that had no room",
            ),
            gap(
                "stacks_full",
                self.stacks_full,
                "calls whose stack had no room",
            ),
            gap(
                "tasks_full",
                self.tasks_full,
                "entries not followed: too many tasks at once",
            ),
            gap(
                "marks_full",
                self.marks_full,
                "entries not followed: nested too deeply",
            ),
            gap(
                "no_stack",
                self.no_stack,
                "calls for which the kernel gave no stack",
            ),
            gap(
                "locks_full",
                self.locks_full,
                "locks not followed for want of room",
            ),
            detail(
                "locks_stale",
                self.locks_stale,
                "locks left out whose release was not seen",
            ),
            detail(
                "samples_full",
                self.samples_full,
                "sites without an example for want of room",
            ),
            detail(
                "ring_full",
                self.ring_full,
                "further examples dropped (counts are exact)",
            ),
            detail(
                "exits_missed",
                self.exits_missed,
                "returns not seen: how long those evictions took is not known (counts are exact)",
            ),
        ]
        .into_iter()
    }

    /// Why the picture is not complete, one sentence each.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        self.named()
            .filter(|loss| loss.is_gap && loss.number > 0)
            .map(|loss| loss.sentence())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_loss_is_named_as_its_field() {
        let losses = Losses {
            probe_hits_missed: Some(0),
            ..Losses::default()
        };
        let value = serde_json::to_value(&losses).unwrap();
        let fields: BTreeSet<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            losses
                .named()
                .map(|loss| loss.kind)
                .collect::<BTreeSet<_>>(),
            fields
        );
    }
}
