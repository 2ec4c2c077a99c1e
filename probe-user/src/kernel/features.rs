//! What the running kernel can do, told by what is there and never by its version, and from that
//! how probes are attached.

use std::{fs, path::Path};

use super::symbols::Symbols;
use crate::report::model::Attach;

/// How the user wants probes attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AttachChoice {
    /// By trampoline where that is safe, else by kprobe.
    #[default]
    Auto,
    /// By kprobe.
    Kprobe,
    /// By trampoline, also where that is not safe.
    Fentry,
}

/// What speaks against a BPF trampoline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FentryObstacle {
    /// There are none on this kernel.
    Unsupported,
    /// They are there, with this danger.
    Unsafe(&'static str),
    /// They are there, but miss calls for this reason.
    Lossy(&'static str),
}

impl FentryObstacle {
    /// What speaks against it, in words.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unsupported => {
                "this kernel cannot attach BPF trampolines to its functions \
                 (needs CONFIG_BPF_JIT=y and CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y)"
            }
            Self::Unsafe(reason) | Self::Lossy(reason) => reason,
        }
    }
}

/// What speaks against attaching by trampoline on this kernel, if anything does. `preemptible` says
/// whether tasks are preempted in the kernel.
#[must_use]
pub fn fentry_obstacle(symbols: &Symbols, preemptible: Option<bool>) -> Option<FentryObstacle> {
    // kernel/bpf/trampoline.c and kernel/trace/ftrace.c; both are stubs in a header where they
    // are not built.
    let supported =
        symbols.contains("bpf_trampoline_link_prog") && symbols.contains("register_ftrace_direct");
    if !supported {
        return Some(FentryObstacle::Unsupported);
    }
    // A freed trampoline waits for RCU tasks, which in turn waits for every task that is exiting
    // through this SRCU; a task whose exit waits for the one that frees closes the circle. Gone
    // since 6.9 (kernel/rcu/tasks.h), and never there where the kernel is not preemptible, since
    // call_rcu_tasks() is call_rcu() then (include/linux/rcupdate.h).
    if symbols.contains("tasks_rcu_exit_srcu") {
        return Some(FentryObstacle::Unsafe(
            "this kernel can deadlock when a BPF trampoline is freed (it has tasks_rcu_exit_srcu)",
        ));
    }
    // The marker above is data. `init_task` is data that every kernel has.
    if !symbols.contains("init_task") {
        return Some(FentryObstacle::Unsafe(
            "whether freeing a BPF trampoline is safe cannot be told: the kernel lists no data \
             symbols (CONFIG_KALLSYMS_ALL=n)",
        ));
    }
    // Without it, a trampoline is freed while tasks may be running in it. It is a callback, and
    // so never inlined; there from 5.12, and in stable kernels from 5.10 (kernel/bpf/trampoline.c).
    if !symbols.contains("__bpf_tramp_image_put_rcu") {
        return Some(FentryObstacle::Unsafe(
            "this kernel can crash when a BPF trampoline is freed (it lacks \
             __bpf_tramp_image_put_rcu)",
        ));
    }
    // Before 5.12 an interrupt may run a trampoline's program on top of itself, and overwrite its
    // scratch (`__bpf_prog_enter()`, kernel/bpf/trampoline.c). No symbol tells that.
    //
    // Where tasks are preempted, that program can be, too, and is then skipped for every other task
    // that comes to it on that CPU (kernel/bpf/trampoline.c, `__bpf_prog_enter_recur()`); kprobes
    // run with preemption disabled.
    match preemptible {
        Some(false) => None,
        Some(true) => Some(FentryObstacle::Lossy(
            "this kernel preempts tasks in kernel code, where a trampoline's program then misses \
             the calls of other tasks",
        )),
        None => Some(FentryObstacle::Lossy(
            "whether this kernel preempts tasks in kernel code cannot be told (it hides \
             /proc/kcore); a trampoline's program would then miss the calls of other tasks",
        )),
    }
}

/// Decides how probes are attached, and says why. A wish is obeyed; the reason says when that is
/// dangerous.
#[must_use]
pub fn choose_attach(
    requested: AttachChoice,
    symbols: &Symbols,
    preemptible: Option<bool>,
) -> (Attach, String) {
    match (requested, fentry_obstacle(symbols, preemptible)) {
        (AttachChoice::Kprobe, _) => (Attach::Kprobe, "as requested".into()),
        (AttachChoice::Fentry, None) => (Attach::Fentry, "as requested".into()),
        (AttachChoice::Fentry, Some(obstacle)) => (
            Attach::Fentry,
            format!("as requested, although {}", obstacle.reason()),
        ),
        (AttachChoice::Auto, None) => (
            Attach::Fentry,
            "BPF trampolines cost less than kprobes, and are safe to free on this kernel".into(),
        ),
        (AttachChoice::Auto, Some(obstacle)) => (Attach::Kprobe, obstacle.reason().into()),
    }
}

/// Whether the kernel has kprobes that perf events can create, which is how BPF programs get
/// attached to them; if not, what is missing and the remedy.
///
/// # Errors
/// What is missing, and the remedy.
pub fn kprobes(symbols: &Symbols) -> Result<(), (&'static str, &'static str)> {
    if !symbols.contains("register_kprobe") {
        return Err((
            "the kernel has no kprobes",
            "use a kernel with CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y",
        ));
    }
    // arch/x86/kernel/kprobes/ftrace.c, 5.10 to 7.3: built with CONFIG_KPROBES_ON_FTRACE.
    if !symbols.contains("kprobe_ftrace_handler") {
        return Err((
            "kprobes are breakpoints, whose programs run as in an interrupt (no \
             kprobe_ftrace_handler)",
            "use a kernel with CONFIG_FUNCTION_TRACER=y and CONFIG_DYNAMIC_FTRACE=y, and so \
             CONFIG_KPROBES_ON_FTRACE=y",
        ));
    }
    if !Path::new("/sys/bus/event_source/devices/kprobe").exists() {
        return Err((
            "perf events cannot create kprobes (no /sys/bus/event_source/devices/kprobe)",
            "use a kernel with CONFIG_KPROBE_EVENTS=y, and mount sysfs at /sys",
        ));
    }
    // Where debugfs is not mounted, nobody has switched them off through it.
    let enabled = fs::read_to_string("/sys/kernel/debug/kprobes/enabled");
    if enabled.is_ok_and(|text| text.trim() == "0") {
        return Err((
            "kprobes are switched off",
            "echo 1 > /sys/kernel/debug/kprobes/enabled",
        ));
    }
    Ok(())
}

/// Whether the kernel has the BPF ring buffer (kernel/bpf/ringbuf.c, since 5.8).
#[must_use]
pub fn has_ring_buffer(symbols: &Symbols) -> bool {
    symbols.contains("bpf_ringbuf_reserve")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The symbols that matter here, as seen on kernels.
    const TRAMPOLINES: &[&str] = &[
        "bpf_trampoline_link_prog",
        "register_ftrace_direct",
        "init_task",
    ];
    const PUT: &str = "__bpf_tramp_image_put_rcu";
    const SRCU: &str = "tasks_rcu_exit_srcu";

    fn symbols(parts: &[&[&str]]) -> Symbols {
        let lines: Vec<String> = parts
            .concat()
            .iter()
            .map(|name| format!("ffffffff81000000 T {name}\n"))
            .collect();
        Symbols::parse(&lines.concat()).unwrap()
    }

    #[test]
    fn auto_takes_trampolines_where_they_are_safe() {
        let cases: &[(&str, Symbols, Attach, &str)] = &[
            (
                "safe",
                symbols(&[TRAMPOLINES, &[PUT]]),
                Attach::Fentry,
                "safe",
            ),
            (
                "freed in use",
                symbols(&[TRAMPOLINES]),
                Attach::Kprobe,
                "crash",
            ),
            (
                "waits",
                symbols(&[TRAMPOLINES, &[PUT, SRCU]]),
                Attach::Kprobe,
                "deadlock",
            ),
            (
                "none",
                symbols(&[&["init_task", PUT]]),
                Attach::Kprobe,
                "CONFIG_BPF_JIT",
            ),
            (
                "no data",
                symbols(&[&TRAMPOLINES[..2], &[PUT]]),
                Attach::Kprobe,
                "KALLSYMS_ALL",
            ),
        ];
        for (name, symbols, attach, word) in cases {
            let (chosen, reason) = choose_attach(AttachChoice::Auto, symbols, Some(false));
            assert_eq!(chosen, *attach, "{name}");
            assert!(reason.contains(word), "{name}: {reason}");
        }
    }

    #[test]
    fn auto_takes_kprobes_where_trampolines_miss_calls() {
        let safe = symbols(&[TRAMPOLINES, &[PUT]]);
        let (chosen, reason) = choose_attach(AttachChoice::Auto, &safe, Some(true));
        assert_eq!(chosen, Attach::Kprobe);
        assert!(reason.contains("preempts"), "{reason}");
        let (chosen, reason) = choose_attach(AttachChoice::Auto, &safe, None);
        assert_eq!(chosen, Attach::Kprobe);
        assert!(reason.contains("cannot be told"), "{reason}");
    }

    #[test]
    fn a_wish_is_obeyed_with_a_warning() {
        let dangerous = symbols(&[TRAMPOLINES, &[PUT, SRCU]]);
        let (chosen, reason) = choose_attach(AttachChoice::Fentry, &dangerous, Some(false));
        assert_eq!(chosen, Attach::Fentry);
        assert!(reason.contains("although"), "{reason}");
        assert!(reason.contains("deadlock"), "{reason}");
        assert_eq!(
            choose_attach(AttachChoice::Kprobe, &dangerous, Some(false)),
            (Attach::Kprobe, "as requested".into())
        );
    }

    #[test]
    fn missing_kprobes_have_a_remedy() {
        let (missing, remedy) = kprobes(&symbols(&[&["iput"]])).unwrap_err();
        assert!(missing.contains("kprobes"));
        assert!(remedy.contains("CONFIG_KPROBES=y"));
        let (missing, remedy) = kprobes(&symbols(&[&["register_kprobe"]])).unwrap_err();
        assert!(missing.contains("breakpoints"));
        assert!(remedy.contains("CONFIG_KPROBES_ON_FTRACE=y"));
    }
}
