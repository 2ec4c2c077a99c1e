//! A drained snapshot in numbers.

use crate::{
    probe::Snapshot,
    report::model::{Losses, Totals},
};

/// What could not be kept.
pub fn losses(snapshot: &Snapshot) -> Losses {
    let totals = &snapshot.totals;
    Losses {
        probe_hits_missed: snapshot.hits_missed,
        sites_full: totals.sites_full,
        stacks_full: totals.stacks_full,
        samples_full: totals.samples_full,
        ring_full: totals.ring_full,
        tasks_full: totals.tasks_full,
        marks_full: totals.marks_full,
        exits_missed: totals.exits_missed,
        no_stack: totals.no_stack,
        locks_full: totals.locks_full,
        locks_stale: totals.locks_stale,
    }
}

/// All puts in numbers.
pub fn totals(snapshot: &Snapshot, stuck: usize) -> Totals {
    let recorded: u64 = snapshot
        .sites
        .values()
        .map(|counts| counts.final_puts.max(counts.evictions))
        .sum();
    let recorded_non_final: u64 = snapshot.non_final.values().map(|counts| counts.puts).sum();
    let totals = &snapshot.totals;
    let evictions: u64 = snapshot.sites.values().map(|counts| counts.evictions).sum();
    Totals {
        final_puts: totals.benign_final_puts + recorded.max(totals.recorded_final_puts),
        benign_final_puts: totals.benign_final_puts,
        evictions: totals.benign_evictions + evictions,
        benign_evictions: totals.benign_evictions,
        stuck: u64::try_from(stuck).unwrap_or(u64::MAX),
        non_final_puts: totals.benign_non_final_puts
            + recorded_non_final.max(totals.recorded_non_final_puts),
        benign_non_final_puts: totals.benign_non_final_puts,
    }
}
