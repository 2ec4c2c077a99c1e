//! The running kernel's layout: every offset, size, address and flag value that the kernel
//! half needs, resolved at start-up. What cannot be resolved makes facts *unknown*.

use std::{collections::BTreeMap, fs};

use probe_common::{ABSENT, ALL_FACTS, AddressRange, CALLERS_MAX, Fact, KernelLayout};
use thiserror::Error;

use super::{
    btf::{Btf, BtfError, Field},
    evict_callers, glance,
    inode_state::InodeState,
    symbols::Symbols,
    trail,
};
use crate::report::model::Attach;

/// What makes a kernel impossible to watch.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// A type or field without which nothing works.
    #[error("{0}; lastref cannot watch this kernel")]
    Field(#[from] BtfError),
    /// A function without which nothing works.
    #[error(
        "the kernel's symbol table has no `{0}`; lastref cannot watch this kernel \
         (it needs CONFIG_KALLSYMS=y, and a kernel that does not inline `{0}`)"
    )]
    Symbol(&'static str),
}

/// What a field is needed for.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// Nothing works without it.
    Everything,
    /// These facts are unknown without it.
    Facts(&'static [Fact]),
    /// Only this detail of a report is missing without it.
    Detail(&'static str),
}

/// A field of the kernel's types.
pub struct FieldSpec {
    /// The type and the path in it, in the order in which kernels are tried.
    pub places: &'static [(&'static str, &'static str)],
    /// What for.
    pub need: Need,
    slot: fn(&mut KernelLayout) -> &mut u32,
}

/// Declares the table of fields.
macro_rules! fields {
    ($($slot:ident: [$(($type:literal, $path:literal)),+], $need:expr;)+) => {
        /// Every field that is needed, with where it is on which kernels.
        pub const FIELDS: &[FieldSpec] = &[$(FieldSpec {
            places: &[$(($type, $path)),+],
            need: $need,
            slot: |layout| &mut layout.$slot,
        },)+];
    };
}

/// The facts that the reader of `i_state` tells.
const STATE_FACTS: &[Fact] = &[Fact::InodeSync, Fact::InodeDirty, Fact::InodeFreeing];
/// The facts that the owner of a semaphore tells.
const OWNER_FACTS: &[Fact] = &[
    Fact::OwnInodeLock,
    Fact::OwnInvalidateLock,
    Fact::OwnSuperblockLock,
];
/// The facts that the task's flags tell.
const FLAG_FACTS: &[Fact] = &[
    Fact::Kthread,
    Fact::WorkqueueWorker,
    Fact::Memalloc,
    Fact::Nofs,
    Fact::Noio,
    Fact::Kswapd,
];
/// The facts that the worker's queue tells.
const WORKER_FACTS: &[Fact] = &[Fact::MemReclaimWorker, Fact::OrderedWorker];
/// The facts that an inode's dentries tell.
const HOLDER_FACTS: &[Fact] = &[Fact::OneShrinkAway];
/// The facts that the task's stack tells.
const STACK_FACTS: &[Fact] = &[Fact::StackBelow4K, Fact::StackBelow2K];

fields! {
    inode_count: [("inode", "i_count")], Need::Everything;
    inode_sb: [("inode", "i_sb")], Need::Everything;
    sb_type: [("super_block", "s_type")], Need::Everything;
    inode_ino: [("inode", "i_ino")], Need::Detail("inode numbers");
    // struct inode_state_flags since 7.0.
    inode_state: [("inode", "i_state")], Need::Facts(STATE_FACTS);
    inode_nlink: [("inode", "i_nlink")], Need::Facts(&[Fact::Unlinked]);
    inode_mapping: [("inode", "i_mapping")], Need::Facts(&[Fact::OwnInvalidateLock]);
    inode_rwsem: [("inode", "i_rwsem")], Need::Facts(&[Fact::OwnInodeLock]);
    sb_flags: [("super_block", "s_flags")], Need::Facts(&[Fact::SuperblockInactive]);
    sb_dev: [("super_block", "s_dev")], Need::Detail("device numbers");
    sb_id: [("super_block", "s_id")], Need::Detail("device names");
    sb_umount: [("super_block", "s_umount")], Need::Facts(&[Fact::OwnSuperblockLock]);
    fs_type_name: [("file_system_type", "name")], Need::Detail("filesystem names");
    mapping_host: [("address_space", "host")],
        Need::Facts(&[Fact::WritebackThisInode, Fact::WritebackOtherInode]);
    mapping_invalidate_lock: [("address_space", "invalidate_lock")],
        Need::Facts(&[Fact::OwnInvalidateLock]);
    rwsem_count: [("rw_semaphore", "count"), ("rw_semaphore", "rwbase.readers")],
        Need::Facts(OWNER_FACTS);
    rwsem_owner: [
        ("rw_semaphore", "owner"),
        ("rw_semaphore", "rwbase.rtmutex.owner"),
        ("rw_semaphore", "rwbase.rtmutex.rtmutex.owner")
    ], Need::Facts(OWNER_FACTS);
    mutex_owner: [("mutex", "owner"), ("mutex", "rtmutex.owner"), ("mutex", "rtmutex.rtmutex.owner")],
        Need::Detail("whether mutexes that were seen to be taken are still held");
    rwsem_dep_map: [("rw_semaphore", "dep_map")],
        Need::Detail("the inode's own locks, as lockdep knows them");
    sb_root: [("super_block", "s_root")], Need::Detail("the names of locks of other superblocks");
    dentry_sb: [("dentry", "d_sb")], Need::Detail("the names of locks of other superblocks");
    inode_dentries: [("inode", "i_dentry.first")], Need::Facts(HOLDER_FACTS);
    // The union that it is in has lost its name by 7.3.
    dentry_alias: [("dentry", "d_u.d_alias"), ("dentry", "d_alias")], Need::Facts(HOLDER_FACTS);
    dentry_inode: [("dentry", "d_inode")], Need::Facts(HOLDER_FACTS);
    dentry_users: [("dentry", "d_lockref.count")], Need::Facts(HOLDER_FACTS);
    hlist_next: [("hlist_node", "next")], Need::Facts(HOLDER_FACTS);
    task_flags: [("task_struct", "flags")], Need::Facts(FLAG_FACTS);
    task_journal_info: [("task_struct", "journal_info")], Need::Facts(&[Fact::Journal]);
    task_reclaim_state: [("task_struct", "reclaim_state")], Need::Facts(&[Fact::DirectReclaim]);
    task_stack: [("task_struct", "stack")], Need::Facts(STACK_FACTS);
    task_voluntary_switches: [("task_struct", "nvcsw")], Need::Detail("whether evictions slept");
    task_rcu_nesting: [("task_struct", "rcu_read_lock_nesting")], Need::Facts(&[Fact::RcuReader]);
    task_trace_recursion: [("task_struct", "trace_recursion")],
        Need::Detail("who else is attached to the same functions");
    task_softirq_disable: [("task_struct", "softirq_disable_cnt")],
        Need::Detail("soft interrupts under PREEMPT_RT");
    // `worker_private` since 5.17, `set_child_tid` before (to_kthread, kernel/kthread.c).
    task_kthread: [("task_struct", "worker_private"), ("task_struct", "set_child_tid")],
        Need::Facts(WORKER_FACTS);
    task_lockdep_depth: [("task_struct", "lockdep_depth")], Need::Facts(&[Fact::LockHeld]);
    task_held_locks: [("task_struct", "held_locks")], Need::Detail("the names of held locks");
    kthread_data: [("kthread", "data")], Need::Facts(WORKER_FACTS);
    worker_current_func: [("worker", "current_func")], Need::Facts(WORKER_FACTS);
    worker_current_pwq: [("worker", "current_pwq")], Need::Facts(WORKER_FACTS);
    pwq_wq: [("pool_workqueue", "wq")], Need::Facts(WORKER_FACTS);
    wq_name: [("workqueue_struct", "name")], Need::Detail("workqueue names");
    wq_flags: [("workqueue_struct", "flags")], Need::Facts(WORKER_FACTS);
    held_lock_instance: [("held_lock", "instance")],
        Need::Detail("the inode's own locks, as lockdep knows them");
    held_lock_acquire_ip: [("held_lock", "acquire_ip")], Need::Detail("who took held locks");
    lock_class_wait_type: [("lock_class", "wait_type_inner")],
        Need::Detail("a comparison of --track-locks with lockdep");
    lock_class_name: [("lock_class", "name")], Need::Detail("the names of held locks");
}

/// A task's flags. They are macros, so that the kernel does not describe them; the values
/// are the same from 5.10 to 7.3 (include/linux/sched.h).
mod task_flag {
    pub const WQ_WORKER: u64 = 0x20;
    pub const MEMALLOC: u64 = 0x800;
    pub const KSWAPD: u64 = 0x2_0000;
    pub const MEMALLOC_NOFS: u64 = 0x4_0000;
    pub const MEMALLOC_NOIO: u64 = 0x8_0000;
    pub const KTHREAD: u64 = 0x20_0000;
}

/// `SB_ACTIVE`, a macro of the same value from 5.10 to 7.3 (include/linux/fs.h).
const SB_ACTIVE: u64 = 1 << 30;

/// What `bpf_rdonly_cast()` takes to turn an address into a pointer that programs may load from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectLoads {
    /// The number by which programs call it: the function's among the kernel's types.
    pub rdonly_cast: u32,
    /// The number of a struct that begins with a machine word.
    pub word_type: u32,
}

/// A field as it was found on the running kernel.
#[derive(Clone, Copy, Debug)]
pub struct ResolvedField {
    /// Its type.
    pub type_name: &'static str,
    /// Its path in the type.
    pub path: &'static str,
    /// Its offset in bytes; `None` if this kernel lacks it.
    pub offset: Option<u32>,
    /// What it is needed for.
    pub need: Need,
}

/// The running kernel, resolved.
pub struct Resolved {
    /// What the kernel half gets.
    pub layout: KernelLayout,
    /// The kernel's own text, modules left out.
    pub text: AddressRange,
    /// Whether the kernel counts the hits that it skips of programs on kprobes. It does since
    /// 6.7, which also tells them of a link (`trace_call_bpf()`, `kernel/trace/bpf_trace.c`).
    pub counts_kprobe_misses: bool,
    /// How programs can load from the kernel's memory without a helper, if they can.
    pub direct_loads: Option<DirectLoads>,
    /// Every field, found or not.
    pub fields: Vec<ResolvedField>,
    /// The facts that this kernel cannot tell, with the reason.
    pub unknown_facts: BTreeMap<Fact, String>,
    /// Names of the functions that call `evict` directly, `iput` left out; why they could
    /// not be found, otherwise.
    pub evict_callers: Result<Vec<String>, String>,
}

/// Resolves the running kernel.
///
/// # Errors
/// If something is missing without which nothing works.
pub fn resolve(btf: &Btf, symbols: &Symbols) -> Result<Resolved, LayoutError> {
    for name in ["iput", "evict"] {
        if !symbols.contains(name) {
            return Err(LayoutError::Symbol(name));
        }
    }
    let mut resolved = Resolved {
        layout: KernelLayout::unknown(),
        text: AddressRange {
            start: symbols
                .address("_stext")
                .ok_or(LayoutError::Symbol("_stext"))?,
            end: symbols
                .address("_etext")
                .ok_or(LayoutError::Symbol("_etext"))?,
        },
        counts_kprobe_misses: btf
            .field("bpf_link_info", "perf_event.kprobe.missed")
            .is_ok(),
        direct_loads: None,
        fields: Vec::new(),
        unknown_facts: BTreeMap::new(),
        evict_callers: Ok(Vec::new()),
    };
    resolve_fields(btf, &mut resolved)?;
    resolved.layout.inode_size = btf.size_of("inode").unwrap_or(0);
    resolved.layout.sb_size = btf.size_of("super_block").unwrap_or(0);
    resolved.direct_loads = direct_loads(btf);
    resolve_state(btf, &mut resolved);
    resolve_task(btf, symbols, &mut resolved);
    resolve_preempt_count(btf, symbols, &mut resolved);
    resolve_lockdep(btf, symbols, &mut resolved);
    resolve_text(symbols, &mut resolved);
    glance::resolve(btf, &mut resolved.layout);
    trail::resolve(btf, symbols, &mut resolved.layout);
    Ok(resolved)
}

impl Resolved {
    /// The facts that stay unknown when the probes are attached this way, with the reason.
    #[must_use]
    pub fn unknown_facts(&self, attach: Attach) -> BTreeMap<String, String> {
        let mut unknown: BTreeMap<String, String> = self
            .unknown_facts
            .iter()
            .map(|(fact, reason)| (fact.name().to_owned(), reason.clone()))
            .collect();
        if attach == Attach::Fentry {
            unknown.insert(
                Fact::InterruptsOff.name().to_owned(),
                "a trampoline does not save the processor's flags; --attach kprobe knows".into(),
            );
        }
        unknown
    }

    fn forget(&mut self, facts: &[Fact], reason: &str) {
        for fact in facts {
            self.unknown_facts
                .entry(*fact)
                .or_insert_with(|| reason.to_owned());
        }
    }
}

fn resolve_fields(btf: &Btf, resolved: &mut Resolved) -> Result<(), LayoutError> {
    for spec in FIELDS {
        let found = spec.places.iter().find_map(|(type_name, path)| {
            let field = btf.field(type_name, path).ok()?;
            Some((*type_name, *path, field.offset()))
        });
        if let Some((.., offset)) = found {
            *(spec.slot)(&mut resolved.layout) = offset;
        }
        let (type_name, path) = found.map_or(spec.places[0], |(name, path, _)| (name, path));
        if found.is_none() {
            match spec.need {
                Need::Everything => {
                    return Err(BtfError::NoField(type_name.into(), path.into()).into());
                }
                Need::Facts(facts) => {
                    resolved.forget(facts, &format!("this kernel has no {type_name}.{path}"));
                }
                Need::Detail(_) => {}
            }
        }
        resolved.fields.push(ResolvedField {
            type_name,
            path,
            offset: found.map(|(.., offset)| offset),
            need: spec.need,
        });
    }
    Ok(())
}

/// How programs can load without a helper: they can since 6.2, if they are compiled
/// (`add_kfunc_call()`, kernel/bpf/verifier.c).
fn direct_loads(btf: &Btf) -> Option<DirectLoads> {
    let setting = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable");
    if setting.is_ok_and(|setting| setting.trim() == "0") {
        return None;
    }
    Some(DirectLoads {
        rdonly_cast: btf.function_id("bpf_rdonly_cast")?,
        // The registers begin with a machine word on every machine.
        word_type: btf.struct_id("pt_regs")?,
    })
}

fn resolve_state(btf: &Btf, resolved: &mut Resolved) {
    if let Ok(field) = btf.field("inode", "i_state") {
        resolved.layout.inode_state_size = btf.size_of_field(field);
    }
    let state = InodeState::resolve(btf);
    resolved.layout.i_sync = state.mask(&["I_SYNC"]);
    resolved.layout.i_dirty = state.mask(&[
        "I_DIRTY_SYNC",
        "I_DIRTY_DATASYNC",
        "I_DIRTY_PAGES",
        "I_DIRTY_TIME",
    ]);
    resolved.layout.i_freeing = state.mask(&["I_FREEING", "I_WILL_FREE"]);
    if !state.is_complete() {
        resolved.forget(
            STATE_FACTS,
            "the values of the inode state flags are not known: mount tracefs \
             (mount -t tracefs tracefs /sys/kernel/tracing)",
        );
    }
    resolved.layout.sb_active = SB_ACTIVE;
}

fn resolve_task(btf: &Btf, symbols: &Symbols, resolved: &mut Resolved) {
    let layout = &mut resolved.layout;
    layout.pf_kthread = task_flag::KTHREAD;
    layout.pf_wq_worker = task_flag::WQ_WORKER;
    layout.pf_kswapd = task_flag::KSWAPD;
    layout.pf_memalloc = task_flag::MEMALLOC;
    layout.pf_nofs = task_flag::MEMALLOC_NOFS;
    layout.pf_noio = task_flag::MEMALLOC_NOIO;
    layout.wq_mem_reclaim = btf.enumerator("WQ_MEM_RECLAIM").unwrap_or(0);
    layout.wq_ordered = btf.enumerator("__WQ_ORDERED").unwrap_or(0);
    // The first task's stack is a stack like any other, and the linker script marks its
    // ends (INIT_TASK_DATA, include/asm-generic/vmlinux.lds.h): by these names since 6.8,
    // as the whole task's data before.
    layout.thread_size = [
        ("__start_init_stack", "__end_init_stack"),
        ("__start_init_task", "__end_init_task"),
    ]
    .iter()
    .find_map(|(start, end)| symbols.address(end)?.checked_sub(symbols.address(start)?))
    .filter(|size| size.is_power_of_two())
    .unwrap_or(0);
    if layout.wq_mem_reclaim == 0 || layout.wq_ordered == 0 {
        resolved.forget(
            WORKER_FACTS,
            "this kernel does not describe the workqueue flags",
        );
    }
    if resolved.layout.thread_size == 0 {
        resolved.forget(
            STACK_FACTS,
            "the size of this kernel's stacks was not found (CONFIG_KALLSYMS_ALL=y shows it)",
        );
    }
}

/// The bits of `task_struct.trace_recursion` for ftrace's list of callbacks, one for each context
/// (`include/linux/trace_recursion.h`): four, or five from 5.16 on.
fn trace_list_mask(btf: &Btf) -> Option<u64> {
    let first = btf.enumerator("TRACE_INTERNAL_BIT")?;
    let last = btf
        .enumerator("TRACE_INTERNAL_TRANSITION_BIT")
        .or_else(|| btf.enumerator("TRACE_INTERNAL_SIRQ_BIT"))?;
    let bits = |below: u64| Some((1_u64.checked_shl(u32::try_from(below).ok()?)?).wrapping_sub(1));
    Some(bits(last.checked_add(1)?)? & !bits(first)?)
}

/// Where the preempt count is, and what its bits mean.
fn resolve_preempt_count(btf: &Btf, symbols: &Symbols, resolved: &mut Resolved) {
    let layout = &mut resolved.layout;
    layout.per_cpu_offset = symbols.address("__per_cpu_offset").unwrap_or(0);
    // `pcpu_hot.preempt_count` from 6.2 to 6.14, a variable of its own before and after
    // (arch/x86/include/asm/preempt.h).
    layout.preempt_count = symbols
        .address("__preempt_count")
        .or_else(|| {
            let field = btf.field("pcpu_hot", "preempt_count").ok()?;
            Some(symbols.address("pcpu_hot")? + u64::from(field.offset()))
        })
        .unwrap_or(0);
    // Kernels that can disable interrupts by count keep that count in bits 16 to 23, and
    // hard interrupts above it (include/linux/preempt.h, 7.3); older ones have hard
    // interrupts in bits 16 to 19 and NMIs in bits 20 to 23.
    let counts_disabled_interrupts = symbols.contains("local_interrupt_disable_state");
    (layout.hardirq_mask, layout.nmi_mask) = if counts_disabled_interrupts {
        (0x0f00_0000, 0x1000_0000)
    } else {
        (0x000f_0000, 0x00f0_0000)
    };
    layout.preempt_rt = u64::from(btf.field("task_struct", "softirq_disable_cnt").is_ok());
    // Only there with CONFIG_PREEMPTION, or with DEBUG_ATOMIC_SLEEP; both select
    // PREEMPT_COUNT (kernel/Kconfig.preempt, lib/Kconfig.debug).
    let counted = ["preempt_schedule", "__might_resched", "___might_sleep"]
        .iter()
        .any(|name| symbols.contains(name));
    layout.preempt_counted = u64::from(counted);
    layout.trace_list_mask = trace_list_mask(btf).unwrap_or(0);

    if layout.preempt_count == 0 || layout.per_cpu_offset == 0 {
        resolved.forget(
            &[
                Fact::Hardirq,
                Fact::Softirq,
                Fact::Nmi,
                Fact::BhDisabled,
                Fact::PreemptDisabled,
            ],
            "the preempt count was not found (CONFIG_KALLSYMS_ALL=y shows it)",
        );
    } else if !counted {
        resolved.forget(
            &[Fact::PreemptDisabled],
            "this kernel does not count preempt_disable() (CONFIG_PREEMPT_COUNT is off)",
        );
    }
}

fn resolve_lockdep(btf: &Btf, symbols: &Symbols, resolved: &mut Resolved) {
    let bits = |path| btf.field("held_lock", path).ok();
    let place = |field: Field| {
        (
            field.bit_offset / 32 * 4,
            field.bit_offset % 32,
            field.bit_width,
        )
    };
    let layout = &mut resolved.layout;
    let (Some(class), Some(read)) = (bits("class_idx"), bits("read")) else {
        return;
    };
    (
        layout.held_lock_class_word,
        layout.held_lock_class_shift,
        layout.held_lock_class_bits,
    ) = place(class);
    (
        layout.held_lock_read_word,
        layout.held_lock_read_shift,
        layout.held_lock_read_bits,
    ) = place(read);
    layout.held_lock_size = btf.size_of("held_lock").unwrap_or(ABSENT);
    layout.lock_class_size = btf.size_of("lock_class").unwrap_or(ABSENT);
    layout.lock_classes = symbols.address("lock_classes").unwrap_or(0);
    layout.debug_locks = symbols.address("debug_locks").unwrap_or(0);
    layout.ld_wait_sleep = btf.enumerator("LD_WAIT_SLEEP").unwrap_or(0);
}

fn resolve_text(symbols: &Symbols, resolved: &mut Resolved) {
    fill(&mut resolved.layout.iput, &symbols.ranges("iput"));
    fill(&mut resolved.layout.evict, &symbols.ranges("evict"));
    match evict_callers::direct_callers(symbols) {
        // Its caller would be taken for one that called iput().
        Ok(callers) if callers.iter().any(|caller| caller.jumps) => {
            resolved.evict_callers =
                Err("a function besides iput() jumps to evict(), and leaves no frame".into());
        }
        Ok(callers) => {
            let ranges: Vec<_> = callers
                .iter()
                .flat_map(|caller| caller.ranges.iter().copied())
                .collect();
            if ranges.len() > CALLERS_MAX {
                resolved.evict_callers = Err(format!(
                    "evict has {} callers, more than expected",
                    callers.len()
                ));
                return;
            }
            fill(&mut resolved.layout.evict_callers, &ranges);
            resolved.layout.evict_callers_known = 1;
            resolved.evict_callers = Ok(callers.into_iter().map(|caller| caller.name).collect());
        }
        Err(error) => resolved.evict_callers = Err(error.to_string()),
    }
}

fn fill(slots: &mut [AddressRange], ranges: &[AddressRange]) {
    for (slot, range) in slots.iter_mut().zip(ranges) {
        *slot = *range;
    }
}

/// Every fact that is not in `unknown`, in the order of the table.
pub fn known_facts(unknown: &BTreeMap<String, String>) -> impl Iterator<Item = Fact> {
    ALL_FACTS
        .iter()
        .copied()
        .filter(|fact| !unknown.contains_key(fact.name()))
}
