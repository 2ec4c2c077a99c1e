//! What watching may cost: each limit compares a row of the table with a number or another row.

use super::calls::{ATOMIC_KNOWN, EVICTED, KEPT, NON_FINAL};
use super::table::Table;
use super::watcher::{Watcher, lastref};
use crate::lab::{Attach, Level};

/// What `lastref` may add to a call of this kind.
#[derive(Clone, Copy, Debug)]
struct Limit {
    level: Level,
    call: &'static str,
    bound: Bound,
}

/// The most that is allowed, each way to attach being compared with its own kind.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Nothing at all.
    Nothing,
    /// So many instructions more than an empty program, by kprobe and by fentry.
    MoreThanEmpty { kprobe: u64, fentry: u64 },
    /// Less than bpftrace.
    LessThanBpftrace,
    /// This part of bpftrace's cost.
    PartOfBpftrace(u64),
}

const LIMITS: &[Limit] = &[
    limit(Level::Evictions, NON_FINAL, Bound::Nothing),
    limit(
        Level::Final,
        NON_FINAL,
        Bound::MoreThanEmpty {
            kprobe: 40,
            fentry: 20,
        },
    ),
    limit(Level::Final, NON_FINAL, Bound::LessThanBpftrace),
    limit(Level::Final, KEPT, Bound::PartOfBpftrace(5)),
    limit(Level::Final, EVICTED, Bound::PartOfBpftrace(5)),
    limit(Level::Final, ATOMIC_KNOWN, Bound::LessThanBpftrace),
];

const fn limit(level: Level, call: &'static str, bound: Bound) -> Limit {
    Limit { level, call, bound }
}

/// What became of a limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The limit, with the numbers.
    pub what: String,
    /// Whether it is kept; `None` where there is nothing to compare with.
    pub kept: Option<bool>,
}

/// Compares a kernel's table with all limits.
pub fn check(table: &Table) -> Vec<Verdict> {
    LIMITS
        .iter()
        .flat_map(|limit| [Attach::Kprobe, Attach::Fentry].map(|attach| limit.check(table, attach)))
        .collect()
}

impl Limit {
    fn check(&self, table: &Table, attach: Attach) -> Verdict {
        let watcher = lastref(attach, self.level, false);
        let added = table.added(watcher, self.call);
        let of = |watcher| table.added(watcher, self.call);
        let bpftrace = Watcher::Bpftrace(attach);
        // The most that is allowed.
        let (words, most) = match self.bound {
            Bound::Nothing => ("nothing".to_string(), Some(0)),
            Bound::MoreThanEmpty { kprobe, fentry } => {
                let more = match attach {
                    Attach::Kprobe => kprobe,
                    Attach::Fentry => fentry,
                };
                (
                    format!("an empty program's and {more}"),
                    of(Watcher::Empty(attach)).map(|floor| floor + more.cast_signed()),
                )
            }
            Bound::LessThanBpftrace => (
                "less than bpftrace's".to_string(),
                of(bpftrace).map(|cost| cost - 1),
            ),
            Bound::PartOfBpftrace(part) => (
                format!("1/{part} of bpftrace's"),
                of(bpftrace).map(|cost| cost / part.cast_signed()),
            ),
        };
        let number =
            |number: Option<i64>| number.map_or_else(|| "?".to_string(), |n| n.to_string());
        Verdict {
            what: format!(
                "{watcher}: {} adds {}, at most {}: {words}",
                self.call,
                number(added),
                number(most)
            ),
            // That lastref itself was not measured is no excuse.
            kept: most.map(|most| added.is_some_and(|added| added <= most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::table::tests::table;

    /// Whether each limit on non-final puts at level final is kept, by fentry.
    fn kept(lastref_adds: i64, empty: i64, bpftrace: i64) -> Vec<Option<bool>> {
        let table = table(&[
            (
                lastref(Attach::Fentry, Level::Final, false),
                &[(NON_FINAL, lastref_adds)],
            ),
            (Watcher::Empty(Attach::Fentry), &[(NON_FINAL, empty)]),
            (Watcher::Bpftrace(Attach::Fentry), &[(NON_FINAL, bpftrace)]),
        ]);
        LIMITS
            .iter()
            .filter(|limit| limit.level == Level::Final && limit.call == NON_FINAL)
            .map(|limit| limit.check(&table, Attach::Fentry).kept)
            .collect()
    }

    #[test]
    fn limits_hold_up_to_their_edge() {
        assert_eq!(kept(143, 123, 214), [Some(true), Some(true)]);
        assert_eq!(kept(144, 123, 214), [Some(false), Some(true)]);
        assert_eq!(kept(143, 123, 143), [Some(true), Some(false)]);
    }

    #[test]
    fn without_the_others_there_is_nothing_to_compare_with() {
        let watcher = lastref(Attach::Fentry, Level::Final, false);
        let table = table(&[(watcher, &[(NON_FINAL, 1)])]);
        let of_final = LIMITS.iter().filter(|limit| limit.level == Level::Final);
        for limit in of_final {
            assert_eq!(limit.check(&table, Attach::Fentry).kept, None);
        }
    }

    #[test]
    fn what_was_not_measured_of_lastref_is_not_kept() {
        let others = [
            (Watcher::Empty(Attach::Fentry), &[(NON_FINAL, 123)][..]),
            (Watcher::Bpftrace(Attach::Fentry), &[(NON_FINAL, 214)]),
        ];
        let verdicts = check(&table(&others));
        assert!(verdicts.iter().any(|verdict| verdict.kept == Some(false)));
        assert!(verdicts.iter().all(|verdict| verdict.kept != Some(true)));
    }
}
