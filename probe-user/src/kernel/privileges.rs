//! What this process may do: capabilities, lockdown, and the settings that hide the kernel.

use std::{fmt, fs, io};

use rustix::{
    fs::{Mode, OFlags},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags},
};
use thiserror::Error;

/// A capability that watching needs, or is better with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// Its number (include/uapi/linux/capability.h).
    bit: u32,
    /// Whether `CAP_SYS_ADMIN` does as well (`bpf_capable()` and `perfmon_capable()` in
    /// include/linux/capability.h).
    or_sys_admin: bool,
    /// Whether nothing works without it.
    pub required: bool,
    /// What it is for.
    pub purpose: &'static str,
}

/// The bit of `CAP_SYS_ADMIN`.
const SYS_ADMIN: u32 = 21;

/// Every capability that has a part in watching.
pub const CAPABILITIES: &[Capability] = &[
    Capability {
        name: "CAP_BPF",
        bit: 39,
        or_sys_admin: true,
        required: true,
        purpose: "to load BPF programs",
    },
    Capability {
        name: "CAP_PERFMON",
        bit: 38,
        or_sys_admin: true,
        required: true,
        purpose: "to attach probes and read kernel memory",
    },
    Capability {
        name: "CAP_SYSLOG",
        bit: 34,
        or_sys_admin: false,
        required: true,
        purpose: "to see the addresses in /proc/kallsyms",
    },
    Capability {
        name: "CAP_SYS_ADMIN",
        bit: SYS_ADMIN,
        or_sys_admin: false,
        required: false,
        purpose: "to see the kernel stacks of stuck threads (/proc/PID/stack)",
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        bit: 19,
        or_sys_admin: false,
        required: false,
        purpose: "to see those of threads that may do more than lastref (/proc/PID/stack)",
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        bit: 2,
        or_sys_admin: false,
        required: false,
        purpose: "to read what only its owner may (/proc/PID/stack, /proc/kcore, tracefs)",
    },
    Capability {
        name: "CAP_SYS_NICE",
        bit: 23,
        or_sys_admin: false,
        required: false,
        purpose: "to read maps without being preempted, so that no calls are missed meanwhile",
    },
    Capability {
        name: "CAP_SYS_RAWIO",
        bit: 17,
        or_sys_admin: false,
        required: false,
        purpose: "to find the callers of evict() (/proc/kcore)",
    },
];

/// Why this process may not watch the kernel.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// Capabilities are missing.
    #[error("{} missing; run lastref as root (sudo lastref …) or with these capabilities, outside of containers", .0.join(", "))]
    Capabilities(Vec<&'static str>),
    /// The kernel is locked down.
    #[error("the kernel is in lockdown mode `{mode}`, which forbids BPF to read kernel memory; {REMEDY_LOCKDOWN}", mode = Lockdown::Confidentiality)]
    Lockdown,
}

/// How to get out of lockdown.
pub const REMEDY_LOCKDOWN: &str = "boot without `lockdown=confidentiality` on the kernel command \
     line, with a kernel without CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY=y";

/// Checks what is needed to watch at all.
///
/// # Errors
/// If a capability is missing or lockdown forbids it. What cannot be found out is no error: the
/// kernel will tell when it refuses.
pub fn check() -> Result<(), PrivilegeError> {
    let missing: Vec<&'static str> = match effective_capabilities() {
        Ok(effective) => CAPABILITIES
            .iter()
            .filter(|capability| capability.required && !capability.is_in(effective))
            .map(|capability| capability.name)
            .collect(),
        Err(_) => Vec::new(),
    };
    if !missing.is_empty() {
        return Err(PrivilegeError::Capabilities(missing));
    }
    match lockdown() {
        Ok(Lockdown::Confidentiality) => Err(PrivilegeError::Lockdown),
        _ => Ok(()),
    }
}

impl Capability {
    /// Whether the set `effective` has it, or what does as well.
    #[must_use]
    pub const fn is_in(&self, effective: u64) -> bool {
        effective >> self.bit & 1 == 1 || (self.or_sys_admin && effective >> SYS_ADMIN & 1 == 1)
    }
}

/// The effective capabilities of this process, as a set of bits.
///
/// # Errors
/// If /proc does not tell.
pub fn effective_capabilities() -> io::Result<u64> {
    parse_capabilities(&fs::read_to_string("/proc/self/status")?)
        .ok_or_else(|| io::Error::other("/proc/self/status has no line CapEff"))
}

fn parse_capabilities(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The kernel's lockdown mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// None, or the kernel does not know lockdown.
    None,
    /// The kernel cannot be modified; reading it is allowed.
    Integrity,
    /// Nor can its memory be read.
    Confidentiality,
}

impl fmt::Display for Lockdown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Integrity => "integrity",
            Self::Confidentiality => "confidentiality",
        })
    }
}

/// Where securityfs usually is.
const SECURITYFS: &str = "/sys/kernel/security";

/// Finds out the lockdown mode, also where securityfs is not mounted.
///
/// # Errors
/// If it cannot be read, for want of `CAP_SYS_ADMIN` for example.
pub fn lockdown() -> io::Result<Lockdown> {
    let path = format!("{SECURITYFS}/lockdown");
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match read_from_private_securityfs() {
                // securityfs has no such file, or the kernel no securityfs: built without lockdown.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NODEV) => {
                    return Ok(Lockdown::None);
                }
                read => read?,
            }
        }
        read => read?,
    };
    parse_lockdown(&text)
        .ok_or_else(|| io::Error::other(format!("lockdown mode {text:?} is not known")))
}

/// Reads the file from a mount of securityfs that nobody else sees.
fn read_from_private_securityfs() -> Result<String, rustix::io::Errno> {
    let context = rustix::mount::fsopen("securityfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let mount = rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
    )?;
    let file = rustix::fs::openat(
        &mount,
        "lockdown",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // "none [integrity] confidentiality"
    let mut text = [0; 128];
    let len = rustix::io::read(&file, &mut text)?;
    Ok(String::from_utf8_lossy(text.get(..len).unwrap_or_default()).into_owned())
}

/// The mode in force is the one in brackets (`lockdown_read()` in security/lockdown/lockdown.c).
fn parse_lockdown(text: &str) -> Option<Lockdown> {
    let (_, rest) = text.split_once('[')?;
    match rest.split_once(']')?.0 {
        "none" => Some(Lockdown::None),
        "integrity" => Some(Lockdown::Integrity),
        "confidentiality" => Some(Lockdown::Confidentiality),
        _ => None,
    }
}

/// The setting that limits the stacks that BPF programs get, in frames.
pub const MAX_STACK: &str = "kernel.perf_event_max_stack";

/// The setting that says who may use perf events, through which kprobes are attached.
pub const PARANOID: &str = "kernel.perf_event_paranoid";

/// The setting's value where it may keep this process, for all its `CAP_PERFMON`, from kprobes.
///
/// Linux itself knows values up to 2 (`perf_event_open()`, kernel/events/core.c). Kernels of Debian
/// and Ubuntu refuse, with a higher one, everybody but `CAP_SYS_ADMIN`; others do not.
#[must_use]
pub fn refused_perf_events() -> Option<i64> {
    const HIGHEST: i64 = 2;
    let effective = effective_capabilities().ok()?;
    setting(PARANOID).filter(|value| *value > HIGHEST && effective >> SYS_ADMIN & 1 == 0)
}

/// A numeric setting below /proc/sys, `None` if the kernel does not have it.
#[must_use]
pub fn setting(name: &str) -> Option<i64> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_parsed() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
        let all = parse_capabilities(status).unwrap();
        assert!(CAPABILITIES.iter().all(|capability| capability.is_in(all)));
        assert!(CAPABILITIES.iter().all(|capability| !capability.is_in(0)));
        assert_eq!(parse_capabilities("CapPrm:\t1\n"), None);
    }

    #[test]
    fn sys_admin_stands_for_some() {
        let admin = 1 << SYS_ADMIN;
        let names: Vec<_> = CAPABILITIES
            .iter()
            .filter(|capability| capability.is_in(admin))
            .map(|capability| capability.name)
            .collect();
        assert_eq!(names, ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN"]);
    }

    #[test]
    fn the_mode_in_brackets_is_in_force() {
        assert_eq!(
            parse_lockdown("[none] integrity confidentiality\n"),
            Some(Lockdown::None)
        );
        assert_eq!(
            parse_lockdown("none integrity [confidentiality]\n"),
            Some(Lockdown::Confidentiality)
        );
        assert_eq!(
            parse_lockdown("none [integrity] confidentiality"),
            Some(Lockdown::Integrity)
        );
        assert_eq!(parse_lockdown("none"), None);
        assert_eq!(parse_lockdown("[new] none"), None);
    }
}
