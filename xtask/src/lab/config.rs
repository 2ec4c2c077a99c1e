//! Inside a guest: whether `lastref doctor --config`, which only reads the kernel's configuration,
//! comes to what `lastref doctor` sees of that very kernel while it runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::diagnosis::{Diagnosis, State};
use crate::progress::output_of;

/// What its result is called among those of the sessions.
pub const NOTE: &str = "config";

/// The options that a check of the running kernel tells of.
const CHECKS: &[(&str, &[&str])] = &[
    ("symbols (kallsyms)", &["KALLSYMS"]),
    ("types (BTF)", &["DEBUG_INFO_BTF"]),
    ("BPF tracing", &["BPF_EVENTS"]),
    ("BPF ring buffer", &["BPF_SYSCALL"]),
    (
        "kprobes",
        &["KPROBES", "KPROBE_EVENTS", "KPROBES_ON_FTRACE"],
    ),
    ("lockdep", &["LOCKDEP"]),
    ("PREEMPT_RCU", &["PREEMPT_RCU"]),
    ("PREEMPT_COUNT", &["PREEMPT_COUNT"]),
    ("callers of evict", &["PROC_KCORE"]),
];
/// The check that says how probes are attached.
const ATTACH: &str = "--attach auto";
/// The group of checks that each say whether a fact is known.
const FACTS: &str = "facts";

/// What `lastref doctor --config FILE --json` says.
#[derive(Debug, Deserialize)]
struct Foretold {
    watchable: bool,
    attach: String,
    options: Vec<KernelOption>,
}

#[derive(Debug, Deserialize)]
struct KernelOption {
    name: String,
    ok: bool,
    facts: Vec<String>,
}

/// Asks `lastref` both ways, and says where the answers differ.
pub fn check(lastref: &Path, config: &Path) -> Result<Vec<String>> {
    let seen = Diagnosis::of(lastref)?;
    let mut doctor = Command::new(lastref);
    doctor.args(["doctor", "--json", "--config"]).arg(config);
    let foretold: Foretold = serde_json::from_str(&output_of(&mut doctor)?)
        .context("what lastref doctor --config says cannot be understood")?;
    let differences = differences(&seen, &foretold);
    println!(
        "config: {} as seen and as foretold: {} differences",
        seen.release,
        differences.len()
    );
    Ok(differences)
}

fn differences(seen: &Diagnosis, foretold: &Foretold) -> Vec<String> {
    let mut differences = Vec::new();
    if seen.watchable != foretold.watchable {
        differences.push(format!(
            "it is watchable: {}, foretold: {}",
            seen.watchable, foretold.watchable
        ));
    }
    for (name, options) in CHECKS {
        let is_ok = |option: &&str| {
            let mut all = foretold.options.iter();
            all.any(|own| own.name == **option && own.ok)
        };
        let expected = options.iter().all(is_ok);
        match seen.checks.iter().find(|check| check.name == *name) {
            Some(check) if (check.state == State::Ok) == expected => {}
            Some(check) => differences.push(format!(
                "{name} is {:?} ({}), foretold by {}: {expected}",
                check.state,
                check.detail,
                options.join(" and ")
            )),
            None => differences.push(format!("lastref doctor has no check {name}")),
        }
    }
    let picks = format!("picks {}: ", foretold.attach);
    let attach = seen.checks.iter().find(|check| check.name == ATTACH);
    if !attach.is_some_and(|check| check.detail.starts_with(&picks)) {
        differences.push(format!(
            "{ATTACH} {}, foretold: {picks}",
            attach.map_or("is missing", |check| &check.detail)
        ));
    }
    differences.extend(facts(seen, foretold));
    differences
}

/// The facts that hang on an option: known without it, or unknown with it.
fn facts(seen: &Diagnosis, foretold: &Foretold) -> Vec<String> {
    let of = |ok: bool| -> BTreeSet<&String> {
        let options = foretold.options.iter();
        options
            .filter(|option| option.ok == ok)
            .flat_map(|option| &option.facts)
            .collect()
    };
    let unknown = of(false);
    let is_known = |fact: &str| {
        let mut facts = seen.checks.iter().filter(|check| check.group == FACTS);
        facts.any(|check| check.name == fact && check.state == State::Ok)
    };
    unknown
        .union(&of(true))
        .filter(|fact| is_known(fact) == unknown.contains(*fact))
        .map(|fact| {
            let (is, was) = if unknown.contains(fact) {
                ("known", "unknown")
            } else {
                ("unknown", "known")
            };
            format!("the fact {fact} is {is}, foretold: {was}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::Check;
    use super::*;

    /// A kernel with all options but `missing`, seen with all checks fine but `bad`.
    fn compare(bad: &[&str], missing: &[&str]) -> Vec<String> {
        let check = |group: &str, name: &str, detail: &str| Check {
            group: group.to_string(),
            name: name.to_string(),
            state: if bad.contains(&name) {
                State::Bad
            } else {
                State::Ok
            },
            detail: detail.to_string(),
            remedy: None,
        };
        let mut checks: Vec<Check> = CHECKS
            .iter()
            .map(|(name, _)| check("kernel", name, ""))
            .collect();
        checks.push(check("kernel", ATTACH, "picks kprobe: so"));
        checks.push(check(FACTS, "rcu_reader", "known"));
        let option = |name: &&str| KernelOption {
            name: (*name).to_string(),
            ok: !missing.contains(name),
            facts: if *name == "PREEMPT_RCU" {
                vec!["rcu_reader".to_string()]
            } else {
                Vec::new()
            },
        };
        let seen = Diagnosis {
            release: "6.1".to_string(),
            watchable: true,
            checks,
        };
        let foretold = Foretold {
            watchable: true,
            attach: "kprobe".to_string(),
            options: CHECKS
                .iter()
                .flat_map(|(_, options)| options.iter().map(option))
                .collect(),
        };
        differences(&seen, &foretold)
    }

    #[test]
    fn answers_that_differ_are_told() {
        assert!(compare(&[], &[]).is_empty());
        assert!(compare(&["PREEMPT_RCU", "rcu_reader"], &["PREEMPT_RCU"]).is_empty());
        assert_eq!(compare(&["kprobes"], &[]).len(), 1);
        assert_eq!(compare(&[], &["KPROBE_EVENTS"]).len(), 1);
        assert_eq!(compare(&[], &["PREEMPT_RCU"]).len(), 2);
        assert_eq!(
            compare(&["rcu_reader"], &[]),
            ["the fact rcu_reader is unknown, foretold: known"]
        );
    }
}
