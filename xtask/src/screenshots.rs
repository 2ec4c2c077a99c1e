//! `cargo xtask screenshots`: the page that reports are shown as, in a real browser: how long a large
//! one takes to open, and a picture of the demo's for the README.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use regex::Regex;

use crate::context::{Context, fresh_directory};
use crate::progress::{output_of, run_logged, seconds, step};
use crate::{agent, host_packages};

const BROWSER: &str = "chromium";

/// Makes pictures small: a page needs no more than 256 colours.
const QUANTIZER: &str = "pngquant";

/// How many sites a report has that must open in no time.
const LARGE: &str = "10000";

/// In no time.
const OPENS_WITHIN: Duration = Duration::from_secs(2);

/// The largest picture to put into the repository, in bytes.
const PICTURE_LIMIT: u64 = 200_000;

/// The size of the picture, in pixels.
const WINDOW: &str = "1180,1260";

/// Options of `screenshots`.
#[derive(Debug, Args)]
pub struct Screenshots {
    /// The report to take a picture of [default: the one that `cargo xtask demo` left]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Takes the picture and measures; 0 if the large report opens in time.
pub fn run(context: &Context, options: &Screenshots) -> Result<u8> {
    let report = options
        .report
        .clone()
        .unwrap_or_else(|| context.target().join("demo/report.json"));
    ensure!(
        report.is_file(),
        "{} does not exist: run `cargo xtask demo` first, or name another report by --report",
        report.display()
    );
    host_packages::install(
        context,
        &[
            (BROWSER, "pictures of pages"),
            (QUANTIZER, "small pictures"),
        ],
    )?;
    let lastref = agent::build(context)?;
    let directory = fresh_directory(&context.target().join("screenshots"))?;

    let large = directory.join("large.json");
    step("report with many sites", || large_report(context, &large))?;
    let page = page_of(&lastref, &large)?;
    let opened = step("open it", || opened_after(&page))?;
    eprintln!("    {LARGE} sites are open after {}", seconds(opened));

    let picture = context.root.join("docs/images/html.png");
    take_picture(&page_of(&lastref, &report)?, &picture)?;
    println!("{}", picture.display());
    if opened > OPENS_WITHIN {
        eprintln!("that should take {} at most", seconds(OPENS_WITHIN));
    }
    Ok(u8::from(opened > OPENS_WITHIN))
}

fn large_report(context: &Context, path: &Path) -> Result<()> {
    let file =
        File::create(path).with_context(|| format!("{} cannot be created", path.display()))?;
    let status = context
        .command("cargo")
        .args(["run", "--quiet", "--locked"])
        .args([
            "--package",
            "probe-user",
            "--example",
            "large_report",
            "--",
            LARGE,
        ])
        .stdout(file)
        .status()
        .context("cargo cannot be run")?;
    ensure!(
        status.success(),
        "the large report cannot be made: {status}"
    );
    Ok(())
}

/// The page of a report, beside it.
fn page_of(lastref: &Path, report: &Path) -> Result<PathBuf> {
    let page = report.with_extension("html");
    output_of(
        Command::new(lastref)
            .arg("report")
            .arg(report)
            .args(["--format", "html", "--output"])
            .arg(&page),
    )?;
    Ok(page)
}

/// How long the page takes from the first byte to the last line that is seen. The page says so
/// itself.
fn opened_after(page: &Path) -> Result<Duration> {
    let document = output_of(browser().arg("--dump-dom").arg(page))?;
    let milliseconds = Regex::new(r#"<html[^>]* data-opened-after-ms="(\d+)""#)?
        .captures(&document)
        .context("the page did not come to its end: look at it in a browser")?[1]
        .parse()?;
    Ok(Duration::from_millis(milliseconds))
}

fn take_picture(page: &Path, picture: &Path) -> Result<()> {
    if let Some(directory) = picture.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
    }
    let log = page.with_extension("log");
    step("picture", || {
        run_logged(
            "picture",
            browser()
                .arg("--hide-scrollbars")
                .arg(format!("--window-size={WINDOW}"))
                .arg(format!("--screenshot={}", picture.display()))
                .arg(page),
            &log,
        )?;
        output_of(
            Command::new(QUANTIZER)
                .args(["--force", "--output"])
                .args([picture, picture]),
        )
    })?;
    let size = fs::metadata(picture)
        .with_context(|| format!("the browser left no {}", picture.display()))?
        .len();
    ensure!(
        size <= PICTURE_LIMIT,
        "{} has {size} bytes, more than {PICTURE_LIMIT}",
        picture.display()
    );
    Ok(())
}

/// The browser, without a window.
fn browser() -> Command {
    let mut command = Command::new(BROWSER);
    command.args(["--headless", "--disable-gpu"]);
    if rustix::process::geteuid().is_root() {
        // Its sandbox refuses root. The pages are ours.
        command.arg("--no-sandbox");
    }
    command
}
