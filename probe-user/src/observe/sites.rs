//! Forming sites: aggregates of the same chain put together, each context judged.

use std::collections::BTreeMap;

use probe_common::{Fact, Facts, SiteKey};

use super::{baseline::Baseline, calls};
use crate::{
    hazard::{self, Call, Outcome},
    kernel::symbols::plain_name,
    report::model::{Context, Counts, Example, Frame, Lock, References, Site, StuckCall},
    symbol,
};

/// What the session remembers of a chain of return addresses.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Hash of the chain's names.
    pub site: String,
    /// Symbolized, `iput`'s caller first.
    pub frames: Vec<Frame>,
    /// What the innermost frame called, if not `iput` itself.
    pub called: Option<String>,
    /// Whether the kernel's limit may have cut it short.
    pub truncated: bool,
}

impl Chain {
    /// The chain of these frames.
    pub fn new(frames: Vec<Frame>, truncated: bool) -> Self {
        let is_hidden = frames
            .iter()
            .filter_map(|frame| frame.function.as_deref())
            .any(symbol::is_return_trampoline);
        Self {
            site: symbol::site_id(&frames),
            frames,
            called: None,
            truncated: truncated || is_hidden,
        }
    }
}

/// Everything known of one aggregate.
pub struct Aggregate<'a> {
    /// What tells it from others.
    pub key: &'a SiteKey,
    /// Its counts.
    pub counts: Counts,
    /// What held the inodes, if its puts were not final.
    pub references: Option<References>,
    /// Its chain, if there was room for it.
    pub chain: &'a Chain,
    /// One of its calls, if there was room.
    pub example: Option<&'a Example>,
    /// Its calls that are stuck.
    pub stuck: Vec<StuckCall>,
}

/// What is put together into one context: facts, filesystem, the held locks in words, what the
/// innermost frame called.
type ContextKey = (Facts, u64, Vec<String>, Option<String>);

#[derive(Default)]
struct Group {
    frames: Vec<Frame>,
    truncated: bool,
    contexts: BTreeMap<ContextKey, Gathered>,
}

#[derive(Default)]
struct Gathered {
    counts: Counts,
    references: Option<References>,
    example: Option<Example>,
    stuck: Vec<StuckCall>,
}

/// Puts aggregates of the same chain together and judges every context.
///
/// Puts that are not final are left out where a final one would not be unsafe.
pub fn form<'a>(aggregates: impl Iterator<Item = Aggregate<'a>>, baseline: &Baseline) -> Vec<Site> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for aggregate in aggregates {
        let group = groups.entry(&aggregate.chain.site).or_default();
        if group.frames.is_empty() {
            group.frames.clone_from(&aggregate.chain.frames);
            group.truncated = aggregate.chain.truncated;
        }
        let locks = aggregate
            .example
            .map(|example| example.held_locks.iter().map(Lock::describe).collect())
            .unwrap_or_default();
        let facts = settle(aggregate.key.facts, aggregate.chain);
        let context = group
            .contexts
            .entry((
                facts,
                aggregate.key.filesystem,
                locks,
                aggregate.chain.called.clone(),
            ))
            .or_default();
        context.counts.add(&aggregate.counts);
        if let Some(references) = &aggregate.references {
            let sum = context.references.get_or_insert_default();
            sum.add(references);
        }
        if context.example.is_none() {
            context.example = aggregate.example.cloned();
        }
        context.stuck.extend(aggregate.stuck);
    }
    groups
        .into_iter()
        .map(|(id, group)| judge(id, group, baseline))
        .filter(|site| !site.contexts.is_empty())
        .map(|mut site| {
            baseline.mark_site(&mut site);
            site
        })
        .collect()
}

fn judge(id: &str, group: Group, baseline: &Baseline) -> Site {
    let frames: Vec<String> = group
        .frames
        .iter()
        .map(|frame| plain_name(frame.function.as_deref().unwrap_or("")).to_owned())
        .collect();
    let mut final_puts: BTreeMap<u64, u64> = BTreeMap::new();
    for ((_, filesystem, ..), gathered) in &group.contexts {
        *final_puts.entry(*filesystem).or_default() += gathered.counts.final_puts;
    }
    // A chain that there was no room for is not the same as another one.
    let is_named = !frames.iter().all(String::is_empty);
    let mut total = Counts::default();
    let mut stuck = Vec::new();
    let contexts: Vec<Context> = group
        .contexts
        .into_iter()
        .filter_map(|((facts, filesystem, _, called), gathered)| {
            let names: Vec<String> = called
                .iter()
                .map(|function| plain_name(function).to_owned())
                .chain(frames.iter().cloned())
                .collect();
            let hazards = hazard::judge(&Call {
                facts,
                chain: &names,
                counts: &gathered.counts,
                example: gathered.example.as_ref(),
                stuck: &gathered.stuck,
                final_puts_of_site: if is_named {
                    final_puts.get(&filesystem).copied().unwrap_or(0)
                } else {
                    0
                },
                final_puts_in_baseline: gathered.example.as_ref().map_or(0, |example| {
                    baseline.final_puts(id, &example.inode.filesystem)
                }),
                outcome: Outcome::Seen,
            });
            if facts.is(Fact::NonFinal) && hazards.is_empty() {
                return None;
            }
            total.add(&gathered.counts);
            stuck.extend(gathered.stuck);
            Some(Context {
                severity: hazard::severity(&hazards),
                hazards,
                counts: gathered.counts,
                facts: calls::fact_sheet(facts),
                called,
                example: gathered.example,
                references: gathered.references,
            })
        })
        .collect();
    Site {
        id: id.to_owned(),
        known: false,
        suppressed: None,
        seen_in: None,
        severity: contexts
            .iter()
            .map(|context| context.severity)
            .max()
            .unwrap_or(crate::report::model::Severity::Benign),
        counts: total,
        frames: group.frames,
        truncated: group.truncated,
        contexts,
        stuck,
        stuck_left_out: 0,
    }
}

/// Facts that are remembered from the entry into a function: it must be on the stack as well, or
/// another one that stands for them, but proves nothing by itself.
struct Remembered {
    facts: &'static [Fact],
    function: &'static str,
    or: Option<&'static str>,
}

const REMEMBERED: &[Remembered] = &[
    Remembered {
        facts: &[Fact::WritebackThisInode, Fact::WritebackOtherInode],
        function: "do_writepages",
        or: Some("writeback_single_inode"),
    },
    Remembered {
        facts: &[Fact::Flusher],
        function: "wb_workfn",
        or: None,
    },
    // The last statement of evict() (fs/inode.c), from where ->destroy_inode() may put another
    // inode (fs/overlayfs/super.c, ovl_destroy_inode()). It is no proof by itself: an inode that
    // lost the race into the cache is destroyed without eviction (fs/inode.c, iget_locked()).
    Remembered {
        facts: &[Fact::NestedEviction],
        function: "evict",
        or: Some("destroy_inode"),
    },
];

/// Weighs what was remembered against the stack. On the stack but not remembered: entered
/// before the probes were attached, so that it is unknown of which inode. Remembered but
/// not on a stack that is whole: its exit was missed, and it is over.
fn settle(mut facts: Facts, chain: &Chain) -> Facts {
    let is_on_stack = |function: &str| {
        chain
            .frames
            .iter()
            .filter_map(|frame| frame.function.as_deref())
            .any(|name| plain_name(name) == function)
    };
    let is_whole = !chain.truncated && chain.frames.iter().all(|frame| frame.function.is_some());
    for remembered in REMEMBERED {
        let entered = is_on_stack(remembered.function);
        let inside = entered || remembered.or.is_some_and(is_on_stack);
        if entered && !facts.any(remembered.facts) {
            for fact in remembered.facts {
                facts.forget(*fact);
            }
        }
        if !inside && is_whole && facts.any(remembered.facts) {
            for fact in remembered.facts {
                facts.set(*fact, false);
            }
        }
    }
    // Both set I_SYNC of the inode that they write, and no mark tells which one that is: of a
    // flusher, what it does after the pages is inlined into writeback_sb_inodes()
    // (fs/fs-writeback.c); the other may have been entered before the probes were attached.
    let writes_an_inode = facts.is(Fact::Flusher)
        || is_on_stack("wb_workfn")
        || is_on_stack("writeback_single_inode");
    if writes_an_inode
        && facts.get(Fact::InodeSync) != Some(false)
        && !facts.is(Fact::WritebackThisInode)
    {
        facts.forget(Fact::WritebackThisInode);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(functions: &[&str], truncated: bool) -> Chain {
        Chain {
            site: "site".into(),
            frames: functions
                .iter()
                .map(|name| Frame {
                    function: Some((*name).into()),
                    ..Frame::default()
                })
                .collect(),
            called: None,
            truncated,
        }
    }

    fn facts(yes: &[Fact], no: &[Fact]) -> Facts {
        let mut facts = Facts::default();
        for fact in yes {
            facts.set(*fact, true);
        }
        for fact in no {
            facts.set(*fact, false);
        }
        facts
    }

    #[test]
    fn what_is_remembered_must_be_on_the_stack() {
        let stale = facts(&[Fact::WritebackThisInode], &[]);
        let settled = settle(stale, &chain(&["dput", "close"], false));
        assert_eq!(settled.get(Fact::WritebackThisInode), Some(false));
        let cut = settle(stale, &chain(&["dput", "close"], true));
        assert_eq!(cut.get(Fact::WritebackThisInode), Some(true));
        let live = settle(stale, &chain(&["put", "do_writepages"], false));
        assert_eq!(live.get(Fact::WritebackThisInode), Some(true));
    }

    #[test]
    fn an_eviction_that_ends_in_a_jump_goes_on() {
        let frames = ["dput", "ovl_destroy_inode", "destroy_inode", "dentry_kill"];
        let nested = facts(&[Fact::NestedEviction], &[]);
        let settled = settle(nested, &chain(&frames, false));
        assert_eq!(settled.get(Fact::NestedEviction), Some(true));
        let lost_race = facts(&[], &[Fact::NestedEviction]);
        let settled = settle(lost_race, &chain(&frames, false));
        assert_eq!(settled.get(Fact::NestedEviction), Some(false));
    }

    #[test]
    fn what_began_before_attaching_is_unknown() {
        let unseen = facts(&[], &[Fact::WritebackThisInode, Fact::WritebackOtherInode]);
        let settled = settle(unseen, &chain(&["put", "do_writepages.cold"], false));
        assert_eq!(settled.get(Fact::WritebackThisInode), None);
        assert_eq!(settled.get(Fact::WritebackOtherInode), None);
    }

    #[test]
    fn which_inode_a_flusher_writes_is_unknown_unless_this_one_is_not_written() {
        let flusher = chain(&["put", "writeback_sb_inodes", "wb_workfn"], false);
        let syncs = chain(&["put", "write_inode", "writeback_single_inode"], false);
        let no = [Fact::WritebackThisInode, Fact::WritebackOtherInode];
        for (yes, chain) in [(&[Fact::Flusher][..], &flusher), (&[][..], &syncs)] {
            let settled = settle(facts(yes, &no), chain);
            assert_eq!(settled.get(Fact::WritebackThisInode), None);
            let mut not_written = facts(yes, &no);
            not_written.set(Fact::InodeSync, false);
            let settled = settle(not_written, chain);
            assert_eq!(settled.get(Fact::WritebackThisInode), Some(false));
        }
        let not_seen = facts(&[], &[no[0], no[1], Fact::Flusher]);
        let settled = settle(not_seen, &flusher);
        assert_eq!(settled.get(Fact::WritebackThisInode), None);
        let settled = settle(not_seen, &chain(&["put", "close"], false));
        assert_eq!(settled.get(Fact::WritebackThisInode), Some(false));
    }

    #[test]
    fn aggregates_of_one_chain_become_one_site() {
        let first = chain(&["caller"], false);
        let key = |known| SiteKey {
            facts: Facts { known, yes: 0 },
            ..SiteKey::default()
        };
        let counts = Counts {
            final_puts: 2,
            ..Counts::default()
        };
        let keys = [key(0), key(0), key(1)];
        let sites = form(
            keys.iter().map(|key| Aggregate {
                key,
                counts: counts.clone(),
                references: None,
                chain: &first,
                example: None,
                stuck: Vec::new(),
            }),
            &Baseline::default(),
        );
        assert_eq!(sites.len(), 1);
        assert_eq!(sites[0].counts.final_puts, 6);
        assert_eq!(sites[0].contexts.len(), 2);
    }
}
