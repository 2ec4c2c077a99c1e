//! `cargo xtask dist`: the static binary, a tarball, a .deb and an .rpm of it in `target/dist`.
//!
//! The same binary is packed into the same bytes: every time in them is the commit's.

mod contents;
mod debian;
mod guest;
mod host_checks;
mod rpm;
mod stage;
mod tarball;
mod third_party;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::agent;
use crate::context::{Context, fresh_directory};
use crate::progress::{output_of, step};

/// Options of `dist`.
#[derive(Debug, Args)]
pub struct Dist {
    /// Then install, use and remove every package in a guest with this kernel (see kernels.toml)
    #[arg(long, value_name = "KERNEL")]
    check: Option<String>,
    /// A built lastref, instead of building it
    #[arg(long, value_name = "PATH")]
    lastref: Option<PathBuf>,
    /// Whom the packages name as their maintainer
    #[arg(long, value_name = "NAME <ADDRESS>", default_value = MAINTAINER)]
    maintainer: String,
}

/// The domain says that this is nobody's address (RFC 2606): a distributor names their own.
const MAINTAINER: &str = "The lastref authors <maintainers@lastref.invalid>";

const NAME: &str = "lastref";
const SUMMARY: &str = "find last references to inodes dropped where they must not";
/// In lines of at most 79 columns, with one of indentation: as Debian wants it.
const DESCRIPTION: &str = "\
lastref watches a running Linux kernel by eBPF and finds the places where the
last reference to an inode is dropped (iput()) where that can deadlock, sleep
in atomic context or overrun the stack: inside writeback, memory reclaim, a
filesystem's transaction, under locks. It names each site, says why it is
dangerous and what the way out is, and its exit status lets a kernel's tests
fail on it. This build is static and needs no library; the kernel needs BTF.";
const LICENCE: &str = "MIT OR Apache-2.0";

/// What the packages say of themselves.
#[derive(Debug)]
struct Release {
    version: String,
    maintainer: String,
    /// Seconds since 1970: the time that everything in the packages has.
    epoch: u32,
}

/// What was made.
#[derive(Debug)]
struct Packages {
    directory: PathBuf,
    tarball: PathBuf,
    deb: PathBuf,
    rpm: PathBuf,
}

/// Makes all; with `--check` returns 1 if a package does not do.
pub fn run(context: &Context, options: &Dist) -> Result<u8> {
    let release = Release::of(context, &options.maintainer)?;
    let binary = match &options.lastref {
        Some(path) => path.clone(),
        None => agent::build(context)?,
    };
    let directory = fresh_directory(&context.target().join("dist"))?;
    let packages = make(context, &release, &binary, &directory)?;
    let target = directory.join(NAME);
    fs::copy(&binary, &target)
        .with_context(|| format!("{} cannot be written", target.display()))?;
    println!("{}", target.display());
    for path in packages.files() {
        println!("{}", path.display());
    }
    match &options.check {
        Some(kernel) => {
            let tally = stage::check(context, &release, &binary, &packages, kernel)?;
            println!("{tally}");
            Ok(u8::from(tally.failed > 0))
        }
        None => Ok(0),
    }
}

/// Packs `binary` into `directory`.
fn make(context: &Context, release: &Release, binary: &Path, directory: &Path) -> Result<Packages> {
    step("packages", || {
        let inputs = contents::Inputs::collect(context, binary)?;
        let packages = Packages {
            directory: directory.to_path_buf(),
            tarball: tarball::build(&inputs, release, directory)?,
            deb: debian::build(&inputs, release, directory)?,
            rpm: rpm::build(&inputs, release, directory)?,
        };
        let mut sums = String::new();
        for path in packages.files() {
            let bytes =
                fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            let name = path.file_name().unwrap_or_default().display();
            // As `sha256sum --check` reads it.
            writeln!(sums, "{:x}  {name}", Sha256::digest(bytes))?;
        }
        let path = directory.join("SHA256SUMS");
        fs::write(&path, sums).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(packages)
    })
}

impl Packages {
    fn files(&self) -> [&Path; 3] {
        [&self.tarball, &self.deb, &self.rpm]
    }
}

impl Release {
    fn of(context: &Context, maintainer: &str) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            maintainer: maintainer.to_owned(),
            epoch: epoch(context)?,
        })
    }
}

/// `SOURCE_DATE_EPOCH`, else the commit's time.
fn epoch(context: &Context) -> Result<u32> {
    let text = match env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => output_of(context.command("git").args(["log", "-1", "--format=%ct"]))
            .context("the commit's time cannot be read: set SOURCE_DATE_EPOCH")?,
    };
    text.trim()
        .parse()
        .with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: {}", text.trim()))
}

/// A date as `date` formats it, in UTC and the C locale.
fn date(epoch: u32, format: &str) -> Result<String> {
    let date = output_of(Command::new("date").env("LC_ALL", "C").args([
        "--utc",
        &format!("--date=@{epoch}"),
        &format!("+{format}"),
    ]))?;
    Ok(date.trim().to_owned())
}
