//! What the kernel half must know of the running kernel: offsets, sizes, addresses, flag values.
//!
//! The agent resolves every number at start-up and hands them over as one read-only global,
//! which the verifier treats as constants. Nothing here has a default that could be true of
//! some kernel: what could not be resolved is [`ABSENT`] (offsets) or zero (addresses, masks).

/// An offset that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// The most parts of a function that are kept: its own text and its cold part.
pub const PARTS_MAX: usize = 2;

/// The most ranges of the functions that call `evict` directly.
pub const CALLERS_MAX: usize = 8;

/// The most bytes of an object that are read at once.
pub const SPAN_MAX: usize = 192;

/// The most bytes of a stack that are searched for its trail.
pub const TRAIL_MAX: usize = 4096;

/// A half-open range of kernel text addresses; `0..0` is unused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AddressRange {
    /// First address.
    pub start: u64,
    /// First address after the range.
    pub end: u64,
}

impl AddressRange {
    /// Whether `address` lies in the range.
    #[inline(always)]
    #[must_use]
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }
}

/// Stands for `bpf_rdonly_cast()` in calls of the kernel half: no helper has this number. The agent
/// puts the function's own number there before load, which is another on every kernel.
pub const CAST_PLACEHOLDER: u32 = 0x7ffe_ca57;

/// Declares the layout record: offsets first (all `u32`), then what is 64 bits wide.
macro_rules! layout {
    (
        offsets { $($(#[$offset_doc:meta])+ $offset:ident,)+ }
        values { $($(#[$value_doc:meta])+ $value:ident: $kind:ty = $empty:expr,)+ }
    ) => {
        /// The running kernel, as far as the kernel half needs it. Offsets are in bytes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct KernelLayout {
            $($(#[$value_doc])+ pub $value: $kind,)+
            $($(#[$offset_doc])+ pub $offset: u32,)+
        }

        impl KernelLayout {
            /// A layout of which nothing is known.
            #[must_use]
            pub const fn unknown() -> Self {
                Self { $($value: $empty,)+ $($offset: ABSENT,)+ }
            }
        }
    };
}

layout! {
    offsets {
        /// `inode.i_count` (an `atomic_t`).
        inode_count,
        /// `inode.i_ino` (8 bytes).
        inode_ino,
        /// `inode.i_state`.
        inode_state,
        /// Size of `inode.i_state`: 8 bytes to 6.11, 4 from 6.12.
        inode_state_size,
        /// `inode.i_sb`.
        inode_sb,
        /// `inode.i_nlink` (4 bytes).
        inode_nlink,
        /// `inode.i_mapping`.
        inode_mapping,
        /// `inode.i_rwsem`.
        inode_rwsem,
        /// `inode.i_dentry.first`: the first of the inode's dentries.
        inode_dentries,
        /// Size of `struct inode`.
        inode_size,
        /// Size of `struct super_block`.
        sb_size,
        /// Where the part of an inode begins in which all is that a glance reads of it.
        inode_span_start,
        /// That part's size; [`ABSENT`] if it is more than [`SPAN_MAX`].
        inode_span_size,
        /// The same of a superblock.
        sb_span_start,
        /// That part's size.
        sb_span_size,
        /// `super_block.s_root`.
        sb_root,
        /// `dentry.d_sb`.
        dentry_sb,
        /// `dentry.d_inode`.
        dentry_inode,
        /// The dentry's place in [`KernelLayout::inode_dentries`].
        dentry_alias,
        /// `dentry.d_lockref.count` (4 bytes): how many use the dentry.
        dentry_users,
        /// `hlist_node.next`.
        hlist_next,
        /// `super_block.s_flags` (8 bytes).
        sb_flags,
        /// `super_block.s_type`.
        sb_type,
        /// `super_block.s_dev` (4 bytes).
        sb_dev,
        /// `super_block.s_id` (a string of 32 bytes).
        sb_id,
        /// `super_block.s_umount`.
        sb_umount,
        /// `file_system_type.name`.
        fs_type_name,
        /// `address_space.host`.
        mapping_host,
        /// `address_space.invalidate_lock`, since 5.15.
        mapping_invalidate_lock,
        /// `rw_semaphore.count`; on `PREEMPT_RT`, `rw_semaphore.rwbase.readers`.
        rwsem_count,
        /// `rw_semaphore.owner`; on `PREEMPT_RT`, `rw_semaphore.rwbase.rtmutex.owner`.
        rwsem_owner,
        /// `mutex.owner`; on `PREEMPT_RT`, `mutex.rtmutex.owner`.
        mutex_owner,
        /// `rw_semaphore.dep_map`, only with `LOCKDEP`.
        rwsem_dep_map,
        /// `task_struct.flags` (4 bytes).
        task_flags,
        /// `task_struct.journal_info`.
        task_journal_info,
        /// `task_struct.reclaim_state`.
        task_reclaim_state,
        /// `task_struct.stack`.
        task_stack,
        /// `task_struct.nvcsw`: voluntary context switches.
        task_voluntary_switches,
        /// `task_struct.rcu_read_lock_nesting`, only with `PREEMPT_RCU`.
        task_rcu_nesting,
        /// `task_struct.trace_recursion`, only with `TRACING`.
        task_trace_recursion,
        /// `task_struct.softirq_disable_cnt`, only with `PREEMPT_RT`.
        task_softirq_disable,
        /// `task_struct`'s pointer to `struct kthread`: `worker_private` since 5.17,
        /// `set_child_tid` before.
        task_kthread,
        /// `task_struct.lockdep_depth`, only with `LOCKDEP`.
        task_lockdep_depth,
        /// `task_struct.held_locks`, only with `LOCKDEP`.
        task_held_locks,
        /// `kthread.data`: a workqueue worker's `struct worker`.
        kthread_data,
        /// `worker.current_func`.
        worker_current_func,
        /// `worker.current_pwq`.
        worker_current_pwq,
        /// `pool_workqueue.wq`.
        pwq_wq,
        /// `workqueue_struct.name` (a string of at least 24 bytes).
        wq_name,
        /// `workqueue_struct.flags` (4 bytes).
        wq_flags,
        /// Size of `struct held_lock`.
        held_lock_size,
        /// Byte offset of the word that holds `held_lock.class_idx`.
        held_lock_class_word,
        /// First bit of `held_lock.class_idx` in that 4-byte word.
        held_lock_class_shift,
        /// Width of `held_lock.class_idx` in bits.
        held_lock_class_bits,
        /// Byte offset of the word that holds `held_lock.read`.
        held_lock_read_word,
        /// First bit of `held_lock.read` in that word.
        held_lock_read_shift,
        /// Width of `held_lock.read` in bits.
        held_lock_read_bits,
        /// `held_lock.instance`: the lock's `lockdep_map`.
        held_lock_instance,
        /// `held_lock.acquire_ip`: who took it.
        held_lock_acquire_ip,
        /// Size of `struct lock_class`.
        lock_class_size,
        /// `lock_class.wait_type_inner` (1 byte).
        lock_class_wait_type,
        /// `lock_class.name`.
        lock_class_name,
    }
    values {
        /// The text of `iput`, cold part included.
        iput: [AddressRange; PARTS_MAX] = [AddressRange { start: 0, end: 0 }; PARTS_MAX],
        /// The text of `evict`.
        evict: [AddressRange; PARTS_MAX] = [AddressRange { start: 0, end: 0 }; PARTS_MAX],
        /// The functions other than `iput` that call `evict` directly.
        evict_callers: [AddressRange; CALLERS_MAX] = [AddressRange { start: 0, end: 0 }; CALLERS_MAX],
        /// 1 if `evict_callers` could be worked out.
        evict_callers_known: u64 = 0,
        /// `__per_cpu_offset[]`: what to add to a per-CPU symbol for each CPU.
        per_cpu_offset: u64 = 0,
        /// The per-CPU preempt count: symbol address plus the field's offset in it.
        preempt_count: u64 = 0,
        /// The preempt count's bits for hard interrupts.
        hardirq_mask: u64 = 0,
        /// The preempt count's bits for non-maskable interrupts.
        nmi_mask: u64 = 0,
        /// `lock_classes[]`, only with `LOCKDEP`.
        lock_classes: u64 = 0,
        /// `debug_locks`: 0 once lockdep has reported something and has given up.
        debug_locks: u64 = 0,
        /// `LD_WAIT_SLEEP`: the wait type of locks whose holder may sleep.
        ld_wait_sleep: u64 = 0,
        /// Size of a task's kernel stack in bytes (`THREAD_SIZE`).
        thread_size: u64 = 0,
        /// The state bits: `I_SYNC`.
        i_sync: u64 = 0,
        /// `I_DIRTY_SYNC | I_DIRTY_DATASYNC | I_DIRTY_PAGES | I_DIRTY_TIME`.
        i_dirty: u64 = 0,
        /// `I_FREEING | I_WILL_FREE`.
        i_freeing: u64 = 0,
        /// `SB_ACTIVE`.
        sb_active: u64 = 0,
        /// `PF_KTHREAD`.
        pf_kthread: u64 = 0,
        /// `PF_WQ_WORKER`.
        pf_wq_worker: u64 = 0,
        /// `PF_KSWAPD`.
        pf_kswapd: u64 = 0,
        /// `PF_MEMALLOC`.
        pf_memalloc: u64 = 0,
        /// `PF_MEMALLOC_NOFS`.
        pf_nofs: u64 = 0,
        /// `PF_MEMALLOC_NOIO`.
        pf_noio: u64 = 0,
        /// `WQ_MEM_RECLAIM`.
        wq_mem_reclaim: u64 = 0,
        /// `__WQ_ORDERED`.
        wq_ordered: u64 = 0,
        /// 1 where `preempt_disable()` raises the preempt count (`PREEMPT_COUNT`).
        preempt_counted: u64 = 0,
        /// The type of a struct that begins with a machine word, by its number in the kernel's BTF,
        /// if `bpf_rdonly_cast()` can be called; else 0.
        word_type: u64 = 0,
        /// The bits of `task_struct.trace_recursion` that are set while ftrace calls all who are
        /// attached to a function, one after the other (`TRACE_INTERNAL_*_BIT`).
        trace_list_mask: u64 = 0,
        /// 1 where programs can load from the current task, as the verifier knows its type
        /// (`bpf_get_current_task_btf()`, since 5.11).
        task_typed: u64 = 0,
        /// All of the flags above that a task may have.
        pf_known: u64 = 0,
        /// 1 where a glance can tell that a put is benign: this kernel has all that it reads, and
        /// nothing else can tell more, nor is asked to.
        can_glance: u64 = 0,
        /// 1 where the trail of a stack tells how it is walked.
        has_trails: u64 = 0,
        /// Size of the registers of user space, which are at the top of a task's stack, in bytes
        /// (`pt_regs`).
        user_registers: u64 = 0,
        /// The return addresses that stand for others, which the kernel keeps elsewhere: the function
        /// graph tracer's, and those of kretprobes. Unused ones are 0.
        return_hooks: [u64; 2] = [0; 2],
        /// 1 on `PREEMPT_RT`, where an rwsem is an `rwbase_rt`.
        preempt_rt: u64 = 0,
    }
}

const _: () = assert!(size_of::<KernelLayout>().is_multiple_of(8));
