//! The trail of a stack: the words on it that an unwinder can go by. Two stacks with the same trail are
//! walked in the same way, so a stack whose trail is known is not walked again.
//!
//! A walk goes by return addresses, which point into the kernel's text, and by frame and stack pointers
//! that were saved, which point into the stack (`unwind_next_frame()`, `arch/x86/kernel/unwind_orc.c`).
//! A trail is all words of either sort, each with its place: what is left over of earlier calls is in
//! it, too, and makes trails of one chain differ. Then it is walked once for each of them.

use core::ptr::read_volatile;

use aya_ebpf::helpers::generated;
use probe_common::TRAIL_MAX;

use crate::{
    entry::{Entry, launder},
    kernel::layout,
    maps::RAW_STACK,
    sites::mix,
    task::CurrentTask,
};

/// Where the addresses begin that text can have on x86-64: the kernel's, its modules' and that of BPF
/// programs (`__START_KERNEL_map`, `arch/x86/include/asm/page_64_types.h`).
const TEXT_START: u64 = 0xffff_ffff_8000_0000;

/// The upper bits of an address of the kernel's, all ones, make room for a word's place.
const PLACE_SHIFT: u32 = 48;

/// Hash of the trail; `None` if the walk goes by something else, too, or is not known to go by this.
#[inline(always)]
pub fn hash(entry: &mut Entry, task: &CurrentTask) -> Option<u64> {
    if layout!(has_trails) == 0 {
        return None;
    }
    let bottom = launder(entry.scratch, 1, task.read(layout!(task_stack))?);
    let stack_pointer = entry.stack_pointer;
    let thread_size = layout!(thread_size);
    // An interrupt's stack leads to the one that it interrupted.
    if stack_pointer.wrapping_sub(bottom) >= thread_size {
        return None;
    }
    // At the top are the registers of user space, where a walk ends.
    let top = bottom + thread_size - layout!(user_registers);
    let size = top.wrapping_sub(stack_pointer);
    if size > TRAIL_MAX as u64 {
        return None;
    }
    let words = RAW_STACK.get_ptr_mut(0)?;
    // SAFETY: the room is as long as a trail may be, and only the program on `iput` uses it; the
    // helper checks the address.
    let failed = unsafe {
        generated::bpf_probe_read_kernel(
            words.cast(),
            size as u32,
            stack_pointer as *const core::ffi::c_void,
        )
    };
    if failed != 0 {
        return None;
    }
    let [graph_hook, kretprobe_hook] = layout!(return_hooks);
    // A trampoline has saved the frame pointer on the stack, else it is still in its register.
    let mut hash = 0;
    if entry.frame_pointer.wrapping_sub(bottom) < thread_size {
        hash = mix(1, entry.frame_pointer.wrapping_sub(stack_pointer));
    }
    for index in 0..TRAIL_MAX / 8 {
        let place = index as u64 * 8;
        if place >= size {
            break;
        }
        // SAFETY: within the room.
        let word = unsafe { read_volatile(words.cast::<u64>().add(index)) };
        let is_text = word >= TEXT_START;
        if is_text && (word == graph_hook || word == kretprobe_hook) {
            return None;
        }
        if is_text || word.wrapping_sub(bottom) < thread_size {
            // A pointer into the stack is the same for every task's.
            let base = if is_text { 0 } else { stack_pointer };
            hash = mix(hash, word.wrapping_sub(base) ^ place << PLACE_SHIFT);
        }
    }
    Some(hash)
}
