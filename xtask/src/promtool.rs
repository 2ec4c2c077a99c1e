//! Prometheus' own check of the metrics that `lastref` writes.

use std::path::PathBuf;

use anyhow::Result;

use crate::context::{Context, fresh_directory};
use crate::host_packages;
use crate::progress::run_logged;

/// What the unit tests compare `lastref`'s metrics with.
const METRICS: &str = "probe-user/tests/lastref.prom";

/// The tool takes metrics from standard input only.
const SCRIPT: &str = r#"exec "$0" check metrics < "$1""#;

/// Has `promtool` read and judge them.
pub fn check_metrics(context: &Context) -> Result<()> {
    let promtool = promtool(context)?;
    run_logged(
        "promtool",
        context
            .command("sh")
            .args(["-c", SCRIPT])
            .arg(promtool)
            .arg(context.root.join(METRICS)),
        &context.cache.join("logs/test-metrics.log"),
    )
}

/// The tool, from Debian's package, which is unpacked and not installed: no server starts.
fn promtool(context: &Context) -> Result<PathBuf> {
    let directory = context.tools().join("prometheus");
    let program = directory.join("usr/bin/promtool");
    if !program.exists() {
        fresh_directory(&directory)?;
        host_packages::unpack(context, &["prometheus"], &directory)?;
    }
    Ok(program)
}
