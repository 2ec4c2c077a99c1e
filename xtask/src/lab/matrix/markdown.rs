//! The matrix as a page of Markdown.

use std::fmt::Write as _;

use super::{Benign, Cell, Column, Matrix, Ratios, Row, Session};

const ABOUT: &str = "\
# The lab's matrix

A cell is what the reports say of a scenario: severity, rule and how often, once where all sessions
agree, else for each. Where it is not what was expected word for word, it is *expected / got*. `?`
names facts that are true of the scenario and unknown there.

";

impl Matrix {
    /// All of it, for people.
    pub fn markdown(&self) -> String {
        let run: Vec<&Column> = self.kernels.iter().filter(|column| column.run).collect();
        let mut text = ABOUT.to_string();
        self.scenarios(&run, &mut text);
        self.ratios(&mut text);
        sessions(&run, &mut text);
        problems(&run, &mut text);
        text
    }

    fn scenarios(&self, run: &[&Column], text: &mut String) {
        let mut headings = vec!["scenario"];
        headings.extend(run.iter().map(|column| column.kernel.as_str()));
        let rows = self.scenarios.iter().map(|row| {
            let mut cells = vec![format!("`{}`", row.scenario)];
            cells.extend(run.iter().map(|column| row.text(column)));
            cells
        });
        table(text, &headings, rows);
    }

    fn ratios(&self, text: &mut String) {
        const HEADINGS: [&str; 8] = [
            "kernel",
            "as expected",
            "problems",
            "findings right",
            "missed",
            "wrong",
            "precision",
            "recall",
        ];
        text.push_str("\n## Precision and recall\n\n");
        let rows = self.kernels.iter().map(|column| {
            if column.run {
                let problems = column.problems.len();
                column.ratios.row(
                    &column.kernel,
                    &[column.good, problems].map(|n| n.to_string()),
                )
            } else {
                let mut row = vec![column.kernel.clone(), "not run".to_string()];
                row.resize(HEADINGS.len(), String::new());
                row
            }
        });
        let all = self.all.row("all", &[String::new(), String::new()]);
        table(text, &HEADINGS, rows.chain([all]));
    }
}

impl Ratios {
    fn row(&self, name: &str, counts: &[String; 2]) -> Vec<String> {
        let [good, problems] = counts.clone();
        let score = self.score;
        vec![
            name.to_string(),
            good,
            problems,
            score.right.to_string(),
            score.missed.to_string(),
            score.wrong.to_string(),
            self.precision.clone(),
            self.recall.clone(),
        ]
    }
}

fn sessions(run: &[&Column], text: &mut String) {
    const HEADINGS: [&str; 5] = [
        "kernel",
        "session",
        "facts that cannot be told",
        "benign puts made / counted",
        "lost",
    ];
    text.push_str("\n## Sessions\n\n");
    let rows = run.iter().flat_map(|column| {
        let sessions = column.sessions.iter();
        sessions.map(|session| session.row(&column.kernel))
    });
    table(text, &HEADINGS, rows);
}

fn problems(run: &[&Column], text: &mut String) {
    let mut heading = "\n## Problems\n\n";
    for column in run {
        for problem in &column.problems {
            text.push_str(heading);
            heading = "";
            let _ = writeln!(text, "- {}: {problem}", column.kernel);
        }
    }
}

impl Session {
    fn row(&self, kernel: &str) -> Vec<String> {
        let facts: Vec<&str> = self.unknown_facts.keys().map(String::as_str).collect();
        let losses: Vec<String> = self
            .losses
            .iter()
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        let Benign { made, counted } = self.benign_puts;
        vec![
            kernel.to_string(),
            self.name.clone(),
            facts.join(", "),
            format!("{made} / {counted}"),
            if losses.is_empty() {
                "nothing".to_string()
            } else {
                losses.join(", ")
            },
        ]
    }
}

impl Row {
    /// What a kernel's sessions said: once if they agree.
    fn text(&self, column: &Column) -> String {
        let mut texts: Vec<(String, Vec<&str>)> = Vec::new();
        for cell in self
            .cells
            .iter()
            .filter(|cell| cell.kernel == column.kernel)
        {
            let text = cell.text();
            match texts.iter_mut().find(|(other, _)| *other == text) {
                Some((_, ways)) => ways.push(&cell.way),
                None => texts.push((text, vec![&cell.way])),
            }
        }
        match texts.as_slice() {
            [] if column.absent.contains(&self.scenario) => "not run there".to_string(),
            [] => "not run".to_string(),
            [(text, _)] => text.clone(),
            _ => {
                let lines: Vec<String> = texts
                    .iter()
                    .map(|(text, ways)| format!("{}: {text}", ways.join(", ")))
                    .collect();
                lines.join("<br>")
            }
        }
    }
}

impl Cell {
    fn text(&self) -> String {
        let expected = self.verdict.expected.to_string();
        let got = self
            .verdict
            .got
            .as_ref()
            .map_or_else(|| "no report".to_string(), ToString::to_string);
        let mut text = if got == expected {
            got
        } else {
            format!("{expected} / {got}")
        };
        if !self.unknown_here.is_empty() {
            let facts: Vec<&str> = self.unknown_here.iter().map(String::as_str).collect();
            let _ = write!(text, " ?{}", facts.join(" ?"));
        }
        if !self.verdict.problems.is_empty() {
            text.insert_str(0, "**FAIL** ");
        }
        text
    }
}

/// Appends a table.
fn table(text: &mut String, headings: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(text, "| {} |", headings.join(" | "));
    let _ = writeln!(text, "{}|", "|---".repeat(headings.len()));
    for cells in rows {
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}
