//! Reading the running kernel's memory, by the layout that the agent resolved.

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated};
use probe_common::{ABSENT, CAST_PLACEHOLDER, KernelLayout};

/// The running kernel. The agent overwrites it before load; to the verifier every field is
/// a constant, so that what this kernel lacks costs nothing.
#[unsafe(no_mangle)]
pub static LAYOUT: KernelLayout = KernelLayout::unknown();

/// 1 when only evictions are watched: the program on `iput` is not attached.
#[unsafe(no_mangle)]
pub static EVICTIONS_ONLY: u32 = 0;

/// The highest `i_count` with which a put is looked at: 1 for final puts only.
#[unsafe(no_mangle)]
pub static I_COUNT_MAX: u32 = 1;

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

/// Whether a put that finds this `i_count` is looked at: one comparison for every put.
#[inline(always)]
pub fn is_of_interest(i_count: u32) -> bool {
    i_count <= constant(&raw const I_COUNT_MAX)
}

/// Whether puts that are not final are among them.
#[inline(always)]
pub fn watches_non_final() -> bool {
    constant(&raw const I_COUNT_MAX) > 1
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

/// Loads a value of at most a machine word at `base + offset`, a field that every kernel has, for
/// what every put runs through: without a helper where the kernel lets programs do so. Then what
/// cannot be read is 0.
#[inline(always)]
pub fn load<T: Copy>(base: u64, offset: u32) -> Option<T> {
    let address = base.wrapping_add(u64::from(offset));
    if layout!(word_type) == 0 {
        // SAFETY: the helper checks the address, and fails on a bad one.
        return unsafe { bpf_probe_read_kernel(address as *const T).ok() };
    }
    // SAFETY: the kernel catches the fault of a bad address.
    Some(unsafe { core::ptr::read_volatile(cast(address).cast()) })
}

/// A pointer that the verifier lets programs load a word from: `bpf_rdonly_cast()`
/// (kernel/bpf/helpers.c, since 6.2), for which no code is left in the program, where
/// `bpf_probe_read_kernel()` costs some seventy instructions.
#[inline(always)]
fn cast(address: u64) -> *const u8 {
    // SAFETY: called only where the agent has put the kernel's function in this place.
    unsafe {
        let cast: unsafe extern "C" fn(u64, u64) -> *const u8 =
            core::mem::transmute(CAST_PLACEHOLDER as usize);
        cast(address, layout!(word_type))
    }
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
