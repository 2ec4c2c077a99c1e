//! The attach points, each as kprobe and as trampoline, from the same code.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the attributes generate a caller that passes the context by value"
)]

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use probe_common::MarkKind;

use crate::{
    entry::{Enter, launder},
    kernel::{is_of_interest, layout, load, read},
    maps::Slot,
    outcome, puts,
};

/// `iput(inode)`: NULL is legal, and its count cannot be read.
///
/// What is run for every put is inlined into the program itself: load, compare, out. The rest is a
/// BPF function of its own, whose registers and stack are set up for it alone.
#[kprobe]
#[inline(always)]
fn iput_kprobe(context: ProbeContext) -> Option<()> {
    let inode = context.arg(0)?;
    let count = load::<u32>(inode, layout!(inode_count))?;
    if is_of_interest(count) {
        on_iput_kprobe(context.as_ptr(), count);
    }
    Some(())
}

#[inline(never)]
fn on_iput_kprobe(context: *mut c_void, count: u32) -> Option<()> {
    let context = ProbeContext::new(context);
    puts::on_iput(context.enter(Slot::Iput)?, context.arg(0)?, count);
    Some(())
}

/// The same by trampoline: the verifier knows the argument's type, so the count is one
/// load. Newer kernels would read 0 of NULL; older ones (5.10) panic, as they look for the
/// fault's handler in the wrong place (`search_bpf_extables`, before "bpf: ensure main
/// program has an extable", 6.4). Where the verifier knows that the test is not needed, it
/// removes it.
#[fentry]
#[inline(always)]
fn iput_fentry(context: FEntryContext) -> Option<()> {
    let inode: *const u8 = context.arg(0);
    if inode.is_null() {
        return None;
    }
    #[expect(clippy::cast_ptr_alignment, reason = "the kernel aligns the field")]
    // SAFETY: the verifier checks offset and size against the kernel's own type, and the
    // kernel catches the fault of a bad pointer.
    let count =
        unsafe { core::ptr::read_volatile(inode.add(layout!(inode_count) as usize).cast::<u32>()) };
    if is_of_interest(count) {
        on_iput_fentry(context.as_ptr(), count);
    }
    Some(())
}

#[inline(never)]
fn on_iput_fentry(context: *mut c_void, count: u32) -> Option<()> {
    let context = FEntryContext::new(context);
    let entry = context.enter(Slot::Iput)?;
    let inode = launder(entry.scratch, 1, context.arg(0));
    puts::on_iput(entry, inode, count);
    Some(())
}

/// `evict(inode)`.
#[kprobe]
fn evict_kprobe(context: ProbeContext) -> Option<()> {
    puts::on_evict(context.enter(Slot::Evict)?, context.arg(0)?);
    Some(())
}

/// `evict(inode)`.
#[fentry]
fn evict_fentry(context: FEntryContext) -> Option<()> {
    let entry = context.enter(Slot::Evict)?;
    let inode = launder(entry.scratch, 1, context.arg(0));
    puts::on_evict(entry, inode);
    Some(())
}

/// The end of `evict`.
#[kretprobe]
fn evict_kretprobe(context: RetProbeContext) -> Option<()> {
    outcome::on_evict_end(context.enter(Slot::EvictEnd)?);
    Some(())
}

/// The end of `evict`.
#[fexit]
fn evict_fexit(context: FExitContext) -> Option<()> {
    outcome::on_evict_end(context.enter(Slot::EvictEnd)?);
    Some(())
}

/// `do_writepages(mapping, wbc)`.
#[kprobe]
fn do_writepages_kprobe(context: ProbeContext) -> Option<()> {
    let host = read(context.arg(0)?, layout!(mapping_host)).unwrap_or(0);
    outcome::on_writeback(
        &context.enter(Slot::Writepages)?,
        MarkKind::Writepages,
        host,
    );
    Some(())
}

/// `do_writepages(mapping, wbc)`.
#[fentry]
fn do_writepages_fentry(context: FEntryContext) -> Option<()> {
    let entry = context.enter(Slot::Writepages)?;
    let mapping = launder(entry.scratch, 1, context.arg(0));
    let host = read(mapping, layout!(mapping_host)).unwrap_or(0);
    outcome::on_writeback(&entry, MarkKind::Writepages, host);
    Some(())
}

/// The end of `do_writepages`.
#[kretprobe]
fn do_writepages_kretprobe(context: RetProbeContext) -> Option<()> {
    outcome::on_writeback_end(&context.enter(Slot::WritepagesEnd)?, MarkKind::Writepages);
    Some(())
}

/// The end of `do_writepages`.
#[fexit]
fn do_writepages_fexit(context: FExitContext) -> Option<()> {
    outcome::on_writeback_end(&context.enter(Slot::WritepagesEnd)?, MarkKind::Writepages);
    Some(())
}

/// `writeback_single_inode(inode, wbc)`: a task syncs an inode.
#[kprobe]
fn writeback_single_inode_kprobe(context: ProbeContext) -> Option<()> {
    outcome::on_writeback(
        &context.enter(Slot::InodeWriteback)?,
        MarkKind::InodeWriteback,
        context.arg(0)?,
    );
    Some(())
}

/// `writeback_single_inode(inode, wbc)`: a task syncs an inode.
#[fentry]
fn writeback_single_inode_fentry(context: FEntryContext) -> Option<()> {
    let entry = context.enter(Slot::InodeWriteback)?;
    let inode = launder(entry.scratch, 1, context.arg(0));
    outcome::on_writeback(&entry, MarkKind::InodeWriteback, inode);
    Some(())
}

/// The end of `writeback_single_inode`.
#[kretprobe]
fn writeback_single_inode_kretprobe(context: RetProbeContext) -> Option<()> {
    outcome::on_writeback_end(
        &context.enter(Slot::InodeWritebackEnd)?,
        MarkKind::InodeWriteback,
    );
    Some(())
}

/// The end of `writeback_single_inode`.
#[fexit]
fn writeback_single_inode_fexit(context: FExitContext) -> Option<()> {
    outcome::on_writeback_end(
        &context.enter(Slot::InodeWritebackEnd)?,
        MarkKind::InodeWriteback,
    );
    Some(())
}

/// `wb_workfn(work)`: the flusher.
#[kprobe]
fn wb_workfn_kprobe(context: ProbeContext) -> Option<()> {
    outcome::on_writeback(&context.enter(Slot::Flusher)?, MarkKind::Flusher, 0);
    Some(())
}

/// `wb_workfn(work)`: the flusher.
#[fentry]
fn wb_workfn_fentry(context: FEntryContext) -> Option<()> {
    outcome::on_writeback(&context.enter(Slot::Flusher)?, MarkKind::Flusher, 0);
    Some(())
}

/// The end of `wb_workfn`.
#[kretprobe]
fn wb_workfn_kretprobe(context: RetProbeContext) -> Option<()> {
    outcome::on_writeback_end(&context.enter(Slot::FlusherEnd)?, MarkKind::Flusher);
    Some(())
}

/// The end of `wb_workfn`.
#[fexit]
fn wb_workfn_fexit(context: FExitContext) -> Option<()> {
    outcome::on_writeback_end(&context.enter(Slot::FlusherEnd)?, MarkKind::Flusher);
    Some(())
}
