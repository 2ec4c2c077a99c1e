//! What a guest's kernel has of BPF: programs, maps, probes and pins.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::tracefs;

/// The probes and the functions that something is attached to, a line each.
const LISTS: [&str; 2] = ["/sys/kernel/debug/kprobes/list", tracefs::ENABLED_FUNCTIONS];
const PINS: &str = "/sys/fs/bpf";
/// Programs and maps are freed after grace periods, which a busy guest takes long for.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(100);

/// All that is there, each under a name of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct GuestState(BTreeSet<String>);

impl GuestState {
    /// Reads it.
    pub fn read() -> Result<Self> {
        let mut found = BTreeSet::new();
        for program in aya::programs::loaded_programs() {
            match program {
                Ok(program) => {
                    found.insert(format!(
                        "program {} {}",
                        program.id(),
                        program.name_as_str().unwrap_or_default()
                    ));
                }
                Err(error) if has_vanished(&error) => {}
                Err(error) => return Err(error).context("the BPF programs cannot be listed"),
            }
        }
        for map in aya::maps::loaded_maps() {
            match map {
                Ok(map) => {
                    found.insert(format!(
                        "map {} {}",
                        map.id(),
                        map.name_as_str().unwrap_or_default()
                    ));
                }
                Err(error) if has_vanished(&error) => {}
                Err(error) => return Err(error).context("the BPF maps cannot be listed"),
            }
        }
        for list in LISTS {
            let text =
                fs::read_to_string(list).with_context(|| format!("{list} cannot be read"))?;
            found.extend(text.lines().map(|line| format!("{list}: {line}")));
        }
        found.extend(pins(Path::new(PINS))?);
        Ok(Self(found))
    }

    /// Waits until it is as it was when this was read.
    pub fn wait_until_same(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let now = Self::read()?;
            if &now == self {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                let left: Vec<&str> = now.0.difference(&self.0).map(String::as_str).collect();
                let gone: Vec<&str> = self.0.difference(&now.0).map(String::as_str).collect();
                bail!(
                    "left in the kernel: [{}], gone from it: [{}]",
                    left.join(", "),
                    gone.join(", ")
                );
            }
            thread::sleep(POLL);
        }
    }
}

/// Whether something was freed between being listed and being looked at.
fn has_vanished(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.kind() == ErrorKind::NotFound;
        }
        cause = error.source();
    }
    false
}

/// Whatever is pinned. Where no BPF filesystem is mounted, nothing can be.
fn pins(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("{PINS} cannot be read")),
    };
    entries
        .map(|entry| Ok(format!("pin {}", entry?.path().display())))
        .collect()
}
