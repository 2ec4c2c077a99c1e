//! Draining: the maps read into plain data.

use std::collections::BTreeMap;

use aya::{
    Pod,
    maps::{MapError, PerCpuValues},
};
use probe_common::{
    BenignEvictions, DURATION_BUCKETS, I_COUNT_BUCKETS, InFlight, InFlightKey, Mark, MarkKind,
    NonFinalCounts, SampleRecord, SiteCounts, SiteKey, StackRecord, TaskLocks, TaskMarks, Totals,
};

use super::{
    Probe, ProbeError,
    load::{IN_FLIGHT_MAX, LOCKS_MAX, TASKS_MAX},
};

/// Everything that the kernel half holds at one moment.
pub struct Snapshot {
    /// Counts, summed over the CPUs.
    pub sites: BTreeMap<SiteKey, SiteCounts>,
    /// Counts of the puts that were not final, summed over the CPUs.
    pub non_final: BTreeMap<SiteKey, NonFinalCounts>,
    /// Totals and losses, summed over the CPUs.
    pub totals: Totals,
    /// Probe hits that the kernel skipped, if it counts them.
    pub hits_missed: Option<u64>,
    /// The functions that threads are inside of, outermost first, as far as exits were seen.
    pub marks: BTreeMap<u32, Vec<Mark>>,
    /// Dangerous final puts that have not reached `evict`, and may be over.
    pub in_flight: BTreeMap<InFlightKey, InFlight>,
    /// The maps that changed so fast that a walk of them came to no end: what they hold is not all
    /// known.
    pub cut_short: Vec<&'static str>,
    /// Examples that came through the ring buffer since the last time.
    pub events: Vec<SampleRecord>,
}

impl Probe {
    /// Reads what the kernel half holds.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn drain(&mut self) -> Result<Snapshot, ProbeError> {
        let _undisturbed = self.undisturbed();
        let mut sites = BTreeMap::new();
        for entry in &self.sites {
            let (key, counts) = entry.map_err(|error| broken("SITES", error))?;
            sites.insert(key, sum(&counts));
        }
        let mut non_final = BTreeMap::new();
        for entry in &self.non_final {
            let (key, counts) = entry.map_err(|error| broken("NON_FINAL", error))?;
            non_final.insert(key, sum_non_final(&counts));
        }
        let totals = self
            .totals
            .get(&0, 0)
            .map_err(|error| broken("TOTALS", error))?;
        let mut cut_short = Vec::new();
        let marks = entries("TASKS", TASKS_MAX, self.tasks.iter(), &mut cut_short);
        let in_flight = entries(
            "IN_FLIGHT",
            IN_FLIGHT_MAX,
            self.in_flight.iter(),
            &mut cut_short,
        );
        Ok(Snapshot {
            sites,
            non_final,
            totals: sum_totals(&totals),
            hits_missed: self.hits_missed(),
            marks: with_benign(
                marks
                    .into_iter()
                    .map(|(thread, marks)| (thread, in_use(&marks)))
                    .collect(),
                &*self.benign_evictions()?,
            ),
            in_flight,
            cut_short,
            events: self.drain_events(),
        })
    }

    /// The functions that a thread is inside of now, outermost first.
    #[must_use]
    pub fn marks_of(&self, thread: u32) -> Vec<Mark> {
        let _undisturbed = self.undisturbed();
        let marks = self
            .tasks
            .get(&thread, 0)
            .map_or_else(|_| Vec::new(), |marks| in_use(&marks));
        let Ok(benign) = self.benign_evictions() else {
            return marks;
        };
        with_benign(BTreeMap::from([(thread, marks)]), &benign)
            .remove(&thread)
            .unwrap_or_default()
    }

    /// What benign puts evict now.
    fn benign_evictions(&self) -> Result<Box<BenignEvictions>, ProbeError> {
        self.benign_evictions
            .get(&0, 0)
            .map(Box::new)
            .map_err(|error| broken("BENIGN_EVICTIONS", error))
    }

    /// The chain with this hash; `None` if there was no room for it.
    #[must_use]
    pub fn stack(&self, hash: u64) -> Option<StackRecord> {
        let _undisturbed = self.undisturbed();
        self.stacks.get(&hash, 0).ok()
    }

    /// The first call of an aggregate; `None` if there was no room for it.
    #[must_use]
    pub fn sample(&self, key: &SiteKey) -> Option<SampleRecord> {
        let _undisturbed = self.undisturbed();
        self.samples.get(key, 0).ok()
    }

    /// The locks that a thread has taken; `None` if none is known.
    #[must_use]
    pub fn locks_of(&self, thread: u32) -> Option<TaskLocks> {
        let _undisturbed = self.undisturbed();
        self.locks.get(&thread, 0).ok()
    }

    /// Forgets the locks of threads that have ended: they hold none, but a release was not seen.
    pub fn forget_locks(&mut self, has_ended: impl Fn(u32) -> bool) {
        let undisturbed = self.undisturbed();
        let threads: Vec<u32> = self
            .locks
            .keys()
            .take(walk_max(LOCKS_MAX))
            .filter_map(Result::ok)
            .collect();
        drop(undisturbed);
        for thread in threads.into_iter().filter(|thread| has_ended(*thread)) {
            let _undisturbed = self.undisturbed();
            // It may have gone by itself.
            let _ = self.locks.remove(&thread);
        }
    }

    /// Forgets a final put that is over, unless the thread has made another one of the same
    /// inode since.
    pub fn forget_put(&mut self, key: &InFlightKey, entered_ns: u64) {
        let _undisturbed = self.undisturbed();
        if self
            .in_flight
            .get(key, 0)
            .is_ok_and(|put| put.entered_ns == entered_ns)
        {
            // It may have gone by itself.
            let _ = self.in_flight.remove(key);
        }
    }

    /// Forgets what a thread was inside of, for it has ended.
    pub fn forget_thread(&mut self, thread: u32) {
        let _undisturbed = self.undisturbed();
        // It may have gone by itself.
        let _ = self.tasks.remove(&thread);
    }

    fn drain_events(&mut self) -> Vec<SampleRecord> {
        let mut events = Vec::new();
        while let Some(item) = self.events.next() {
            if item.len() >= size_of::<SampleRecord>() {
                // SAFETY: plain data (`aya::Pod`), long enough, written by the kernel half
                // as this very type; read unaligned, as the ring buffer aligns to 8 only.
                events.push(unsafe { item.as_ptr().cast::<SampleRecord>().read_unaligned() });
            }
        }
        events
    }
}

/// Adds the evictions by benign puts to the marks of all threads, each where it is on its thread's
/// stack.
fn with_benign(
    mut marks: BTreeMap<u32, Vec<Mark>>,
    benign: &BenignEvictions,
) -> BTreeMap<u32, Vec<Mark>> {
    for eviction in benign.places.iter().filter(|place| place.thread != 0) {
        let marks = marks.entry(eviction.thread).or_default();
        let inner = marks
            .iter()
            .position(|mark| mark.stack_pointer < eviction.stack_pointer)
            .unwrap_or(marks.len());
        marks.insert(
            inner,
            Mark {
                key: SiteKey::default(),
                stack_pointer: eviction.stack_pointer,
                inode: eviction.inode,
                ino: eviction.ino,
                entered_ns: eviction.entered_ns,
                voluntary_switches: 0,
                kind: MarkKind::Eviction as u32,
                device: eviction.device,
            },
        );
    }
    marks
}

/// The marks of a task that are in use.
fn in_use(marks: &TaskMarks) -> Vec<Mark> {
    let depth = (marks.depth as usize).min(marks.marks.len());
    marks.marks[..depth].to_vec()
}

/// The entries that can be read, each once. Tasks come and go while the map is walked: one
/// that is gone is no error, but the kernel then starts the walk again
/// (`htab_map_get_next_key()`, kernel/bpf/hashtab.c), so that it may go on for ever. It is then
/// `cut_short`.
fn entries<K: Pod + Ord, V: Pod>(
    map: &'static str,
    max_entries: u32,
    iterator: impl Iterator<Item = Result<(K, V), MapError>>,
    cut_short: &mut Vec<&'static str>,
) -> BTreeMap<K, V> {
    let mut iterator = iterator.fuse();
    let entries = iterator
        .by_ref()
        .take(walk_max(max_entries))
        .filter_map(Result::ok)
        .collect();
    if iterator.next().is_some() {
        cut_short.push(map);
    }
    entries
}

/// The most steps of a walk of a map with room for so many entries: twice as many.
const fn walk_max(max_entries: u32) -> usize {
    2 * max_entries as usize
}

fn broken(map: &'static str, source: MapError) -> ProbeError {
    ProbeError::Map {
        map,
        cause: Box::new(source),
    }
}

fn sum(per_cpu: &PerCpuValues<SiteCounts>) -> SiteCounts {
    let mut sum = SiteCounts::ZERO;
    for counts in per_cpu.iter() {
        sum.final_puts += counts.final_puts;
        sum.evictions += counts.evictions;
        sum.ended += counts.ended;
        sum.slept += counts.slept;
        sum.total_ns += counts.total_ns;
        sum.longest_ns = sum.longest_ns.max(counts.longest_ns);
        for bucket in 0..DURATION_BUCKETS {
            sum.durations[bucket] = sum.durations[bucket].saturating_add(counts.durations[bucket]);
        }
    }
    sum
}

fn sum_non_final(per_cpu: &PerCpuValues<NonFinalCounts>) -> NonFinalCounts {
    let mut sum = NonFinalCounts::ZERO;
    for counts in per_cpu.iter() {
        sum.puts += counts.puts;
        sum.unused_dentries += counts.unused_dentries;
        sum.used_dentries += counts.used_dentries;
        sum.others += counts.others;
        sum.not_known += counts.not_known;
        for bucket in 0..I_COUNT_BUCKETS {
            sum.i_counts[bucket] = sum.i_counts[bucket].saturating_add(counts.i_counts[bucket]);
        }
    }
    sum
}

fn sum_totals(per_cpu: &PerCpuValues<Totals>) -> Totals {
    let mut sum = Totals::default();
    for totals in per_cpu.iter() {
        sum.add(totals);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_without_an_end_is_cut_short() {
        let mut cut_short = Vec::new();
        let round = |number: u32| Ok((number % 4, number));
        let ended = entries("A", 4, (0..4).map(round), &mut cut_short);
        assert_eq!((ended.len(), cut_short.len()), (4, 0));
        let endless = entries("B", 4, (0..).map(round), &mut cut_short);
        assert_eq!((endless.len(), cut_short), (4, vec!["B"]));
    }
}
