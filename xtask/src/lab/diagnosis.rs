//! What `lastref doctor --json` says of the kernel that it runs on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::progress::output_of;

/// All of it.
#[derive(Debug, Deserialize)]
pub struct Diagnosis {
    /// `uname -r`.
    pub release: String,
    /// Whether this kernel can be watched.
    pub watchable: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Deserialize)]
pub struct Check {
    /// What it belongs to.
    pub group: String,
    /// Its name, the same on every kernel.
    pub name: String,
    /// What it came to.
    pub state: State,
    /// What was found, for people.
    pub detail: String,
    /// A command that would change it.
    pub remedy: Option<String>,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is as it should be.
    Ok,
    /// It is not.
    Bad,
    /// It could not be found out.
    Unknown,
}

impl Diagnosis {
    /// Asks `lastref`.
    pub fn of(lastref: &Path) -> Result<Self> {
        Self::parse(&output_of(
            Command::new(lastref).args(["doctor", "--json"]),
        )?)
    }

    /// Reads its answer.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("what lastref doctor says cannot be understood")
    }
}
