//! The references that a put leaves: how many of them are dentries that nobody uses.
//!
//! Each dentry of an inode holds one reference to it (`__d_instantiate()`, fs/dcache.c), and is on
//! the inode's list `i_dentry` for as long. Nothing is locked here. Dentries are freed after an RCU
//! grace period, but those of pipes and sockets (`dentry_free()`, `DCACHE_NORCU`), and the programs
//! are RCU readers; each dentry must still name the inode, and `i_count` must be the same afterwards.

use aya_ebpf::bindings::BPF_NOEXIST;
use probe_common::{
    ALIASES_MAX, Fact, Holders, I_COUNT_BUCKETS, Loss, NonFinalCounts, SampleRecord, SiteKey,
};

use crate::{
    kernel::{layout, read},
    maps::{NON_FINAL, lose},
    recorder::{Recorder, reload, through_memory},
};

/// What is inserted for a new aggregate: too large for the program's stack.
static ZERO_COUNTS: NonFinalCounts = NonFinalCounts::ZERO;

/// Looks at what holds the inode besides the reference that is put, and records it.
#[inline(always)]
pub fn look(sample: &'static mut SampleRecord, inode: u64, i_count: u32) -> Holders {
    let is_whole = walk_dentries(sample, inode);
    let still = read::<u32>(inode, layout!(inode_count)).unwrap_or(0);
    let aliases = reload(&mut sample.aliases);
    let unused = reload(&mut sample.unused_aliases);
    let left = i_count.wrapping_sub(1);
    let holders = if !is_whole || still != i_count || aliases > left {
        Holders::NotKnown
    } else if aliases < left {
        Holders::Others
    } else if unused == aliases {
        Holders::UnusedDentries
    } else {
        Holders::UsedDentries
    };
    let facts = Recorder::resume(&mut sample.key.facts);
    facts.set(Fact::NonFinal, true);
    match holders {
        Holders::NotKnown => facts.forget(Fact::OneShrinkAway),
        _ => facts.set(Fact::OneShrinkAway, holders == Holders::UnusedDentries),
    }
    holders
}

/// Counts the inode's dentries; says whether they were all there and all its own.
#[inline(always)]
fn walk_dentries(sample: &mut SampleRecord, inode: u64) -> bool {
    through_memory(&mut sample.aliases, 0);
    through_memory(&mut sample.unused_aliases, 0);
    let Some(mut node) = read::<u64>(inode, layout!(inode_dentries)) else {
        return false;
    };
    for _ in 0..ALIASES_MAX {
        if node == 0 {
            break;
        }
        let dentry = node.wrapping_sub(u64::from(layout!(dentry_alias)));
        if read::<u64>(dentry, layout!(dentry_inode)) != Some(inode) {
            return false;
        }
        let Some(users) = read::<u32>(dentry, layout!(dentry_users)) else {
            return false;
        };
        let aliases = reload(&mut sample.aliases);
        through_memory(&mut sample.aliases, aliases + 1);
        if users == 0 {
            let unused = reload(&mut sample.unused_aliases);
            through_memory(&mut sample.unused_aliases, unused + 1);
        }
        let Some(next) = read::<u64>(node, layout!(hlist_next)) else {
            return false;
        };
        node = next;
    }
    node == 0
}

/// Counts the put in its aggregate on this CPU; gives back how many there were before.
#[inline(always)]
pub fn count(key: &SiteKey, i_count: u32, holders: Holders) -> u64 {
    let mut counts = NON_FINAL.get_ptr_mut(key);
    if counts.is_none() {
        // Another CPU may have been faster: then this fails and the next look-up finds it.
        let _ = NON_FINAL.insert(key, &ZERO_COUNTS, u64::from(BPF_NOEXIST));
        counts = NON_FINAL.get_ptr_mut(key);
    }
    let Some(counts) = counts else {
        lose(Loss::SitesFull);
        return 0;
    };
    // SAFETY: a per-CPU value that only the program on `iput` changes, which the kernel does not
    // run twice on a CPU at the same time.
    let counts = unsafe { &mut *counts };
    let seen_before = counts.puts;
    counts.puts += 1;
    let held_by = match holders {
        Holders::UnusedDentries => &mut counts.unused_dentries,
        Holders::UsedDentries => &mut counts.used_dentries,
        Holders::Others => &mut counts.others,
        Holders::NotKnown => &mut counts.not_known,
    };
    *held_by += 1;
    let bucket = (i_count.wrapping_sub(2) as usize).min(I_COUNT_BUCKETS - 1);
    if let Some(bucket) = counts.i_counts.get_mut(bucket) {
        *bucket += 1;
    }
    seen_before
}
