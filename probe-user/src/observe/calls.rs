//! From the kernel half's records to the report's words.

use probe_common::{
    ALL_FACTS, DURATION_BUCKETS, Fact, Facts, NonFinalCounts, SampleRecord, SiteCounts, UNKNOWN,
};

use super::held_locks::HeldLocks;
use crate::report::model::{
    Bucket, CountBucket, Counts, Dentries, Example, FactSheet, InodeExample, Level, References,
    Work,
};

/// `struct device` numbers as the kernel packs them: 12 bits of major, 20 of minor
/// (`MINORBITS`, `include/linux/kdev_t.h`).
const MINOR_BITS: u32 = 20;

/// What tells that a workqueue has a flag.
enum Tells {
    /// A bit that is the same from 5.10 to 7.3.
    Bit(u32),
    /// A fact, which the kernel half knows by the running kernel's own value.
    Fact(Fact),
}

/// Workqueue flags by name (`enum wq_flags`, include/linux/workqueue.h).
const WORKQUEUE_FLAGS: &[(Tells, &str)] = &[
    (Tells::Bit(1 << 1), "WQ_UNBOUND"),
    (Tells::Bit(1 << 2), "WQ_FREEZABLE"),
    (Tells::Fact(Fact::MemReclaimWorker), "WQ_MEM_RECLAIM"),
    (Tells::Bit(1 << 4), "WQ_HIGHPRI"),
    (Tells::Bit(1 << 5), "WQ_CPU_INTENSIVE"),
    (Tells::Fact(Fact::OrderedWorker), "__WQ_ORDERED"),
];

/// The names of the flags of a worker's queue.
fn workqueue_flags(bits: u32, facts: Facts) -> Vec<String> {
    let is_set = |tells: &Tells| match tells {
        Tells::Bit(flag) => bits & flag != 0,
        Tells::Fact(fact) => facts.is(*fact),
    };
    WORKQUEUE_FLAGS
        .iter()
        .filter(|(tells, _)| is_set(tells))
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// `major:minor`.
pub fn device(packed: u32) -> String {
    format!(
        "{}:{}",
        packed >> MINOR_BITS,
        packed & ((1 << MINOR_BITS) - 1)
    )
}

/// A zero-terminated name.
pub fn name(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The facts by name.
pub fn fact_sheet(facts: Facts) -> FactSheet {
    let named = |wanted: Option<bool>| {
        ALL_FACTS
            .iter()
            .filter(|fact| facts.get(**fact) == wanted)
            .map(|fact| fact.name().to_owned())
            .collect()
    };
    FactSheet {
        yes: named(Some(true)),
        unknown: named(None),
    }
}

/// The counts of one aggregate, of whose evictions `in_flight` have not ended.
pub fn counts(raw: &SiteCounts, in_flight: u64, level: Level) -> Counts {
    // A put that the program on `iput` missed is still seen by the one on `evict`.
    let final_puts = raw.final_puts.max(raw.evictions);
    Counts {
        final_puts,
        evicted: raw.evictions,
        kept: match level {
            Level::Evictions => 0,
            Level::Final | Level::Latent => final_puts - raw.evictions,
        },
        slept: raw.slept,
        in_flight,
        eviction_total_ns: raw.total_ns,
        eviction_longest_ns: raw.longest_ns,
        eviction_histogram: (0..DURATION_BUCKETS)
            .filter(|bucket| raw.durations[*bucket] != 0)
            .map(|bucket| Bucket {
                at_least_us: if bucket == 0 { 0 } else { 1 << bucket },
                count: u64::from(raw.durations[bucket]),
            })
            .collect(),
        non_final: 0,
    }
}

/// The counts of one aggregate of puts that were not final.
pub fn non_final_counts(raw: &NonFinalCounts) -> Counts {
    Counts {
        non_final: raw.puts,
        ..Counts::default()
    }
}

/// What held the inodes of one aggregate of puts that were not final.
pub fn references(raw: &NonFinalCounts) -> References {
    References {
        i_count: (2..)
            .zip(raw.i_counts)
            .filter(|(_, count)| *count > 0)
            .map(|(at_least, count)| CountBucket {
                at_least,
                count: u64::from(count),
            })
            .collect(),
        unused_dentries: raw.unused_dentries,
        used_dentries: raw.used_dentries,
        others: raw.others,
        not_known: raw.not_known,
    }
}

/// One call as an example; `function` is the name of the function that its worker runs, `held`
/// the locks that it holds.
pub fn example(sample: &SampleRecord, function: Option<String>, held: HeldLocks) -> Example {
    let known = |value| (value != UNKNOWN).then_some(value);
    let facts = sample.key.facts;
    Example {
        comm: name(&sample.comm),
        process: sample.process,
        thread: sample.thread,
        inode: InodeExample {
            filesystem: name(&sample.filesystem),
            superblock: name(&sample.superblock),
            device: device(sample.device),
            ino: sample.ino,
            nlink: sample.nlink,
            i_count: known(sample.i_count),
            i_state: format!("{:#x}", sample.i_state),
            dentries: facts.is(Fact::NonFinal).then_some(Dentries {
                aliases: sample.aliases,
                unused: sample.unused_aliases,
                complete: facts.get(Fact::OneShrinkAway).is_some(),
            }),
        },
        written_ino: (sample.written_ino != 0).then_some(sample.written_ino),
        work: (sample.work_function != 0).then(|| Work {
            function: function.unwrap_or_else(|| "(unknown)".to_owned()),
            workqueue: name(&sample.workqueue),
            flags: workqueue_flags(sample.workqueue_flags, facts),
        }),
        stack_left_bytes: known(sample.stack_left),
        held_locks: held.locks,
        held_locks_left_out: held.left_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_zero_and_survive_garbage() {
        assert_eq!(name(b"ext4\0junk"), "ext4");
        assert_eq!(name(b"full"), "full");
        assert_eq!(name(&[0xff, 0]), "\u{fffd}");
    }

    #[test]
    fn flags_that_are_facts_are_named_by_the_facts() {
        let mut facts = Facts::default();
        assert_eq!(workqueue_flags(1 << 1 | 1 << 3, facts), ["WQ_UNBOUND"]);
        facts.set(Fact::MemReclaimWorker, true);
        facts.set(Fact::OrderedWorker, true);
        assert_eq!(
            workqueue_flags(1 << 1, facts),
            ["WQ_UNBOUND", "WQ_MEM_RECLAIM", "__WQ_ORDERED"]
        );
    }

    #[test]
    fn devices_are_split_as_the_kernel_packs_them() {
        assert_eq!(device(8 << 20 | 1), "8:1");
        assert_eq!(device(0), "0:0");
    }

    #[test]
    fn counts_never_underflow() {
        let raw = SiteCounts {
            evictions: 3,
            ended: 1,
            final_puts: 2,
            ..SiteCounts::ZERO
        };
        let counts = counts(&raw, 2, Level::Final);
        assert_eq!(
            (counts.final_puts, counts.kept, counts.in_flight),
            (3, 0, 2)
        );
    }
}
