//! What a program is entered with, the same for kprobes and trampolines.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    helpers::bpf_get_current_pid_tgid,
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use probe_common::UNKNOWN;

use crate::{
    kernel::read,
    maps::{SCRATCH, Scratch, Slot},
};

/// `X86_EFLAGS_IF` (arch/x86/include/uapi/asm/processor-flags.h): interrupts are enabled.
#[cfg(bpf_target_arch = "x86_64")]
const INTERRUPTS_ENABLED: u64 = 1 << 9;

/// A function of the kernel being entered or left by the current task.
pub struct Entry {
    context: *mut c_void,
    /// The stack pointer, or near it: good for comparing depths on one task's stack, and
    /// for the room that is left.
    pub stack_pointer: u64,
    /// The frame pointer's register, 0 where it is saved on the stack instead.
    pub frame_pointer: u64,
    /// 1 if interrupts are off, 0 if on, [`UNKNOWN`] if this kind of program cannot tell.
    pub interrupts_off: u32,
    /// The current thread's id.
    pub thread: u32,
    /// Its process's id.
    pub process: u32,
    /// The program's own room.
    pub scratch: &'static mut Scratch,
}

impl EbpfContext for Entry {
    fn as_ptr(&self) -> *mut c_void {
        self.context
    }
}

#[inline(always)]
fn scratch(slot: Slot) -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(slot as u32)?;
    // SAFETY: a per-CPU value that only the running program uses, see `SCRATCH`.
    Some(unsafe { &mut *scratch })
}

/// Turns a pointer that the verifier tracks into a plain number.
#[inline(always)]
pub fn launder(scratch: &mut Scratch, slot: usize, pointer: u64) -> u64 {
    let place = &raw mut scratch.pointers[slot];
    // SAFETY: a valid place; volatile so that the compiler keeps the way through memory.
    unsafe {
        core::ptr::write_volatile(place, pointer);
        core::ptr::read_volatile(place)
    }
}

/// The return address of the function whose entry a kprobe is on: at its first instruction it is
/// on top of the stack. 0 where that is not known for this machine.
#[inline(always)]
pub fn return_address(context: &ProbeContext) -> u64 {
    #[cfg(bpf_target_arch = "x86_64")]
    {
        let registers = context.as_ptr().cast::<aya_ebpf::bindings::pt_regs>();
        // SAFETY: the context of a kprobe program is the saved registers.
        let stack_pointer = unsafe { (*registers).rsp };
        read(stack_pointer, 0).unwrap_or(0)
    }
    #[cfg(not(bpf_target_arch = "x86_64"))]
    {
        let _ = context;
        0
    }
}

impl Entry {
    #[inline(always)]
    fn new(
        context: *mut c_void,
        stack_pointer: u64,
        frame_pointer: u64,
        interrupts_off: u32,
        scratch: &'static mut Scratch,
    ) -> Self {
        let ids = bpf_get_current_pid_tgid();
        Self {
            context,
            stack_pointer,
            frame_pointer,
            interrupts_off,
            thread: ids as u32,
            process: (ids >> 32) as u32,
            scratch,
        }
    }

    /// Entered by a kprobe or kretprobe with these registers.
    #[inline(always)]
    fn from_registers(context: *mut c_void, slot: Slot) -> Option<Self> {
        let scratch = scratch(slot)?;
        #[cfg(bpf_target_arch = "x86_64")]
        let (stack_pointer, frame_pointer, interrupts_off) = {
            let registers = context.cast::<aya_ebpf::bindings::pt_regs>();
            // SAFETY: the context of a kprobe program is the saved registers.
            let registers = unsafe { &*registers };
            let interrupts_off = u32::from(registers.eflags & INTERRUPTS_ENABLED == 0);
            (registers.rsp, registers.rbp, interrupts_off)
        };
        // The context lies on the stack that was interrupted; where the flags are is not
        // known for this machine.
        #[cfg(not(bpf_target_arch = "x86_64"))]
        let (stack_pointer, frame_pointer, interrupts_off) =
            (launder(scratch, 0, context as u64), 0, UNKNOWN);
        Some(Self::new(
            context,
            stack_pointer,
            frame_pointer,
            interrupts_off,
            scratch,
        ))
    }

    /// Entered by a trampoline: it saves the arguments and the frame pointer on the task's stack,
    /// and says nothing of the flags.
    #[inline(always)]
    fn from_trampoline(context: *mut c_void, slot: Slot) -> Option<Self> {
        let scratch = scratch(slot)?;
        let stack_pointer = launder(scratch, 0, context as u64);
        Some(Self::new(context, stack_pointer, 0, UNKNOWN, scratch))
    }
}

/// A context that an [`Entry`] can be made of.
pub trait Enter: EbpfContext {
    /// Makes it.
    fn enter(&self, slot: Slot) -> Option<Entry>;
}

macro_rules! enter {
    ($($context:ty => $constructor:ident),+ $(,)?) => {
        $(impl Enter for $context {
            #[inline(always)]
            fn enter(&self, slot: Slot) -> Option<Entry> {
                Entry::$constructor(self.as_ptr(), slot)
            }
        })+
    };
}

enter! {
    ProbeContext => from_registers,
    RetProbeContext => from_registers,
    FEntryContext => from_trampoline,
    FExitContext => from_trampoline,
}
