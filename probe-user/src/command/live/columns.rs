//! The columns of the list of sites, from the width on at which there is room for them.

use lastref::report::{model::Site, text::functions, units::duration};

use super::rates;

/// A column.
pub struct Column {
    pub title: &'static str,
    /// Cells, without the space after it; 0 for what is left of the line.
    pub width: usize,
    /// The narrowest list that has it.
    from: usize,
    /// Numbers stand at the right.
    is_number: bool,
    text: fn(&Site, f64) -> String,
}

const fn column(
    title: &'static str,
    width: usize,
    from: usize,
    is_number: bool,
    text: fn(&Site, f64) -> String,
) -> Column {
    Column {
        title,
        width,
        from,
        is_number,
        text,
    }
}

const COLUMNS: [Column; 9] = [
    column("SEVERITY", 8, 0, false, |site, _| {
        site.severity.name().to_uppercase()
    }),
    column("PER S", 6, 30, true, |_, rate| rates::text(rate)),
    column("PUTS", 7, 50, true, |site, _| number(site.counts.puts())),
    column("EVICTED", 7, 120, true, |site, _| {
        number(site.counts.evicted)
    }),
    column("LONGEST", 9, 110, true, |site, _| longest(site)),
    column("FS", 8, 60, false, |site, _| filesystem(site)),
    column("RULE", 20, 90, false, |site, _| {
        site.rule().unwrap_or_default().to_owned()
    }),
    column("SITE", 16, 140, false, |site, _| site.id.clone()),
    column("CALLED BY", 0, 0, false, |site, _| place(site)),
];

/// The columns of a list of that width.
pub fn of(width: usize) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(move |column| column.from <= width)
}

impl Column {
    /// What the column has of `site`.
    pub fn cell(&self, site: &Site, rate: f64) -> String {
        self.align(&(self.text)(site, rate))
    }

    /// `text` in the column's width.
    pub fn align(&self, text: &str) -> String {
        let width = self.width;
        match (width, self.is_number) {
            (0, _) => text.to_owned(),
            (_, true) => format!("{text:>width$}"),
            (_, false) => format!("{text:<width$.width$}"),
        }
    }
}

/// A number of at most seven digits.
fn number(number: u64) -> String {
    match number {
        0..10_000_000 => number.to_string(),
        10_000_000..10_000_000_000 => format!("{}M", number / 1_000_000),
        _ => format!("{}G", number / 1_000_000_000),
    }
}

fn longest(site: &Site) -> String {
    match site.counts.eviction_longest_ns {
        0 => String::new(),
        nanoseconds => duration(nanoseconds),
    }
}

fn filesystem(site: &Site) -> String {
    site.contexts
        .iter()
        .find_map(|context| context.example.as_ref())
        .map(|example| example.inode.filesystem.clone())
        .unwrap_or_default()
}

fn place(site: &Site) -> String {
    let known = if site.known { "(known) " } else { "" };
    format!("{known}{}", functions(site))
}
