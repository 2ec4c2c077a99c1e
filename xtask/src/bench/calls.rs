//! The kinds of calls whose cost is measured (lab/module/bench.c), and what each took.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name in the module.
    pub name: &'static str,
    /// What it is called in tables.
    pub title: &'static str,
}

/// What reading the counter takes: in every other kind's steps as well.
pub const NOTHING: &str = "nothing";
/// A put that is not final, in a task that holds nothing.
pub const NON_FINAL: &str = "nonfinal";
/// A final put there, of an inode that is kept.
pub const KEPT: &str = "kept";
/// A final put there, of an inode that is evicted.
pub const EVICTED: &str = "evicted";
/// A final put under a spinlock, from a chain of calls that was seen before.
pub const ATOMIC_KNOWN: &str = "atomic_known";

/// Every column of the table, in its order.
pub const CALLS: &[Call] = &[
    call(NON_FINAL, "not final"),
    call(KEPT, "final, kept"),
    call(EVICTED, "final, evicted"),
    call("atomic_new", "dangerous, new stack"),
    call(ATOMIC_KNOWN, "dangerous, known stack"),
    call("atomic_nonfinal_new", "not final, dangerous, new stack"),
    call("atomic_nonfinal_known", "not final, dangerous, known stack"),
    call("mutex_pair", "mutex pair"),
];

const fn call(name: &'static str, title: &'static str) -> Call {
    Call { name, title }
}

/// What calls of one kind took, in instructions.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Steps {
    /// Half of the calls took at most this. Interrupts and the agent's own work fall into single
    /// calls, which it does not see.
    pub median: u64,
    /// The cheapest call.
    pub least: u64,
    /// The dearest call.
    pub most: u64,
    /// How many calls there were.
    pub calls: usize,
}

impl Steps {
    /// Reads the steps of all calls, one on each line.
    pub fn parse(text: &str) -> Result<Self> {
        let mut steps = text
            .lines()
            .map(|line| line.trim().parse())
            .collect::<Result<Vec<u64>, _>>()
            .context("the module's steps cannot be understood")?;
        steps.sort_unstable();
        let (Some(least), Some(most)) = (steps.first(), steps.last()) else {
            anyhow::bail!("the module gave no steps");
        };
        let median = steps[(steps.len() - 1) / 2];
        ensure!(median > 0, "the cycle counter stands still");
        Ok(Self {
            median,
            least: *least,
            most: *most,
            calls: steps.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_calls_do_not_move_the_median() {
        let steps = Steps::parse("42\n42\n30873\n41\n42\n").unwrap();
        assert_eq!(
            steps,
            Steps {
                median: 42,
                least: 41,
                most: 30873,
                calls: 5
            }
        );
        assert!(Steps::parse("").is_err());
        assert!(Steps::parse("1\nx\n").is_err());
    }
}
