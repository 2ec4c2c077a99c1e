//! Reading the running kernel's memory, by the layout that the agent resolved.

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated};
use probe_common::{ABSENT, KernelLayout};

/// The running kernel. The agent overwrites it before load; to the verifier every field is
/// a constant, so that what this kernel lacks costs nothing.
#[unsafe(no_mangle)]
pub static LAYOUT: KernelLayout = KernelLayout::unknown();

/// 1 when only evictions are watched: the program on `iput` is not attached.
#[unsafe(no_mangle)]
pub static EVICTIONS_ONLY: u32 = 0;

/// 1 when puts that are not final are looked at, too.
#[unsafe(no_mangle)]
pub static NON_FINAL_PUTS: u32 = 0;

/// 1 with `--provoke`.
#[unsafe(no_mangle)]
pub static PROVOKES: u32 = 0;

/// 1 when the locks that tasks take are followed.
#[unsafe(no_mangle)]
pub static TRACK_LOCKS: u32 = 0;

/// One field of [`LAYOUT`], as the agent set it.
macro_rules! layout {
    ($($field:tt)+) => {
        $crate::kernel::constant(&raw const $crate::kernel::LAYOUT.$($field)+)
    };
}
pub(crate) use layout;

/// Reads a static as the agent set it after compilation.
#[inline(always)]
pub fn constant<T: Copy>(place: *const T) -> T {
    // SAFETY: only called with places in live statics. Volatile, for the compiler would
    // take the value that it knows.
    unsafe { core::ptr::read_volatile(place) }
}

/// Whether only evictions are watched.
#[inline(always)]
pub fn evictions_only() -> bool {
    constant(&raw const EVICTIONS_ONLY) != 0
}

/// Whether puts that are not final are looked at, too.
#[inline(always)]
pub fn watches_non_final() -> bool {
    constant(&raw const NON_FINAL_PUTS) != 0
}

/// Whether somebody has the dentry cache shrunk for `--provoke`.
#[inline(always)]
pub fn provokes() -> bool {
    constant(&raw const PROVOKES) != 0
}

/// Whether the locks that tasks take are followed.
#[inline(always)]
pub fn tracks_locks() -> bool {
    constant(&raw const TRACK_LOCKS) != 0
}

/// Reads a value at `base + offset`; `None` if the kernel has no such field or the address
/// cannot be read: a NULL base is just that, and is not tested for, as every test doubles
/// the verifier's work.
#[inline(always)]
pub fn read<T>(base: u64, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    // SAFETY: the helper checks the address, and fails on a bad one.
    unsafe { bpf_probe_read_kernel(base.wrapping_add(u64::from(offset)) as *const T).ok() }
}

/// Reads a zero-terminated string at `base + offset` into `name`, cut to its size.
#[inline(always)]
pub fn read_name(base: u64, offset: u32, name: &mut [u8]) {
    name[0] = 0;
    if offset == ABSENT {
        return;
    }
    // SAFETY: the helper checks the source address; the destination is as long as said. On
    // failure it leaves an empty string.
    unsafe {
        generated::bpf_probe_read_kernel_str(
            name.as_mut_ptr().cast(),
            name.len() as u32,
            base.wrapping_add(u64::from(offset)) as *const core::ffi::c_void,
        );
    }
}
