//! Lines of text for a terminal: wrapped, escaped, coloured if wanted.

use std::borrow::Cow;
use std::io::{self, Write};

/// Columns of a line.
pub const WIDTH: usize = 100;

/// Columns of a line in a mail.
const MAIL_WIDTH: usize = 77;

/// Columns of a field's label, with its indentation.
const LABEL: usize = 14;

/// Columns of an entry's name, with its indentation.
pub const NAME: usize = 30;

/// What an item of a list begins with.
const ITEM: &str = "- ";

/// How a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// A heading.
    Heading,
    /// What must not be overlooked.
    Alarm,
    /// What should not be overlooked.
    Warning,
}

impl Style {
    /// Its SGR parameters (ECMA-48), if any.
    const fn parameters(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Heading => Some("1"),
            Self::Alarm => Some("1;31"),
            Self::Warning => Some("33"),
        }
    }
}

/// A text under construction.
#[derive(Debug)]
pub struct Page {
    text: String,
    colour: bool,
    width: usize,
    /// Whether anything has been written, be it gone already.
    begun: bool,
    /// Whether an empty line comes before the next one.
    gap: bool,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub const fn new(colour: bool) -> Self {
        Self {
            text: String::new(),
            colour,
            width: WIDTH,
            begun: false,
            gap: false,
        }
    }

    /// An empty page for a mail: its lines fit into 80 columns when they are quoted once.
    #[must_use]
    pub const fn for_mail() -> Self {
        let mut page = Self::new(false);
        page.width = MAIL_WIDTH;
        page
    }

    /// Columns of a line.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// What has been written.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    /// Hands over to `out` what has been written.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }

    /// An empty line before what comes next, but never two, and none at the top.
    pub fn gap(&mut self) {
        self.gap = self.begun;
    }

    /// Begins a line.
    fn line(&mut self) {
        if std::mem::take(&mut self.gap) {
            self.text.push('\n');
        }
        self.begun = true;
    }

    /// One line as it is, however long: frames must stay in one piece for other tools.
    pub fn verbatim(&mut self, indent: usize, text: &str) {
        self.line();
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(&escape(text));
        self.text.push('\n');
    }

    /// A paragraph.
    pub fn paragraph(&mut self, style: Style, text: &str) {
        self.wrapped(style, "", 0, text);
    }

    /// A labelled paragraph; nothing at all without text.
    pub fn field(&mut self, label: &str, text: &str) {
        if !text.is_empty() {
            self.wrapped(Style::Plain, &head(label, LABEL), LABEL, text);
        }
    }

    /// An item of a list.
    pub fn item(&mut self, text: &str) {
        self.wrapped(Style::Plain, ITEM, ITEM.len(), text);
    }

    /// A line of a list with long names.
    pub fn entry(&mut self, name: &str, text: &str) {
        self.wrapped(Style::Plain, &head(name, NAME), NAME, text);
    }

    /// Writes `text` wrapped into lines, `head` before the first and as many as `indent` spaces
    /// before the others.
    fn wrapped(&mut self, style: Style, head: &str, indent: usize, text: &str) {
        let text = escape(text);
        for (number, line) in wrap(&text, self.width - indent).iter().enumerate() {
            let head = match number {
                0 => Cow::Borrowed(head),
                _ => Cow::Owned(" ".repeat(indent)),
            };
            let line = match style.parameters() {
                Some(parameters) if self.colour => format!("\x1b[{parameters}m{line}\x1b[0m"),
                _ => line.clone(),
            };
            self.line();
            self.text.push_str(&head);
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }
}

/// A label in a column of its own.
fn head(label: &str, columns: usize) -> String {
    format!("  {:<width$}", escape(label), width = columns - 2)
}

/// `text` without anything that a terminal would act on: names come from the kernel, where any
/// user may have set them (`prctl(PR_SET_NAME)`, a mount's source). Control characters and those
/// that reorder or hide text are written as escapes.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal would act on `character`, or show nothing.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// `text` in lines of at most `width` characters, broken at spaces where there are any.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.iter().collect());
            word = rest;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += word.len();
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_at_spaces() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("abcdefg hi", 3), ["abc", "def", "g", "hi"]);
        assert_eq!(wrap("  a   b ", 9), ["a b"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn terminals_are_left_alone() {
        assert_eq!(escape("kworker/u4:1"), "kworker/u4:1");
        assert_eq!(escape("é"), "é");
        assert_eq!(escape("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(escape("a\u{202e}b\u{9b}"), "a\\u{202e}b\\u{9b}");
        for colour in [false, true] {
            let mut page = Page::new(colour);
            page.field("label", "evil\x1b]0;title\x07\nname");
            page.verbatim(1, "\x1b[2J");
            let text = page.finish();
            assert!(!text.contains(['\x1b', '\x07']), "{text:?}");
        }
    }

    #[test]
    fn gaps_are_single_and_only_between_lines() {
        let mut page = Page::new(false);
        let mut text = Vec::new();
        for paragraph in ["a", "", "b"] {
            page.gap();
            page.gap();
            page.paragraph(Style::Plain, paragraph);
            page.flush(&mut text).unwrap();
        }
        page.gap();
        page.flush(&mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "a\n\nb\n");
    }

    #[test]
    fn colour_is_only_where_wanted() {
        for (colour, expected) in [(true, "\x1b[1;31mx\x1b[0m\n"), (false, "x\n")] {
            let mut page = Page::new(colour);
            page.paragraph(Style::Alarm, "x");
            assert_eq!(page.finish(), expected);
        }
    }
}
