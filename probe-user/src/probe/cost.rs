//! What the programs cost, by the kernel's own statistics of BPF programs (`BPF_ENABLE_STATS`, since
//! 5.8): they are on as long as a descriptor is open, for every BPF program of the system.

use std::os::fd::OwnedFd;

use aya::sys::{Stats, enable_stats};

use super::{Probe, ProbeError};
use crate::report::model::ProgramCost;

/// Statistics that are on as long as this lives.
pub struct Statistics {
    _keeps_them_on: OwnedFd,
}

impl Statistics {
    /// Switches them on.
    ///
    /// # Errors
    /// If the kernel does not let us: it takes `CAP_SYS_ADMIN` (`bpf_enable_stats()`,
    /// kernel/bpf/syscall.c).
    pub fn enable() -> Result<Self, ProbeError> {
        enable_stats(Stats::RunTime)
            .map(|descriptor| Self {
                _keeps_them_on: descriptor,
            })
            .map_err(|error| ProbeError::Statistics(error.io_error))
    }
}

impl Probe {
    /// What each attached program has cost since the statistics were switched on; nothing without
    /// them. The kernel tells it of an open program without any capability
    /// (`bpf_prog_get_info_by_fd()`, kernel/bpf/syscall.c).
    #[must_use]
    pub fn cost(&self) -> Option<Vec<ProgramCost>> {
        self.statistics.as_ref()?;
        let cost = |name: &&'static str| {
            let info = self.ebpf.program(name)?.info().ok()?;
            Some(ProgramCost {
                program: (*name).to_owned(),
                runs: info.run_count(),
                run_ns: u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX),
            })
        };
        Some(self.attached.iter().filter_map(cost).collect())
    }
}
