//! Whether kernel code is preempted on the running kernel.

use probe_common::AddressRange;

use super::{
    symbols::Symbols,
    text::{self, KernelText},
};

/// The static call that leads to `preempt_schedule()` where the mode is chosen at boot
/// (`PREEMPT_DYNAMIC`): a jump there while kernel code is preempted, a return while it is not
/// (`static_call_update()` in `__sched_dynamic_update()`, kernel/sched/core.c).
const CALL: &str = "__SCT__preempt_schedule";

/// Opcode of `jmp rel32`, and its length.
const JUMP: u8 = 0xe9;
const JUMP_LEN: u64 = 5;
/// Opcode of `ret`.
const RETURN: u8 = 0xc3;

/// Whether tasks are preempted in the kernel; `None` if that cannot be told.
#[must_use]
pub fn is_preemptible(symbols: &Symbols) -> Option<bool> {
    let Some(start) = symbols.address(CALL) else {
        // Only built with CONFIG_PREEMPTION.
        return Some(symbols.contains("preempt_schedule"));
    };
    let code = KernelText::open()
        .and_then(|mut text| {
            text.read(AddressRange {
                start,
                end: start + JUMP_LEN,
            })
        })
        .ok()?;
    leads_to_scheduler(&code, start, symbols)
}

fn leads_to_scheduler(code: &[u8], start: u64, symbols: &Symbols) -> Option<bool> {
    match code.split_first()? {
        (&RETURN, _) => Some(false),
        // Where returns are dangerous it is a jump to a thunk that returns.
        (&JUMP, displacement) => {
            let displacement = *displacement.first_chunk()?;
            let function = symbols.function_at(text::target(displacement, start + JUMP_LEN))?;
            Some(function.name.contains("preempt_schedule"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_call_tells() {
        let symbols = Symbols::parse(
            "ffffffff81000000 T __SCT__preempt_schedule\n\
             ffffffff81000100 T preempt_schedule_thunk\n\
             ffffffff81000200 T __x86_return_thunk\n\
             ffffffff81000300 T iput\n",
        )
        .unwrap();
        let start = 0xffff_ffff_8100_0000;
        let leads = |code: &[u8]| leads_to_scheduler(code, start, &symbols);
        assert_eq!(leads(&[0xe9, 0xfb, 0, 0, 0]), Some(true));
        assert_eq!(leads(&[0xe9, 0xfb, 1, 0, 0]), Some(false));
        assert_eq!(leads(&[0xc3, 0xcc, 0xcc, 0xcc, 0xcc]), Some(false));
        assert_eq!(leads(&[0x90, 0, 0, 0, 0]), None);
        assert_eq!(leads(&[0xe9]), None);
        assert_eq!(leads(&[]), None);
    }
}
