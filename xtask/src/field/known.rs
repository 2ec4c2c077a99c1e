//! `lab/field.toml`: findings on real filesystems that were looked at and explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::report::{Context as Called, Hazard, Site};
use crate::lab::Severity;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownFindings {
    #[serde(default)]
    finding: Vec<Known>,
}

/// A finding that is explained. What is not named is anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The rule that matches.
    rule: String,
    /// The worst that it may be.
    severity: Severity,
    /// Filesystems of the inode, as reports name them.
    filesystems: Option<BTreeSet<String>>,
    /// Kernels, as `kernels.toml` names them.
    kernels: Option<BTreeSet<String>>,
    /// Functions that must all be in the chain.
    #[serde(default)]
    frames: Vec<String>,
    /// The heading in `docs/field-notes.md` that explains it.
    pub note: String,
}

impl KnownFindings {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} cannot be understood", path.display()))
    }

    /// What explains a rule that matched in a context of a site.
    pub fn explain(
        &self,
        kernel: &str,
        site: &Site,
        context: &Called,
        hazard: &Hazard,
    ) -> Option<&Known> {
        let functions: BTreeSet<&str> = site.functions().collect();
        let among = |set: &Option<BTreeSet<String>>, name: &str| {
            set.as_ref().is_none_or(|names| names.contains(name))
        };
        self.finding.iter().find(|known| {
            known.rule == hazard.rule
                && hazard.severity <= known.severity
                && among(&known.filesystems, context.filesystem())
                && among(&known.kernels, kernel)
                && known
                    .frames
                    .iter()
                    .all(|frame| functions.contains(frame.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::report::Report;

    const NOTES: &str = include_str!("../../../docs/field-notes.md");

    fn table() -> KnownFindings {
        toml::from_str(include_str!("../../../lab/field.toml")).unwrap()
    }

    #[test]
    fn every_known_finding_has_its_note() {
        for known in &table().finding {
            let heading = format!("### {}\n", known.note);
            assert!(NOTES.contains(&heading), "no note {}", known.note);
        }
    }

    #[test]
    fn a_finding_is_explained_by_rule_frames_and_place() {
        let report: Report = serde_json::from_str(
            r#"{"losses": {}, "totals": {"final_puts": 1, "benign_final_puts": 0, "evictions": 1},
                "other_sites": [], "findings": [{"id": "x",
                "frames": [{"function": "inner.isra.0"}, {"function": "outer"}],
                "contexts": [{"severity": "unsafe", "counts": {"final_puts": 1},
                    "facts": {"yes": []}, "example": {"inode": {"filesystem": "ext4"}},
                    "hazards": [{"rule": "some-rule", "severity": "unsafe"}]}]}]}"#,
        )
        .unwrap();
        let explained = |entry: &str| {
            let table: KnownFindings =
                toml::from_str(&format!("[[finding]]\nnote = \"n\"\n{entry}")).unwrap();
            let (site, context) = report.contexts().next().unwrap();
            table
                .explain("6.1", site, context, &context.hazards[0])
                .is_some()
        };
        let base = "rule = \"some-rule\"\nseverity = \"unsafe\"\n";
        assert!(explained(base));
        assert!(explained(&format!(
            "{base}frames = [\"inner\", \"outer\"]\nkernels = [\"6.1\"]\nfilesystems = [\"ext4\"]"
        )));
        for other in [
            "frames = [\"x\"]",
            "kernels = [\"7.3\"]",
            "filesystems = [\"xfs\"]",
        ] {
            assert!(!explained(&format!("{base}{other}")), "{other}");
        }
        assert!(!explained(&base.replace("some-rule", "other")));
        assert!(!explained(&base.replace("unsafe", "risky")));
    }
}
