//! What a session is to watch, and what makes watching impossible.

use std::{path::PathBuf, time::Duration};

use thiserror::Error;

use super::baseline::Baseline;
use crate::{
    kernel::{
        btf::BtfError, features::AttachChoice, layout::LayoutError, privileges::PrivilegeError,
        symbols::SymbolsError,
    },
    probe::ProbeError,
    report::model::Level,
};

/// What a session watches and how.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct SessionOptions {
    /// What to watch.
    pub level: Level,
    /// How to attach.
    pub attach: AttachChoice,
    /// Filesystem types to limit the sites to; empty for all.
    pub filesystems: Vec<String>,
    /// A final put that takes longer than this is stuck.
    pub stuck_after: Duration,
    /// Whether frames keep their addresses.
    pub addresses: bool,
    /// Whether the locks that tasks take are followed.
    pub track_locks: bool,
    /// What an earlier report knows.
    pub baseline: Baseline,
    /// Whether the dentry cache is to be shrunk meanwhile ([`Session::set_provoker`](super::Session::set_provoker)).
    pub provokes: bool,
    /// A kernel image with debug information.
    pub vmlinux: Option<PathBuf>,
    /// Whether the report says what watching cost.
    pub cost: bool,
    /// Whether the kernel half logs what it does.
    pub debug: bool,
}

/// What makes watching impossible.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// The host or the kernel does not allow it.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// No type information.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// No symbols.
    #[error(transparent)]
    Symbols(#[from] SymbolsError),
    /// Something in the kernel is missing.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The probes failed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl ObserveError {
    /// Whether lastref itself is at fault, not the kernel or the host.
    #[must_use]
    pub const fn is_our_failure(&self) -> bool {
        matches!(
            self,
            Self::Probe(
                ProbeError::Refused { .. } | ProbeError::Mismatch(_) | ProbeError::Map { .. }
            )
        )
    }
}
