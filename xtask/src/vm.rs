//! `cargo xtask vm`: any command in any kernel of the table.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::guest::{Guest, Outcome};
use crate::kernels;

/// The status when the guest itself failed, as virtme-ng has it.
const GUEST_FAILED: u8 = 255;

/// Options of `vm`.
#[derive(Debug, Args)]
pub struct Vm {
    /// Kernel to boot (see kernels.toml)
    #[arg(long)]
    kernel: String,
    /// Time limit in seconds, from boot to the command's end
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// Memory
    #[arg(long, default_value = "2G")]
    memory: String,
    /// Virtual CPUs
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Have the cycle counter count instructions; with one CPU
    #[arg(long, conflicts_with = "cpus")]
    count_instructions: bool,
    /// Directory that the guest may write to (everything else it writes is dropped)
    #[arg(long = "rw", value_name = "DIR")]
    writable: Vec<PathBuf>,
    /// Keep the kernel's console in this file
    #[arg(long, value_name = "PATH")]
    keep_console: Option<PathBuf>,
    /// Add this to the kernel's command line
    #[arg(long = "append", value_name = "ARGUMENT", allow_hyphen_values = true)]
    kernel_arguments: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the command and returns its status.
pub fn run(context: &Context, options: &Vm) -> Result<u8> {
    let kernel = kernels::named(context, &options.kernel)?;
    let mut guest = Guest::new(context, &kernel, options.command.iter())
        .timeout(Duration::from_secs(options.timeout))
        .memory(&options.memory)
        .cpus(options.cpus)
        .echo()
        .quiet();
    if options.count_instructions {
        guest = guest.count_instructions();
    }
    for directory in &options.writable {
        guest = guest.writable(directory);
    }
    for argument in &options.kernel_arguments {
        guest = guest.kernel_argument(argument);
    }
    if let Some(path) = &options.keep_console {
        guest = guest.keep_console(path);
    }
    let result = guest.run()?;
    if let Outcome::Exited(status) = result.outcome {
        return Ok(u8::try_from(status).unwrap_or(GUEST_FAILED));
    }
    eprintln!("{}", result.describe());
    Ok(GUEST_FAILED)
}
