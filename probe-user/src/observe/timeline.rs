//! The timeline: what has changed from one drain to the next.

use std::collections::HashMap;

use crate::report::model::{Moment, Severity, Site, Totals};

/// How many moments are kept. When there are more, each two of them become one: a timeline has
/// the same room for a minute and for a month.
const MOMENTS: usize = 240;

/// What happened when, so far.
#[derive(Debug, Default)]
pub struct Timeline {
    moments: Vec<Moment>,
    /// The interval that the last moment is to cover, in milliseconds: moments that were joined
    /// set it for those to come.
    interval_ms: u64,
    /// What had been counted at the moment before.
    totals: Totals,
    /// How many evictions each site had by then.
    evicted: HashMap<String, u64>,
}

impl Timeline {
    /// Notes what has been counted up to `at_ms` after the begin.
    pub fn note<'a>(&mut self, at_ms: u64, totals: &Totals, sites: impl Iterator<Item = &'a Site>) {
        let mut moment = Moment {
            at_ms,
            final_puts: totals.final_puts.saturating_sub(self.totals.final_puts),
            stuck: totals.stuck,
            ..Moment::default()
        };
        let mut add = |severity, evictions| {
            if evictions > 0 {
                *moment.evictions.entry(severity).or_default() += evictions;
            }
        };
        let benign = totals.benign_evictions;
        add(
            Severity::Benign,
            benign.saturating_sub(self.totals.benign_evictions),
        );
        for site in sites {
            let now = site.counts.evicted;
            let before = match self.evicted.get_mut(&site.id) {
                Some(evicted) => std::mem::replace(evicted, now),
                None => self.evicted.insert(site.id.clone(), now).unwrap_or(0),
            };
            add(site.severity, now.saturating_sub(before));
        }
        self.totals = totals.clone();
        self.push(moment);
    }

    /// The moments, the first one first.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    fn push(&mut self, moment: Moment) {
        let begin = match self.moments.as_slice() {
            [.., before, _] => before.at_ms,
            _ => 0,
        };
        match self.moments.last_mut() {
            Some(last) if last.at_ms.saturating_sub(begin) < self.interval_ms => last.join(&moment),
            _ => self.moments.push(moment),
        }
        if self.moments.len() > MOMENTS {
            self.moments = self
                .moments
                .chunks(2)
                .map(|pair| {
                    let mut joined = pair[0].clone();
                    pair[1..].iter().for_each(|next| joined.join(next));
                    joined
                })
                .collect();
            self.interval_ms = self.moments.first().map_or(0, |moment| moment.at_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn totals(final_puts: u64, benign_evictions: u64) -> Totals {
        Totals {
            final_puts,
            benign_evictions,
            ..Totals::default()
        }
    }

    fn site(id: &str, severity: Severity, evicted: u64) -> Site {
        let mut site = sample::site(id, severity);
        site.counts.evicted = evicted;
        site
    }

    #[test]
    fn a_moment_has_what_came_since_the_one_before() {
        let mut timeline = Timeline::default();
        let first = [
            site("a", Severity::Risky, 3),
            site("b", Severity::Benign, 1),
        ];
        timeline.note(2_000, &totals(10, 4), first.iter());
        // By now the site is known to be worse.
        let second = [site("a", Severity::Deadlock, 5), first[1].clone()];
        timeline.note(4_000, &totals(15, 4), second.iter());
        let [before, after] = timeline.moments() else {
            panic!("{timeline:?}");
        };
        assert_eq!((before.at_ms, before.final_puts), (2_000, 10));
        assert_eq!(
            before.evictions,
            [(Severity::Risky, 3), (Severity::Benign, 5)].into()
        );
        assert_eq!((after.at_ms, after.final_puts), (4_000, 5));
        assert_eq!(after.evictions, [(Severity::Deadlock, 2)].into());
    }

    #[test]
    fn however_long_it_is_nothing_is_lost() {
        let mut timeline = Timeline::default();
        for second in 1..=5_000 {
            timeline.note(second * 1_000, &totals(second * 7, second * 3), [].iter());
            assert!(timeline.moments().len() <= MOMENTS);
        }
        let moments = timeline.moments();
        assert!(moments.len() > MOMENTS / 2, "{}", moments.len());
        assert_eq!(moments.last().unwrap().at_ms, 5_000_000);
        let puts: u64 = moments.iter().map(|moment| moment.final_puts).sum();
        assert_eq!(puts, 35_000);
        let widths: Vec<u64> = moments
            .windows(2)
            .map(|pair| pair[1].at_ms - pair[0].at_ms)
            .collect();
        // The last one is still growing.
        let (_, whole) = widths.split_last().unwrap();
        assert!(whole.iter().all(|width| width == &whole[0]), "{widths:?}");
    }
}
