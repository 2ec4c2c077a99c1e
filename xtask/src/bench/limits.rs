//! What watching may cost: each limit compares a row of the table with a number or another row.

use super::calls::{ATOMIC_KNOWN, EVICTED, KEPT, NON_FINAL};
use super::table::Table;
use super::watcher::{Watcher, lastref};
use crate::lab::{Attach, Level};

/// What `lastref` may add to a call of this kind.
#[derive(Clone, Copy, Debug)]
struct Limit {
    on: On,
    attach: &'static [Attach],
    level: Level,
    call: &'static str,
    bound: Bound,
}

/// The most that is allowed, each way to attach being compared with its own kind.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Nothing at all.
    Nothing,
    /// So many instructions more than an empty program.
    MoreThanEmpty(i64),
    /// Less than bpftrace.
    LessThanBpftrace,
    /// So many percent of bpftrace's cost.
    PercentOfBpftrace(i64),
}

/// The kernels on which a limit holds.
#[derive(Clone, Copy, Debug)]
enum On {
    /// All that it is measured on.
    All,
    /// Those that let programs on kprobes load without a helper (`bpf_rdonly_cast()`, since 6.2).
    DirectLoads,
    /// Those before.
    Helpers,
}

/// The first kernel with `bpf_rdonly_cast()`.
const DIRECT_LOADS_SINCE: (u32, u32) = (6, 2);

/// The limits as they hold, which is less than could be wished in two places (docs/overhead.md): for a
/// program on a kprobe that must load by a helper; and for an eviction by kprobes, which enters three
/// programs.
const LIMITS: &[Limit] = &[
    limit(On::All, BOTH, Level::Evictions, NON_FINAL, Bound::Nothing),
    limit(
        On::All,
        FENTRY,
        Level::Final,
        NON_FINAL,
        Bound::MoreThanEmpty(20),
    ),
    limit(
        On::All,
        FENTRY,
        Level::Final,
        NON_FINAL,
        Bound::LessThanBpftrace,
    ),
    limit(
        On::DirectLoads,
        KPROBE,
        Level::Final,
        NON_FINAL,
        Bound::MoreThanEmpty(40),
    ),
    limit(
        On::DirectLoads,
        KPROBE,
        Level::Final,
        NON_FINAL,
        Bound::LessThanBpftrace,
    ),
    limit(
        On::Helpers,
        KPROBE,
        Level::Final,
        NON_FINAL,
        Bound::MoreThanEmpty(100),
    ),
    limit(
        On::All,
        FENTRY,
        Level::Final,
        KEPT,
        Bound::PercentOfBpftrace(20),
    ),
    limit(
        On::DirectLoads,
        KPROBE,
        Level::Final,
        KEPT,
        Bound::PercentOfBpftrace(20),
    ),
    limit(
        On::Helpers,
        KPROBE,
        Level::Final,
        KEPT,
        Bound::PercentOfBpftrace(25),
    ),
    limit(
        On::All,
        FENTRY,
        Level::Final,
        EVICTED,
        Bound::PercentOfBpftrace(21),
    ),
    limit(
        On::DirectLoads,
        KPROBE,
        Level::Final,
        EVICTED,
        Bound::PercentOfBpftrace(35),
    ),
    limit(
        On::Helpers,
        KPROBE,
        Level::Final,
        EVICTED,
        Bound::PercentOfBpftrace(45),
    ),
    limit(
        On::All,
        FENTRY,
        Level::Final,
        ATOMIC_KNOWN,
        Bound::LessThanBpftrace,
    ),
    limit(
        On::DirectLoads,
        KPROBE,
        Level::Final,
        ATOMIC_KNOWN,
        Bound::LessThanBpftrace,
    ),
    // The length of the stack that is searched differs from one system call to the next
    // (`randomize_kstack_offset`).
    limit(
        On::Helpers,
        KPROBE,
        Level::Final,
        ATOMIC_KNOWN,
        Bound::PercentOfBpftrace(110),
    ),
];

const BOTH: &[Attach] = &[Attach::Kprobe, Attach::Fentry];
const KPROBE: &[Attach] = &[Attach::Kprobe];
const FENTRY: &[Attach] = &[Attach::Fentry];

const fn limit(
    on: On,
    attach: &'static [Attach],
    level: Level,
    call: &'static str,
    bound: Bound,
) -> Limit {
    Limit {
        on,
        attach,
        level,
        call,
        bound,
    }
}

impl On {
    fn has(self, release: &str) -> bool {
        let mut numbers = release
            .split(['.', '-'])
            .map_while(|part| part.parse().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        match self {
            Self::All => true,
            Self::DirectLoads => version >= DIRECT_LOADS_SINCE,
            Self::Helpers => version < DIRECT_LOADS_SINCE,
        }
    }
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
        .filter(|limit| limit.on.has(&table.release))
        .flat_map(|limit| {
            limit
                .attach
                .iter()
                .map(|attach| limit.check(table, *attach))
        })
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
            Bound::MoreThanEmpty(more) => (
                format!("an empty program's and {more}"),
                of(Watcher::Empty(attach)).map(|floor| floor + more),
            ),
            Bound::LessThanBpftrace => (
                "less than bpftrace's".to_string(),
                of(bpftrace).map(|cost| cost - 1),
            ),
            Bound::PercentOfBpftrace(percent) => (
                format!("{percent} % of bpftrace's"),
                of(bpftrace).map(|cost| cost * percent / 100),
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
            .filter(|limit| {
                limit.level == Level::Final
                    && limit.call == NON_FINAL
                    && limit.attach.contains(&Attach::Fentry)
            })
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
    fn kernels_are_told_by_their_release() {
        assert!(On::Helpers.has("6.1.0-56-amd64") && !On::DirectLoads.has("6.1.0-56-amd64"));
        assert!(On::DirectLoads.has("6.2.0-rc1") && !On::Helpers.has("6.2.0-rc1"));
        assert!(On::DirectLoads.has("7.3.4+deb13-amd64") && On::All.has(""));
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
