//! The lab inside a guest: loads the module and runs the scenarios of a plan while `lastref` watches.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::io::Errno;

use super::session::{Plan, PlannedSession, SessionResult};
use super::step::{CONTROL, Failure, Surroundings, load_module, set_patience, trigger};
use super::{config, frames};
use crate::lastref::Lastref;
use crate::progress::output_of;
use crate::{exit_status, guest_plan};

const INTERVAL: &str = "1s";
/// `--stuck-after`, and how long hanging calls are then watched.
const STUCK_AFTER: &str = "2s";
const STUCK_WATCHED: Duration = Duration::from_secs(5);

/// How `lastref run` is started, and what it then runs: the scenarios are no children of it.
const PROVOKE: &[&str] = &["--provoke", "--provoke-duty", "50"];
const WORKLOAD: &[&str] = &["--", "sleep", "1h"];
/// For how long each run of a scenario waits for the dentry cache to be shrunk, in milliseconds.
/// Shorter than what is dirty may wait to be written (`dirty_expire_centisecs`).
const PATIENCE: &str = "25000";
const NO_PATIENCE: &str = "0";

/// Options of the hidden subcommand that runs inside the guest.
#[derive(Debug, Args)]
pub struct GuestLab {
    /// The plan, as JSON
    plan: PathBuf,
}

/// Carries out the plan. What goes wrong in a session is written down, and the next one starts.
pub fn run(options: &GuestLab) -> Result<u8> {
    let plan: Plan = guest_plan::read(&options.plan)?;
    load_module(&plan.module)?;
    let mut results = Vec::new();
    note(&plan, &mut results, "module", check_refused(&plan.refused))?;
    note(
        &plan,
        &mut results,
        config::NOTE,
        config::check(&plan.lastref, &plan.kernel_config),
    )?;
    note(
        &plan,
        &mut results,
        frames::NOTE,
        frames::check(&plan.lastref),
    )?;
    let mut udev = Udev::default();
    for session in &plan.sessions {
        println!("session {}", session.name);
        note(
            &plan,
            &mut results,
            &session.name,
            run_session(&plan, session, &mut udev),
        )?;
    }
    Ok(0)
}

/// Writes the results down after each session: the next one may take the guest with it.
fn note(
    plan: &Plan,
    results: &mut Vec<SessionResult>,
    name: &str,
    outcome: Result<Vec<String>>,
) -> Result<()> {
    results.push(SessionResult {
        name: name.to_string(),
        problems: outcome.unwrap_or_else(|error| vec![format!("{error:#}")]),
    });
    let path = plan.output.join("sessions.json");
    fs::write(&path, serde_json::to_string_pretty(results)?)
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// The module must refuse what the table says that this kernel cannot run, and nothing else.
fn check_refused(wanted: &BTreeSet<String>) -> Result<Vec<String>> {
    let list = fs::read_to_string(Path::new(CONTROL).join("scenarios"))
        .context("the module's list of scenarios cannot be read")?;
    let refused: BTreeSet<String> = list
        .lines()
        .filter_map(|line| line.split_once(" unsupported: "))
        .map(|(name, _)| name.to_string())
        .collect();
    let mut problems = Vec::new();
    for name in wanted.symmetric_difference(&refused) {
        problems.push(if refused.contains(name) {
            format!("the module does not support {name}, the table does")
        } else {
            format!("the module supports {name}, the table does not")
        });
    }
    for name in &refused {
        if trigger(name, 1, None) != Err(Errno::OPNOTSUPP) {
            problems.push(format!(
                "the module runs {name}, which it lists as unsupported"
            ));
        }
    }
    if trigger("no_such_scenario", 1, None) != Err(Errno::NOENT) {
        problems.push("the module accepts a scenario that it does not have".to_string());
    }
    Ok(problems)
}

fn report_file(output: &Path, session: &PlannedSession) -> PathBuf {
    output.join(format!("{}.json", session.name))
}

/// Whether udev may look at the devices that come and go.
///
/// Not while the dentry cache is shrunk: each mount that scenarios make has a backing device, and
/// the removal of one that was looked at would make the last put of its directory in sysfs, in a
/// NOIO scope (`device_del()`, drivers/base/core.c): a right finding, but of no scenario.
///
/// Not from the first scenario on that hangs, either: what it looks at may then hang, too.
#[derive(Debug, Default)]
struct Udev {
    paused: bool,
}

impl Udev {
    fn pause(&mut self) -> Result<()> {
        if !self.paused {
            output_of(Command::new("udevadm").arg("settle"))?;
            output_of(Command::new("udevadm").args(["control", "--stop-exec-queue"]))?;
            self.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        output_of(Command::new("udevadm").args(["control", "--start-exec-queue"]))?;
        self.paused = false;
        Ok(())
    }
}

fn run_session(plan: &Plan, session: &PlannedSession, udev: &mut Udev) -> Result<Vec<String>> {
    if !session.watch.provoke && !session.stuck {
        return run_scenarios(plan, session);
    }
    udev.pause()?;
    let outcome = run_scenarios(plan, session);
    if !session.stuck {
        udev.resume()?;
    }
    outcome
}

fn run_scenarios(plan: &Plan, session: &PlannedSession) -> Result<Vec<String>> {
    let mut watcher = start(&plan.lastref, &plan.output, session)?;
    set_patience(if session.watch.provoke {
        PATIENCE
    } else {
        NO_PATIENCE
    })?;
    let mut problems = Vec::new();
    let surroundings = Surroundings {
        module: &plan.module,
        report: &report_file(&plan.output, session),
    };
    for scenario in &session.scenarios {
        let name = &scenario.name;
        match surroundings.run(scenario) {
            Ok(()) => {}
            // What has been waited for in vain once would be waited for each time.
            Err(Failure::Failed(error)) if is_timeout(&error) => {
                problems.push(format!(
                    "{name} was not left alone by the dentry cache; the session ends here"
                ));
                break;
            }
            Err(Failure::Failed(error)) => problems.push(format!("{name} failed: {error:#}")),
            Err(Failure::Hangs) => {
                problems.push(format!("{name} did not return; the session ends here"));
                break;
            }
        }
    }
    if session.stuck {
        thread::sleep(STUCK_WATCHED);
    }
    let status = watcher.stop()?;
    if !exit_status::is_verdict(status) {
        problems.push(format!(
            "lastref ended with {status}: {}",
            watcher.log_tail()
        ));
    }
    Ok(problems)
}

fn is_timeout(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Errno>() == Some(&Errno::TIME)
}

/// Starts `lastref` for a session and waits until its probes are attached.
pub fn start(lastref: &Path, output: &Path, session: &PlannedSession) -> Result<Lastref> {
    let (command, options, workload) = if session.watch.provoke {
        ("run", PROVOKE, WORKLOAD)
    } else {
        ("watch", &[][..], &[][..])
    };
    let (attach, level) = (
        session.watch.attach.to_string(),
        session.watch.level.to_string(),
    );
    let report = report_file(output, session);
    let arguments = options
        .iter()
        .copied()
        .chain(["--attach", &attach, "--level", &level])
        .chain(session.watch.track_locks.then_some("--track-locks"))
        .chain(["--interval", INTERVAL, "--stuck-after", STUCK_AFTER])
        .chain(["--all", "--output"])
        .map(OsStr::new)
        .chain([report.as_os_str()])
        .chain(workload.iter().map(OsStr::new));
    let mut lastref = Lastref::spawn(lastref, command, arguments, output, &session.name)?;
    lastref.wait_until_ready()?;
    Ok(lastref)
}
