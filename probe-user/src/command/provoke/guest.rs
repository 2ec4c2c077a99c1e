//! Whether this machine is a guest.

use std::fs;

use anyhow::{Context as _, Result};

/// Whether a hypervisor runs this machine.
///
/// # Errors
/// If the processor's flags cannot be read.
pub fn is_guest() -> Result<bool> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context(
        "cannot read /proc/cpuinfo, which tells whether this machine is a guest; mount /proc",
    )?;
    Ok(has_hypervisor(&cpuinfo))
}

/// Every hypervisor sets the bit that no processor does: `X86_FEATURE_HYPERVISOR`
/// (arch/x86/include/asm/cpufeatures.h).
fn has_hypervisor(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.trim_end() == "flags")
        .any(|(_, flags)| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::has_hypervisor;

    #[test]
    fn the_flag_tells() {
        let guest = "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\nvmx flags\t: ept\n";
        assert!(has_hypervisor(guest));
        for host in [
            "",
            "processor\t: 0\nflags\t\t: fpu vme lahf_lm\n",
            "model name\t: hypervisor\nflags\t\t: fpu hypervisor_like\n",
            "vmx flags\t: hypervisor\nflags\t\t: fpu\n",
        ] {
            assert!(!has_hypervisor(host), "{host}");
        }
    }
}
