//! Programs from Python packages, each in an environment of its own in the cache.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::progress::{run_logged, step};

/// Installs `package` in that version, if it is not there, and returns where its programs are.
pub fn ensure(context: &Context, package: &str, version: &str) -> Result<PathBuf> {
    step(package, || {
        let _lock = context.lock(package)?;
        let directory = context.tools().join(package);
        // Scripts in it name their interpreter by its full path: it cannot be made elsewhere and moved.
        let complete = directory.join("complete");
        if !fs::read_to_string(&complete).is_ok_and(|own| own == version) {
            let log = context.cache.join(format!("logs/{package}.log"));
            run_logged(
                "python3 -m venv",
                Command::new("/usr/bin/python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&directory),
                &log,
            )?;
            run_logged(
                &format!("pip install {package}"),
                Command::new(directory.join("bin/pip"))
                    .args(["install", "--disable-pip-version-check"])
                    .arg(format!("{package}=={version}")),
                &log,
            )?;
            fs::write(&complete, version)
                .with_context(|| format!("{} cannot be written", complete.display()))?;
        }
        Ok(directory.join("bin"))
    })
}
