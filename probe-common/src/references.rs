//! The references that a put leaves: how many there are, and what is seen to hold them.

/// The most dentries of an inode that are looked at.
pub const ALIASES_MAX: usize = 16;
/// Buckets of the distribution of `i_count`: bucket `n` counts the puts that found `n + 2`, the
/// last one those that found more, too.
pub const I_COUNT_BUCKETS: usize = 16;

/// What holds the references that a put leaves, as far as the inode shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Holders {
    /// Dentries that nobody uses, and nothing else.
    UnusedDentries,
    /// Dentries alone, and at least one of them is in use.
    UsedDentries,
    /// Something that is no dentry, besides what dentries there are.
    Others,
    /// There were too many dentries to look at, or something changed meanwhile.
    NotKnown,
}

/// Exact counts of the puts of one aggregate that were not final, per CPU (map `NON_FINAL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct NonFinalCounts {
    /// All of them.
    pub puts: u64,
    /// Those that left [`Holders::UnusedDentries`].
    pub unused_dentries: u64,
    /// Those that left [`Holders::UsedDentries`].
    pub used_dentries: u64,
    /// Those that left [`Holders::Others`].
    pub others: u64,
    /// Those of which that is not known.
    pub not_known: u64,
    /// The distribution of `i_count`, see [`I_COUNT_BUCKETS`].
    pub i_counts: [u32; I_COUNT_BUCKETS],
}

impl NonFinalCounts {
    /// No puts at all.
    pub const ZERO: Self = Self {
        puts: 0,
        unused_dentries: 0,
        used_dentries: 0,
        others: 0,
        not_known: 0,
        i_counts: [0; I_COUNT_BUCKETS],
    };
}

const _: () = assert!(size_of::<NonFinalCounts>() == 5 * 8 + 4 * I_COUNT_BUCKETS);
