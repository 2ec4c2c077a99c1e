//! How often each site is called, per second.

use std::collections::HashMap;

use lastref::report::model::{Report, Site};

/// After this many seconds an earlier rate counts for about a third (1/e) of what is shown, so
/// that lines do not jump with every interval.
const MEMORY: f64 = 10.0;

/// The rates of all sites.
#[derive(Debug, Default)]
pub struct Rates {
    at_ms: u64,
    sites: HashMap<String, Rate>,
    final_puts: Rate,
}

/// One rate.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    puts: u64,
    per_second: Option<f64>,
}

impl Rate {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate of more than 2^53 calls is not seen"
    )]
    fn update(&mut self, puts: u64, seconds: f64) {
        let now = puts.saturating_sub(self.puts) as f64 / seconds;
        let kept = (-seconds / MEMORY).exp();
        let rate = self
            .per_second
            .map_or(now, |before| before * kept + now * (1.0 - kept));
        *self = Self {
            puts,
            per_second: Some(rate),
        };
    }
}

impl Rates {
    /// Reckons in `report`, which is later than the one before.
    pub fn update(&mut self, report: &Report) {
        let milliseconds = report.capture.duration_ms.saturating_sub(self.at_ms);
        if milliseconds == 0 {
            return;
        }
        self.at_ms = report.capture.duration_ms;
        let seconds = std::time::Duration::from_millis(milliseconds).as_secs_f64();
        for site in report.sites() {
            if !self.sites.contains_key(&site.id) {
                self.sites.insert(site.id.clone(), Rate::default());
            }
            if let Some(rate) = self.sites.get_mut(&site.id) {
                rate.update(site.counts.puts(), seconds);
            }
        }
        self.final_puts.update(report.totals.final_puts, seconds);
    }

    /// Puts per second at `site`.
    pub fn of(&self, site: &Site) -> f64 {
        let rate = self.sites.get(&site.id).and_then(|rate| rate.per_second);
        rate.unwrap_or(0.0)
    }

    /// Final puts per second everywhere.
    pub fn final_puts(&self) -> f64 {
        self.final_puts.per_second.unwrap_or(0.0)
    }
}

/// A rate in a few columns.
pub fn text(rate: f64) -> String {
    match rate {
        ..0.05 => "0".to_owned(),
        0.05..100.0 => format!("{rate:.1}"),
        100.0..100_000.0 => format!("{rate:.0}"),
        _ => format!("{:.0}k", rate / 1000.0),
    }
}
