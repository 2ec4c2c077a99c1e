//! Sites: the stack and its hash, the exact counts, the examples.

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::{bpf_get_current_comm, bpf_ktime_get_ns, generated},
};
use probe_common::{
    AddressRange, Loss, OWN_FRAMES_MAX, SampleRecord, SiteCounts, SiteKey, StackRecord,
};

use crate::{
    entry::Entry,
    facts::work_of,
    inode::Inode,
    kernel::{evictions_only, layout, read, read_name},
    maps::{EVENTS, SAMPLES, SITES, STACKS, TRAILS, lose},
    recorder::{reload, through_memory},
    task::CurrentTask,
    tracked_locks, trail,
};

/// What is inserted for a new aggregate: too large for the program's stack.
static ZERO_COUNTS: SiteCounts = SiteCounts::ZERO;

/// Folds `value` into `hash`; zero into zero is zero.
#[inline(always)]
pub fn mix(hash: u64, value: u64) -> u64 {
    // The odd number nearest to 2^64 over the golden ratio: spreads neighbouring values.
    let product = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

/// Whether `address` is in one of the ranges of a layout field.
macro_rules! in_ranges {
    ($field:ident, $address:expr) => {{
        let address: u64 = $address;
        let mut index = 0;
        'found: {
            while index < crate::kernel::LAYOUT.$field.len() {
                let range = AddressRange {
                    start: layout!($field[index].start),
                    end: layout!($field[index].end),
                };
                if range.contains(address) {
                    break 'found true;
                }
                index += 1;
            }
            false
        }
    }};
}

/// Puts the stack's hash into the key: by its trail, if that is known, else by walking it.
/// Returns false if the kernel gave no stack.
#[inline(always)]
pub fn find_stack(entry: &mut Entry, task: &CurrentTask, own_frames: u32) -> bool {
    let trail = trail::hash(entry, task);
    if let Some(trail) = trail
        && let Some(stack) = TRAILS.get_ptr(trail)
    {
        // SAFETY: a map value that nobody changes.
        entry.scratch.sample.key.stack = unsafe { *stack };
        return true;
    }
    if !walk_stack(entry, own_frames) {
        return false;
    }
    if keep_stack(entry)
        && let Some(trail) = trail
    {
        let _ = TRAILS.insert(trail, entry.scratch.sample.key.stack, u64::from(BPF_ANY));
    }
    true
}

/// Walks the stack into the scratch; the first `own_frames` of it are the observer's.
/// Returns false if the kernel gave none.
#[inline(always)]
pub fn walk_stack(entry: &mut Entry, own_frames: u32) -> bool {
    let context = entry.as_ptr();
    let stack = &mut entry.scratch.stack;
    // SAFETY: the destination is as long as said.
    let bytes = unsafe {
        generated::bpf_get_stack(
            context,
            stack.frames.as_mut_ptr().cast(),
            size_of_val(&stack.frames) as u32,
            0,
        )
    };
    if bytes <= 0 {
        lose(Loss::NoStack);
        return false;
    }
    stack.end = (bytes.cast_unsigned() / size_of::<u64>() as u64) as u32;
    // Then comes the probed function, but for a trampoline that was jumped to; on kernels
    // where `iput` calls `evict` out of line, then `iput`.
    let mut first = through_memory(&mut stack.first, own_frames);
    for _ in 0..2 {
        if let Some(frame) = stack.frames.get(first as usize)
            && (in_ranges!(iput, *frame) || in_ranges!(evict, *frame))
        {
            first = through_memory(&mut stack.first, first.wrapping_add(1));
        }
    }
    true
}

/// Walks the stack for calibration, and keeps its innermost frames.
#[inline(always)]
pub fn keep_innermost(entry: &mut Entry, frames: &mut [u64; OWN_FRAMES_MAX]) {
    if walk_stack(entry, 0) {
        for (kept, frame) in frames.iter_mut().zip(&entry.scratch.stack.frames) {
            *kept = *frame;
        }
    }
}

/// Whether the walked stack came to `evict` by another way than `iput`.
#[inline(always)]
pub fn is_other_eviction(stack: &mut StackRecord) -> bool {
    if layout!(evict_callers_known) == 0 {
        // Then the program on `iput` is the one to believe, if it is attached.
        return !evictions_only();
    }
    let first = reload(&mut stack.first);
    match stack.frames.get(first as usize) {
        Some(caller) => in_ranges!(evict_callers, *caller),
        None => false,
    }
}

/// Hash of the chain from `iput`'s caller outwards: the same for every way to attach. The
/// frames before it are made zero, and [`mix`] keeps a zero hash for a zero value.
#[inline(always)]
fn hash_stack(stack: &mut StackRecord) -> u64 {
    let first = reload(&mut stack.first);
    let end = reload(&mut stack.end);
    for (index, frame) in stack.frames.iter_mut().take(OWN_FRAMES_MAX + 2).enumerate() {
        if (index as u32) < first {
            *frame = 0;
        }
    }
    let mut hash = 0;
    for (index, frame) in stack.frames.iter().enumerate() {
        if index as u32 >= end {
            break;
        }
        hash = mix(hash, *frame);
    }
    // 0 stands for "no stack".
    hash | 1
}

/// Keeps the stack that was walked, and puts its hash into the key. Returns false if there is no room.
#[inline(always)]
pub fn keep_stack(entry: &mut Entry) -> bool {
    let hash = hash_stack(&mut entry.scratch.stack);
    entry.scratch.sample.key.stack = hash;
    if STACKS.get_ptr(hash).is_some() {
        return true;
    }
    let is_kept = STACKS
        .insert(hash, &entry.scratch.stack, u64::from(BPF_NOEXIST))
        .is_ok()
        || STACKS.get_ptr(hash).is_some();
    if !is_kept {
        lose(Loss::StacksFull);
    }
    is_kept
}

/// Changes the counts of an aggregate on this CPU, making it if it is new.
#[inline(always)]
pub fn count(key: &SiteKey, change: impl FnOnce(&mut SiteCounts)) {
    let mut counts = SITES.get_ptr_mut(key);
    if counts.is_none() {
        // Another CPU may have been faster: then this fails and the next look-up finds it.
        let _ = SITES.insert(key, &ZERO_COUNTS, u64::from(BPF_NOEXIST));
        counts = SITES.get_ptr_mut(key);
    }
    match counts {
        // SAFETY: a per-CPU value; each field is changed by one program only, and the
        // kernel does not run a program twice on a CPU at the same time.
        Some(counts) => change(unsafe { &mut *counts }),
        None => lose(Loss::SitesFull),
    }
}

/// Keeps the call as an example: the first one of its aggregate for certain, later ones
/// ever more rarely.
#[inline(always)]
pub fn keep_sample(entry: &mut Entry, inode: &Inode, task: u64, seen_before: u64) {
    let first = SAMPLES.get_ptr(&entry.scratch.sample.key).is_none();
    if !first && !seen_before.is_power_of_two() {
        return;
    }
    describe(&mut entry.scratch.sample, inode, task);
    let sample = &entry.scratch.sample;
    if first {
        let key = sample.key;
        if SAMPLES
            .insert(&key, sample, u64::from(BPF_NOEXIST))
            .is_err()
            && SAMPLES.get_ptr(&key).is_none()
        {
            lose(Loss::SamplesFull);
        }
    } else if EVENTS
        .output::<SampleRecord>(sample, u64::from(BPF_ANY))
        .is_err()
    {
        lose(Loss::RingFull);
    }
}

/// Fills in what is for the reader only, not for the key.
#[inline(always)]
fn describe(sample: &mut SampleRecord, inode: &Inode, task: u64) {
    // SAFETY: a helper without arguments.
    sample.time_ns = unsafe { bpf_ktime_get_ns() };
    sample.ino = inode.ino;
    sample.i_state = inode.state;
    sample.nlink = inode.nlink;
    sample.device = inode.device;
    sample.comm = bpf_get_current_comm().unwrap_or([0; probe_common::COMM_LEN]);
    let name = read(inode.filesystem, layout!(fs_type_name)).unwrap_or(0);
    read_name(name, 0, &mut sample.filesystem);
    read_name(inode.superblock, layout!(sb_id), &mut sample.superblock);
    tracked_locks::place(sample, inode);
    sample.workqueue[0] = 0;
    sample.work_function = 0;
    sample.workqueue_flags = 0;
    if sample.key.facts.is(probe_common::Fact::WorkqueueWorker)
        && let Some(work) = work_of(task)
    {
        sample.work_function = work.function;
        sample.workqueue_flags = work.flags;
        read_name(work.queue, layout!(wq_name), &mut sample.workqueue);
    }
}
