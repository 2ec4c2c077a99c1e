//! The facts of the calling context: what the task, the CPU and the stack say.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use probe_common::{Baseline, Fact, Mark, MarkKind, Readings, TaskMarks, UNKNOWN};

use crate::{
    benign_evictions::{self, Around},
    entry::Entry,
    kernel::{layout, load, read},
    recorder::{Recorder, reload, through_memory},
    task::CurrentTask,
};

/// The preempt count's bits below those for hard interrupts, which have moved over time
/// (include/linux/preempt.h: the same from 5.10 to 7.3).
const PREEMPT_MASK: u32 = 0xff;
/// Soft interrupts: served (lowest bit) or disabled (the others).
const SOFTIRQ_MASK: u32 = 0xff00;
/// `SOFTIRQ_OFFSET`: raised once while serving; disabling raises it twice.
const SOFTIRQ_SERVED: u32 = 0x100;
/// `PREEMPT_NEED_RESCHED` (arch/x86/include/asm/preempt.h): no part of the count.
const NEED_RESCHED: u32 = 1 << 31;
/// Less left of a stack than this, in bytes, is little.
pub const STACK_LOW: u32 = 4096;

/// Takes the raw readings: what the observer itself adds is still in them.
#[inline(always)]
pub fn read_context(entry: &mut Entry, task: &CurrentTask, readings: &mut Readings) {
    let count = preempt_count(entry);
    through_memory(&mut readings.preempt_count, count);
    if count != UNKNOWN {
        through_memory(
            &mut readings.preempt_count,
            count.saturating_sub(disabled_by_ftrace(task)),
        );
    }
    through_memory(
        &mut readings.rcu_nesting,
        task.read(layout!(task_rcu_nesting)).unwrap_or(UNKNOWN),
    );
    through_memory(&mut readings.interrupts_off, entry.interrupts_off);
    through_memory(&mut readings.held_locks, held_locks(task));
}

/// How many locks lockdep counts. Once it has reported something it counts no more, and what it
/// has counted stays (`debug_locks_off()`, `lib/debug_locks.c`).
#[inline(always)]
fn held_locks(task: &CurrentTask) -> u32 {
    if layout!(debug_locks) != 0 && read::<u32>(layout!(debug_locks), 0) == Some(0) {
        return UNKNOWN;
    }
    task.read(layout!(task_lockdep_depth)).unwrap_or(UNKNOWN)
}

/// How often ftrace has disabled preemption because several are attached to the function, by other
/// ways than trampolines: it goes through the list of them then, in which the kprobe is, and marks
/// the task (`__ftrace_ops_list_func()`, kernel/trace/ftrace.c; `trace_test_and_set_recursion()`,
/// `include/linux/trace_recursion.h`). Who else is attached may change at any time, so that this is
/// no part of what is measured once and subtracted.
#[inline(always)]
fn disabled_by_ftrace(task: &CurrentTask) -> u32 {
    if layout!(preempt_counted) == 0 || layout!(trace_list_mask) == 0 {
        return 0;
    }
    let marks = task.read::<u64>(layout!(task_trace_recursion)).unwrap_or(0);
    (marks & layout!(trace_list_mask)).count_ones()
}

/// This CPU's preempt count, without what is no part of it; [`UNKNOWN`] where it was not found.
#[inline(always)]
pub fn preempt_count(entry: &mut Entry) -> u32 {
    if entry.scratch.preempt_count_at == 0 {
        entry.scratch.preempt_count_at = preempt_count_at();
    }
    read_preempt_count(entry.scratch.preempt_count_at)
}

/// Where this CPU has its preempt count; 0 where it was not found.
#[inline(always)]
fn preempt_count_at() -> u64 {
    if layout!(preempt_count) == 0 || layout!(per_cpu_offset) == 0 {
        return 0;
    }
    // SAFETY: a helper without arguments.
    let cpu = u64::from(unsafe { bpf_get_smp_processor_id() });
    read::<u64>(layout!(per_cpu_offset) + cpu * 8, 0)
        .map_or(0, |offset| offset.wrapping_add(layout!(preempt_count)))
}

#[inline(always)]
fn read_preempt_count(address: u64) -> u32 {
    if address == 0 {
        return UNKNOWN;
    }
    load::<u32>(address, 0).map_or(UNKNOWN, |count| count & !NEED_RESCHED)
}

/// Whether an interrupt runs, so that the current task is only the one that it came upon.
#[inline(always)]
pub fn in_interrupt(entry: &mut Entry) -> bool {
    is_interrupt(preempt_count(entry))
}

/// The same for programs that have no room of their own.
#[inline(always)]
pub fn interrupts_task() -> bool {
    is_interrupt(read_preempt_count(preempt_count_at()))
}

/// Whether one ran when the preempt count was read.
#[inline(always)]
pub fn is_interrupt(count: u32) -> bool {
    let interrupts = layout!(hardirq_mask) | layout!(nmi_mask) | u64::from(SOFTIRQ_SERVED);
    count != UNKNOWN && u64::from(count) & interrupts != 0
}

/// Subtracts what the observer itself adds.
#[inline(always)]
pub fn subtract(readings: &mut Readings, baseline: &Baseline) {
    let less = |reading: &mut u32, added: u32| {
        let known = reload(reading);
        if known != UNKNOWN {
            through_memory(reading, known.saturating_sub(added));
        }
    };
    less(&mut readings.preempt_count, baseline.preempt_count);
    less(&mut readings.rcu_nesting, baseline.rcu_nesting);
    less(&mut readings.held_locks, baseline.held_locks);
    if baseline.interrupts_off != 0 {
        through_memory(&mut readings.interrupts_off, UNKNOWN);
    }
}

/// What the CPU's counters say.
#[inline(always)]
pub fn from_readings(facts: Recorder, readings: &mut Readings, task: &CurrentTask) {
    let count = reload(&mut readings.preempt_count);
    if count != UNKNOWN {
        if layout!(preempt_counted) != 0 {
            facts.set(Fact::PreemptDisabled, count & PREEMPT_MASK != 0);
        }
        facts.set(Fact::Hardirq, u64::from(count) & layout!(hardirq_mask) != 0);
        facts.set(Fact::Nmi, u64::from(count) & layout!(nmi_mask) != 0);
    }
    // On PREEMPT_RT soft interrupts are counted by task (kernel/softirq.c, 6.12).
    let softirq = if layout!(preempt_rt) == 0 {
        if count == UNKNOWN { None } else { Some(count) }
    } else {
        task.read::<u32>(layout!(task_softirq_disable))
    };
    if let Some(count) = softirq {
        facts.set(Fact::Softirq, count & SOFTIRQ_SERVED != 0);
        facts.set(
            Fact::BhDisabled,
            count & SOFTIRQ_MASK & !SOFTIRQ_SERVED != 0,
        );
    }
    for (fact, reading) in [
        (Fact::InterruptsOff, reload(&mut readings.interrupts_off)),
        (Fact::RcuReader, reload(&mut readings.rcu_nesting)),
        (Fact::LockHeld, reload(&mut readings.held_locks)),
    ] {
        if reading != UNKNOWN {
            facts.set(fact, reading != 0);
        }
    }
}

/// What the task says of itself. Not to be asked in an interrupt, where it says nothing of
/// the caller.
#[inline(always)]
pub fn from_task(facts: Recorder, task: &CurrentTask) {
    let Some(flags) = task.read::<u32>(layout!(task_flags)) else {
        return;
    };
    let flag = |mask: u64| u64::from(flags) & mask != 0;
    facts.set(Fact::Kthread, flag(layout!(pf_kthread)));
    facts.set(Fact::WorkqueueWorker, flag(layout!(pf_wq_worker)));
    facts.set(Fact::Memalloc, flag(layout!(pf_memalloc)));
    facts.set(Fact::Nofs, flag(layout!(pf_nofs)));
    facts.set(Fact::Noio, flag(layout!(pf_noio)));
    facts.set(Fact::Kswapd, flag(layout!(pf_kswapd)));
    if let Some(reclaim_state) = task.read::<u64>(layout!(task_reclaim_state)) {
        facts.set(
            Fact::DirectReclaim,
            reclaim_state != 0 && !flag(layout!(pf_kswapd)),
        );
    }
    if let Some(journal) = task.read::<u64>(layout!(task_journal_info)) {
        facts.set(Fact::Journal, journal != 0);
    }
    if flag(layout!(pf_wq_worker)) {
        if let Some(work) = work_of(task.address) {
            facts.set(Fact::MemReclaimWorker, work.has(layout!(wq_mem_reclaim)));
            facts.set(Fact::OrderedWorker, work.has(layout!(wq_ordered)));
        }
    } else {
        facts.set(Fact::MemReclaimWorker, false);
        facts.set(Fact::OrderedWorker, false);
    }
}

/// What a workqueue worker is doing.
pub struct CurrentWork {
    /// Address of the function.
    pub function: u64,
    /// Address of the `workqueue_struct`.
    pub queue: u64,
    /// The queue's flags.
    pub flags: u32,
}

impl CurrentWork {
    #[inline(always)]
    fn has(&self, flag: u64) -> bool {
        u64::from(self.flags) & flag != 0
    }
}

/// The work item of a worker; `None` if the task runs none, or the kernel hides it.
#[inline(always)]
pub fn work_of(task: u64) -> Option<CurrentWork> {
    let kthread = read(task, layout!(task_kthread))?;
    let worker = read(kthread, layout!(kthread_data))?;
    let function = read(worker, layout!(worker_current_func))?;
    let pool_queue = read(worker, layout!(worker_current_pwq))?;
    let queue = read(pool_queue, layout!(pwq_wq))?;
    // Between two work items a worker has none.
    if queue == 0 {
        return None;
    }
    let flags = read(queue, layout!(wq_flags))?;
    Some(CurrentWork {
        function,
        queue,
        flags,
    })
}

/// Bytes left on the task's stack; [`UNKNOWN`] on another stack (an interrupt's).
#[inline(always)]
pub fn stack_left(entry: &Entry, task: &CurrentTask) -> u32 {
    let Some(bottom) = task.read::<u64>(layout!(task_stack)) else {
        return UNKNOWN;
    };
    let left = entry.stack_pointer.wrapping_sub(bottom);
    if layout!(thread_size) == 0 || left >= layout!(thread_size) {
        UNKNOWN
    } else {
        left as u32
    }
}

/// What the room on the stack says.
#[inline(always)]
pub fn from_stack_left(facts: Recorder, left: u32) {
    if left != UNKNOWN {
        facts.set(Fact::StackBelow4K, left < STACK_LOW);
        facts.set(Fact::StackBelow2K, left < 2048);
    }
}

/// What the functions say that the task is inside of. Returns the number of the inode that
/// it is writing, 0 if none.
#[inline(always)]
pub fn from_marks(facts: Recorder, marks: Option<&TaskMarks>, entry: &Entry, inode: u64) -> u64 {
    facts.set(Fact::WritebackThisInode, false);
    facts.set(Fact::WritebackOtherInode, false);
    facts.set(Fact::Flusher, false);
    facts.set(Fact::NestedEviction, false);
    let mut written_ino = 0;
    if benign_evictions::of(entry) == Around::Eviction {
        facts.set(Fact::NestedEviction, true);
    }
    if let Some(marks) = marks {
        for (index, mark) in marks.marks.iter().enumerate() {
            if index as u32 >= marks.depth {
                break;
            }
            // The stack grows down: a function further out has a higher pointer. One that
            // has not has returned, and its exit was missed.
            if mark.stack_pointer > entry.stack_pointer {
                if let Some(fact) = fact_of(mark, inode) {
                    facts.set(fact, true);
                }
                if mark.kind == MarkKind::Writepages as u32 {
                    written_ino = mark.ino;
                }
            }
        }
    }
    // A flusher writes an inode itself, after its pages, in what is inlined into
    // writeback_sb_inodes() (fs/fs-writeback.c): while it does, it may be this one.
    let facts_now = facts.facts();
    if facts_now.is(Fact::Flusher)
        && facts_now.is(Fact::InodeSync)
        && !facts_now.is(Fact::WritebackThisInode)
    {
        facts.forget(Fact::WritebackThisInode);
    }
    written_ino
}

/// What being inside of the marked function means. To write another inode's metadata is nothing
/// by itself: only its pages hold up an eviction of a third one.
#[inline(always)]
fn fact_of(mark: &Mark, inode: u64) -> Option<Fact> {
    let this = mark.inode == inode;
    if mark.kind == MarkKind::Flusher as u32 {
        Some(Fact::Flusher)
    } else if mark.kind == MarkKind::InodeWriteback as u32 {
        if this {
            Some(Fact::WritebackThisInode)
        } else {
            None
        }
    } else if mark.kind != MarkKind::Writepages as u32 {
        Some(Fact::NestedEviction)
    } else if this {
        Some(Fact::WritebackThisInode)
    } else {
        Some(Fact::WritebackOtherInode)
    }
}
