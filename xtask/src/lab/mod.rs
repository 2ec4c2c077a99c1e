//! The lab: on each kernel, `lastref` watches while the lab's module puts inodes from every
//! context, and its reports are judged by `lab/scenarios.toml`.

mod config;
mod diagnosis;
mod frames;
mod held;
pub mod inside;
mod judge;
mod kernel_log;
pub mod matrix;
mod report;
mod scenarios;
mod session;
mod step;
mod verdict;
pub mod witness;
pub mod witness_inside;

pub use self::report::References;
pub use self::scenarios::Severity;
pub use self::session::{Attach, Level, PlannedSession, Watch};
pub use self::step::load_module;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use self::report::Report;
use self::scenarios::Scenarios;
use self::session::{Plan, Session, SessionResult};
use self::verdict::{Judgement, Score};
use crate::context::{Context, fresh_directory};
use crate::guest::Outcome;
use crate::guest_plan;
use crate::progress::{elapsed, read_lossy};
use crate::{host_packages, kernels, module};

/// What the guests need of this machine besides what all guests do.
const PACKAGES: [(&str, &str); 2] = [
    ("btrfs-progs", "the lab's btrfs"),
    ("e2fsprogs", "the lab's ext4"),
];

/// The kernel whose own complaints `lab --witness` compares verdicts with.
pub const WITNESS_KERNEL: &str = "7.3-lockdep";

/// From boot to the end of the last session, under emulation, with other guests beside.
const TIMEOUT: Duration = Duration::from_mins(30);

/// What the guest notes before its first session, and what it does for that.
const BEFORE_SESSIONS: [(&str, &str); 3] = [
    ("module", "load the module"),
    (config::NOTE, "compare the kernel with its configuration"),
    (frames::NOTE, "look for the functions that rules recognise"),
];

/// All that was found on one kernel.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Summary {
    /// The kernel's name in `kernels.toml`.
    pub kernel: String,
    /// What went wrong outside any session: loading the module, the guest itself.
    pub problems: Vec<String>,
    /// The sessions, in order.
    pub sessions: Vec<Judged>,
    /// Over all sessions.
    pub score: Score,
    /// Scenarios that this kernel does not run.
    pub absent: BTreeSet<String>,
}

/// One session and its judgement.
#[derive(Debug, Deserialize, Serialize)]
pub struct Judged {
    /// The session's name.
    pub name: String,
    /// The way that it watched; scenarios that hang have a session of their own for each.
    pub way: String,
    /// What is to be said of it.
    pub judgement: Judgement,
}

impl Summary {
    /// How many scenarios were reported as they must be, over all sessions, and how many were not,
    /// each problem outside a scenario counted as one more.
    pub fn tally(&self) -> (usize, usize) {
        let (mut good, mut bad) = (0, self.problems.len());
        for session in &self.sessions {
            bad += session.judgement.problems.len();
            for verdict in &session.judgement.verdicts {
                if verdict.problems.is_empty() {
                    good += 1;
                } else {
                    bad += 1;
                }
            }
        }
        (good, bad)
    }

    /// Everything that is not as it must be.
    pub fn all_problems(&self) -> Vec<String> {
        let mut problems = self.problems.clone();
        for session in &self.sessions {
            let name = &session.name;
            let judgement = &session.judgement;
            let outside = judgement.problems.iter();
            problems.extend(outside.map(|problem| format!("{name}: {problem}")));
            for verdict in &judgement.verdicts {
                let scenario = &verdict.scenario;
                let own = verdict.problems.iter();
                problems.extend(own.map(|problem| format!("{name}: {scenario}: {problem}")));
            }
        }
        problems
    }
}

/// The table of scenarios, which must have all those that are asked for.
fn table_with(context: &Context, names: &[String]) -> Result<Scenarios> {
    let path = context.root.join("lab/scenarios.toml");
    let table = Scenarios::read(&path)?;
    if let Some(name) = table.unknown_name(names) {
        bail!("there is no scenario {name} in {}", path.display());
    }
    Ok(table)
}

/// Where everything of the lab is kept.
fn directory(context: &Context) -> PathBuf {
    context.target().join("lab")
}

/// Where a kernel's [`Summary`] is kept.
fn result_file(context: &Context, kernel: &str) -> PathBuf {
    directory(context).join(format!("{kernel}.json"))
}

/// Runs the lab on one kernel with a built `lastref`; `only` limits it to some scenarios. Nothing
/// if this kernel can run none of those.
///
/// Prints what is wrong and a tally, and leaves `target/lab/KERNEL.json`, with the reports
/// themselves and the guest's console in `target/lab/KERNEL/`.
pub fn run(
    context: &Context,
    kernel: &str,
    lastref: &Path,
    only: &[String],
) -> Result<Option<Summary>> {
    let start = Instant::now();
    let table = table_with(context, only)?;
    let sessions = session::sessions(&table, kernel, only);
    if sessions.is_empty() {
        return Ok(None);
    }
    host_packages::install(context, &PACKAGES)?;
    let output = fresh_directory(&directory(context).join(kernel))?;
    let guest_problem = run_guest(context, kernel, lastref, &table, &sessions, &output)?;

    let results: Vec<SessionResult> =
        serde_json::from_str(&read_lossy(&output.join("sessions.json"))).unwrap_or_default();
    let mut summary = Summary {
        kernel: kernel.to_string(),
        problems: guest_problem.into_iter().collect(),
        sessions: Vec::new(),
        score: Score::default(),
        absent: table.absent(kernel),
    };
    for (name, what) in BEFORE_SESSIONS {
        match results.iter().find(|result| result.name == name) {
            Some(result) => summary.problems.extend(result.problems.iter().cloned()),
            None => summary
                .problems
                .push(format!("the guest did not get to {what}")),
        }
    }
    for session in &sessions {
        let judgement = judge_session(session, &results, &output);
        summary.score.add(judgement.score);
        summary.sessions.push(Judged {
            name: session.name(),
            way: session.watch.to_string(),
            judgement,
        });
    }
    print(&summary);
    let path = result_file(context, kernel);
    fs::write(&path, serde_json::to_string_pretty(&summary)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("lab on {kernel}: {}; {}", elapsed(start), path.display());
    Ok(Some(summary))
}

/// Runs all sessions in one guest; what became of it, if that is a problem.
fn run_guest(
    context: &Context,
    name: &str,
    lastref: &Path,
    table: &Scenarios,
    sessions: &[Session],
    output: &Path,
) -> Result<Option<String>> {
    let kernel = kernels::named(context, name)?;
    let plan = Plan {
        module: module::build_lab(context, &kernel)?,
        lastref: fs::canonicalize(lastref)
            .with_context(|| format!("{} is not there", lastref.display()))?,
        kernel_config: kernel.config(),
        output: output.to_path_buf(),
        sessions: sessions.iter().map(Session::planned).collect(),
        refused: table.refused(name),
    };
    let result = guest_plan::guest(context, &kernel, "guest-lab", &plan, output)?
        .timeout(TIMEOUT)
        .run()?;
    Ok(match result.outcome {
        Outcome::Exited(0) => None,
        _ => Some(result.describe()),
    })
}

fn judge_session(session: &Session, results: &[SessionResult], output: &Path) -> Judgement {
    let name = session.name();
    let mut judgement = match read_report(&output.join(format!("{name}.json"))) {
        Ok(report) => judge::judge(session, &report),
        Err(error) => judge::unjudged(session, &format!("{error:#}")),
    };
    match results.iter().find(|result| result.name == name) {
        Some(result) => judgement.problems.extend(result.problems.iter().cloned()),
        None => judgement
            .problems
            .push("the guest did not get to its end".to_string()),
    }
    judgement
}

fn read_report(path: &Path) -> Result<Report> {
    let text = fs::read_to_string(path).context("there is no report")?;
    Report::parse(&text).context("the report cannot be understood")
}

fn print(summary: &Summary) {
    for problem in summary.all_problems() {
        println!("  FAIL {}: {problem}", summary.kernel);
    }
    for session in &summary.sessions {
        if let Some(agreement) = &session.judgement.lock_agreement {
            println!(
                "  {} {}: locks as followed and by lockdep: {agreement}",
                summary.kernel, session.name
            );
        }
    }
    let (good, bad) = summary.tally();
    println!("{}: {good} as expected, {bad} problems", summary.kernel);
}
