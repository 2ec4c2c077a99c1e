//! Why two reports may differ without any change in the kernel: they were not watched alike.

use std::collections::BTreeSet;

use super::model::{Caveat, Change};
use crate::report::model::Report;
use crate::report::units::duration_ms;

/// What is doubtful if the new report may have missed it.
const MISSED_IN_NEW: &[Change] = &[Change::Gone, Change::Better];

/// What is doubtful if the old report may have missed it.
const MISSED_IN_OLD: &[Change] = &[Change::New, Change::Worse];

/// What is doubtful if the two see different sites.
const OTHER_SITES: &[Change] = &[Change::New, Change::Gone];

/// What is doubtful if the two know different facts.
const OTHER_FACTS: &[Change] = &[Change::Worse, Change::Better];

/// How many times as long is another matter.
const MUCH_LONGER: u64 = 2;

/// One way in which watching can differ; `None` if it did not.
type Check = fn(&Report, &Report) -> Option<Caveat>;

const CHECKS: &[Check] = &[
    level,
    filesystems,
    completeness_of_new,
    completeness_of_old,
    duration,
    provocation,
    attach,
    locks,
    facts,
    workload,
    kernel,
];

/// In what the two were not watched alike.
pub fn find(old: &Report, new: &Report) -> Vec<Caveat> {
    CHECKS.iter().filter_map(|check| check(old, new)).collect()
}

/// A caveat, unless the two values are the same.
fn differ(is_different: bool, doubts: &[Change], what: impl FnOnce() -> String) -> Option<Caveat> {
    is_different.then(|| Caveat {
        what: what(),
        doubts: doubts.to_vec(),
    })
}

/// What is doubtful if one of the two saw less, whichever it is.
const fn missed(in_new: bool) -> &'static [Change] {
    if in_new { MISSED_IN_NEW } else { MISSED_IN_OLD }
}

fn level(old: &Report, new: &Report) -> Option<Caveat> {
    let (before, now) = (old.capture.level, new.capture.level);
    differ(before != now, missed(now < before), || {
        format!(
            "the old report is of level {}, the new one of {}",
            before.name(),
            now.name()
        )
    })
}

fn filesystems(old: &Report, new: &Report) -> Option<Caveat> {
    let set = |report: &Report| -> BTreeSet<String> {
        report.capture.filesystems.iter().cloned().collect()
    };
    let (before, now) = (set(old), set(new));
    let sees_all = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        one.is_empty() || (!other.is_empty() && one.is_superset(other))
    };
    let doubts = match (sees_all(&now, &before), sees_all(&before, &now)) {
        (true, _) => MISSED_IN_OLD,
        (_, true) => MISSED_IN_NEW,
        _ => OTHER_SITES,
    };
    let words = |set: &BTreeSet<String>| {
        if set.is_empty() {
            "all".to_owned()
        } else {
            set.iter().cloned().collect::<Vec<_>>().join(", ")
        }
    };
    differ(before != now, doubts, || {
        format!(
            "the old report is of filesystems: {}; the new one of: {}",
            words(&before),
            words(&now)
        )
    })
}

fn completeness_of_new(_: &Report, new: &Report) -> Option<Caveat> {
    differ(!new.capture.complete, MISSED_IN_NEW, || {
        format!("the new report is incomplete{}", because(new))
    })
}

fn completeness_of_old(old: &Report, _: &Report) -> Option<Caveat> {
    differ(!old.capture.complete, MISSED_IN_OLD, || {
        format!("the old report is incomplete{}", because(old))
    })
}

fn because(report: &Report) -> String {
    match report.capture.incomplete_because.as_slice() {
        [] => String::new(),
        [reason] => format!(": {reason}"),
        [reason, more @ ..] => format!(": {reason}, and {} more reasons", more.len()),
    }
}

fn duration(old: &Report, new: &Report) -> Option<Caveat> {
    let (before, now) = (old.capture.duration_ms, new.capture.duration_ms);
    let longer = |one: u64, other: u64| one / MUCH_LONGER > other;
    differ(
        longer(before, now) || longer(now, before),
        missed(now < before),
        || {
            format!(
                "the old report is of {}, the new one of {}",
                duration_ms(before),
                duration_ms(now)
            )
        },
    )
}

fn provocation(old: &Report, new: &Report) -> Option<Caveat> {
    let is_provoked = |report: &Report| report.capture.provocation.is_some();
    let (before, now) = (is_provoked(old), is_provoked(new));
    differ(before != now, missed(before), || {
        let side = if now { "new" } else { "old" };
        format!("final puts were provoked in the {side} report only")
    })
}

fn attach(old: &Report, new: &Report) -> Option<Caveat> {
    let (before, now) = (old.capture.attach, new.capture.attach);
    differ(before != now, OTHER_FACTS, || {
        format!(
            "the old report is by {}, the new one by {}",
            before.name(),
            now.name()
        )
    })
}

fn locks(old: &Report, new: &Report) -> Option<Caveat> {
    let (before, now) = (old.kernel.lock_source, new.kernel.lock_source);
    differ(before != now, OTHER_FACTS, || {
        format!(
            "the old report knows held locks from {}, the new one from {}",
            before.name(),
            now.name()
        )
    })
}

fn facts(old: &Report, new: &Report) -> Option<Caveat> {
    let names = |report: &Report| -> BTreeSet<String> {
        report.kernel.unknown_facts.keys().cloned().collect()
    };
    let (before, now) = (names(old), names(new));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        one.difference(other)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ")
    };
    let parts: Vec<String> = [("old", only(&before, &now)), ("new", only(&now, &before))]
        .into_iter()
        .filter(|(_, facts)| !facts.is_empty())
        .map(|(side, facts)| format!("only the {side} report cannot tell: {facts}"))
        .collect();
    differ(before != now, OTHER_FACTS, || parts.join("; "))
}

fn workload(old: &Report, new: &Report) -> Option<Caveat> {
    let command = |report: &Report| {
        let workload = report.capture.workload.as_ref();
        workload.map(|workload| workload.command.join(" "))
    };
    let (before, now) = (command(old), command(new));
    let words = |command: &Option<String>| match command {
        Some(command) => format!("`{command}`"),
        None => "no command".to_owned(),
    };
    differ(before != now, OTHER_SITES, || {
        format!(
            "the workload was {}, and is {}",
            words(&before),
            words(&now)
        )
    })
}

fn kernel(old: &Report, new: &Report) -> Option<Caveat> {
    let (before, now) = (&old.kernel.release, &new.kernel.release);
    differ(before != now, OTHER_SITES, || {
        format!(
            "the old report is of Linux {before}, the new one of {now}: a function that was \
             renamed, split or inlined makes another site"
        )
    })
}
