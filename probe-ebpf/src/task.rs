//! The current task's own fields: loaded without a helper where the kernel lets programs do so.

use aya_ebpf::helpers::{bpf_get_current_task, generated};
use probe_common::ABSENT;

use crate::kernel::{layout, read};

/// The current task.
pub struct CurrentTask {
    /// Its address.
    pub address: u64,
    /// The same as the verifier knows it; null where it does not.
    typed: *const u8,
}

impl CurrentTask {
    /// Asks the kernel for it.
    #[inline(always)]
    pub fn get() -> Self {
        // SAFETY: helpers without arguments.
        unsafe {
            Self {
                address: bpf_get_current_task(),
                typed: if layout!(task_typed) == 0 {
                    core::ptr::null()
                } else {
                    generated::bpf_get_current_task_btf().cast_const().cast()
                },
            }
        }
    }

    /// Reads the field at `offset`; `None` if the kernel has no such field. As the verifier knows
    /// the field, what is a pointer there must not be calculated with.
    #[inline(always)]
    pub fn read<T: Copy>(&self, offset: u32) -> Option<T> {
        if offset == ABSENT {
            return None;
        }
        if layout!(task_typed) == 0 {
            return read(self.address, offset);
        }
        // SAFETY: the verifier checks offset and size against the kernel's own type.
        Some(unsafe { core::ptr::read_volatile(self.typed.add(offset as usize).cast()) })
    }
}
