//! Exact sums of a report's numbers. One that would not fit stays at the largest number.

use super::{Bucket, CountBucket, Counts, Losses, References, Totals};

/// What adds up field by field.
macro_rules! sums {
    ($($type:ident: $($field:ident),+;)+) => {$(
        impl $type {
            fn add_fields(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)+
            }

            /// Whether a sum is at the largest number, and so may be less than it should be.
            #[must_use]
            pub fn is_saturated(&self) -> bool {
                [$(self.$field),+].contains(&u64::MAX)
            }
        }
    )+};
}

sums! {
    Counts: final_puts, evicted, kept, slept, in_flight, eviction_total_ns, non_final;
    Totals: final_puts, benign_final_puts, evictions, benign_evictions, stuck, non_final_puts,
        benign_non_final_puts;
    Losses: sites_full, stacks_full, samples_full, ring_full, tasks_full, marks_full,
        exits_missed, no_stack, locks_full, locks_stale;
    References: unused_dentries, used_dentries, others, not_known;
}

impl Counts {
    /// Adds the counts of other calls.
    pub fn add(&mut self, other: &Self) {
        self.add_fields(other);
        self.eviction_longest_ns = self.eviction_longest_ns.max(other.eviction_longest_ns);
        for bucket in &other.eviction_histogram {
            add_bucket(
                &mut self.eviction_histogram,
                bucket,
                |bucket: &Bucket| bucket.at_least_us,
                |bucket| &mut bucket.count,
            );
        }
    }
}

impl Totals {
    /// Adds those of another report.
    pub fn add(&mut self, other: &Self) {
        self.add_fields(other);
    }
}

impl Losses {
    /// Adds those of another report. What only one of them knows is the sum.
    pub fn add(&mut self, other: &Self) {
        self.add_fields(other);
        self.probe_hits_missed = match (self.probe_hits_missed, other.probe_hits_missed) {
            (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
            (sum, more) => sum.or(more),
        };
    }
}

impl References {
    /// Adds those that other puts left.
    pub fn add(&mut self, other: &Self) {
        self.add_fields(other);
        for bucket in &other.i_count {
            add_bucket(
                &mut self.i_count,
                bucket,
                |bucket: &CountBucket| bucket.at_least,
                |bucket| &mut bucket.count,
            );
        }
    }
}

/// Adds a bucket to a histogram, which stays sorted.
fn add_bucket<Item: Clone, Bound: Ord>(
    histogram: &mut Vec<Item>,
    bucket: &Item,
    bound: impl Fn(&Item) -> Bound,
    count: impl Fn(&mut Item) -> &mut u64,
) {
    match histogram.binary_search_by_key(&bound(bucket), &bound) {
        Ok(at) => {
            let more = *count(&mut bucket.clone());
            let sum = count(&mut histogram[at]);
            *sum = sum.saturating_add(more);
        }
        Err(at) => histogram.insert(at, bucket.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_add_by_bucket() {
        let bucket = |at_least_us, count| Bucket { at_least_us, count };
        let mut sum = Counts {
            eviction_histogram: vec![bucket(4, 1), bucket(16, 1)],
            eviction_longest_ns: 9,
            ..Counts::default()
        };
        let other = Counts {
            eviction_histogram: vec![bucket(8, 5), bucket(16, 2)],
            eviction_longest_ns: 7,
            ..Counts::default()
        };
        sum.add(&other);
        assert_eq!(
            sum.eviction_histogram,
            [bucket(4, 1), bucket(8, 5), bucket(16, 3)]
        );
        assert_eq!(sum.eviction_longest_ns, 9);
    }

    #[test]
    fn what_does_not_fit_stays_at_the_largest_number() {
        let mut sum = Totals {
            evictions: u64::MAX - 1,
            ..Totals::default()
        };
        let one = Totals {
            evictions: 1,
            ..Totals::default()
        };
        assert!(!sum.is_saturated());
        for _ in 0..2 {
            sum.add(&one);
            assert_eq!(sum.evictions, u64::MAX);
            assert!(sum.is_saturated());
        }
    }

    #[test]
    fn hits_that_only_some_kernels_count_are_counted() {
        let losses = |probe_hits_missed| Losses {
            probe_hits_missed,
            ..Losses::default()
        };
        for (one, other, sum) in [
            (Some(3), Some(4), Some(7)),
            (None, Some(4), Some(4)),
            (Some(3), None, Some(3)),
            (None, None, None),
        ] {
            let mut added = losses(one);
            added.add(&losses(other));
            assert_eq!(added, losses(sum));
        }
    }
}
