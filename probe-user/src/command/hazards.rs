//! `lastref hazards`: prints the table of rules, or one rule in full.

use std::process::ExitCode;

use anyhow::Context;
use lastref::hazard::Rule;
use lastref::report::rules;

use super::output;

/// Explain the rules.
#[derive(Debug, clap::Args)]
pub struct HazardsArgs {
    /// The rule to explain in full, by its id; without one, every rule in a line.
    rule: Option<String>,
    /// Print every rule and every fact as Markdown, as docs/hazards.md has them.
    #[arg(long, conflicts_with = "rule")]
    markdown: bool,
}

impl HazardsArgs {
    /// Prints the table, or the rule.
    ///
    /// # Errors
    ///
    /// When there is no such rule, or standard output cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let colour = output::colour();
        let text = match &self.rule {
            None if self.markdown => rules::markdown(),
            None => rules::table(colour),
            Some(id) => {
                let rule = Rule::find(id).with_context(|| {
                    format!("there is no rule {id:?}; `lastref hazards` lists them")
                })?;
                rules::explain(rule, colour)
            }
        };
        output::print(&text)
    }
}
