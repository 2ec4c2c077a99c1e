//! Man pages: the options as clap knows them, the rest from the table of the manual.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::command::manual::{self, ENVIRONMENT, Example, Page, TOP};

/// What the pages name as their source.
const SOURCE: &str = concat!("lastref ", env!("CARGO_PKG_VERSION"));

/// Writes a page for lastref and one for each of its subcommands.
pub fn write(directory: &Path) -> io::Result<()> {
    let mut command = crate::command::definition().disable_help_subcommand(true);
    // Gives the subcommands their full names, and the options that all have.
    command.build();
    let subcommands = command.get_subcommands().filter(|one| !one.is_hide_set());
    let named: Vec<_> = subcommands.map(|one| (one.get_name(), one)).collect();
    let titles: Vec<String> = std::iter::once(command.get_name().to_owned())
        .chain(named.iter().map(|(_, one)| title(one)))
        .collect();
    for (name, command) in std::iter::once((TOP, &command)).chain(named) {
        let Some(page) = manual::page(name) else {
            continue;
        };
        let path = directory.join(format!("{}.1", title(command)));
        let mut file = BufWriter::new(File::create(path)?);
        render(&mut file, command, page, &titles)?;
        file.flush()?;
    }
    Ok(())
}

fn title(command: &clap::Command) -> String {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned()
}

fn render(
    to: &mut dyn Write,
    command: &clap::Command,
    page: &Page,
    titles: &[String],
) -> io::Result<()> {
    let own = title(command);
    // No date, for the same bytes from the same source: roff's own writer leaves empty arguments
    // out. Not adjusted and not hyphenated: names are to be found and copied.
    writeln!(
        to,
        ".TH \"{own}\" \"1\" \"\" \"{SOURCE}\" \"User Commands\"\n.nh\n.ad l"
    )?;
    let man = Man::new(command.clone());
    man.render_name_section(to)?;
    let usage = command.clone().render_usage().to_string();
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([bold(usage.trim_start_matches("Usage: "))]);
    synopsis.to_writer(to)?;
    man.render_description_section(to)?;
    man.render_options_section(to)?;
    if page.name == TOP {
        man.render_subcommands_section(to)?;
    }
    let mut rest = Roff::new();
    examples(&mut rest, page.examples);
    let statuses: Vec<_> = page
        .statuses
        .iter()
        .map(|(status, meaning)| (status.to_string(), *meaning))
        .collect();
    list(&mut rest, "EXIT STATUS", &statuses);
    list(&mut rest, "ENVIRONMENT", &ENVIRONMENT);
    list(&mut rest, "FILES", page.files);
    see_also(&mut rest, &own, titles);
    rest.to_writer(to)
}

fn examples(roff: &mut Roff, examples: &[Example]) {
    roff.control("SH", ["EXAMPLES"]);
    for Example { purpose, line } in examples {
        roff.control("PP", []);
        roff.text([roman(format!("{purpose}:"))]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        roff.text([bold(*line)]);
        roff.control("fi", []);
        roff.control("RE", []);
    }
}

/// A section of names and what they mean; none without a name.
fn list(roff: &mut Roff, heading: &str, entries: &[(impl AsRef<str>, &str)]) {
    if entries.is_empty() {
        return;
    }
    roff.control("SH", [heading]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(name.as_ref())]);
        roff.text([roman(*meaning)]);
    }
}

fn see_also(roff: &mut Roff, own: &str, titles: &[String]) {
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for title in titles.iter().filter(|title| *title != own) {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(title.as_str()), roman("(1)")]);
    }
    roff.text(line);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The options in a text, in the order of their first appearance.
    fn options(text: &str) -> Vec<&str> {
        let word = |c: char| c.is_ascii_lowercase() || c == '-';
        text.split(|c| !word(c))
            .filter(|word| word.len() > 2 && word.starts_with("--"))
            .collect()
    }

    #[test]
    fn every_option_of_the_help_is_in_the_man_page() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let mut count = 0;
        for page in manual::PAGES {
            let mut definition = crate::command::definition();
            definition.build();
            let (name, command) = match definition.find_subcommand_mut(page.name) {
                Some(command) => (format!("lastref-{}.1", page.name), command),
                None => ("lastref.1".to_owned(), &mut definition),
            };
            let text = fs::read_to_string(directory.path().join(&name)).unwrap();
            let text = text.replace("\\-", "-");
            let shown = options(&text);
            for option in options(&command.render_long_help().to_string()) {
                assert!(shown.contains(&option), "{option} is not in {name}");
                count += 1;
            }
            for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "\"EXIT STATUS\""] {
                assert!(
                    text.contains(&format!("\n.SH {section}\n")),
                    "{section} of {name}"
                );
            }
        }
        assert!(count > 40, "{count}");
    }
}
