//! What large reports are made of: ways into `iput()`, innermost frame first, as stock kernels
//! have them, with what is true of a call on each. Lists of names are separated by spaces.

use probe_common::Fact;

/// A filesystem and its functions.
pub struct Filesystem {
    /// Its type.
    pub name: &'static str,
    /// Superblocks, with their devices.
    pub superblocks: &'static [(&'static str, &'static str)],
    /// Whether it is built into the kernel.
    pub builtin: bool,
    /// Functions that put inodes.
    pub puts: &'static str,
    /// Functions on the way to those.
    pub ways: &'static str,
}

/// Where a call chain begins: its outermost frames, and what is true of a call in them.
pub struct Scene {
    /// The frames, innermost first. Those of the filesystem come before.
    pub frames: &'static str,
    /// The facts that are true.
    pub facts: &'static [Fact],
    /// The names that its threads have; `{}` stands for a number.
    pub comms: &'static str,
    /// The work item's function, its queue and the queue's flags.
    pub work: Option<(&'static str, &'static str, &'static [&'static str])>,
    /// Whether inodes are put by the dentry cache.
    pub by_dcache: bool,
    /// How many of a hundred puts evict.
    pub evicts: u64,
    /// How many of a hundred sites begin here.
    pub share: u32,
}

const DISKS: &[(&str, &str)] = &[
    ("sda1", "8:1"),
    ("sda3", "8:3"),
    ("nvme0n1p2", "259:2"),
    ("dm-0", "253:0"),
    ("dm-4", "253:4"),
];

/// The filesystems.
pub const FILESYSTEMS: &[Filesystem] = &[
    Filesystem {
        name: "ceph",
        superblocks: &[("ceph", "0:51"), ("ceph", "0:58")],
        builtin: false,
        puts: "ceph_put_wrbuffer_cap_refs ceph_put_snap_realm __ceph_put_cap_refs \
            ceph_mdsc_release_request ceph_queue_inode_work ceph_drop_caps_for_unlink \
            ceph_invalidate_folio ceph_put_cap_refs_async",
        ways: "ceph_writepages_start ceph_check_caps ceph_handle_caps ceph_flush_snaps \
            ceph_dirty_folio ceph_fill_trace ceph_readdir_prepopulate writepages_finish",
    },
    Filesystem {
        name: "ext4",
        superblocks: DISKS,
        builtin: false,
        puts: "ext4_xattr_inode_iget ext4_xattr_set_entry ext4_orphan_cleanup \
            ext4_xattr_delete_inode ext4_delayed_iput_fn ext4_rename ext4_mb_put_buddy \
            ext4_quota_off",
        ways: "ext4_do_writepages ext4_writepages ext4_xattr_block_set ext4_evict_inode \
            ext4_ext_truncate ext4_mark_inode_dirty ext4_setattr ext4_add_entry",
    },
    Filesystem {
        name: "xfs",
        superblocks: DISKS,
        builtin: false,
        puts: "xfs_irele xchk_irele xfs_qm_dqrele_inode xfs_iunlink_reload_next xfs_rename \
            xfs_blockgc_scan_inode xrep_tempfile_rele xfs_rtunmount_inodes",
        ways: "xfs_vm_writepages xfs_icwalk_ag xfs_icwalk xfs_reflink_remap_range \
            xfs_bmap_del_extent_real xfs_trans_roll xfs_log_worker xfs_free_eofblocks",
    },
    Filesystem {
        name: "btrfs",
        superblocks: &[("btrfs-1", "0:36"), ("btrfs-2", "0:44")],
        builtin: false,
        puts: "btrfs_run_delayed_iput btrfs_add_delayed_iput btrfs_drop_snapshot \
            btrfs_orphan_cleanup btrfs_relocate_block_group btrfs_wait_ordered_extent \
            extent_map_shrinker_scan_root btrfs_log_inode_parent",
        ways: "btrfs_writepages extent_write_cache_pages btrfs_finish_one_ordered \
            btrfs_commit_transaction btrfs_sync_log submit_one_async_extent btrfs_balance \
            cow_file_range",
    },
    Filesystem {
        name: "f2fs",
        superblocks: DISKS,
        builtin: false,
        puts: "f2fs_gc f2fs_sync_dirty_inodes put_gc_inode f2fs_recover_fsync_data \
            f2fs_drop_inode f2fs_evict_inode f2fs_abort_atomic_write del_fsync_inode",
        ways: "f2fs_write_data_pages f2fs_balance_fs f2fs_write_checkpoint block_operations \
            f2fs_sync_node_pages f2fs_sync_fs f2fs_convert_inline_inode do_garbage_collect",
    },
    Filesystem {
        name: "nfs4",
        superblocks: &[("0:62", "0:62"), ("0:71", "0:71")],
        builtin: false,
        puts: "nfs_iput_and_deactive nfs_free_unlinkdata nfs_dentry_iput nfs4_put_open_state \
            __put_nfs_open_context pnfs_layoutreturn_free_lsegs nfs_commit_release \
            nfs_inode_find_delegation_state",
        ways: "nfs_writepages nfs_commit_inode nfs4_delegreturn_release nfs4_close_done \
            nfs_async_unlink_release pnfs_roc_release nfs_write_completion rpc_free_task",
    },
    Filesystem {
        name: "fuse",
        superblocks: &[("0:80", "0:80"), ("virtiofs0", "0:39")],
        builtin: false,
        puts: "fuse_release_end fuse_writepage_end fuse_reverse_inval_inode \
            fuse_dax_break_layouts fuse_readpages_end fuse_forget_inode fuse_dentry_delete \
            fuse_notify_store",
        ways: "fuse_writepages fuse_request_end fuse_dev_do_write fuse_flush_writepages \
            virtio_fs_request_complete fuse_do_setattr fuse_readdir_cached fuse_file_put",
    },
    Filesystem {
        name: "nilfs2",
        superblocks: DISKS,
        builtin: false,
        puts: "nilfs_dispose_list nilfs_segctor_drop_written_files nilfs_ioctl_move_blocks \
            nilfs_attach_log_writer nilfs_put_root nilfs_ifile_read",
        ways: "nilfs_writepages nilfs_segctor_unlock nilfs_segctor_do_construct \
            nilfs_segctor_construct nilfs_transaction_commit nilfs_construct_segment",
    },
    Filesystem {
        name: "overlay",
        superblocks: &[
            ("overlay", "0:47"),
            ("overlay", "0:48"),
            ("overlay", "0:90"),
        ],
        builtin: false,
        puts: "ovl_destroy_inode ovl_put_super ovl_get_inode ovl_dentry_release ovl_free_fs \
            ovl_cleanup",
        ways: "ovl_copy_up_one ovl_copy_up_flags ovl_do_remove ovl_lookup ovl_rename \
            ovl_open_realfile",
    },
    Filesystem {
        name: "tmpfs",
        superblocks: &[("tmpfs", "0:23"), ("tmpfs", "0:27"), ("tmpfs", "0:64")],
        builtin: true,
        puts: "shmem_unused_huge_shrink shmem_swapin_inode shmem_unuse simple_unlink \
            shmem_rename2 shmem_get_sbmpol",
        ways: "shmem_writeout shmem_unused_huge_scan shmem_fallocate shmem_unlink \
            shmem_file_setup shmem_undo_range",
    },
    Filesystem {
        name: "9p",
        superblocks: &[("0:33", "0:33")],
        builtin: false,
        puts: "v9fs_fid_find_inode v9fs_vfs_lookup v9fs_drop_inode v9fs_remove p9_client_cb \
            v9fs_free_request",
        ways: "netfs_writepages netfs_write_collection_worker v9fs_issue_write p9_read_work \
            v9fs_file_do_lock v9fs_vfs_unlink",
    },
    Filesystem {
        name: "ntfs3",
        superblocks: DISKS,
        builtin: false,
        puts: "ntfs_may_write_mft_record ntfs_write_mst_block ni_write_parents ntfs_unlink_inode \
            ntfs_link_inode ntfs_extend_mft",
        ways: "ntfs_writepages ntfs_mft_writepage ni_write_inode ntfs_sync_fs ntfs_flush_inodes \
            indx_delete_entry",
    },
];

/// How the dentry cache comes to put an inode.
pub const DCACHE: &[&str] = &[
    "dentry_unlink_inode __dentry_kill dput",
    "",
    "dentry_unlink_inode",
    "__dentry_kill",
    "shrink_dentry_list",
    "prune_dcache_sb",
    "",
    "dentry_unlink_inode d_delete",
    "",
    "__dentry_kill",
    "shrink_kill",
    "shrink_dcache_parent",
    "d_invalidate",
    "",
    "",
    "dentry_free",
    "__dentry_kill",
    "dput",
    "step_into",
    "walk_component",
    "",
    "",
    "__dentry_kill",
    "finish_dput",
    "dput",
    "__fput",
    "fput_close_sync",
    "",
];

const USERS: &str = "rsync postgres git containerd-shim java python3 ld.bfd cargo nginx systemd-journal tar fsstress dd sqlite3 qemu-system-x86";

/// Where chains begin.
pub const SCENES: &[Scene] = &[
    Scene {
        frames: "do_writepages __writeback_single_inode writeback_sb_inodes wb_writeback wb_workfn \
            process_one_work worker_thread kthread ret_from_fork ret_from_fork_asm",
        facts: &[
            Fact::Kthread,
            Fact::WorkqueueWorker,
            Fact::MemReclaimWorker,
            Fact::Flusher,
            Fact::WritebackThisInode,
            Fact::InodeSync,
            Fact::InodeDirty,
            Fact::Unlinked,
        ],
        comms: "kworker/u8:{} kworker/u64:{}",
        work: Some(("wb_workfn", "writeback", &["WQ_UNBOUND", "WQ_MEM_RECLAIM"])),
        by_dcache: false,
        evicts: 60,
        share: 2,
    },
    Scene {
        frames: "do_writepages __writeback_single_inode writeback_sb_inodes __writeback_inodes_wb \
            wb_writeback wb_workfn process_one_work worker_thread kthread ret_from_fork \
            ret_from_fork_asm",
        facts: &[
            Fact::Kthread,
            Fact::WorkqueueWorker,
            Fact::MemReclaimWorker,
            Fact::Flusher,
            Fact::WritebackOtherInode,
        ],
        comms: "kworker/u8:{}",
        work: Some(("wb_workfn", "writeback", &["WQ_UNBOUND", "WQ_MEM_RECLAIM"])),
        by_dcache: false,
        evicts: 30,
        share: 3,
    },
    Scene {
        frames: "writeback_sb_inodes wb_writeback wb_workfn process_one_work worker_thread kthread \
            ret_from_fork ret_from_fork_asm",
        facts: &[
            Fact::Kthread,
            Fact::WorkqueueWorker,
            Fact::MemReclaimWorker,
            Fact::Flusher,
            Fact::InodeDirty,
        ],
        comms: "kworker/u8:{} kworker/u16:{}",
        work: Some(("wb_workfn", "writeback", &["WQ_UNBOUND", "WQ_MEM_RECLAIM"])),
        by_dcache: false,
        evicts: 40,
        share: 3,
    },
    Scene {
        frames: "do_writepages filemap_fdatawrite_wbc file_write_and_wait_range vfs_fsync_range \
            do_fsync __x64_sys_fsync x64_sys_call do_syscall_64 entry_SYSCALL_64_after_hwframe",
        facts: &[Fact::WritebackOtherInode],
        comms: USERS,
        work: None,
        by_dcache: false,
        evicts: 10,
        share: 3,
    },
    Scene {
        frames: "vfs_setxattr path_setxattrat __x64_sys_setxattr x64_sys_call do_syscall_64 \
            entry_SYSCALL_64_after_hwframe",
        facts: &[Fact::Journal, Fact::Nofs],
        comms: USERS,
        work: None,
        by_dcache: false,
        evicts: 80,
        share: 4,
    },
    Scene {
        frames: "blk_mq_end_request blk_complete_reqs handle_softirqs __irq_exit_rcu \
            common_interrupt asm_common_interrupt cpuidle_enter_state do_idle \
            cpu_startup_entry start_secondary common_startup_64",
        facts: &[Fact::Softirq, Fact::BhDisabled, Fact::PreemptDisabled],
        comms: "swapper/{}",
        work: None,
        by_dcache: false,
        evicts: 5,
        share: 1,
    },
    Scene {
        frames: "vfs_rename do_renameat2 __x64_sys_renameat2 x64_sys_call do_syscall_64 \
            entry_SYSCALL_64_after_hwframe",
        facts: &[Fact::OwnInodeLock, Fact::Unlinked],
        comms: USERS,
        work: None,
        by_dcache: false,
        evicts: 90,
        share: 2,
    },
    Scene {
        frames: "super_cache_scan do_shrink_slab shrink_slab shrink_one shrink_node balance_pgdat \
            kswapd kthread ret_from_fork ret_from_fork_asm",
        facts: &[Fact::Kthread, Fact::Kswapd, Fact::Memalloc],
        comms: "kswapd{}",
        work: None,
        by_dcache: true,
        evicts: 70,
        share: 7,
    },
    Scene {
        frames: "do_shrink_slab shrink_slab shrink_node do_try_to_free_pages try_to_free_pages \
            __alloc_frozen_pages_slowpath alloc_pages_mpol filemap_add_folio \
            page_cache_ra_unbounded filemap_read vfs_read __x64_sys_pread64 x64_sys_call \
            do_syscall_64 entry_SYSCALL_64_after_hwframe",
        facts: &[Fact::DirectReclaim, Fact::Memalloc],
        comms: USERS,
        work: None,
        by_dcache: false,
        evicts: 60,
        share: 4,
    },
    Scene {
        frames: "xprt_destroy_backchannel rpc_async_schedule process_one_work worker_thread kthread \
            ret_from_fork ret_from_fork_asm",
        facts: &[Fact::Kthread, Fact::WorkqueueWorker, Fact::MemReclaimWorker],
        comms: "kworker/{}:1H kworker/u8:{}",
        work: Some((
            "rpc_async_schedule",
            "rpciod",
            &["WQ_UNBOUND", "WQ_MEM_RECLAIM"],
        )),
        by_dcache: false,
        evicts: 30,
        share: 4,
    },
    Scene {
        frames: "ceph_con_workfn process_one_work worker_thread kthread ret_from_fork \
            ret_from_fork_asm",
        facts: &[Fact::Kthread, Fact::WorkqueueWorker, Fact::MemReclaimWorker],
        comms: "kworker/{}:3",
        work: Some(("ceph_con_workfn", "ceph-msgr", &["WQ_MEM_RECLAIM"])),
        by_dcache: false,
        evicts: 20,
        share: 3,
    },
    Scene {
        frames: "delayed_fput process_one_work worker_thread kthread ret_from_fork \
            ret_from_fork_asm",
        facts: &[Fact::Kthread, Fact::WorkqueueWorker],
        comms: "kworker/{}:2",
        work: Some(("delayed_fput", "events", &[])),
        by_dcache: true,
        evicts: 50,
        share: 13,
    },
    Scene {
        frames: "delayed_work_fn process_one_work worker_thread kthread ret_from_fork \
            ret_from_fork_asm",
        facts: &[Fact::Kthread, Fact::WorkqueueWorker, Fact::OrderedWorker],
        comms: "kworker/u8:{}",
        work: Some((
            "delayed_work_fn",
            "fs-cleanup",
            &["WQ_UNBOUND", "__WQ_ORDERED"],
        )),
        by_dcache: false,
        evicts: 50,
        share: 5,
    },
    Scene {
        frames: "cleaner_kthread kthread ret_from_fork ret_from_fork_asm",
        facts: &[Fact::Kthread],
        comms: "fs-cleaner-{}",
        work: None,
        by_dcache: false,
        evicts: 95,
        share: 7,
    },
    Scene {
        frames: "shrink_dcache_for_umount generic_shutdown_super kill_block_super \
            deactivate_locked_super cleanup_mnt task_work_run __x64_sys_umount x64_sys_call \
            do_syscall_64 entry_SYSCALL_64_after_hwframe",
        facts: &[Fact::SuperblockInactive, Fact::OwnSuperblockLock],
        comms: "umount systemd-shutdow",
        work: None,
        by_dcache: true,
        evicts: 100,
        share: 14,
    },
    Scene {
        frames: "evict do_unlinkat __x64_sys_unlinkat x64_sys_call do_syscall_64 \
            entry_SYSCALL_64_after_hwframe",
        facts: &[Fact::NestedEviction, Fact::Unlinked],
        comms: USERS,
        work: None,
        by_dcache: false,
        evicts: 90,
        share: 9,
    },
    Scene {
        frames: "filename_lookup vfs_statx __do_sys_newfstatat x64_sys_call do_syscall_64 \
            entry_SYSCALL_64_after_hwframe",
        facts: &[Fact::StackBelow4K, Fact::Nofs],
        comms: USERS,
        work: None,
        by_dcache: true,
        evicts: 30,
        share: 3,
    },
    Scene {
        frames: "ksys_write __x64_sys_write x64_sys_call do_syscall_64 \
            entry_SYSCALL_64_after_hwframe",
        facts: &[Fact::PreemptDisabled],
        comms: USERS,
        work: None,
        by_dcache: false,
        evicts: 0,
        share: 2,
    },
    Scene {
        frames: "do_writepages __writeback_single_inode writeback_sb_inodes wb_writeback wb_workfn \
            process_one_work worker_thread kthread ret_from_fork ret_from_fork_asm",
        facts: &[
            Fact::Kthread,
            Fact::WorkqueueWorker,
            Fact::MemReclaimWorker,
            Fact::Flusher,
            Fact::WritebackThisInode,
            Fact::InodeSync,
            Fact::NonFinal,
            Fact::OneShrinkAway,
        ],
        comms: "kworker/u8:{}",
        work: Some(("wb_workfn", "writeback", &["WQ_UNBOUND", "WQ_MEM_RECLAIM"])),
        by_dcache: false,
        evicts: 0,
        share: 5,
    },
    Scene {
        frames: "kthread_fn kthread ret_from_fork ret_from_fork_asm",
        facts: &[Fact::Kthread],
        comms: "jbd2/sda1-{} nfsd khugepaged",
        work: None,
        by_dcache: true,
        evicts: 50,
        share: 4,
    },
    Scene {
        frames: "__fput task_work_run exit_to_user_mode_loop do_syscall_64 \
            entry_SYSCALL_64_after_hwframe",
        facts: &[],
        comms: USERS,
        work: None,
        by_dcache: true,
        evicts: 60,
        share: 2,
    },
];
