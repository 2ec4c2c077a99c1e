//! The losses in words, and which of them make the picture incomplete.

use super::model::Losses;

/// One kind of loss.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
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
        let gap = |number, what| Loss {
            number,
            what,
            is_gap: true,
        };
        let detail = |number, what| Loss {
            number,
            what,
            is_gap: false,
        };
        [
            gap(
                self.probe_hits_missed.unwrap_or(0),
                "probe hits skipped by the kernel",
            ),
            gap(self.sites_full, "calls at sites that had no room"),
            gap(self.stacks_full, "calls whose stack had no room"),
            gap(
                self.tasks_full,
                "entries not followed: too many tasks at once",
            ),
            gap(self.marks_full, "entries not followed: nested too deeply"),
            gap(self.no_stack, "calls for which the kernel gave no stack"),
            gap(self.locks_full, "locks not followed for want of room"),
            detail(
                self.locks_stale,
                "locks left out whose release was not seen",
            ),
            detail(
                self.samples_full,
                "sites without an example for want of room",
            ),
            detail(
                self.ring_full,
                "further examples dropped (counts are exact)",
            ),
            detail(
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
