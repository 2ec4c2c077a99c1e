//! Others that put hooks in the place of return addresses: the kernel keeps the addresses elsewhere, and
//! all chains of calls look the same on the stack.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::checks::SOME_CHAINS;
use super::inside::Plan;
use super::load::Kind;
use super::watch::Watch;
use crate::tracefs;

/// Puts at each site.
const PUTS: u64 = 50;

/// Somebody who has the returns of the functions hooked that the module's chains are made of
/// (lab/module/chain.c): what is written to which of tracefs' files, to begin and to end it.
struct Hook {
    name: &'static str,
    begin: &'static [(&'static str, &'static str)],
    end: &'static [(&'static str, &'static str)],
}

const HOOKS: &[Hook] = &[
    Hook {
        name: "function-graph",
        begin: &[
            ("set_ftrace_filter", "lab_chain_left lab_chain_right"),
            ("current_tracer", "function_graph"),
        ],
        end: &[("current_tracer", "nop"), ("set_ftrace_filter", "")],
    },
    Hook {
        name: "kretprobes",
        // One instance for each call that is under way.
        begin: &[
            ("kprobe_events", "r100:fire/left lab_chain_left"),
            ("kprobe_events", "r100:fire/right lab_chain_right"),
            ("events/fire/enable", "1"),
        ],
        end: &[
            ("events/fire/enable", "0"),
            ("kprobe_events", "-:fire/left"),
            ("kprobe_events", "-:fire/right"),
        ],
    },
];

/// The chains of calls are told apart all the same, by each way to attach.
pub fn hooked(plan: &Plan) -> Result<String> {
    for hook in HOOKS {
        let told_apart = write_all(hook.begin).and_then(|()| check_told_apart(plan, hook));
        let ended = write_all(hook.end);
        told_apart.and(ended)?;
    }
    let names: Vec<_> = HOOKS.iter().map(|hook| hook.name).collect();
    Ok(format!(
        "{PUTS} of {PUTS} puts at each of {SOME_CHAINS} sites, with hooks of {}",
        names.join(" and of ")
    ))
}

fn check_told_apart(plan: &Plan, hook: &Hook) -> Result<()> {
    for way in ["kprobe", "fentry"] {
        let name = format!("{}-{way}", hook.name);
        let watch = Watch::start(plan, &name, &["--attach", way])?;
        Kind::Nofs.fire(PUTS * u64::from(SOME_CHAINS), 1, SOME_CHAINS)?;
        let counted = watch.count()?;
        ensure!(
            counted.puts_by_site() == [PUTS; SOME_CHAINS as usize],
            "{name}: {PUTS} puts were made at each of {SOME_CHAINS} sites, and counted: {:?}",
            counted.puts_by_site()
        );
    }
    Ok(())
}

/// Adds to the files; what is empty replaces what a file has.
fn write_all(writes: &[(&str, &str)]) -> Result<()> {
    for (file, text) in writes {
        let path = Path::new(tracefs::DIRECTORY).join(file);
        OpenOptions::new()
            .write(true)
            .truncate(text.is_empty())
            .append(!text.is_empty())
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("{text:?} cannot be written to {}", path.display()))?;
    }
    Ok(())
}
