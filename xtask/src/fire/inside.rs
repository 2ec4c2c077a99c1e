//! The checks inside a guest: each with a guest that is as it was before, once it is over.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::checks;
use super::guest_state::GuestState;
use crate::guest_plan;
use crate::lab::load_module;

/// Options of the hidden subcommand that runs inside the guest.
#[derive(Debug, Args)]
pub struct GuestFire {
    /// The plan, as JSON
    plan: PathBuf,
}

/// What the guest is to do.
#[derive(Debug, Deserialize, Serialize)]
pub struct Plan {
    /// The lab's module.
    pub module: PathBuf,
    /// The `lastref` binary.
    pub lastref: PathBuf,
    /// Where all results go.
    pub output: PathBuf,
    /// Checks, in order.
    pub checks: Vec<String>,
    /// How much of everything.
    pub amounts: Amounts,
}

/// How much of everything.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Amounts {
    /// Puts to count.
    pub puts: u64,
    /// How often it is killed.
    pub kills: u32,
    /// How often it is attached and detached.
    pub attachments: u32,
    /// For how long it is stopped.
    pub stopped: Duration,
    /// For how long it is kept watching.
    pub soak: Duration,
}

impl Amounts {
    /// What the test of everything can afford.
    pub const BRIEF: Self = Self {
        puts: 200_000,
        kills: 6,
        attachments: 6,
        stopped: Duration::from_secs(10),
        soak: Duration::from_mins(3),
    };
}

/// What became of a check.
#[derive(Debug, Deserialize, Serialize)]
pub struct CheckResult {
    /// Its name.
    pub name: String,
    /// The numbers, or what went wrong.
    pub measured: Result<String, String>,
}

impl Plan {
    /// Where the results are.
    pub fn results(&self) -> PathBuf {
        self.output.join("results.json")
    }
}

/// Carries out the plan. Results are written down as they come: a check may take the guest with it.
pub fn run(options: &GuestFire) -> Result<u8> {
    let plan: Plan = guest_plan::read(&options.plan)?;
    load_module(&plan.module)?;
    let before = GuestState::read()?;
    let mut results = Vec::new();
    for name in &plan.checks {
        println!("{name}");
        let Some(check) = checks::named(name) else {
            anyhow::bail!("there is no check {name}");
        };
        let measured = (check.run)(&plan).and_then(|numbers| {
            before.wait_until_same()?;
            Ok(format!("{numbers}; nothing left in the kernel"))
        });
        println!("{measured:?}");
        results.push(CheckResult {
            name: name.clone(),
            measured: measured.map_err(|error| format!("{error:#}")),
        });
        let path = plan.results();
        fs::write(&path, serde_json::to_string_pretty(&results)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(0)
}
