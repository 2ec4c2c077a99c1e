//! What the kernel was built with.

use lastref::kernel::symbols::Symbols;
use lastref::kernel::{features, preemption};
use lastref::report::model::Attach;
use lastref::symbol::debug_info::{DebugInfo, DebugState};
use probe_common::ABSENT;

use super::super::diagnosis::Check;
use super::Host;

const KERNEL: &str = "kernel";

/// The kernel's symbols.
pub fn symbols(host: &Host) -> Vec<Check> {
    const NAME: &str = "symbols (kallsyms)";
    vec![match &host.symbols {
        Ok(_) => Check::ok(KERNEL, NAME, "readable").required(),
        Err(error) => Check::bad(KERNEL, NAME, error.to_string(), "see there").required(),
    }]
}

/// The kernel's types.
pub fn types(host: &Host) -> Vec<Check> {
    const NAME: &str = "types (BTF)";
    vec![match &host.btf {
        Ok(_) => Check::ok(KERNEL, NAME, "/sys/kernel/btf/vmlinux").required(),
        Err(error) => {
            let remedy = "use a kernel with CONFIG_DEBUG_INFO_BTF=y, and mount sysfs at /sys";
            Check::bad(KERNEL, NAME, error.to_string(), remedy).required()
        }
    }]
}

/// A check of something that the symbols tell; none without them.
fn by_symbols(host: &Host, check: impl FnOnce(&Symbols) -> Check) -> Vec<Check> {
    host.symbols.as_ref().ok().map(check).into_iter().collect()
}

/// Programs on probes.
pub fn bpf_tracing(host: &Host) -> Vec<Check> {
    by_symbols(host, |symbols| {
        const NAME: &str = "BPF tracing";
        // kernel/trace/bpf_trace.c, built with CONFIG_BPF_EVENTS.
        if symbols.contains("perf_event_attach_bpf_prog") {
            Check::ok(KERNEL, NAME, "built in").required()
        } else {
            let remedy = "use a kernel with CONFIG_BPF_SYSCALL=y, CONFIG_KPROBE_EVENTS=y and so \
                          CONFIG_BPF_EVENTS=y";
            Check::bad(KERNEL, NAME, "not built in", remedy).required()
        }
    })
}

/// BPF's ring buffer.
pub fn ring_buffer(host: &Host) -> Vec<Check> {
    by_symbols(host, |symbols| {
        const NAME: &str = "BPF ring buffer";
        if features::has_ring_buffer(symbols) {
            Check::ok(KERNEL, NAME, "built in").required()
        } else {
            let remedy = "use Linux 5.8 or newer, with CONFIG_BPF_SYSCALL=y";
            Check::bad(KERNEL, NAME, "not built in", remedy).required()
        }
    })
}

/// Attaching by kprobe.
pub fn kprobes(host: &Host) -> Vec<Check> {
    by_symbols(host, |symbols| {
        const NAME: &str = "kprobes";
        let check = match features::kprobes(symbols) {
            Ok(()) => Check::ok(KERNEL, NAME, "usable"),
            Err((missing, remedy)) => Check::bad(KERNEL, NAME, missing, remedy),
        };
        check.required_if(host.is_attached_by(Attach::Kprobe))
    })
}

/// Attaching by trampoline.
pub fn fentry(host: &Host) -> Vec<Check> {
    by_symbols(host, |symbols| {
        const NAME: &str = "fentry";
        let check = match features::fentry_obstacle(symbols, preemption::is_preemptible(symbols)) {
            None => Check::ok(KERNEL, NAME, "usable, and safe to detach"),
            Some(obstacle) => Check::bad(
                KERNEL,
                NAME,
                obstacle.reason(),
                "none needed where kprobes work",
            ),
        };
        check.required_if(host.is_attached_by(Attach::Fentry))
    })
}

/// Which of them is taken, and why.
pub fn attach(host: &Host) -> Vec<Check> {
    let Some((attach, reason)) = &host.attach else {
        return Vec::new();
    };
    let name = match attach {
        Attach::Kprobe => "kprobe",
        Attach::Fentry => "fentry",
    };
    vec![Check::ok(
        KERNEL,
        "--attach auto",
        format!("picks {name}: {reason}"),
    )]
}

/// What the kernel was built with, as far as it decides what can be known.
pub fn options(host: &Host) -> Vec<Check> {
    let Some(resolved) = host.resolved() else {
        return Vec::new();
    };
    let layout = &resolved.layout;
    let option = |name: &str, present: bool, use_of: &str, remedy: &str| {
        if present {
            Check::ok(KERNEL, name, use_of)
        } else {
            Check::bad(KERNEL, name, format!("not built in: no {use_of}"), remedy)
        }
    };
    let rt = if layout.preempt_rt == 1 {
        "yes: spinlocks sleep"
    } else {
        "no: spinlocks spin"
    };
    vec![
        option(
            "lockdep",
            layout.lock_classes != 0,
            "names of all held locks",
            "for test machines: CONFIG_PROVE_LOCKING=y",
        ),
        option(
            "PREEMPT_RCU",
            layout.task_rcu_nesting != ABSENT,
            "count of nested RCU readers",
            "CONFIG_PREEMPT_RCU=y comes with CONFIG_PREEMPTION=y (or PREEMPT_DYNAMIC)",
        ),
        option(
            "PREEMPT_COUNT",
            layout.preempt_counted == 1,
            "count of preempt_disable() and spinlocks",
            "CONFIG_PREEMPT_COUNT=y comes with CONFIG_PREEMPTION=y or CONFIG_DEBUG_ATOMIC_SLEEP=y",
        ),
        Check::ok(KERNEL, "PREEMPT_RT", rt),
    ]
}

/// Where source lines come from.
pub fn debug_information(_: &Host) -> Vec<Check> {
    const NAME: &str = "source lines";
    let info = DebugInfo::find(None);
    let places: Vec<String> = info.sources().iter().map(ToString::to_string).collect();
    let found = info
        .sources()
        .iter()
        .any(|source| source.state == DebugState::Used);
    vec![if found {
        Check::ok(KERNEL, NAME, places.join("; "))
    } else {
        let remedy = "install the kernel's debug symbols, or give --vmlinux PATH";
        Check::bad(KERNEL, NAME, places.join("; "), remedy)
    }]
}
