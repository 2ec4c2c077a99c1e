//! Inodes that others hold besides the scenario that puts them: what must be reported of such a
//! put, and when it is the last one after all.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::report::{CountBucket, Dentries, References};
use super::scenarios::{Expectation, Outcome, Severity};
use super::session::{Level, Watch};

/// The rule of puts that only unused dentries keep from being the last.
const ONE_SHRINK_AWAY: &str = "one-shrink-away";
/// The most dentries of an inode that are looked at.
const DENTRIES_MAX: u64 = 16;
/// The last bucket of `i_count`, which has those that found more, too.
const LAST_BUCKET: u64 = 17;

/// Who holds it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum HeldBy {
    /// Dentries that nobody uses.
    UnusedDentries,
    /// Dentries that nobody uses, more than are looked at.
    TooManyDentries,
    /// Dentries, at least one of them in use.
    UsedDentries,
    /// Something that is no dentry, perhaps besides unused dentries.
    Others,
}

/// What must be reported of a put of such an inode.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// Who holds it.
    pub by: HeldBy,
    /// What the put finds.
    pub i_count: u64,
    /// What the put would be if it were final.
    pub if_final: IfFinal,
}

/// What a put would be if it were final.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IfFinal {
    /// How bad.
    pub severity: Severity,
    /// By these rules.
    pub rules: Vec<String>,
}

impl fmt::Display for IfFinal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, rules } = self;
        write!(formatter, "{severity} {} if final", rules.join(" and "))
    }
}

impl Expectation {
    /// Makes of what must be said of a final put what must be said where others hold the inode.
    /// How bad that would be is `if_final`.
    pub fn hold(&mut self, by: HeldBy, i_count: u64, if_final: Severity, watch: Watch) {
        let by_cache_alone = matches!(by, HeldBy::UnusedDentries | HeldBy::TooManyDentries);
        if watch.provoke && by_cache_alone {
            self.yes.insert("provoked".to_string());
            return;
        }
        self.non_final = true;
        if watch.level != Level::Latent || if_final < Severity::Unsafe {
            self.outcome = Outcome::Unseen;
            return;
        }
        self.held = Some(Held {
            by,
            i_count,
            if_final: IfFinal {
                severity: if_final,
                rules: self.rule.take().into_iter().collect(),
            },
        });
        self.outcome = Outcome::Held;
        self.severity = Severity::Benign;
        self.yes.insert("non_final".to_string());
        match by {
            HeldBy::UnusedDentries => {
                self.severity = Severity::Latent;
                self.rule = Some(ONE_SHRINK_AWAY.to_string());
                self.yes.insert("one_shrink_away".to_string());
            }
            HeldBy::TooManyDentries => {
                self.unknown.insert("one_shrink_away".to_string());
            }
            HeldBy::UsedDentries | HeldBy::Others => {}
        }
    }
}

impl Held {
    /// What so many puts must add up to.
    pub fn references(&self, count: u64) -> References {
        let when = |by| if self.by == by { count } else { 0 };
        References {
            i_count: vec![CountBucket {
                at_least: self.i_count.min(LAST_BUCKET),
                count,
            }],
            unused_dentries: when(HeldBy::UnusedDentries),
            used_dentries: when(HeldBy::UsedDentries),
            others: when(HeldBy::Others),
            not_known: when(HeldBy::TooManyDentries),
        }
    }

    /// Whether these are the dentries that such an inode has.
    pub fn has(&self, dentries: &Dentries) -> bool {
        let Dentries {
            aliases,
            unused,
            complete,
        } = *dentries;
        let left = self.i_count - 1;
        match self.by {
            HeldBy::UnusedDentries => complete && aliases == left && unused == aliases,
            HeldBy::TooManyDentries => !complete && aliases == DENTRIES_MAX && unused == aliases,
            HeldBy::UsedDentries => complete && aliases == left && unused < aliases,
            HeldBy::Others => complete && aliases < left && unused == aliases,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenarios::Scenarios;
    use super::super::session::Attach;
    use super::*;

    fn one(kernel: &str, name: &str, level: Level, provoke: bool) -> Expectation {
        let table = Scenarios::parse(include_str!("../../../lab/scenarios.toml")).unwrap();
        let watch = Watch {
            attach: Attach::Kprobe,
            level,
            track_locks: false,
            provoke,
        };
        let all = table.expectations(kernel, watch);
        let mut named = all.into_iter().filter(|one| one.name == name);
        named.next().unwrap()
    }

    #[test]
    fn unused_dentries_are_one_shrink_away() {
        let latent = one("7.3", "latent_spinlock", Level::Latent, false);
        assert_eq!(latent.outcome, Outcome::Held);
        assert_eq!(latent.severity, Severity::Latent);
        assert_eq!(latent.rule.as_deref(), Some("one-shrink-away"));
        assert!(latent.yes.contains("one_shrink_away") && latent.yes.contains("non_final"));
        let held = latent.held.unwrap();
        assert_eq!(held.if_final.to_string(), "unsafe atomic-context if final");
        assert_eq!(held.references(3).unused_dentries, 3);
    }

    #[test]
    fn other_levels_do_not_see_them() {
        let other = one("7.3", "latent_spinlock", Level::Final, false);
        assert_eq!(other.outcome, Outcome::Unseen);
        assert!(other.non_final);
    }

    #[test]
    fn only_what_would_be_unsafe_is_latent() {
        let risky = one("7.3", "latent_nofs", Level::Latent, false);
        assert_eq!(risky.outcome, Outcome::Unseen);
        let hangs_perhaps = one("7.3", "latent_bio_end_io_worker", Level::Latent, false);
        assert_eq!(hangs_perhaps.outcome, Outcome::Held);
        let traceless = one("5.10", "latent_spinlock", Level::Latent, false);
        assert_eq!(traceless.outcome, Outcome::Unseen);
    }

    #[test]
    fn without_the_cache_they_are_final() {
        let provoked = one("7.3", "latent_spinlock", Level::Latent, true);
        assert_eq!(provoked.outcome, Outcome::Evicted);
        assert_eq!(provoked.severity, Severity::Unsafe);
        assert!(provoked.yes.contains("provoked") && !provoked.yes.contains("non_final"));
        let many = one("7.3", "latent_spinlock_links_17", Level::Latent, true);
        assert_eq!(many.outcome, Outcome::Evicted);
    }

    #[test]
    fn a_dentry_in_use_stays() {
        for provoke in [false, true] {
            let open = one("7.3", "latent_spinlock_open", Level::Latent, provoke);
            assert_eq!(open.outcome, Outcome::Held);
            assert_eq!(open.severity, Severity::Benign);
            assert!(!open.is_only_counted());
        }
        let other = |provoke| {
            let other = one("7.3", "latent_spinlock_other", Level::Latent, provoke);
            other.held.unwrap().i_count
        };
        assert_eq!((other(false), other(true)), (3, 2));
    }

    #[test]
    fn the_dentries_of_the_example() {
        let held = |by, i_count| Held {
            by,
            i_count,
            if_final: IfFinal {
                severity: Severity::Unsafe,
                rules: Vec::new(),
            },
        };
        let dentries = |aliases, unused, complete| Dentries {
            aliases,
            unused,
            complete,
        };
        assert!(held(HeldBy::UnusedDentries, 4).has(&dentries(3, 3, true)));
        assert!(!held(HeldBy::UnusedDentries, 4).has(&dentries(2, 2, true)));
        assert!(!held(HeldBy::UnusedDentries, 4).has(&dentries(3, 3, false)));
        assert!(held(HeldBy::UsedDentries, 2).has(&dentries(1, 0, true)));
        assert!(held(HeldBy::Others, 3).has(&dentries(1, 1, true)));
        assert!(held(HeldBy::TooManyDentries, 18).has(&dentries(16, 16, false)));
    }
}
