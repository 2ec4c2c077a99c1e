//! A plan that this very program carries out in a guest, by one of its hidden subcommands.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Serialize, de::DeserializeOwned};

use crate::context::Context;
use crate::guest::Guest;
use crate::kernels::Kernel;

/// A guest in which the hidden subcommand `task` carries out `plan`. The plan and the console are
/// kept in `output`, which the guest can write to.
pub fn guest<'a>(
    context: &'a Context,
    kernel: &'a Kernel,
    task: &str,
    plan: &impl Serialize,
    output: &Path,
) -> Result<Guest<'a>> {
    let path = output.join("plan.json");
    fs::write(&path, serde_json::to_string_pretty(plan)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let program = std::env::current_exe().context("this program cannot be found")?;
    let command = [program.into_os_string(), task.into(), path.into_os_string()];
    Ok(Guest::new(context, kernel, command)
        .writable(output)
        .keep_console(output.join("console")))
}

/// The plan, inside the guest.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("the plan in {} cannot be understood", path.display()))
}
