//! A glance at a put: enough to tell that it is benign, which nearly all of them are.
//!
//! It asks what [`crate::puts`] asks when it looks at a put, but records nothing: at the first thing
//! that may speak against the put it gives up, and the put is looked at. So a glance may only err on
//! one side.

use aya_ebpf::helpers::generated;
use probe_common::{ABSENT, Control, SPAN_MAX};

use crate::{
    benign_evictions::{self, Around},
    entry::Entry,
    facts,
    kernel::{layout, load},
    locks::WRITER_LOCKED,
    maps::TASKS,
    task::CurrentTask,
};

/// The inode of a benign put.
pub struct Inode {
    /// `i_ino`.
    pub ino: u64,
    /// `s_dev`.
    pub device: u32,
}

/// The inode at `address`, if the put of it is certainly benign.
#[inline(always)]
pub fn at_benign(
    entry: &mut Entry,
    address: u64,
    task: &CurrentTask,
    control: &Control,
) -> Option<Inode> {
    if layout!(can_glance) == 0 || !is_free(task, entry, control) || is_inside(entry) {
        return None;
    }
    let (inode, superblock) = inode(entry, address)?;
    let device = superblock_is_free(entry, superblock)?;
    Some(Inode { ino: inode, device })
}

/// Whether the task is in no special scope and the CPU in no special context.
#[inline(always)]
fn is_free(task: &CurrentTask, entry: &mut Entry, control: &Control) -> bool {
    let Some(flags) = task.read::<u32>(layout!(task_flags)) else {
        return false;
    };
    if entry.interrupts_off == 1
        || u64::from(flags) & layout!(pf_known) != 0
        || task.read::<u64>(layout!(task_reclaim_state)) != Some(0)
        || task.read::<u64>(layout!(task_journal_info)) != Some(0)
        || facts::preempt_count(entry) != control.baseline.preempt_count
    {
        return false;
    }
    if layout!(task_rcu_nesting) != ABSENT
        && task.read::<u32>(layout!(task_rcu_nesting)) != Some(control.baseline.rcu_nesting)
    {
        return false;
    }
    facts::stack_left(entry, task) >= facts::STACK_LOW
}

/// Whether the task is inside of writeback or of an eviction.
#[inline(always)]
fn is_inside(entry: &Entry) -> bool {
    match benign_evictions::of(entry) {
        Around::Nothing => false,
        Around::Eviction => true,
        Around::PerhapsMarks => TASKS.get_ptr(entry.thread).is_some(),
    }
}

/// The inode's number and its superblock, if nobody holds its locks for write, and its state is
/// that of any inode.
#[inline(always)]
fn inode(entry: &mut Entry, address: u64) -> Option<(u64, u64)> {
    let span = Span {
        start: layout!(inode_span_start),
        size: layout!(inode_span_size),
    };
    let parts = Parts::of(entry, address, span)?;
    let state = if layout!(inode_state_size) == 8 {
        parts.get::<u64>(layout!(inode_state))?
    } else {
        parts.get::<u32>(layout!(inode_state))?.into()
    };
    let locks = parts.get::<u64>(layout!(inode_rwsem) + layout!(rwsem_count))?;
    if state & (layout!(i_sync) | layout!(i_freeing)) != 0 || locks & WRITER_LOCKED != 0 {
        return None;
    }
    if layout!(mapping_invalidate_lock) != ABSENT {
        let mapping = parts.get::<u64>(layout!(inode_mapping))?;
        let lock = layout!(mapping_invalidate_lock) + layout!(rwsem_count);
        if load::<u64>(mapping, lock)? & WRITER_LOCKED != 0 {
            return None;
        }
    }
    Some((
        parts.get(layout!(inode_ino))?,
        parts.get(layout!(inode_sb))?,
    ))
}

/// The superblock's device, if it is active and nobody holds its lock for write.
#[inline(always)]
fn superblock_is_free(entry: &mut Entry, address: u64) -> Option<u32> {
    let span = Span {
        start: layout!(sb_span_start),
        size: layout!(sb_span_size),
    };
    let parts = Parts::of(entry, address, span)?;
    let lock = parts.get::<u64>(layout!(sb_umount) + layout!(rwsem_count))?;
    if parts.get::<u64>(layout!(sb_flags))? & layout!(sb_active) == 0 || lock & WRITER_LOCKED != 0 {
        return None;
    }
    parts.get(layout!(sb_dev))
}

/// A part of an object, in which all is that is read of it.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    size: u32,
}

/// An object's fields: each loaded, where the kernel lets programs do so, else all of them read at
/// once.
struct Parts {
    address: u64,
    span: *const u8,
    start: u32,
}

impl Parts {
    #[inline(always)]
    fn of(entry: &mut Entry, address: u64, span: Span) -> Option<Self> {
        let room = &raw mut entry.scratch.span;
        if layout!(word_type) == 0 {
            if span.size > SPAN_MAX as u32 {
                return None;
            }
            // SAFETY: the room is as long as a span may be, and the helper checks the address.
            let failed = unsafe {
                generated::bpf_probe_read_kernel(
                    room.cast(),
                    span.size,
                    address.wrapping_add(u64::from(span.start)) as *const core::ffi::c_void,
                )
            };
            if failed != 0 {
                return None;
            }
        }
        Some(Self {
            address,
            span: room.cast_const().cast(),
            start: span.start,
        })
    }

    /// The field at `offset` in the object.
    #[inline(always)]
    fn get<T: Copy>(&self, offset: u32) -> Option<T> {
        if layout!(word_type) != 0 {
            return load(self.address, offset);
        }
        // SAFETY: the field is in the span, which was read; the verifier checks that.
        Some(unsafe {
            core::ptr::read_volatile(
                self.span
                    .add(offset.wrapping_sub(self.start) as usize)
                    .cast(),
            )
        })
    }
}
