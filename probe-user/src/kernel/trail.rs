//! What the kernel half needs for the trail of a stack (`probe-ebpf/src/trail.rs`).

use probe_common::KernelLayout;

use super::{btf::Btf, symbols::Symbols};

/// What the function graph tracer puts in the place of return addresses (`return_to_handler`,
/// arch/x86/kernel/ftrace_64.S).
const GRAPH_HOOK: &str = "return_to_handler";

/// What kretprobes put there, by kernels: since 5.18, since 5.15, and before (arch/x86/kernel).
const KRETPROBE_HOOKS: &[&str] = &[
    "arch_rethook_trampoline",
    "__kretprobe_trampoline",
    "kretprobe_trampoline",
];

/// Works out whether the trail of a stack tells how it is walked. Where it does not, as on machines that
/// sign return addresses or that keep them elsewhere, stacks are always walked.
pub fn resolve(btf: &Btf, symbols: &Symbols, layout: &mut KernelLayout) {
    let Ok(user_registers) = btf.size_of("pt_regs") else {
        return;
    };
    let kretprobe_hook = KRETPROBE_HOOKS
        .iter()
        .find_map(|name| symbols.address(name));
    // A kernel with kretprobes, whose hook is not known.
    if kretprobe_hook.is_none() && symbols.contains("register_kretprobe") {
        return;
    }
    let is_known =
        cfg!(target_arch = "x86_64") && layout.thread_size > u64::from(user_registers);
    layout.has_trails = is_known.into();
    layout.user_registers = user_registers.into();
    layout.return_hooks = [
        symbols.address(GRAPH_HOOK).unwrap_or(0),
        kretprobe_hook.unwrap_or(0),
    ];
}
