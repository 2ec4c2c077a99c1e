//! The packages in a guest: it sees this machine's files, and what is installed is gone with it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Packages, Release, tarball};
use crate::context::Context;
use crate::guest::{Guest, Outcome};
use crate::kernels::Kernel;
use crate::progress::step;
use crate::tally::Tally;

const SCRIPT: &str = include_str!("guest.sh");
const TIMEOUT: Duration = Duration::from_mins(25);
/// What the script prints at its end: without it, checks are missing.
const END: &str = "all checks made";

/// Runs the script, shows its lines and counts them.
pub fn run(
    context: &Context,
    kernel: &Kernel,
    release: &Release,
    packages: &Packages,
) -> Result<Tally> {
    let script = packages.directory.join("guest.sh");
    std::fs::write(&script, SCRIPT)
        .with_context(|| format!("{} cannot be written", script.display()))?;
    let argument = |path: &Path| path.as_os_str().to_owned();
    let command = [
        "sh".into(),
        argument(&script),
        argument(&packages.deb),
        argument(&packages.rpm),
        argument(&packages.tarball),
        tarball::top(release).into(),
        release.version.clone().into(),
    ];
    let result = step(
        &format!(
            "packages in a guest with kernel {}",
            kernel.manifest.release
        ),
        || {
            Guest::new(context, kernel, command)
                .timeout(TIMEOUT)
                .keep_console(packages.directory.join("console.txt"))
                .run()
        },
    );
    // Only what is handed out stays beside the packages.
    drop(std::fs::remove_file(&script));
    let result = result?;
    print!("{}", result.stdout);
    ensure!(
        result.outcome == Outcome::Exited(0) && result.stdout.contains(END),
        "the packages were not checked to the end: {}",
        result.describe()
    );
    Ok(count(&result.stdout))
}

fn count(output: &str) -> Tally {
    let lines = |start: &str| {
        output
            .lines()
            .filter(|line| line.starts_with(start))
            .count() as u64
    };
    Tally {
        passed: lines("ok: "),
        failed: lines("NOT ok: "),
        skipped: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_counted() {
        let output = "ok: deb: man\nNOT ok: deb: doctor\n#   ok: not a check\nok: rpm: man\n";
        let tally = count(output);
        assert_eq!((tally.passed, tally.failed), (2, 1));
    }
}
