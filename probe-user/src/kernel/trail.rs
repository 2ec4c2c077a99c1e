//! What the kernel half needs for the trail of a stack (`probe-ebpf/src/trail.rs`).

use probe_common::KernelLayout;

use super::{btf::Btf, symbols::Symbols};

/// What the function graph tracer puts in the place of return addresses (`return_to_handler`,
/// `arch/x86/kernel/ftrace_64.S`).
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
    let (Ok(registers), Some(hooks)) = (btf.size_of("pt_regs"), return_hooks(symbols)) else {
        return;
    };
    layout.user_registers = registers.into();
    layout.return_hooks = hooks;
    layout.has_trails =
        u64::from(cfg!(target_arch = "x86_64") && layout.thread_size > layout.user_registers);
}

/// What is put in the place of return addresses, 0 where nothing is; `None` if this kernel has
/// kretprobes whose hook is not known.
fn return_hooks(symbols: &Symbols) -> Option<[u64; 2]> {
    let kretprobes = KRETPROBE_HOOKS
        .iter()
        .find_map(|name| symbols.address(name));
    if kretprobes.is_none() && symbols.contains("register_kretprobe") {
        return None;
    }
    Some([
        symbols.address(GRAPH_HOOK).unwrap_or(0),
        kretprobes.unwrap_or(0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(symbols: &str) -> Option<[u64; 2]> {
        return_hooks(&Symbols::parse(symbols).expect("symbols"))
    }

    #[test]
    fn hooks_are_those_that_the_kernel_has() {
        let both = "ffffffff81000000 T arch_rethook_trampoline\n\
                    ffffffff81000100 T return_to_handler\n\
                    ffffffff81000200 T register_kretprobe\n";
        assert_eq!(
            hooks(both),
            Some([0xffff_ffff_8100_0100, 0xffff_ffff_8100_0000])
        );
        assert_eq!(hooks("ffffffff81000000 T iput\n"), Some([0, 0]));
    }

    #[test]
    fn kretprobes_of_an_unknown_hook_are_no_trail() {
        assert_eq!(hooks("ffffffff81000000 T register_kretprobe\n"), None);
    }
}
