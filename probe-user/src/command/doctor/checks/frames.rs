//! Whether the functions that rules recognise in a call chain exist on this kernel: a rule that
//! looks for a renamed function never matches.

use std::fs;
use std::path::Path;

use lastref::hazard::RULES;
use lastref::hazard::condition::Condition;
use lastref::hazard::frames::{FrameGroup, GROUPS, Home};

use super::super::diagnosis::Check;
use super::Host;

const FRAMES: &str = "functions that rules recognise";

/// One check for each group of functions.
pub fn frames(host: &Host) -> Vec<Check> {
    let Ok(symbols) = &host.symbols else {
        return Vec::new();
    };
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let kernel = Kernel {
        has: &|name| symbols.contains_plain(name),
        has_module: &|name| has_module(name, &release),
        version: version(&release),
    };
    GROUPS
        .iter()
        .map(|group| check_group(group, &kernel))
        .collect()
}

/// What is asked of a kernel.
struct Kernel<'a> {
    /// Whether it or one of its modules has a function of that name.
    has: &'a dyn Fn(&str) -> bool,
    /// Whether that module is loaded or built in.
    has_module: &'a dyn Fn(&str) -> bool,
    /// Major and minor number.
    version: Option<(u32, u32)>,
}

fn check_group(group: &FrameGroup, kernel: &Kernel) -> Check {
    let name = group.what;
    let found: Vec<&str> = group
        .names
        .iter()
        .copied()
        .filter(|name| (kernel.has)(name))
        .collect();
    if !found.is_empty() {
        return Check::ok(FRAMES, name, found.join(", "));
    }
    let absent = group.absent.filter(|absent| {
        kernel
            .version
            .is_some_and(|version| version < absent.before)
    });
    match group.home {
        Home::Module(module) if !(kernel.has_module)(module) => {
            let detail = format!("module {module} is not loaded");
            Check::unknown(FRAMES, name, detail).with_remedy(&format!("modprobe {module}"))
        }
        _ => match absent {
            Some(absent) => Check::ok(FRAMES, name, format!("none: {}", absent.why)),
            None => Check::bad(
                FRAMES,
                name,
                format!(
                    "{} blind here: none of {} exists",
                    blind_rules(group),
                    group.names.join(", ")
                ),
                "tell the authors of lastref this kernel's version",
            ),
        },
    }
}

/// The rules that look for a function of `group`, as in "rules a and b are".
fn blind_rules(group: &FrameGroup) -> String {
    let looks_for_it = |condition: &Condition| matches!(condition, Condition::Chain(other) | Condition::Caller(other) if *other == group);
    let rules: Vec<&str> = RULES
        .iter()
        .filter(|rule| {
            let mut cases = rule.cases.iter();
            cases.any(|case| case.when.mentions(&looks_for_it))
        })
        .map(|rule| rule.id)
        .collect();
    match rules.as_slice() {
        [only] => format!("rule {only} is"),
        _ => format!("rules {} are", rules.join(", ")),
    }
}

/// Modules that are loaded, and those built in that have parameters, are in sysfs; the others that
/// are built in are listed with the loadable ones.
fn has_module(name: &str, release: &str) -> bool {
    let built_in = || {
        let list = format!("/lib/modules/{release}/modules.builtin");
        fs::read_to_string(list).is_ok_and(|list| {
            let file = format!("/{name}.ko");
            list.lines().any(|line| line.ends_with(&file))
        })
    };
    Path::new("/sys/module").join(name).exists() || built_in()
}

/// Major and minor number of a release such as `6.12.107+deb13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']);
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use lastref::hazard::frames::{DCACHE_SHRINKER, NETFS_COMPLETION};

    use super::super::super::diagnosis::State;
    use super::*;

    fn check(group: &FrameGroup, names: &[&str], modules: &[&str], release: &str) -> Check {
        check_group(
            group,
            &Kernel {
                has: &|name| names.contains(&name),
                has_module: &|name| modules.contains(&name),
                version: version(release),
            },
        )
    }

    #[test]
    fn one_name_is_enough() {
        let check = check(
            &DCACHE_SHRINKER,
            &["prune_dcache_sb"],
            &[],
            "6.1.0-56-amd64",
        );
        assert_eq!(check.state, State::Ok);
        assert_eq!(check.detail, "prune_dcache_sb");
    }

    #[test]
    fn a_rule_without_its_functions_is_blind() {
        let check = check(&DCACHE_SHRINKER, &["other"], &[], "6.1.0-56-amd64");
        assert_eq!(check.state, State::Bad);
        assert!(check.detail.contains("dcache-reclaim"), "{}", check.detail);
        assert!(check.detail.contains("prune_dcache_sb"), "{}", check.detail);
        assert!(!check.required);
    }

    #[test]
    fn a_module_is_asked_for_its_functions_once_it_is_there() {
        let netfs = |modules: &[&str], release| check(&NETFS_COMPLETION, &[], modules, release);
        let missing = netfs(&[], "6.12.1");
        assert_eq!(missing.state, State::Unknown);
        assert_eq!(missing.remedy.as_deref(), Some("modprobe netfs"));
        assert_eq!(netfs(&["netfs"], "6.12.1").state, State::Bad);
        let old = netfs(&["netfs"], "6.1.0-56-amd64");
        assert_eq!(old.state, State::Ok);
        assert!(old.detail.starts_with("none: "), "{}", old.detail);
    }

    #[test]
    fn versions_are_read_off_releases() {
        assert_eq!(version("6.12.107+deb13-amd64"), Some((6, 12)));
        assert_eq!(version("7.3-rc1"), Some((7, 3)));
        assert_eq!(version("odd"), None);
    }

    #[test]
    fn every_group_is_looked_for_by_a_rule() {
        for group in GROUPS {
            assert_ne!(blind_rules(group), "rules  are", "{}", group.what);
        }
    }
}
