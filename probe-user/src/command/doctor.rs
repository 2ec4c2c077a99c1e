//! `lastref doctor`: says whether this kernel can be watched, and what is missing.

mod checks;
mod config;
mod diagnosis;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use lastref::kernel::options::Need;
use lastref::report::page::{NAME, Page, Style};

use self::checks::diagnose;
use self::diagnosis::{Check, Diagnosis, State};
use super::{CANNOT_WATCH, output};

/// Say whether this kernel can be watched, and what is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Look at a kernel configuration (.config, /proc/config.gz, /boot/config-*; - for standard
    /// input) instead of the running kernel: could a kernel built so be watched?
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print only the lines to add to that configuration, as a fragment; status 0, whatever is
    /// missing. Without a value, recommended ones are among them
    #[arg(
        long,
        value_name = "NEED",
        requires = "config",
        conflicts_with = "json",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "recommended"
    )]
    fragment: Option<Need>,
}

const EXAMPLES: &str = "\
Examples:
  lastref doctor
  lastref doctor --config .config
  lastref doctor --config .config --fragment > lastref.config
  scripts/kconfig/merge_config.sh .config lastref.config";

impl DoctorArgs {
    /// Examines the kernel and the host, or a configuration; the exit status is 4 if they cannot
    /// be watched.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be read, or standard output cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let colour = std::io::stdout().is_terminal();
        let (text, watchable) = match (&self.config, self.fragment) {
            (None, _) => {
                let diagnosis = diagnose();
                let text = if self.json {
                    json(&diagnosis)?
                } else {
                    render(&diagnosis, colour)
                };
                (text, diagnosis.watchable)
            }
            (Some(path), Some(need)) => (config::fragment(&config::assess(path)?, need), true),
            (Some(path), None) => {
                let assessment = config::assess(path)?;
                let text = if self.json {
                    json(&assessment)?
                } else {
                    config::render(&assessment, colour)
                };
                (text, assessment.watchable)
            }
        };
        output::print(&text)?;
        Ok(if watchable {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(CANNOT_WATCH)
        })
    }
}

fn json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// The diagnosis for people: the verdict first, then every check under its group's heading.
fn render(diagnosis: &Diagnosis, colour: bool) -> String {
    let mut page = Page::new(colour);
    let Diagnosis {
        release,
        version,
        machine,
        ..
    } = diagnosis;
    page.paragraph(
        Style::Plain,
        &format!("Linux {release} ({machine}), {version}"),
    );
    if diagnosis.watchable {
        page.paragraph(Style::Heading, "This kernel can be watched.");
    } else {
        page.paragraph(
            Style::Alarm,
            "This kernel cannot be watched. What stands in the way:",
        );
        for check in diagnosis.obstacles() {
            entry(&mut page, &check.name, &check.detail);
            page.entry("", &remedy(check));
        }
    }
    let mut group = "";
    for check in &diagnosis.checks {
        if check.group != group {
            group = check.group;
            page.gap();
            page.paragraph(Style::Heading, group);
        }
        entry(
            &mut page,
            &check.name,
            &format!("[{}] {}", mark(check), check.detail),
        );
        if check.state != State::Ok {
            page.entry("", &remedy(check));
        }
    }
    page.finish()
}

/// An entry; a name too long for its column gets a line of its own.
fn entry(page: &mut Page, name: &str, text: &str) {
    const INDENT: usize = 2;
    if INDENT + name.chars().count() < NAME {
        page.entry(name, text);
    } else {
        page.verbatim(INDENT, name);
        page.entry("", text);
    }
}

fn remedy(check: &Check) -> String {
    check
        .remedy
        .as_ref()
        .map_or_else(String::new, |remedy| format!("→ {remedy}"))
}

/// What a check came to, in a word.
const fn mark(check: &Check) -> &'static str {
    match (check.state, check.required) {
        (State::Ok, _) => "ok",
        (State::Bad, true) => "MISSING",
        (State::Bad, false) => "no",
        (State::Unknown, _) => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(required: bool) -> Diagnosis {
        Diagnosis::new(vec![
            Check::ok("host", "CAP_BPF", "to load BPF programs").required(),
            Check::bad(
                "kernel",
                "lockdep",
                "not built in",
                "use CONFIG_PROVE_LOCKING=y",
            )
            .required_if(required),
        ])
    }

    #[test]
    fn only_what_is_required_stands_in_the_way() {
        assert!(diagnosis(false).watchable);
        let text = render(&diagnosis(false), false);
        assert!(text.contains("can be watched"), "{text}");
        assert!(text.contains("[no] not built in"), "{text}");
        assert!(!diagnosis(true).watchable);
        let text = render(&diagnosis(true), false);
        assert!(text.contains("cannot be watched"), "{text}");
        assert!(text.contains("[MISSING] not built in"), "{text}");
        assert!(text.contains("→ use CONFIG_PROVE_LOCKING=y"), "{text}");
    }

    #[test]
    fn this_host_gets_a_whole_diagnosis() {
        let diagnosis = diagnose();
        for group in ["host", "kernel"] {
            assert!(
                diagnosis.checks.iter().any(|check| check.group == group),
                "{group}"
            );
        }
        for check in diagnosis.obstacles() {
            assert!(check.remedy.is_some(), "{} has no remedy", check.name);
        }
        assert!(
            render(&diagnosis, false)
                .lines()
                .all(|line| line.chars().count() <= 100)
        );
    }
}
