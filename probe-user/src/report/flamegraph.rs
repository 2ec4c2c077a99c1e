//! A flame graph of all puts (SVG): how wide a box is tells how many puts came through the
//! function, its colour how bad the worst of them is.

use std::collections::HashMap;
use std::io::{self, Write};

use inferno::flamegraph::color::{Color, PaletteMap};
use inferno::flamegraph::{self, Options};

use super::folded;
use super::model::{Report, Severity};
use super::page::escape;
use super::units::duration_ms;

/// Severities, the annotation that tells them apart, and their colour and its name.
///
/// The graph is coloured by name, but the same function may be in harmless chains and in
/// dangerous ones. Annotations are part of a name and are not shown.
const COLOURS: [(Severity, &str, Color, &str); 6] = [
    (Severity::Benign, "", rgb(190, 205, 190), "grey"),
    (Severity::Expected, "", rgb(190, 205, 190), "grey"),
    (Severity::Latent, "_[i]", rgb(245, 220, 90), "yellow"),
    (Severity::Risky, "_[j]", rgb(250, 165, 60), "orange"),
    (Severity::Unsafe, "_[w]", rgb(235, 90, 75), "red"),
    (Severity::Deadlock, "_[k]", rgb(200, 110, 230), "purple"),
];

/// What there is to see if there is nothing.
const EMPTY: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    "\n",
    r#"<svg xmlns="http://www.w3.org/2000/svg" width="600" height="60">"#,
    r#"<text x="20" y="35" font-family="monospace" font-size="14">No site was recorded.</text>"#,
    "</svg>\n"
);

const fn rgb(r: u8, g: u8, b: u8) -> Color {
    Color { r, g, b }
}

/// Writes the graph.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut tree = Tree::default();
    let stacks: Vec<(Vec<String>, u64)> = report
        .sites()
        .map(|site| (folded::stack(site, ""), site.severity, site.counts.puts()))
        .filter(|(_, _, puts)| *puts > 0)
        .map(|(stack, severity, puts)| {
            tree.add(&stack, severity);
            (stack, puts)
        })
        .collect();
    if stacks.is_empty() {
        return out.write_all(EMPTY.as_bytes());
    }
    // So that no sum of them overflows, whatever a report says.
    let most = u64::MAX / (stacks.len() as u64 + 1);
    let mut palette = PaletteMap::default();
    palette.insert("", colour(Severity::Benign).1);
    let lines: Vec<String> = stacks
        .into_iter()
        .map(|(stack, puts)| {
            let marked = tree.mark(stack, &mut palette);
            format!("{} {}", marked.join(";"), puts.min(most))
        })
        .collect();
    drop(tree);

    let mut options = Options::default();
    options.title = format!("Puts of inodes on Linux {}", escape(&report.kernel.release));
    options.subtitle = Some(subtitle(report));
    options.count_name = String::from("puts");
    options.palette_map = Some(&mut palette);
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut *out)?;
    out.write_all(b"\n")
}

/// When it was, and what the colours mean.
fn subtitle(report: &Report) -> String {
    let legend: Vec<String> = COLOURS
        .iter()
        .rev()
        .take(5)
        .map(|(severity, _, _, name)| format!("{name} {}", severity.name()))
        .collect();
    format!(
        "{} for {}; the worst that came through: {}",
        escape(&report.capture.started),
        duration_ms(report.capture.duration_ms),
        legend.join(", ")
    )
}

/// The annotation and the colour of a severity.
fn colour(severity: Severity) -> (&'static str, Color) {
    COLOURS
        .iter()
        .find(|(of, ..)| *of == severity)
        .map_or(("", rgb(255, 255, 255)), |(_, mark, colour, _)| {
            (mark, *colour)
        })
}

/// All chains as a tree from the outermost function, each box with the worst that is above it.
#[derive(Default)]
struct Tree {
    worst: Vec<Severity>,
    boxes: HashMap<(usize, String), usize>,
}

impl Tree {
    /// Adds a chain.
    fn add(&mut self, stack: &[String], severity: Severity) {
        let mut parent = usize::MAX;
        for function in stack {
            let next = self.worst.len();
            let here = *self.boxes.entry((parent, function.clone())).or_insert(next);
            match self.worst.get_mut(here) {
                Some(worst) => *worst = severity.max(*worst),
                None => self.worst.push(severity),
            }
            parent = here;
        }
    }

    /// A chain that was added, each function annotated, with its colour in `palette`.
    fn mark(&self, stack: Vec<String>, palette: &mut PaletteMap) -> Vec<String> {
        let mut key = (usize::MAX, String::new());
        stack
            .into_iter()
            .map(|function| {
                key.1 = function;
                let here = self.boxes.get(&key).copied().unwrap_or_default();
                let worst = self.worst.get(here).copied().unwrap_or(Severity::Benign);
                let (mark, colour) = colour(worst);
                let marked = format!("{}{mark}", key.1);
                palette.insert(&marked, colour);
                key.0 = here;
                marked
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn graph(report: &Report) -> String {
        let mut bytes = Vec::new();
        write(report, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// The colour of the box whose tip begins so.
    fn colours(svg: &str, tip: &str) -> Vec<String> {
        svg.split("<title>")
            .skip(1)
            .filter(|piece| piece.starts_with(tip))
            .map(|piece| {
                let fill = piece.split_once("fill=\"").unwrap().1;
                fill.split_once('"').unwrap().0.to_owned()
            })
            .collect()
    }

    #[test]
    fn boxes_have_the_colour_of_the_worst_that_is_above_them() {
        let mut report = sample::empty();
        let mut bad = sample::site("a", Severity::Deadlock);
        bad.frames[0].function = Some("d_delete".into());
        report.findings = vec![bad];
        let mut harmless = sample::site("c", Severity::Expected);
        harmless.frames[1].function = Some("do_rmdir".into());
        report.other_sites = vec![sample::site("b", Severity::Expected), harmless];
        let svg = graph(&report);
        assert_eq!(colours(&svg, "all (6 puts"), ["rgb(190,205,190)"]);
        assert_eq!(colours(&svg, "do_unlinkat (4 puts"), ["rgb(200,110,230)"]);
        assert_eq!(colours(&svg, "do_rmdir (2 puts"), ["rgb(190,205,190)"]);
        assert_eq!(colours(&svg, "d_delete (2 puts"), ["rgb(200,110,230)"]);
        assert_eq!(colours(&svg, "dput (2 puts"), ["rgb(190,205,190)"; 2]);
        assert!(svg.contains("Puts of inodes on Linux 7.3.4-amd64"));
        assert!(svg.contains("purple deadlock, red unsafe, orange risky, yellow latent, grey"));
    }

    #[test]
    fn there_is_a_graph_of_any_report() {
        assert!(graph(&sample::empty()).contains("No site was recorded."));
        let mut report = sample::report();
        for site in &mut report.findings {
            site.counts.final_puts = u64::MAX;
            site.counts.non_final = u64::MAX;
            site.frames[0].function = Some("</title><script>a;b]]> 1".into());
            site.frames[0].module = Some("k".into());
        }
        let svg = graph(&report);
        assert!(!svg.contains("<script>a"));
        assert!(svg.contains("&lt;/title&gt;&lt;script&gt;a:b]]&gt;_1"));
    }
}
