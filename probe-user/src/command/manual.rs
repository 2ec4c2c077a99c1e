//! What `--help` and the man pages say of each command besides its options: a table.

use std::fmt::Write as _;

use super::{CANNOT_WATCH, FAILED, FINDINGS, INCOMPLETE};

/// The name of lastref's own page among those of its subcommands.
pub const TOP: &str = "";

/// What lastref is, at more length than its first line.
pub const ABOUT: &str = "\
Find the places where this kernel drops the last reference to an inode where it must not.

Whoever drops the last reference to an inode (a final put, by iput()) may have to evict it, and \
eviction waits for I/O and for locks: from inside writeback, memory reclaim, a transaction or an \
atomic context that can hang, for good. lastref reads the context of every final put in the \
running kernel, joins calls by the same chain of functions into a site, and judges each site by \
rules. Deadlock, unsafe, risky and latent sites are findings; expected and benign ones are not. \
Watching needs root.";

/// A command line and what it is for.
#[derive(Debug)]
pub struct Example {
    /// What it does, as a heading without a full stop.
    pub purpose: &'static str,
    /// A command line of a shell. What comes before `lastref`, or after a pipe, is not ours.
    pub line: &'static str,
}

/// What is to be said of one command.
#[derive(Debug)]
pub struct Page {
    /// The subcommand, or [`TOP`].
    pub name: &'static str,
    /// At least one.
    pub examples: &'static [Example],
    /// The exit statuses that it can have, and what they mean.
    pub statuses: &'static [(u8, &'static str)],
    /// Files that it reads or writes, and what for.
    pub files: &'static [(&'static str, &'static str)],
}

/// Environment variables that every command heeds.
pub const ENVIRONMENT: [(&str, &str); 2] = [
    (
        "NO_COLOR",
        "no colour, if it is set to anything (--color decides before it)",
    ),
    (
        "CLICOLOR_FORCE",
        "colour even if output is not to a terminal, if it is set and not 0",
    ),
];

const BROKEN: (u8, &str) = (FAILED, "usage, bad input, or a failure of lastref itself");
const UNWATCHABLE: (u8, &str) = (
    CANNOT_WATCH,
    "this kernel or host cannot be watched; the message says what is missing",
);
const OBSERVED: &[(u8, &str)] = &[
    (0, "nothing at or above --fail-on"),
    (FINDINGS, "findings at or above --fail-on"),
    BROKEN,
    UNWATCHABLE,
    (
        INCOMPLETE,
        "no such findings, but the picture is incomplete",
    ),
];
const EXAMINED: &[(u8, &str)] = &[
    (
        0,
        "this kernel can be watched, or one of that configuration",
    ),
    BROKEN,
    UNWATCHABLE,
];
const PRINTED: &[(u8, &str)] = &[(0, "done"), BROKEN];
const MERGED: &[(u8, &str)] = &[
    (0, "done"),
    (
        FAILED,
        "a file was left out, bad usage, or a failure of lastref itself",
    ),
];
const GATED: &[(u8, &str)] = &[
    (0, "done, and nothing at or above --fail-on"),
    (FINDINGS, "findings at or above --fail-on"),
    BROKEN,
    (
        INCOMPLETE,
        "no such findings, but with --fail-on: the picture is incomplete",
    ),
];

/// What watching reads of the running kernel.
const KERNEL: &[(&str, &str)] = &[
    (
        "/sys/kernel/btf/vmlinux",
        "types of the running kernel, and where their fields lie",
    ),
    ("/proc/kallsyms", "addresses and names of its functions"),
    (
        "/proc/kcore",
        "its code, to tell unmount and the inode shrinker from puts, and calls from jumps",
    ),
    (
        "/sys/kernel/tracing",
        "inode states of kernels before 7.x, and which functions can be probed",
    ),
];

/// One page for each command, in the order of `lastref --help`.
pub const PAGES: &[Page] = &[
    Page {
        name: TOP,
        examples: &[
            Example {
                purpose: "See whether this kernel can be watched, and what will be known",
                line: "lastref doctor",
            },
            Example {
                purpose: "Watch until Ctrl-C, then see the report",
                line: "lastref watch",
            },
            Example {
                purpose: "Let a test fail on what is unsafe",
                line: "lastref run -- ./my-test",
            },
        ],
        statuses: OBSERVED,
        files: KERNEL,
    },
    Page {
        name: "watch",
        examples: &[
            Example {
                purpose: "Five minutes, and keep the report",
                line: "lastref watch --duration 5m --output report.json",
            },
            Example {
                purpose: "Puts that are not the last, too, where the last one would be unsafe",
                line: "lastref watch --level latent --fs ext4,ceph",
            },
            Example {
                purpose: "Only what evicts, at no cost to other puts; fail on deadlocks alone",
                line: "lastref watch --level evictions --fail-on deadlock",
            },
        ],
        statuses: OBSERVED,
        files: KERNEL,
    },
    Page {
        name: "run",
        examples: &[
            Example {
                purpose: "Fail if the test makes the kernel do something unsafe",
                line: "lastref run --fail-on unsafe -- ./my-test --fast",
            },
            Example {
                purpose: "Keep the report, and do not fail on what an earlier one knows",
                line: "lastref run --baseline known.json --output report.json -- make check",
            },
            Example {
                purpose: "In a guest: keep shrinking the dentry cache, so that latent sites show",
                line: "lastref run --provoke -- fsstress -d /mnt -n 1000",
            },
        ],
        statuses: OBSERVED,
        files: KERNEL,
    },
    Page {
        name: "report",
        examples: &[
            Example {
                purpose: "Read it page by page, in colour",
                line: "lastref report --color always report.json | less -R",
            },
            Example {
                purpose: "List the sites of its findings",
                line: "lastref report --format json report.json | jq '.findings[].id'",
            },
            Example {
                purpose: "A page for a browser",
                line: "lastref report --format html --output report.html report.json",
            },
        ],
        statuses: GATED,
        files: &[],
    },
    Page {
        name: "diff",
        examples: &[
            Example {
                purpose: "What changed from one kernel to the next",
                line: "lastref diff 6.12.json 7.3.json",
            },
            Example {
                purpose: "Fail on what is new or worse, and unsafe",
                line: "lastref diff --fail-on unsafe before.json after.json",
            },
        ],
        statuses: GATED,
        files: &[],
    },
    Page {
        name: "merge",
        examples: &[
            Example {
                purpose: "Two hosts' reports as one",
                line: "lastref merge --output all.json host1.json host2.json",
            },
            Example {
                purpose: "Read what all reports in a directory come to",
                line: "lastref merge --format text reports/",
            },
            Example {
                purpose: "Thousands of reports",
                line: "find /srv/reports -name '*.json' -print0 | lastref merge --files-from - \
                       --null --output all.json",
            },
        ],
        statuses: MERGED,
        files: &[],
    },
    Page {
        name: "doctor",
        examples: &[
            Example {
                purpose: "See what stands in the way, and what will be unknown",
                line: "lastref doctor",
            },
            Example {
                purpose: "Tell a script whether it can be watched",
                line: "lastref doctor --json | jq .watchable",
            },
            Example {
                purpose: "Could a kernel that is configured so be watched?",
                line: "lastref doctor --config .config",
            },
            Example {
                purpose: "What to add to a configuration, for merge_config.sh",
                line: "lastref doctor --config .config --fragment > lastref.config",
            },
        ],
        statuses: EXAMINED,
        files: KERNEL,
    },
    Page {
        name: "hazards",
        examples: &[
            Example {
                purpose: "All rules, a line each",
                line: "lastref hazards",
            },
            Example {
                purpose: "One rule: what it matches, why that is dangerous, the way out",
                line: "lastref hazards writeback-self-wait",
            },
        ],
        statuses: PRINTED,
        files: &[],
    },
    Page {
        name: "schema",
        examples: &[Example {
            purpose: "Check a report by a validator of JSON",
            line: "lastref schema > schema.json && jsonschema -i report.json schema.json",
        }],
        statuses: PRINTED,
        files: &[],
    },
    Page {
        name: "generate",
        examples: &[
            Example {
                purpose: "Completions for yourself",
                line: "lastref generate completions ~/.local/share/bash-completion/completions",
            },
            Example {
                purpose: "Man pages for yourself",
                line: "lastref generate man ~/.local/share/man/man1",
            },
        ],
        statuses: PRINTED,
        files: &[],
    },
];

/// The page of a command; those that are hidden have none.
pub fn page(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}

impl Page {
    /// What comes after the options in `--help`, with headings in `style`.
    pub fn after_help(&self, style: &clap::builder::styling::Style) -> String {
        let mut text = format!("{style}Examples:{style:#}");
        for Example { purpose, line } in self.examples {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  {purpose}:\n    {line}");
        }
        let _ = write!(text, "\n\n{style}Exit status:{style:#}");
        for (status, meaning) in self.statuses {
            let _ = write!(text, "\n  {status}  {meaning}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::command::{Cli, definition};

    /// The words of each call of lastref in a line of a shell.
    fn calls(line: &str) -> Vec<Vec<&str>> {
        line.split(['|', '>', ';', '&'])
            .map(|part| part.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words.first() == Some(&"lastref"))
            .collect()
    }

    #[test]
    fn every_command_has_a_page_and_every_page_a_command() {
        let definition = definition();
        let commands = definition
            .get_subcommands()
            .filter(|one| !one.is_hide_set());
        let commands: Vec<&str> = std::iter::once(TOP)
            .chain(commands.map(clap::Command::get_name))
            .collect();
        let pages: Vec<&str> = PAGES.iter().map(|page| page.name).collect();
        assert_eq!(
            pages, commands,
            "give each subcommand a page, in the same order"
        );
    }

    #[test]
    fn every_example_is_understood() {
        for page in PAGES {
            assert!(!page.examples.is_empty(), "{}", page.name);
            for example in page.examples {
                let calls = calls(example.line);
                assert!(!calls.is_empty(), "{}", example.line);
                for words in calls {
                    assert!(page.name == TOP || words[1] == page.name, "{words:?}");
                    let parsed = definition()
                        .try_get_matches_from(&words)
                        .and_then(|matches| Cli::from_arg_matches(&matches));
                    assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
                }
            }
        }
    }

    #[test]
    fn examples_and_statuses_are_in_the_help() {
        for page in PAGES.iter().filter(|page| page.name != TOP) {
            let mut definition = definition();
            let command = definition.find_subcommand_mut(page.name).unwrap();
            let help = command.render_long_help().to_string();
            for example in page.examples {
                assert!(help.contains(example.line), "{help}");
            }
            for (_, meaning) in page.statuses {
                assert!(help.contains(meaning), "{help}");
            }
        }
    }

    #[test]
    fn clap_finds_no_fault_with_the_definition() {
        definition().debug_assert();
    }
}
