//! What rules found in a run, each with the note that explains it, if there is one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::known::KnownFindings;
use super::report::Report;
use crate::lab::{References, Severity};

/// How many frames tell one finding from another, for people.
const SHOWN_FRAMES: usize = 8;

/// One rule that matched at one site, over all its contexts on one filesystem.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The rule.
    pub rule: String,
    /// The site.
    pub site: String,
    /// The filesystem of the inode.
    pub filesystem: String,
    /// How many final puts.
    pub final_puts: u64,
    /// How many puts that were not final.
    pub non_final: u64,
    /// Who held the other references then.
    pub references: Option<References>,
    /// How bad it would have been if they had been final.
    pub if_final: Option<Severity>,
    /// The chain, `iput`'s caller first.
    pub frames: Vec<String>,
    /// The note that explains it.
    pub explained: Option<String>,
}

/// All findings of a report, one for each rule, site and filesystem, the worst first.
pub fn findings(kernel: &str, report: &Report, known: &KnownFindings) -> Vec<Finding> {
    let mut all: BTreeMap<(String, String, String, Severity), Finding> = BTreeMap::new();
    for (site, context) in report.contexts() {
        for hazard in &context.hazards {
            if !hazard.severity.is_finding() {
                continue;
            }
            let filesystem = context.filesystem();
            let explained = known.explain(kernel, site, context, hazard);
            let key = (
                site.id.clone(),
                hazard.rule.clone(),
                filesystem.to_string(),
                hazard.severity,
            );
            let finding = all.entry(key).or_insert_with(|| Finding {
                severity: hazard.severity,
                rule: hazard.rule.clone(),
                site: site.id.clone(),
                filesystem: filesystem.to_string(),
                final_puts: 0,
                non_final: 0,
                references: None,
                if_final: None,
                frames: site.functions().map(str::to_string).collect(),
                explained: explained.map(|known| known.note.clone()),
            });
            finding.final_puts += context.counts.final_puts;
            finding.non_final += context.counts.non_final;
            finding.if_final = finding.if_final.max(hazard.if_final);
            if let Some(references) = &context.references {
                let others = finding.references.take().unwrap_or_default();
                finding.references = Some(others.plus(references));
            }
        }
    }
    let mut findings: Vec<Finding> = all.into_values().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.final_puts)));
    findings
}

impl Finding {
    /// For people.
    pub fn describe(&self) -> String {
        let if_final = self
            .if_final
            .map_or_else(String::new, |severity| format!(" ({severity} if final)"));
        let not_final = self
            .references
            .as_ref()
            .map_or_else(String::new, |references| {
                format!(" and {} × not final ({references})", self.non_final)
            });
        format!(
            "{} {}{if_final} on {}, {} ×{not_final} at {}: {}; {}",
            self.severity,
            self.rule,
            self.filesystem,
            self.final_puts,
            self.site,
            chain(&self.frames),
            match &self.explained {
                Some(note) => format!("known: {note}"),
                None => "NEW".to_string(),
            }
        )
    }
}

/// The innermost functions of a chain, for people.
pub fn chain(functions: &[String]) -> String {
    let shown = functions.len().min(SHOWN_FRAMES);
    let more = if functions.len() > shown {
        " < …"
    } else {
        ""
    };
    format!("{}{more}", functions[..shown].join(" < "))
}
