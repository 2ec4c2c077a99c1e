//! The report's words for provocation: how dentries were reclaimed while the workload ran.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::units::duration_ms;

/// How the dentries' references to inodes are made to vanish.
#[derive(
    Clone,
    Copy,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum ProvocationMethod {
    /// Unused dentries and inodes of the whole machine, by `/proc/sys/vm/drop_caches`.
    DropCaches,
    /// What the command's own memory cgroup is charged for, by reclaim in it.
    Memory,
}

/// How final puts were provoked, with `--provoke`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub struct Provocation {
    /// How.
    pub method: ProvocationMethod,
    /// By which of the kernel's files.
    pub by: String,
    /// What it reaches, and what not.
    pub reach: String,
    /// The share of the time that was to be spent reclaiming.
    pub duty_percent: u8,
    /// Passes that were over when the report was made.
    pub passes: u64,
    /// How long these took, in milliseconds.
    pub busy_ms: u64,
    /// For how long the pass that was not over had been under way, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished_ms: Option<u64>,
    /// True if that was longer than `--stuck-after`. There is no pass after it.
    pub stuck: bool,
    /// Why there were no further passes, if they failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl ProvocationMethod {
    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DropCaches => "drop-caches",
            Self::Memory => "memory",
        }
    }
}

impl Provocation {
    /// What was done, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let passes = match self.passes {
            1 => "1 pass".to_owned(),
            passes => format!("{passes} passes"),
        };
        format!(
            "by {}: {passes}, {}, a duty of {} %; {}",
            self.by,
            duration_ms(self.busy_ms),
            self.duty_percent,
            self.reach
        )
    }

    /// Why less was provoked than was asked for, if so.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(format!("provoking ended early: {failure}"));
        }
        self.stuck.then(|| {
            format!(
                "nothing was provoked after a pass that did not come back for {}",
                duration_ms(self.unfinished_ms.unwrap_or_default())
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provocation() -> Provocation {
        Provocation {
            method: ProvocationMethod::DropCaches,
            by: "drop_caches".into(),
            reach: "the whole machine".into(),
            duty_percent: 10,
            passes: 12,
            busy_ms: 1_340,
            unfinished_ms: Some(20),
            stuck: false,
            failure: None,
        }
    }

    #[test]
    fn passes_are_told() {
        assert_eq!(
            provocation().sentence(),
            "by drop_caches: 12 passes, 1.3 s, a duty of 10 %; the whole machine"
        );
        let one = Provocation {
            passes: 1,
            ..provocation()
        };
        assert!(one.sentence().contains(": 1 pass, "), "{}", one.sentence());
    }

    #[test]
    fn a_pass_that_hangs_or_fails_is_a_shortfall() {
        assert_eq!(provocation().shortfall(), None);
        let stuck = Provocation {
            unfinished_ms: Some(14_200),
            stuck: true,
            ..provocation()
        };
        assert!(stuck.shortfall().unwrap().ends_with("for 14.2 s"));
        let failed = Provocation {
            failure: Some("no such file".into()),
            ..provocation()
        };
        assert!(failed.shortfall().unwrap().ends_with(": no such file"));
    }
}
