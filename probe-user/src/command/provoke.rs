//! `--provoke`: make the dentries' references to inodes vanish while the command runs.

mod cgroup;
mod guest;
mod means;
mod pace;
mod passes;
mod provoker;

pub use cgroup::MemoryCgroup;
pub use passes::{PassesArgs, SUBCOMMAND};
pub use provoker::Provoker;

use anyhow::{Result, bail};
use lastref::report::model::{Level, ProvocationMethod};

/// The options of `run` for provoking.
#[derive(Debug, clap::Args)]
pub struct ProvokeArgs {
    /// Keep reclaiming unused dentries while the command runs, so that references that only the
    /// dentry cache holds vanish; implies --level latent. drop-caches (the default) does so on
    /// the whole machine, memory in a memory cgroup of the command's own, for which the memory
    /// controller is switched on at the root of the cgroups. Only in a guest
    #[arg(
        long,
        value_name = "METHOD",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "drop-caches"
    )]
    provoke: Option<ProvocationMethod>,
    /// How much of the time to spend reclaiming
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 10,
        value_parser = clap::value_parser!(u8).range(1..=100),
        requires = "provoke"
    )]
    provoke_duty: u8,
    /// Provoke on a machine that is no guest, too
    #[arg(long, requires = "provoke")]
    provoke_this_host: bool,
}

/// What is to be provoked, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How.
    pub method: ProvocationMethod,
    /// The share of the time to spend reclaiming.
    pub duty_percent: u8,
}

impl ProvokeArgs {
    /// What was asked for; `None` without `--provoke`. `level` is what `--level` said.
    ///
    /// # Errors
    /// If it does not go together with `level`, or must not be done on this machine.
    pub fn plan(&self, level: Option<Level>) -> Result<Option<Plan>> {
        let Some(method) = self.provoke else {
            return Ok(None);
        };
        if level.is_some_and(|level| level != Level::Latent) {
            bail!(
                "--provoke makes puts final that were not, and only --level latent knows those; \
                 leave --level out"
            );
        }
        if !self.provoke_this_host && !guest::is_guest()? {
            bail!(
                "--provoke would, over and over, {}, and a put that it makes the last one may \
                 hang tasks until the next boot; this machine is no guest (/proc/cpuinfo has no \
                 flag `hypervisor`): run it in one, or allow it with --provoke-this-host",
                means::effect(method)
            );
        }
        Ok(Some(Plan {
            method,
            duty_percent: self.provoke_duty,
        }))
    }
}
