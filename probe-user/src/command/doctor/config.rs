//! `lastref doctor --config FILE`: what a kernel configuration comes to, and the lines to add.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use lastref::kernel::config::KernelConfig;
use lastref::kernel::options::{Assessment, Judged, Need};
use lastref::report::page::{Page, Style};

use super::entry;

/// The kinds of options, and what stands above each.
const SECTIONS: [(Need, &str); 3] = [
    (Need::Required, "required"),
    (Need::Recommended, "recommended: more is known with these"),
    (
        Need::Testing,
        "for test machines: these slow the kernel down",
    ),
];

/// Reads the configuration in the file at `path` (`-`: standard input) and judges it.
///
/// # Errors
/// If it cannot be read, or is no configuration.
pub fn assess(path: &Path) -> anyhow::Result<Assessment> {
    Ok(Assessment::new(&KernelConfig::read(path)?))
}

/// The assessment for people: the verdict, every option, the lines to add.
pub fn render(assessment: &Assessment, colour: bool) -> String {
    let mut page = Page::new(colour);
    let release = assessment
        .release
        .as_deref()
        .unwrap_or("of unknown version");
    page.paragraph(
        Style::Plain,
        &format!("A configuration for Linux {release}"),
    );
    verdict(&mut page, assessment);
    for name in &assessment.contradictions {
        page.paragraph(
            Style::Warning,
            &format!("CONFIG_{name} is set more than once, differently: the last line counts."),
        );
    }
    for (need, heading) in SECTIONS {
        page.gap();
        page.paragraph(Style::Heading, heading);
        for option in assessment
            .options
            .iter()
            .filter(|option| option.need == need)
        {
            entry(
                &mut page,
                &format!("CONFIG_{}", option.name),
                &detail(option),
            );
        }
    }
    let missing: Vec<&Judged> = assessment.missing(Need::Recommended).collect();
    if !missing.is_empty() {
        page.gap();
        page.paragraph(Style::Heading, "add (--fragment prints this alone)");
        for line in lines(missing.into_iter()) {
            page.verbatim(2, &line);
        }
    }
    page.finish()
}

fn verdict(page: &mut Page, assessment: &Assessment) {
    if assessment.watchable {
        let attach = assessment.attach.name();
        let reason = assessment.attach_reason;
        page.paragraph(Style::Heading, "A kernel built so can be watched.");
        page.paragraph(
            Style::Plain,
            &format!("Probes would be attached by {attach}: {reason}."),
        );
    } else if assessment.too_old {
        page.paragraph(
            Style::Alarm,
            "It cannot be watched: lastref needs Linux 5.8 or newer (the BPF ring buffer).",
        );
    } else {
        let lacks: Vec<String> = assessment.missing(Need::Required).map(setting).collect();
        page.paragraph(
            Style::Alarm,
            &format!(
                "A kernel built so cannot be watched: it needs {}.",
                lacks.join(", ")
            ),
        );
    }
}

/// The option as it should be.
fn setting(option: &Judged) -> String {
    let value = if option.wanted { "y" } else { "n" };
    format!("CONFIG_{}={value}", option.name)
}

fn detail(option: &Judged) -> String {
    let mark = match (option.ok, option.need) {
        (true, _) => "ok",
        (false, Need::Required) => "MISSING",
        (false, _) => "no",
    };
    // One that must not be set is wanted off.
    let off = if option.wanted { "" } else { "off: " };
    let mut text = format!("[{mark}] {off}{} ({})", option.gives, option.kconfig);
    if !option.ok && !option.facts.is_empty() {
        let _ = write!(text, "; unknown without it: {}", option.facts.join(", "));
    }
    text
}

/// The lines that `options` ask for, each once.
fn lines<'a>(options: impl Iterator<Item = &'a Judged>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    options
        .flat_map(|option| &option.lines)
        .filter(|line| seen.insert(line.as_str()))
        .cloned()
        .collect()
}

/// The lines to add, as far as `need` goes, for `scripts/kconfig/merge_config.sh` or `vng --config`:
/// each is there once, below what it is for.
pub fn fragment(assessment: &Assessment, need: Need) -> String {
    let mut text = String::new();
    let mut seen = BTreeSet::new();
    for option in assessment.missing(need) {
        let new: Vec<&String> = option
            .lines
            .iter()
            .filter(|line| seen.insert(line.as_str()))
            .collect();
        if !new.is_empty() {
            let _ = writeln!(text, "# {}: {}", option.name, option.gives);
            for line in new {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assessment(text: &str) -> Assessment {
        Assessment::new(&KernelConfig::parse(text).unwrap())
    }

    #[test]
    fn a_bare_configuration_is_told_what_it_lacks() {
        let bare = assessment("CONFIG_X86_64=y\nCONFIG_SMP=y\n# CONFIG_SMP is not set\n");
        let text = render(&bare, false);
        for part in [
            "cannot be watched: it needs CONFIG_BPF_SYSCALL=y,",
            "CONFIG_SMP is set more than once",
            "[MISSING] BPF programs, maps and the ring buffer (kernel/bpf/Kconfig)",
            "\n  CONFIG_DEBUG_INFO_BTF=y\n",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("\n  CONFIG_PROVE_LOCKING=y\n"), "{text}");
    }

    #[test]
    fn a_fragment_makes_a_configuration_that_lacks_nothing_with_a_prompt() {
        let bare = "CONFIG_X86_64=y\nCONFIG_UNWINDER_GUESS=y\n";
        let lines = fragment(&assessment(bare), Need::Testing);
        assert!(lines.contains("# DEBUG_INFO_BTF: the layout"), "{lines}");
        for line in ["CONFIG_BPF_SYSCALL=y\n", "CONFIG_DEBUG_KERNEL=y\n"] {
            assert_eq!(lines.matches(line).count(), 1, "{lines}");
        }
        let merged = assessment(&format!("{bare}{lines}"));
        let again = fragment(&merged, Need::Testing);
        // What is left is what Kconfig turns off in a choice.
        assert!(again.is_empty(), "{again}");
        let modest = fragment(&assessment(bare), Need::Required);
        assert!(!modest.contains("CONFIG_STACKTRACE"), "{modest}");
        assert!(modest.contains("CONFIG_KPROBE_EVENTS=y"), "{modest}");
    }
}
