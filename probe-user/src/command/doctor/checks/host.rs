//! What this process may do on this host.

use lastref::kernel::privileges::{self, CAPABILITIES, Lockdown, REMEDY_LOCKDOWN};
use lastref::kernel::symbols::SymbolsError;

use super::super::diagnosis::Check;
use super::Host;

const HOST: &str = "host";

/// The capabilities of this process.
pub fn capabilities(_: &Host) -> Vec<Check> {
    let effective = match privileges::effective_capabilities() {
        Ok(effective) => effective,
        Err(error) => return vec![Check::unknown(HOST, "capabilities", error.to_string())],
    };
    let check = |capability: &privileges::Capability| {
        let check = if capability.is_in(effective) {
            Check::ok(HOST, capability.name, capability.purpose)
        } else {
            let remedy = "run as root, or with this capability, outside of containers";
            Check::bad(HOST, capability.name, capability.purpose, remedy)
        };
        check.required_if(capability.required)
    };
    CAPABILITIES.iter().map(check).collect()
}

/// What the kernel is locked down to.
pub fn lockdown(_: &Host) -> Vec<Check> {
    const NAME: &str = "lockdown";
    let check = match privileges::lockdown() {
        Ok(Lockdown::Confidentiality) => {
            let detail = "confidentiality: BPF may not read kernel memory";
            Check::bad(HOST, NAME, detail, REMEDY_LOCKDOWN)
        }
        Ok(mode) => Check::ok(HOST, NAME, mode.to_string()),
        Err(error) => Check::unknown(HOST, NAME, error.to_string())
            .with_remedy("mount -t securityfs securityfs /sys/kernel/security"),
    };
    vec![check.required()]
}

/// Whether addresses are shown.
pub fn kptr_restrict(host: &Host) -> Vec<Check> {
    const NAME: &str = "kptr_restrict";
    let value = privileges::setting("kernel.kptr_restrict");
    let detail = value.map_or_else(|| "not known".to_owned(), |value| value.to_string());
    vec![if matches!(host.symbols, Err(SymbolsError::Hidden)) {
        Check::bad(
            HOST,
            NAME,
            detail,
            "sysctl kernel.kptr_restrict=1, and run as root",
        )
        .required()
    } else {
        Check::ok(
            HOST,
            NAME,
            format!("{detail}; addresses are shown to lastref"),
        )
    }]
}

/// Whether there are perf events.
pub fn perf_event_paranoid(_: &Host) -> Vec<Check> {
    const NAME: &str = "perf_event_paranoid";
    let Some(value) = privileges::setting(privileges::PARANOID) else {
        let remedy = "use a kernel with CONFIG_PERF_EVENTS=y";
        return vec![Check::bad(HOST, NAME, "the kernel has no perf events", remedy).required()];
    };
    if privileges::refused_perf_events().is_some() {
        let detail = format!(
            "{value}: above 2, kernels of Debian and Ubuntu let only CAP_SYS_ADMIN attach kprobes"
        );
        let remedy = format!("sysctl {}=2, or CAP_SYS_ADMIN", privileges::PARANOID);
        return vec![Check::bad(HOST, NAME, detail, remedy)];
    }
    // perf_event_open() asks perfmon_capable() before it looks at the setting.
    vec![Check::ok(
        HOST,
        NAME,
        format!("{value}; lastref may use them all the same"),
    )]
}

/// Whether stacks are as long as the kernel allows by default (`PERF_MAX_STACK_DEPTH`,
/// `include/uapi/linux/perf_event.h`).
pub fn perf_event_max_stack(_: &Host) -> Vec<Check> {
    const DEFAULT: i64 = 127;
    privileges::setting(privileges::MAX_STACK)
        .map(|value| {
            if value < DEFAULT {
                Check::bad(
                    HOST,
                    "perf_event_max_stack",
                    format!("{value}: deeper stacks are cut short, and sites with them"),
                    format!("sysctl {}={DEFAULT}", privileges::MAX_STACK),
                )
            } else {
                Check::ok(
                    HOST,
                    "perf_event_max_stack",
                    format!("{value} frames of a stack"),
                )
            }
        })
        .into_iter()
        .collect()
}
