//! `cargo xtask demo`: a real flusher hangs on the last reference to its own inode, and `lastref` says why.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::context::{Context, fresh_directory};
use crate::guest::{Guest, Outcome};
use crate::progress::{read_lossy, step, tail};
use crate::{agent, module, setup};

const SCRIPT: &str = include_str!("demo.sh");
const TIMEOUT: Duration = Duration::from_mins(6);

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Kernel to show it on (see kernels.toml)
    #[arg(long, default_value = "7.3")]
    kernel: String,
    /// How lastref attaches its probes
    #[arg(long, value_enum, default_value_t = Attach::Auto)]
    attach: Attach,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Attach {
    Auto,
    Kprobe,
    Fentry,
}

/// What the demo looks at in a report.
#[derive(Debug, Deserialize)]
struct Report {
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    severity: String,
}

/// Shows it and returns 0 if the deadlock was found.
pub fn run(context: &Context, options: &Demo) -> Result<u8> {
    let kernels = setup::ready(context, std::slice::from_ref(&options.kernel), false)?;
    let kernel = kernels.first().context("no kernel was made ready")?;
    let lastref = agent::build(context)?;
    let module = module::build_lab(context, kernel)?;
    let output = fresh_directory(&context.target().join("demo"))?;
    let script = output.join("guest.sh");
    fs::write(&script, SCRIPT)
        .with_context(|| format!("{} cannot be written", script.display()))?;
    let attach = options
        .attach
        .to_possible_value()
        .context("an option without a name")?;
    let command = [
        "sh".into(),
        script.into_os_string(),
        module.into_os_string(),
        lastref.into_os_string(),
        output.clone().into_os_string(),
        attach.get_name().into(),
    ];
    let result = step(
        &format!("guest with kernel {}", kernel.manifest.release),
        || {
            Guest::new(context, kernel, command)
                .timeout(TIMEOUT)
                .writable(&output)
                .keep_console(output.join("console.txt"))
                .echo()
                .run()
        },
    )?;
    ensure!(
        result.outcome == Outcome::Exited(0),
        "the demo did not come to its end: {}\nlastref said:\n{}",
        result.describe(),
        tail(&read_lossy(&output.join("progress.txt")), 30)
    );
    let json = output.join("report.json");
    let text = output.join("report.txt");
    println!("{}", read_lossy(&text));
    let found = has_deadlock(&read_lossy(&json))
        .with_context(|| format!("{} is not a report", json.display()))?;
    eprintln!("left in {} and {}", json.display(), text.display());
    if !found {
        eprintln!("the report has no finding of severity deadlock: it should have one");
    }
    Ok(u8::from(!found))
}

fn has_deadlock(report: &str) -> Result<bool> {
    let report: Report = serde_json::from_str(report)?;
    Ok(report
        .findings
        .iter()
        .any(|finding| finding.severity == "deadlock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_deadlock_will_do() {
        assert!(
            has_deadlock(r#"{"findings": [{"severity": "risky"}, {"severity": "deadlock"}]}"#)
                .unwrap()
        );
        assert!(!has_deadlock(r#"{"findings": [{"severity": "unsafe"}]}"#).unwrap());
        assert!(!has_deadlock(r#"{"findings": []}"#).unwrap());
        assert!(has_deadlock("{}").is_err());
        assert!(has_deadlock("").is_err());
    }
}
