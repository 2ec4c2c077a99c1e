//! The lab: on each kernel, `lastref` watches while the lab's module puts inodes from every
//! context, and its reports are judged by `lab/scenarios.toml`.

pub mod inside;
mod judge;
mod report;
mod scenarios;
mod session;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use self::judge::{Judgement, Score};
use self::report::Report;
use self::scenarios::Scenarios;
use self::session::{Plan, Session, SessionResult};
use crate::context::{Context, fresh_directory};
use crate::guest::{Guest, Outcome};
use crate::progress::{elapsed, read_lossy};
use crate::{kernels, module};

/// From boot to the end of the last session, under emulation.
const TIMEOUT: Duration = Duration::from_mins(20);

/// All that was found on one kernel.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The kernel's name in `kernels.toml`.
    pub kernel: String,
    /// What went wrong outside any session: loading the module, the guest itself.
    pub problems: Vec<String>,
    /// The sessions, in order.
    pub sessions: Vec<Judged>,
    /// Over all sessions.
    pub score: Score,
}

/// One session and its judgement.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// The session's name.
    pub name: String,
    /// What is to be said of it.
    pub judgement: Judgement,
}

impl Summary {
    /// Whether all is as it must be.
    pub fn passed(&self) -> bool {
        self.tally().1 == 0
    }

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
}

/// Runs the lab on one kernel with a built `lastref`; `only` limits it to some scenarios.
///
/// Prints a line for each scenario and a tally, and leaves `target/lab/KERNEL.json`, with the
/// reports themselves and the guest's console in `target/lab/KERNEL/`.
pub fn run(context: &Context, kernel: &str, lastref: &Path, only: &[String]) -> Result<Summary> {
    let start = Instant::now();
    let table = Scenarios::read(&context.root.join("lab/scenarios.toml"))?;
    let sessions = session::sessions(&table, kernel, only);
    ensure!(
        !sessions.is_empty(),
        "no such scenario for {kernel}: {}",
        only.join(", ")
    );
    let output = fresh_directory(&context.target().join("lab").join(kernel))?;
    let guest_problem = run_guest(context, kernel, lastref, &table, &sessions, &output)?;

    let results: Vec<SessionResult> =
        serde_json::from_str(&read_lossy(&output.join("sessions.json"))).unwrap_or_default();
    let mut summary = Summary {
        kernel: kernel.to_string(),
        problems: guest_problem.into_iter().collect(),
        sessions: Vec::new(),
        score: Score::default(),
    };
    match results.iter().find(|result| result.name == "module") {
        Some(module) => summary.problems.extend(module.problems.iter().cloned()),
        None => summary
            .problems
            .push("the guest did not get to load the module".to_string()),
    }
    for session in &sessions {
        let judgement = judge_session(session, &results, &output);
        summary.score.add(judgement.score);
        summary.sessions.push(Judged {
            name: session.name(),
            judgement,
        });
    }
    print(&summary);
    let path = output.with_added_extension("json");
    fs::write(&path, serde_json::to_string_pretty(&summary)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("lab on {kernel}: {}; {}", elapsed(start), path.display());
    Ok(summary)
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
        output: output.to_path_buf(),
        sessions: sessions.iter().map(Session::planned).collect(),
        impossible: table.impossible(name),
    };
    let path = output.join("plan.json");
    fs::write(&path, serde_json::to_string_pretty(&plan)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let program = std::env::current_exe().context("this program cannot be found")?;
    let command = [
        program.into_os_string(),
        "guest-lab".into(),
        path.into_os_string(),
    ];
    let result = Guest::new(context, &kernel, command)
        .timeout(TIMEOUT)
        .writable(output)
        .keep_console(output.join("console"))
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
    for session in &summary.sessions {
        for verdict in &session.judgement.verdicts {
            let good = if verdict.problems.is_empty() {
                "ok  "
            } else {
                "FAIL"
            };
            println!(
                "  {good} {} {:<23} {:<23} {} × {:<8} {} {}",
                summary.kernel,
                session.name,
                verdict.scenario,
                verdict.count,
                format!("{:?}", verdict.outcome).to_lowercase(),
                verdict.severity,
                verdict.rule.as_deref().unwrap_or_default(),
            );
            for problem in &verdict.problems {
                println!("         {problem}");
            }
        }
        for problem in &session.judgement.problems {
            println!("  FAIL {} {}: {problem}", summary.kernel, session.name);
        }
    }
    for problem in &summary.problems {
        println!("  FAIL {}: {problem}", summary.kernel);
    }
    let (good, bad) = summary.tally();
    let Score {
        right,
        missed,
        wrong,
    } = summary.score;
    println!(
        "{}: {good} as expected, {} problems; findings: {right} right, {missed} missed, {wrong} wrong; precision {}, recall {}",
        summary.kernel,
        bad,
        ratio(right, right + wrong),
        ratio(right, right + missed),
    );
}

/// Three decimals, cut off and not rounded: 1.000 means all of them.
fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_string();
    }
    let thousandths = part * 1000 / whole;
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
mod tests {
    use super::ratio;

    #[test]
    fn a_ratio_of_one_means_all() {
        assert_eq!(ratio(3, 3), "1.000");
        assert_eq!(ratio(9999, 10000), "0.999");
        assert_eq!(ratio(0, 0), "-");
    }
}
