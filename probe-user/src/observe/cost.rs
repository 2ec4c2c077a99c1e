//! What watching has cost so far: the programs' part and the agent's own.

use rustix::time::{ClockId, clock_gettime};

use crate::{probe::Probe, report::model::Cost};

/// What it has cost, if the kernel counts it.
pub fn so_far(probe: &Probe) -> Option<Cost> {
    let programs = probe.cost()?;
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    Some(Cost {
        programs,
        agent_cpu_ns: seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds),
        agent_peak_resident_bytes: std::fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| peak_resident_bytes(&status)),
    })
}

/// Reads `VmHWM` of a process's status, which is in units of 1024 bytes (proc(5)).
fn peak_resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_in_bytes() {
        let status = "Name:\tlastref\nVmPeak:\t  125704 kB\nVmHWM:\t   32500 kB\n";
        assert_eq!(peak_resident_bytes(status), Some(32500 * 1024));
        assert_eq!(peak_resident_bytes("Name:\tlastref\n"), None);
    }
}
