//! `cargo xtask field`: real filesystems on stock kernels, all or some of them.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::tally::Tally;
use crate::{agent, field};

/// Options of `field`.
#[derive(Debug, Args)]
pub struct Field {
    /// Kernel to run on (see kernels.toml); 6.1, 6.12 and 7.3 in turn if none is named
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
    /// Provoke final puts, too, where there is something to provoke: on NFS
    #[arg(long)]
    provoke: bool,
    /// Filesystems to run; if none is named, all but ceph, which brings a cluster
    filesystems: Vec<String>,
}

/// Runs it and prints the tally last; 1 if anything is not as it must be.
pub fn run(context: &Context, options: &Field) -> Result<u8> {
    let lastref = match &options.lastref {
        Some(path) => path.clone(),
        None => agent::build(context)?,
    };
    let kernels = if options.kernels.is_empty() {
        field::KERNELS.map(String::from).to_vec()
    } else {
        options.kernels.clone()
    };
    let mut tally = Tally::default();
    for kernel in &kernels {
        tally.add(field::run(
            context,
            kernel,
            &lastref,
            &options.filesystems,
            options.provoke,
        )?);
    }
    println!("{tally}");
    Ok(u8::from(tally.failed > 0))
}
