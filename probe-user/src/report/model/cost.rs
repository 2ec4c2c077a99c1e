//! What watching cost, with `--cost`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::units::{count, duration};

/// What watching cost from the start to this report.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct Cost {
    /// The programs of the kernel half that are attached, as the kernel counts them (`bpf(2)`,
    /// `BPF_ENABLE_STATS`). What it takes to enter a program is in none of them.
    pub programs: Vec<ProgramCost>,
    /// CPU time of the agent, user and system, in nanoseconds.
    pub agent_cpu_ns: u64,
    /// The most memory that the agent has had at once, in bytes; absent if the kernel does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_peak_resident_bytes: Option<u64>,
}

/// What one program cost on all CPUs.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
pub struct ProgramCost {
    /// Its name: the function that it is attached to, and how.
    pub program: String,
    /// How often it ran.
    pub runs: u64,
    /// For how long in all, in nanoseconds.
    pub run_ns: u64,
}

impl Cost {
    /// What each program and the agent cost while `duration_ms` milliseconds passed, for people.
    #[must_use]
    pub fn sentences(&self, duration_ms: u64) -> Vec<String> {
        let share = |nanoseconds| share_of_one_cpu(nanoseconds, duration_ms);
        let programs = self.programs.iter().map(|program| {
            format!(
                "{}: {}, {} each, {}",
                program.program,
                count(program.runs, "run"),
                duration(program.run_ns.checked_div(program.runs).unwrap_or(0)),
                share(program.run_ns)
            )
        });
        let memory = self
            .agent_peak_resident_bytes
            .map_or_else(String::new, |bytes| {
                format!(", {} MiB at most", bytes.div_ceil(1 << 20))
            });
        let agent = format!(
            "the agent: {}, {}{memory}",
            duration(self.agent_cpu_ns),
            share(self.agent_cpu_ns)
        );
        programs.chain([agent]).collect()
    }
}

/// A time as a share of what passed, in hundredths of a percent.
fn share_of_one_cpu(nanoseconds: u64, duration_ms: u64) -> String {
    let passed = u128::from(duration_ms) * 1_000_000;
    let share = (u128::from(nanoseconds) * 10_000)
        .checked_div(passed)
        .unwrap_or(0);
    format!("{}.{:02} % of one CPU", share / 100, share % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_shares_of_one_cpu() {
        let cost = Cost {
            programs: vec![ProgramCost {
                program: "iput_kprobe".into(),
                runs: 20_000,
                run_ns: 5_000_000,
            }],
            agent_cpu_ns: 120_000_000,
            agent_peak_resident_bytes: Some(33_000_000),
        };
        assert_eq!(
            cost.sentences(10_000),
            [
                "iput_kprobe: 20000 runs, 250 ns each, 0.05 % of one CPU",
                "the agent: 120.0 ms, 1.20 % of one CPU, 32 MiB at most",
            ]
        );
        let idle = Cost {
            programs: vec![ProgramCost::default()],
            ..Cost::default()
        };
        assert_eq!(idle.sentences(0).len(), 2);
    }
}
