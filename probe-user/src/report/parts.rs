//! What is to be said of a finding, in words: the parts that the forms for people have in common.

use probe_common::{ALL_FACTS, Fact};

use super::model::{Context, Counts, Example, Frame, Hazard, Kernel, Site, StuckCall};
use super::units::{count, duration, duration_ms, sum};
use crate::hazard::Rule;

/// A label and what belongs to it.
pub type Part = (&'static str, String);

/// The worst rule of a site, if one matched.
#[must_use]
pub fn worst(site: &Site) -> Option<&Hazard> {
    site.contexts.first()?.hazards.first()
}

/// The kernel in a few words.
#[must_use]
pub fn kernel(kernel: &Kernel) -> String {
    format!("Linux {} ({})", kernel.release, kernel.machine)
}

/// Where it was found and how often. What there is nothing of is empty, here and below.
#[must_use]
pub fn overview(site: &Site) -> Vec<Part> {
    let known = if site.known {
        " (known: the baseline has it)"
    } else {
        ""
    };
    let seen_in = site.seen_in.as_ref().map_or_else(String::new, |seen_in| {
        let reports = count(seen_in.reports, "report");
        format!("in {reports}, on {}", seen_in.kernels.join(", "))
    });
    vec![
        ("site", format!("{}{known}", site.id)),
        ("suppressed", site.suppressed.clone().unwrap_or_default()),
        ("seen", seen_in),
        ("counts", counts(&site.counts)),
        ("provoked", provoked(site)),
    ]
}

/// Why a rule that matched is not held against the site. Where all of the site is known or
/// suppressed, [`overview`] has said so.
#[must_use]
pub fn excuses(site: &Site, hazard: &Hazard) -> Vec<Part> {
    let known = if hazard.known && !site.known {
        "the baseline has it, at least as bad"
    } else {
        ""
    };
    let suppressed = match site.suppressed {
        None => hazard.suppressed.clone().unwrap_or_default(),
        Some(_) => String::new(),
    };
    vec![("known", known.to_owned()), ("suppressed", suppressed)]
}

/// The task, the inode and what the kernel could not tell, of a context.
#[must_use]
pub fn details(context: &Context) -> Vec<Part> {
    let unknown = ("unknown", context.facts.unknown.join(", "));
    let Some(example) = &context.example else {
        return vec![("example", "none was kept".to_owned()), unknown];
    };
    let mut parts = vec![
        ("filesystem", filesystem(example)),
        ("inode", inode(example)),
    ];
    if let Some(references) = &context.references {
        parts.push(("i_count", references.i_counts()));
        parts.push(("held by", references.holders()));
    }
    parts.push((
        "task",
        format!(
            "{}, process {}, thread {}",
            example.comm, example.process, example.thread
        ),
    ));
    if let Some(work) = &example.work {
        let flags = match work.flags.as_slice() {
            [] => String::new(),
            flags => format!(" ({})", flags.join(", ")),
        };
        let text = format!("{} on workqueue {}{flags}", work.function, work.workqueue);
        parts.push(("worker", text));
    }
    parts.push(("locks", locks(example)));
    if let Some(bytes) = example.stack_left_bytes {
        parts.push(("stack left", format!("{bytes} bytes")));
    }
    parts.push(unknown);
    parts
}

/// What a fact means, by its name in reports.
#[must_use]
pub fn meaning(name: &str) -> Option<&'static str> {
    ALL_FACTS
        .iter()
        .find(|fact| fact.name() == name)
        .map(|fact| fact.meaning())
}

/// What the kernel itself says that speaks against the call, word for word, each with its place.
#[must_use]
pub fn kernel_says(hazard: &Hazard) -> Vec<String> {
    Rule::find(&hazard.rule)
        .map(|rule| rule.says)
        .unwrap_or_default()
        .iter()
        .map(|said| format!("\"{}\" ({})", said.words, said.place))
        .collect()
}

/// Something that the reader can see with their own eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What there is to see.
    pub what: &'static str,
    /// The command that shows it.
    pub command: String,
}

/// What the reader can check, with the kernel's own means.
#[must_use]
pub fn to_check(site: &Site) -> Vec<Check> {
    let place = site.frames.iter().find(|frame| is_to_be_located(frame));
    let place = place.map(|frame| {
        let object = match &frame.module {
            Some(module) => format!("{module}.ko"),
            None => "vmlinux".to_owned(),
        };
        Check {
            what: "where in the source it is",
            command: format!("scripts/faddr2line {object} {}", position(frame)),
        }
    });
    let stuck = site.stuck.iter().map(|call| Check {
        what: "whether it still hangs",
        command: format!("cat /proc/{}/stack", call.thread),
    });
    place.into_iter().chain(stuck).collect()
}

/// Whether a frame's place in the source is not in the report, but can be found.
fn is_to_be_located(frame: &Frame) -> bool {
    frame.source.is_none() && frame.function.is_some()
}

/// A frame's function and the place in it, as the kernel prints them: `func+0x1f/0x90`.
#[must_use]
pub fn position(frame: &Frame) -> String {
    match (&frame.function, frame.size) {
        (None, _) => "(unknown)".to_owned(),
        (Some(function), None) => format!("{function}+{:#x}", frame.offset),
        (Some(function), Some(size)) => format!("{function}+{:#x}/{size:#x}", frame.offset),
    }
}

/// A call that does not come back, in a sentence without its stop.
#[must_use]
pub fn stuck(call: &StuckCall) -> String {
    format!(
        "{}, thread {}, for {}, inode {} ({})",
        call.comm,
        call.thread,
        duration_ms(call.age_ms),
        call.ino,
        call.device
    )
}

/// A further context of a site, in a line.
#[must_use]
pub fn brief(context: &Context) -> String {
    let rules: Vec<&str> = context
        .hazards
        .iter()
        .map(|hazard| hazard.rule.as_str())
        .collect();
    let place = context
        .example
        .as_ref()
        .map(|example| format!(" on {}", filesystem(example)))
        .unwrap_or_default();
    format!(
        "{} ({}){place}: {}; facts: {}",
        context.severity.name(),
        rules.join(", "),
        counts(&context.counts),
        context.facts.yes.join(", ")
    )
}

/// The counts in words.
fn counts(counts: &Counts) -> String {
    let mut parts = Vec::new();
    if counts.final_puts > 0 || counts.non_final == 0 {
        parts.push(format!(
            "{}: {} evicted, {} kept",
            count(counts.final_puts, "final put"),
            counts.evicted,
            counts.kept
        ));
    }
    // An eviction whose return was missed has ended, but has no time.
    let timed = sum(counts.eviction_histogram.iter().map(|bucket| bucket.count));
    if let Some(average) = counts.eviction_total_ns.checked_div(timed) {
        let longest = duration(counts.eviction_longest_ns);
        let average = duration(average);
        parts.push(format!(
            "evictions took {longest} at most, {average} on average, {} slept",
            counts.slept
        ));
    }
    if counts.in_flight > 0 {
        parts.push(format!("{} not ended yet", counts.in_flight));
    }
    if counts.non_final > 0 {
        parts.push(format!("{} not final", count(counts.non_final, "put")));
    }
    parts.join("; ")
}

/// How many of a site's final puts `--provoke` made the last ones, if it did any.
fn provoked(site: &Site) -> String {
    let name = Fact::Provoked.name();
    let provoked = site
        .contexts
        .iter()
        .filter(|context| context.facts.yes.iter().any(|fact| fact == name));
    let by_provocation = sum(provoked.map(|context| context.counts.final_puts));
    if by_provocation == 0 {
        return String::new();
    }
    let by_itself = site.counts.final_puts.saturating_sub(by_provocation);
    format!(
        "{by_provocation} final after a pass had dropped a dentry of the inode, {by_itself} by itself"
    )
}

/// The filesystem of the example.
fn filesystem(example: &Example) -> String {
    let inode = &example.inode;
    format!(
        "{} on {} ({})",
        inode.filesystem, inode.superblock, inode.device
    )
}

/// The inode of the example.
#[must_use]
pub fn inode(example: &Example) -> String {
    let inode = &example.inode;
    let i_count = inode
        .i_count
        .map(|count| format!(", i_count {count}"))
        .unwrap_or_default();
    let dentries = inode
        .dentries
        .as_ref()
        .map(|found| {
            let or_more = if found.complete { "" } else { " or more" };
            let dentries = count(found.aliases.into(), "dentry");
            format!(", {dentries}{or_more}, {} unused", found.unused)
        })
        .unwrap_or_default();
    let written = example
        .written_ino
        .map(|ino| format!("; the task writes inode {ino}"))
        .unwrap_or_default();
    format!(
        "{}, i_nlink {}, i_state {}{i_count}{dentries}{written}",
        inode.ino, inode.nlink, inode.i_state
    )
}

/// The locks of the example.
#[must_use]
pub fn locks(example: &Example) -> String {
    let mut locks: Vec<String> = example
        .held_locks
        .iter()
        .map(|lock| format!("{} ({})", lock.describe(), lock.mode))
        .collect();
    if example.held_locks_left_out > 0 {
        locks.push(format!("{} more", example.held_locks_left_out));
    }
    locks.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Bucket;

    #[test]
    fn averages_are_of_the_evictions_that_were_timed() {
        let mut told = Counts {
            final_puts: 10,
            evicted: 10,
            eviction_total_ns: 8_000_000,
            eviction_longest_ns: 5_000_000,
            eviction_histogram: vec![Bucket {
                at_least_us: 2048,
                count: 2,
            }],
            ..Counts::default()
        };
        assert!(counts(&told).contains("took 5.0 ms at most, 4.0 ms on average"));
        told.eviction_histogram.clear();
        assert!(!counts(&told).contains("average"));
    }
}
