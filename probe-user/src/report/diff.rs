//! Two reports compared, site by site: what is new, gone, worse, better or the same.

mod caveats;
mod model;
mod pair;
pub mod text;

use std::collections::BTreeSet;

use super::found::{Found, findings};
use super::model::{Report, Severity, Site};
use super::{gate, parts};
use crate::symbol::site_names;

pub use model::{Calls, Caveat, Change, Diff, Numbers, Side, Similar, SiteChange};
use pair::Pairing;

/// What became of the sites of `old` in `new`.
#[must_use]
pub fn diff(old: &Report, new: &Report) -> Diff {
    let caveats = caveats::find(old, new);
    let Pairing { pairs, gone, added } = pair::pair(old, new);
    let mut sites: Vec<SiteChange> = Vec::new();
    for (before, now) in pairs {
        sites.push(describe(Some((before, old)), Some((now, new))));
    }
    for (site, similar) in gone {
        sites.push(SiteChange {
            similar,
            ..describe(Some((site, old)), None)
        });
    }
    for (site, similar) in added {
        sites.push(SiteChange {
            similar,
            ..describe(None, Some((site, new)))
        });
    }
    for site in &mut sites {
        let doubts = |caveat: &&Caveat| caveat.doubts.contains(&site.change);
        site.is_doubtful = caveats.iter().any(|caveat| doubts(&caveat));
    }
    sites.sort_by_cached_key(|site| {
        (
            site.change,
            std::cmp::Reverse(site.severity()),
            std::cmp::Reverse(site.new.or(site.old).map(|calls| calls.puts())),
            site.id.clone(),
        )
    });
    let mut numbers = Numbers::default();
    for site in &sites {
        *numbers.of(site.change) += 1;
    }
    Diff {
        schema_version: model::SCHEMA_VERSION,
        old: Side::of(old),
        new: Side::of(new),
        caveats,
        numbers,
        sites,
    }
}

/// The worst that is new or became worse, but for what is known or excused in the new report.
#[must_use]
pub fn worst(diff: &Diff) -> Option<Severity> {
    diff.sites
        .iter()
        .filter(|site| matches!(site.change, Change::New | Change::Worse))
        .filter_map(|site| site.charge)
        .max()
}

/// A site with what is known of it on either side; it is on one at least.
fn describe(old: Option<(&Site, &Report)>, new: Option<(&Site, &Report)>) -> SiteChange {
    let (before, now) = (old.map(|(site, _)| site), new.map(|(site, _)| site));
    let appeared = rules_beyond(before, now);
    let gone = rules_beyond(now, before);
    let calls = |side: Option<(&Site, &Report)>| {
        side.map(|(site, report)| Calls::of(site, report.capture.duration_ms))
    };
    let (old_calls, new_calls) = (calls(old), calls(new));
    let change = match (&old_calls, &new_calls) {
        (None, _) => Change::New,
        (_, None) => Change::Gone,
        (Some(before), Some(now)) => compare(before, now, !appeared.is_empty(), !gone.is_empty()),
    };
    // The new one, where there is one: it is what can still be acted upon.
    let shown = now.or(before);
    let renamed = before
        .zip(now)
        .filter(|(before, now)| before.id != now.id)
        .map(|(before, _)| before.id.clone());
    let worst = shown.and_then(parts::worst);
    SiteChange {
        change,
        is_doubtful: false,
        id: shown.map(|site| site.id.clone()).unwrap_or_default(),
        old_id: renamed,
        title: worst.map(|hazard| hazard.title.clone()),
        rule: worst.map(|hazard| hazard.rule.clone()),
        rules_appeared: appeared,
        rules_gone: gone,
        old: old_calls,
        new: new_calls,
        known: now.is_some_and(|site| site.known),
        suppressed: now.and_then(|site| site.suppressed.clone()),
        charge: match before.filter(|_| change == Change::Worse) {
            Some(before) => now.and_then(|site| gate::charge_since(site, &Found::of(before))),
            None => now.and_then(gate::charge),
        },
        similar: None,
        frames: shown.map(|site| site.frames.clone()).unwrap_or_default(),
        truncated: shown.is_some_and(|site| site.truncated),
    }
}

/// Whether a site became worse: by its severity, else by what was found, else by what is stuck.
fn compare(old: &Calls, new: &Calls, has_more: bool, has_less: bool) -> Change {
    match new.severity.cmp(&old.severity) {
        std::cmp::Ordering::Greater => Change::Worse,
        std::cmp::Ordering::Less => Change::Better,
        std::cmp::Ordering::Equal if has_more || (new.stuck > 0 && old.stuck == 0) => Change::Worse,
        std::cmp::Ordering::Equal if has_less || (new.stuck == 0 && old.stuck > 0) => {
            Change::Better
        }
        std::cmp::Ordering::Equal => Change::Same,
    }
}

/// The rules that make `site` a finding and `other` not, or not as bad; suppressed ones are none.
fn rules_beyond(other: Option<&Site>, site: Option<&Site>) -> Vec<String> {
    let other = other.map(Found::of).unwrap_or_default();
    let rules: BTreeSet<&str> = site
        .into_iter()
        .flat_map(|site| &site.contexts)
        .flat_map(|context| findings(context).map(move |hazard| (context, hazard)))
        .filter(|(context, hazard)| hazard.suppressed.is_none() && !other.has(context, hazard))
        .map(|(_, hazard)| hazard.rule.as_str())
        .collect();
    rules.into_iter().map(str::to_owned).collect()
}

/// How every system call and every thread begins (`arch/x86/entry/entry_64.S`,
/// `arch/x86/entry/syscall_64.c`, `arch/x86/kernel/process.c`). Which of them have a frame changed
/// with `ret_from_fork_asm` (6.6) and `x64_sys_call` (6.9, and stable kernels before), and says
/// nothing of what comes after them.
const ENTRY: &[&str] = &[
    "entry_SYSCALL_64_after_hwframe",
    "do_syscall_64",
    "x64_sys_call",
    "ret_from_fork_asm",
    "ret_from_fork",
];

/// The names of a site's stack as the source has it: without the entry into the kernel, and with
/// the functions that were inlined, as if they were not.
fn source_names(site: &Site) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for frame in &site.frames {
        let module = frame.module.as_deref().unwrap_or_default();
        for inlined in &frame.inlined {
            let function = crate::kernel::symbols::plain_name(&inlined.function);
            names.push((function.to_owned(), module.to_owned()));
        }
        let own = site_names(std::slice::from_ref(frame));
        names.extend(own.map(|(function, module)| (function.to_owned(), module.to_owned())));
    }
    let is_entry = |(function, _): &(String, String)| ENTRY.contains(&function.as_str());
    // What is nothing but an entry stays: it must not be the same as a stack without any name.
    while names.len() > 1 && names.last().is_some_and(is_entry) {
        names.pop();
    }
    names
}

#[cfg(test)]
mod tests;
