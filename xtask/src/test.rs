//! `cargo xtask test`: everything there is to test, in stages, with one tally at the end.

use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::context::Context;
use crate::lab::matrix::Matrix;
use crate::progress::{elapsed, read_lossy, run_logged, seconds, tail};
use crate::tally::Tally;
use crate::{agent, bench, field, fire, forms, lab, promtool, recipes, setup};

/// What `--quick` keeps to.
const QUICK_KERNEL: &str = "7.3";
const BPF_TARGET: &str = "bpfel-unknown-none";

/// Options of `test`.
#[derive(Debug, Args)]
pub struct Test {
    /// Keep to one kernel
    #[arg(long, conflicts_with = "kernels")]
    quick: bool,
    /// Kernel to test on (see kernels.toml); all if none is named
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
}

/// A finished stage.
#[derive(Debug)]
struct Done {
    name: String,
    took: Duration,
    tally: Tally,
}

type Check = fn(&Context, &str) -> Tally;

/// The stages before the guests.
const STAGES: [(&str, Check); 6] = [
    ("fmt", fmt),
    ("clippy", clippy),
    ("unit", unit),
    ("fuzz", fuzz),
    ("metrics", metrics),
    ("forms", forms::check),
];

/// Runs all stages; 1 if anything failed.
pub fn run(context: &Context, options: &Test) -> Result<u8> {
    let start = Instant::now();
    let since = SystemTime::now();
    let names = if options.quick {
        vec![QUICK_KERNEL.to_string()]
    } else {
        options.kernels.clone()
    };
    let kernels: Vec<String> = setup::ready(context, &names, false)?
        .into_iter()
        .map(|kernel| kernel.name)
        .collect();
    let mut done: Vec<Done> = STAGES
        .iter()
        .map(|(name, check)| stage(name, || check(context, name)))
        .collect();
    done.extend(guests(context, &jobs(&kernels))?);
    done.push(stage("matrix", || matrix(context, &kernels, since)));
    Ok(summary(&done, start.elapsed()))
}

fn stage(name: &str, check: impl FnOnce() -> Tally) -> Done {
    println!("== {name}");
    let start = Instant::now();
    finish(name, start, check())
}

fn finish(name: &str, start: Instant, tally: Tally) -> Done {
    println!("{name}: {}", elapsed(start));
    println!("{tally}");
    Done {
        name: name.to_string(),
        took: start.elapsed(),
        tally,
    }
}

/// Prints the table of stages and returns the exit status.
fn summary(done: &[Done], took: Duration) -> u8 {
    let mut total = Tally::default();
    println!("== summary");
    for stage in done {
        let verdict = if stage.tally.failed == 0 {
            "ok  "
        } else {
            "FAIL"
        };
        println!(
            "{verdict} {:<20} {:>12}  {}",
            stage.name,
            seconds(stage.took),
            stage.tally
        );
        total.add(stage.tally);
    }
    println!("all: {}", seconds(took));
    println!("{total}");
    u8::from(total.failed > 0)
}

fn fmt(context: &Context, stage: &str) -> Tally {
    one(
        context,
        stage,
        cargo(context).args(["fmt", "--all", "--check"]),
    )
}

fn clippy(context: &Context, stage: &str) -> Tally {
    const STRICT: [&str; 3] = ["--", "-D", "warnings"];
    let mut tally = one(
        context,
        stage,
        cargo(context)
            .args([
                "clippy",
                "--quiet",
                "--locked",
                "--workspace",
                "--exclude",
                "probe-ebpf",
                "--all-targets",
            ])
            .args(STRICT),
    );
    // As probe-user/build.rs builds it: stable rustc, `core` from source.
    tally.add(one(
        context,
        stage,
        cargo(context)
            .args([
                "clippy",
                "--quiet",
                "--locked",
                "-Z",
                "build-std=core",
                "--package",
                "probe-ebpf",
            ])
            .args(["--target", BPF_TARGET, "--target-dir"])
            .arg(context.target().join("bpf-clippy"))
            .args(STRICT)
            .env("RUSTC_BOOTSTRAP", "1")
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                "--cfg=bpf_target_arch=\"x86_64\"",
            ),
    ));
    tally
}

fn unit(context: &Context, stage: &str) -> Tally {
    let log = context.cache.join("logs/test-unit.log");
    let result = run_logged(
        stage,
        cargo(context).args([
            "test",
            "--quiet",
            "--locked",
            "--no-fail-fast",
            "--package",
            "probe-common",
            "--package",
            "probe-user",
            "--package",
            "xtask",
        ]),
        &log,
    );
    let mut tally = Tally::of_test_programs(&read_lossy(&log));
    if let Err(error) = result {
        println!("{}", tail(&read_lossy(&log), 200));
        println!("{error:#}");
        // Tests that did not even compile are not counted among those that failed.
        if tally.failed == 0 {
            tally.failed = 1;
        }
    }
    tally
}

/// The tests that try inputs of every kind, with more of them than among the unit tests; says how
/// many there were.
fn fuzz(context: &Context, stage: &str) -> Tally {
    const INPUTS: &str = "20000";
    let log = context.cache.join("logs/test-fuzz.log");
    let result = run_logged(
        stage,
        cargo(context)
            .args(["test", "--locked", "--package", "probe-user"])
            .args(["--test", "hostile_input", "--", "--nocapture"])
            .env("PROPTEST_CASES", INPUTS),
        &log,
    );
    let text = read_lossy(&log);
    for line in text.lines().filter(|line| line.ends_with(" inputs tried")) {
        println!("{line}");
    }
    if let Err(error) = result {
        println!("{}\n{error:#}", tail(&text, 200));
        return Tally::of(false);
    }
    Tally::of_test_programs(&text)
}

fn metrics(context: &Context, _stage: &str) -> Tally {
    let checked = promtool::check_metrics(context);
    if let Err(error) = &checked {
        println!("{error:#}");
    }
    Tally::of(checked.is_ok())
}

/// A check that is one command: what it printed is shown if it fails.
fn one(context: &Context, stage: &str, command: &mut Command) -> Tally {
    let log = context.cache.join(format!("logs/test-{stage}.log"));
    let result = run_logged(stage, command, &log);
    if let Err(error) = &result {
        println!("{}", tail(&read_lossy(&log), 200));
        println!("{error:#}");
    }
    Tally::of(result.is_ok())
}

fn cargo(context: &Context) -> Command {
    let mut command = context.command("cargo");
    command.env("CARGO_TERM_COLOR", "never");
    command
}

/// How many guests run at once: each is emulated on two virtual CPUs and waits about half of its time,
/// so three for every four CPUs, and never less than three, which two CPUs can carry.
fn side_by_side() -> usize {
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    (cpus * 3 / 4).max(3)
}

/// What runs in guests: `cargo xtask` with these arguments.
#[derive(Debug)]
struct Job {
    name: String,
    arguments: Vec<String>,
}

impl Job {
    fn new(task: &str, kernel: &str, more: &[&str]) -> Self {
        let arguments = [task, "--kernel", kernel]
            .into_iter()
            .chain(more.iter().copied());
        Self {
            name: format!(
                "{} {kernel}",
                more.first()
                    .map_or(task, |flag| flag.trim_start_matches('-'))
            ),
            arguments: arguments.map(ToOwned::to_owned).collect(),
        }
    }
}

/// The longest first, so that they do not come last and alone.
fn jobs(kernels: &[String]) -> Vec<Job> {
    let with = |wanted: &'static [&'static str]| {
        kernels
            .iter()
            .map(String::as_str)
            .filter(|kernel| wanted.contains(kernel))
    };
    let fields = with(&field::KERNELS).map(|kernel| Job::new("field", kernel, &[]));
    let witness =
        with(&[lab::WITNESS_KERNEL]).map(|kernel| Job::new("lab", kernel, &["--witness"]));
    let labs = kernels.iter().map(|kernel| Job::new("lab", kernel, &[]));
    let packages = with(&[QUICK_KERNEL]).map(|kernel| Job {
        name: format!("dist {kernel}"),
        arguments: ["dist", "--check", kernel].map(String::from).to_vec(),
    });
    let fires = with(&[fire::KERNEL]).map(|kernel| Job {
        name: format!("fire {kernel}"),
        arguments: ["fire", "--kernel", kernel, "--brief"]
            .map(String::from)
            .to_vec(),
    });
    // One job, as its tables are one file.
    let measured: Vec<&str> = with(&bench::KERNELS).collect();
    let benches = (!measured.is_empty()).then(|| Job {
        name: "bench".to_string(),
        arguments: ["bench"]
            .into_iter()
            .chain(measured.iter().flat_map(|kernel| ["--kernel", kernel]))
            .map(String::from)
            .collect(),
    });
    let recipes = with(&[recipes::KERNEL]).map(|kernel| Job::new("recipes", kernel, &[]));
    fires
        .chain(fields)
        .chain(benches)
        .chain(packages)
        .chain(recipes)
        .chain(labs)
        .chain(witness)
        .collect()
}

/// Each job in a process of its own whose output is shown in one piece.
fn guests(context: &Context, jobs: &[Job]) -> Result<Vec<Done>> {
    let lastref = match agent::build(context) {
        Ok(lastref) => lastref,
        Err(error) => {
            println!("{error:#}");
            return Ok(jobs
                .iter()
                .map(|job| finish(&job.name, Instant::now(), Tally::of(false)))
                .collect());
        }
    };
    let program = std::env::current_exe().context("this program cannot be found")?;
    let waiting = Mutex::new(jobs.iter());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..side_by_side().min(jobs.len()) {
            scope.spawn(|| {
                let next = || {
                    waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .next()
                };
                while let Some(job) = next() {
                    let start = Instant::now();
                    let (output, tally) = run_job(context, &program, &lastref, job);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    println!("== {}\n{}", job.name, output.trim_end());
                    done.push(finish(&job.name, start, tally));
                }
            });
        }
    });
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn run_job(context: &Context, program: &Path, lastref: &Path, job: &Job) -> (String, Tally) {
    let log = context
        .cache
        .join(format!("logs/{}.log", job.name.replace(' ', "-")));
    let result = run_logged(
        &job.name,
        context
            .command(program)
            .args(&job.arguments)
            .arg("--lastref")
            .arg(lastref),
        &log,
    );
    let text = read_lossy(&log);
    match Tally::parse(&tail(&text, 1)) {
        // Its closing line is printed as the stage's.
        Some(tally) if tally.failed > 0 || result.is_ok() => {
            let lines = text.trim_end().lines().count().saturating_sub(1);
            let body: Vec<&str> = text.lines().take(lines).collect();
            (body.join("\n"), tally)
        }
        _ => {
            let problem = result
                .err()
                .map_or_else(String::new, |error| format!("{error:#}"));
            (format!("{text}\n{problem}"), Tally::of(false))
        }
    }
}

/// What the lab found on all kernels: on each, every finding must be right and none missing.
fn matrix(context: &Context, kernels: &[String], since: SystemTime) -> Tally {
    let made = Matrix::collect(context, since)
        .and_then(|matrix| matrix.write(context).map(|path| (matrix, path)));
    match made {
        Ok((matrix, path)) => {
            println!("{}\n{}", matrix.summary(), path.display());
            let mut tally = Tally::default();
            for kernel in kernels {
                tally.add(Tally::of(matrix.is_perfect_on(kernel)));
            }
            tally
        }
        Err(error) => {
            println!("{error:#}");
            Tally::of(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_all() {
        let done = |failed| Done {
            name: "x".to_string(),
            took: Duration::ZERO,
            tally: Tally {
                passed: 5,
                failed,
                skipped: 0,
            },
        };
        assert_eq!(summary(&[done(0), done(0)], Duration::ZERO), 0);
        assert_eq!(summary(&[done(0), done(1)], Duration::ZERO), 1);
    }
}
