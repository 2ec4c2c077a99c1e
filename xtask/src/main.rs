//! Development tasks of lastref: `cargo xtask --help`.

mod agent;
mod apt;
mod bench;
mod build_kernel;
mod children;
mod context;
mod demo;
mod dist;
mod exit_status;
mod field;
mod field_task;
mod fire;
mod forms;
mod guest;
mod guest_command;
mod guest_plan;
mod host_packages;
mod kernels;
mod kvm;
mod lab;
mod lab_task;
mod lastref;
mod module;
mod progress;
mod promtool;
mod python_program;
mod recipes;
mod rust_src;
mod screenshots;
mod setup;
mod table;
mod tally;
mod test;
mod toolchain;
mod tracefs;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::context::Context;

/// Development tasks of lastref.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make a bare Debian machine ready: packages, tools, kernels
    Setup(setup::Setup),
    /// Let a flusher hang on its own inode in a guest, and show lastref's report of it
    Demo(demo::Demo),
    /// Test everything: formatting, clippy, unit tests, the lab on every kernel
    Test(test::Test),
    /// Run the lab, on one kernel or on all
    Lab(lab_task::Lab),
    /// Churn real filesystems on stock kernels and judge what lastref finds
    Field(field_task::Field),
    /// Run the recipes of docs/ci.md as they stand there
    Recipes(recipes::Recipes),
    /// Count in guests what watching costs, and compare it with limits
    Bench(bench::Bench),
    /// Watch under load in a guest while everything goes wrong, and count what is lost
    Fire(fire::Fire),
    /// Watch under load in a guest for long: memory must not grow, counts must be exact
    Soak(fire::Soak),
    /// Run a command as root in a guest and return its status
    Vm(vm::Vm),
    /// Open reports in a browser: measure a large one, take a picture for the README
    Screenshots(screenshots::Screenshots),
    /// Build what is handed out: a static binary, a tarball, a .deb and an .rpm
    Dist(dist::Dist),
    /// Build the lab's kernel module for a kernel and print where it is
    #[command(hide = true)]
    Module(Module),
    /// The lab's part inside a guest
    #[command(hide = true)]
    GuestLab(lab::inside::GuestLab),
    /// The witness's part inside a guest
    #[command(hide = true)]
    GuestWitness(lab::witness_inside::GuestWitness),
    /// The part of `bench` inside a guest
    #[command(hide = true)]
    GuestBench(bench::inside::GuestBench),
    /// The part of `fire` and `soak` inside a guest
    #[command(hide = true)]
    GuestFire(fire::inside::GuestFire),
    /// The part of `field` inside a guest
    #[command(hide = true)]
    GuestField(field::inside::GuestField),
    /// The part of `field ceph` inside a guest
    #[command(hide = true)]
    GuestCeph(field::ceph::inside::GuestCeph),
}

#[derive(Debug, Args)]
struct Module {
    /// Kernel to build for (see kernels.toml)
    #[arg(long)]
    kernel: String,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(task: Task) -> Result<u8> {
    match task {
        Task::Setup(options) => setup::run(&Context::find()?, &options),
        Task::Demo(options) => demo::run(&Context::find()?, &options),
        Task::Test(options) => test::run(&Context::find()?, &options),
        Task::Lab(options) => lab_task::run(&Context::find()?, &options),
        Task::Field(options) => field_task::run(&Context::find()?, &options),
        Task::Recipes(options) => recipes::run(&Context::find()?, &options),
        Task::Bench(options) => bench::run(&Context::find()?, &options),
        Task::Fire(options) => fire::run(&Context::find()?, &options),
        Task::Soak(options) => fire::soak(&Context::find()?, &options),
        Task::Vm(options) => vm::run(&Context::find()?, &options),
        Task::Screenshots(options) => screenshots::run(&Context::find()?, &options),
        Task::Dist(options) => dist::run(&Context::find()?, &options),
        Task::Module(options) => build_module(&Context::find()?, &options),
        // A guest cannot write to this machine's cache, and needs nothing of it.
        Task::GuestLab(options) => lab::inside::run(&options),
        Task::GuestWitness(options) => lab::witness_inside::run(&options),
        Task::GuestBench(options) => bench::inside::run(&options),
        Task::GuestFire(options) => fire::inside::run(&options),
        Task::GuestField(options) => field::inside::run(&options),
        Task::GuestCeph(options) => field::ceph::inside::run(&options),
    }
}

fn build_module(context: &Context, options: &Module) -> Result<u8> {
    let kernel = kernels::named(context, &options.kernel)?;
    println!("{}", module::build_lab(context, &kernel)?.display());
    Ok(0)
}
