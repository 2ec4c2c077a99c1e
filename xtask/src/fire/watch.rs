//! One `lastref` watching while the module makes puts, and whether its report has them all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use anyhow::{Context as _, Result, ensure};

use super::inside::Plan;
use super::load::{Kind, puts_so_far};
use crate::exit_status;
use crate::field::report::Report;
use crate::lastref::Lastref;

/// The module's function that makes the puts that are kept at sites.
const RECORDED: &str = "lab_put_in_fire_nofs";
/// How many benign final puts a guest that does nothing else may make by itself meanwhile, for each
/// thousand that the module makes, and at least.
const OTHERS_PER_THOUSAND: u64 = 20;
const OTHERS: u64 = 20_000;
/// The same of puts that are not benign.
const OTHERS_RECORDED: u64 = 100;

/// A `lastref` that watches, and how many puts there had been before.
#[derive(Debug)]
pub struct Watch {
    lastref: Lastref,
    name: String,
    report: PathBuf,
    before: BTreeMap<Kind, u64>,
}

/// What a report has of the module's puts.
#[derive(Debug)]
pub struct Counted {
    /// Puts that the module has made meanwhile, by kind.
    pub made: BTreeMap<Kind, u64>,
    /// Those kept at sites, for each site.
    sites: Vec<u64>,
    /// Final puts at any site, in the report.
    at_sites: u64,
    report: Report,
}

/// The plain way to watch.
pub const PLAIN: &[&str] = &["--attach", "auto"];

impl Watch {
    /// Starts `lastref` with these options, its report in the plan's directory, and waits until it
    /// is attached.
    pub fn start(plan: &Plan, name: &str, options: &[&str]) -> Result<Self> {
        Self::start_in(plan, name, options, &plan.output)
    }

    /// The same with the report in another directory.
    pub fn start_in(plan: &Plan, name: &str, options: &[&str], directory: &Path) -> Result<Self> {
        let mut watch = Self::spawn(plan, name, options, directory)?;
        watch.lastref.wait_until_ready()?;
        watch.before = puts_so_far()?;
        Ok(watch)
    }

    /// The same without waiting.
    pub fn spawn(plan: &Plan, name: &str, options: &[&str], directory: &Path) -> Result<Self> {
        let report = directory.join(format!("{name}.json"));
        let path = report.to_str().context("a path is not text")?;
        let arguments = [&["--interval", "1s", "--output", path], options].concat();
        Ok(Self {
            lastref: Lastref::spawn(&plan.lastref, "watch", arguments, &plan.output, name)?,
            name: name.to_string(),
            report,
            before: puts_so_far()?,
        })
    }

    /// The process.
    pub fn lastref(&mut self) -> &mut Lastref {
        &mut self.lastref
    }

    /// Where the report is.
    pub fn report(&self) -> &Path {
        &self.report
    }

    /// Ends it: it must have a verdict.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let status = self.lastref.stop()?;
        ensure!(
            exit_status::is_verdict(status),
            "{}: lastref ended with {status}: {}",
            self.name,
            self.lastref.log_tail()
        );
        Ok(status)
    }

    /// Ends it, once the module is at rest, and reads what it has counted.
    pub fn count(mut self) -> Result<Counted> {
        let after = puts_so_far()?;
        self.stop()?;
        let made = after
            .into_iter()
            .map(|(kind, puts)| {
                let before = self.before.get(&kind).copied().unwrap_or(0);
                (kind, puts.saturating_sub(before))
            })
            .collect();
        Counted::read(&self.report, made)
    }
}

/// Reads a report of `lastref`.
pub fn read_report(path: &Path) -> Result<Report> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("the report {} cannot be understood", path.display()))
}

/// A number in a report, by its place (RFC 6901).
pub fn number_in(path: &Path, pointer: &str) -> Result<u64> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let report: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("the report {} cannot be understood", path.display()))?;
    report
        .pointer(pointer)
        .and_then(serde_json::Value::as_u64)
        .with_context(|| format!("the report {} has no number {pointer}", path.display()))
}

impl Counted {
    fn read(path: &Path, made: BTreeMap<Kind, u64>) -> Result<Self> {
        let report = read_report(path)?;
        let sites = || report.findings.iter().chain(&report.other_sites);
        let puts = |site: &crate::field::report::Site| -> u64 {
            site.contexts
                .iter()
                .map(|context| context.counts.final_puts)
                .sum()
        };
        let ours = sites().filter(|site| {
            let innermost = site.frames.first();
            innermost.is_some_and(|frame| frame.function.as_deref() == Some(RECORDED))
        });
        Ok(Self {
            made,
            sites: ours.map(puts).collect(),
            at_sites: sites().map(puts).sum(),
            report,
        })
    }

    /// Those kept at each site.
    pub fn puts_by_site(&self) -> &[u64] {
        &self.sites
    }

    /// Those kept at sites.
    pub fn recorded(&self) -> u64 {
        self.sites.iter().sum()
    }

    fn made(&self, kind: Kind) -> u64 {
        self.made.get(&kind).copied().unwrap_or(0)
    }

    /// All that the module made.
    pub fn all_made(&self) -> u64 {
        self.made.values().sum()
    }

    /// A number of the report's losses.
    pub fn lost(&self, what: &str) -> u64 {
        self.report.losses.get(what).copied().flatten().unwrap_or(0)
    }

    /// Whether the report tells of no loss but of further examples of calls that it has one of.
    pub fn lost_nothing(&self) -> bool {
        self.report.lost().all(|(what, _)| what == "ring_full")
    }

    /// Every put that is kept at a site is there, but for those whose programs the kernel says it has
    /// skipped: of a trampoline, while another task was preempted in it.
    pub fn check_exact(&self) -> Result<()> {
        let made = self.made(Kind::Nofs);
        ensure!(
            (made.saturating_sub(self.skipped())..=made).contains(&self.recorded()),
            "{} of {made} puts are at sites; lost: {:?}",
            self.recorded(),
            self.report.lost().collect::<Vec<_>>()
        );
        self.check_benign()
    }

    /// How often the kernel says that it has skipped a program.
    fn skipped(&self) -> u64 {
        self.lost("probe_hits_missed")
    }

    /// What is not at a site is in the totals: as many are missing at all sites as the module's are,
    /// and those few of others that found no room, either.
    pub fn check_loss_is_exact(&self) -> Result<u64> {
        let missing = self.made(Kind::Nofs).saturating_sub(self.recorded());
        let totals = &self.report.totals;
        let uncounted = totals
            .final_puts
            .checked_sub(totals.benign_final_puts + self.at_sites)
            .context("there are more final puts at sites than in all")?;
        ensure!(
            (missing..=missing + OTHERS_RECORDED).contains(&uncounted),
            "{missing} puts are at no site, but the totals tell of {uncounted}"
        );
        self.check_benign()?;
        Ok(missing)
    }

    /// Benign puts are counted in all. A guest makes some of its own.
    fn check_benign(&self) -> Result<()> {
        let made = self.made(Kind::Kept) + self.made(Kind::Evicted);
        let counted = self.report.totals.benign_final_puts;
        let most = made + OTHERS.max(made / 1000 * OTHERS_PER_THOUSAND);
        ensure!(
            (made.saturating_sub(self.skipped())..=most).contains(&counted),
            "{counted} benign puts were counted, of which the module made {made}"
        );
        Ok(())
    }

    /// The numbers, for people.
    pub fn describe(&self) -> String {
        let made = self.made(Kind::Kept) + self.made(Kind::Evicted);
        let numbers = format!(
            "{} of {} puts counted at {} sites; {made} benign ones and {} of others",
            self.recorded(),
            self.made(Kind::Nofs),
            self.sites.len(),
            self.report.totals.benign_final_puts.saturating_sub(made)
        );
        match self.skipped() {
            0 => numbers,
            skipped => format!("{numbers}; {skipped} programs skipped by the kernel, and told"),
        }
    }
}
