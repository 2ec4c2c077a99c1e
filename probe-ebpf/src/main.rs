//! The kernel half: programs on `iput`, `evict`, `do_writepages` and `wb_workfn` that note
//! in which context the last reference to an inode is dropped, and programs on the functions that
//! take and release locks. Verdicts are not made here.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    clippy::inline_always,
    reason = "what is not inlined becomes a BPF function of its own, which older verifiers follow badly"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "lengths and indices of the records' arrays, and sizes of stacks: far below 2^32"
)]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value they would be copied to the program's stack, which has 512 bytes"
)]

mod benign_evictions;
mod entry;
mod facts;
mod glance;
mod inode;
mod kernel;
mod lock_programs;
mod lockdep;
mod locks;
mod maps;
mod outcome;
mod programs;
mod puts;
mod recorder;
mod references;
mod sites;
mod task;
mod task_locks;
mod tracked_locks;
mod trail;

/// The kernel refuses helpers such as `bpf_probe_read_kernel` to programs under other
/// licences.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Never reached: nothing here panics, and the verifier would refuse it if it did.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
