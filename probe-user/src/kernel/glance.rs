//! What the kernel half needs for a glance at a put (`probe-ebpf/src/glance.rs`).

use probe_common::{ABSENT, KernelLayout, SPAN_MAX};

use super::btf::Btf;

/// The size of what is read at the end of a span, in bytes: none of the fields is larger.
const WORD: u32 = 8;

/// Works out the parts of objects that are read at once, and whether a glance can tell anything. It
/// leaves out what only some kernels know: held locks (`LOCKDEP`) and `PREEMPT_RT`'s own counts.
pub fn resolve(btf: &Btf, layout: &mut KernelLayout) {
    layout.task_typed = u64::from(btf.function_id("bpf_get_current_task_btf").is_some());
    layout.pf_known = layout.pf_kthread
        | layout.pf_wq_worker
        | layout.pf_kswapd
        | layout.pf_memalloc
        | layout.pf_nofs
        | layout.pf_noio;
    let semaphore = |lock: u32| at(lock, layout.rwsem_count);
    let of_inode = span(&[
        layout.inode_sb,
        layout.inode_ino,
        layout.inode_state,
        layout.inode_mapping,
        semaphore(layout.inode_rwsem),
    ]);
    let of_superblock = span(&[layout.sb_flags, layout.sb_dev, semaphore(layout.sb_umount)]);
    let has_all = [
        of_inode.0,
        of_superblock.0,
        layout.task_flags,
        layout.task_reclaim_state,
        layout.task_journal_info,
        layout.task_stack,
    ]
    .iter()
    .all(|offset| *offset != ABSENT)
        && [
            layout.preempt_count,
            layout.per_cpu_offset,
            layout.thread_size,
            layout.sb_active,
            layout.i_sync,
            layout.i_freeing,
        ]
        .iter()
        .all(|value| *value != 0);
    let others_tell_more = layout.task_lockdep_depth != ABSENT || layout.preempt_rt != 0;
    (layout.inode_span_start, layout.inode_span_size) = of_inode;
    (layout.sb_span_start, layout.sb_span_size) = of_superblock;
    layout.can_glance = u64::from(has_all && !others_tell_more);
}

/// Where a field is in a structure that is itself at `base`.
fn at(base: u32, field: u32) -> u32 {
    if base == ABSENT || field == ABSENT {
        ABSENT
    } else {
        base.saturating_add(field)
    }
}

/// Start and size of the part that has all `fields`; [`ABSENT`] both, if one is missing, and the size
/// alone if it is more than can be read at once.
fn span(fields: &[u32]) -> (u32, u32) {
    // Words are read as words.
    let start = fields.iter().copied().min().unwrap_or(ABSENT) / WORD * WORD;
    let last = fields.iter().copied().max().unwrap_or(ABSENT);
    if last == ABSENT {
        return (ABSENT, ABSENT);
    }
    let size = last.saturating_sub(start).saturating_add(WORD);
    if size as usize > SPAN_MAX {
        (start, ABSENT)
    } else {
        (start, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_all_fields_and_their_size() {
        assert_eq!(span(&[0x98, 0x28, 0x40]), (0x28, 0x78));
        assert_eq!(span(&[12]), (8, 12));
    }

    #[test]
    fn what_is_missing_or_too_large_has_no_span() {
        assert_eq!(span(&[8, ABSENT]), (ABSENT, ABSENT));
        assert_eq!(span(&[0, 4096]), (0, ABSENT));
        assert_eq!(at(ABSENT, 8), ABSENT);
        assert_eq!(at(16, 8), 24);
    }
}
