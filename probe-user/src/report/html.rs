//! The report as one HTML file that needs nothing else: no network, no server.
//!
//! The file has the report's data as JSON, and a script that shows it. Names in a report come from
//! whoever could set them (a thread's, a mount's), so they reach the page by one way only: the
//! JSON is written so that no HTML parser sees a tag in it ([`ScriptSafe`]), the script makes
//! text of it, never markup, and a content security policy allows nothing but this script and
//! this style sheet.

use std::io::{self, Write};
use std::str::FromStr;

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

use super::model::Report;

mod data;
#[cfg(test)]
mod tests;

/// The page, with places that are filled in, see [`write`].
const PAGE: &str = include_str!("html/page.html");

const STYLE: &str = concat!(
    include_str!("html/base.css"),
    include_str!("html/findings.css"),
    include_str!("html/charts.css"),
    include_str!("html/print.css"),
);

/// The script: its parts share one scope, which is not the browser's own.
const SCRIPT: &str = concat!(
    "\"use strict\";\n{\n",
    include_str!("html/elements.js"),
    include_str!("html/report.js"),
    include_str!("html/filter.js"),
    include_str!("html/finding.js"),
    include_str!("html/list.js"),
    include_str!("html/flame.js"),
    include_str!("html/time.js"),
    include_str!("html/main.js"),
    "}\n",
);

/// What to show, where there is a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlOptions {
    /// Where source lines are linked to, if anywhere.
    pub source_url: Option<SourceUrl>,
}

/// The address of a line of the kernel's source, with `{file}` and `{line}` in place of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUrl(String);

/// Why a text is no [`SourceUrl`].
#[derive(Debug, thiserror::Error)]
pub enum SourceUrlError {
    /// It would not be a link to a web page.
    #[error("it must begin with https:// or http://")]
    Scheme,
    /// All lines would have the same address.
    #[error(
        "it must have {{file}} in it, as in \
         https://elixir.bootlin.com/linux/v7.3/source/{{file}}#L{{line}}"
    )]
    File,
}

impl FromStr for SourceUrl {
    type Err = SourceUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Anything else could be a script, or a file of the reader's own.
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(SourceUrlError::Scheme);
        }
        if !text.contains("{file}") {
            return Err(SourceUrlError::File);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Writes `report` as HTML to `out`, piece by piece.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(report: &Report, options: &HtmlOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = PAGE;
    while let Some((before, from)) = rest.split_once("<!--{") {
        out.write_all(before.as_bytes())?;
        let (place, after) = from.split_once("}-->").unwrap_or((from, ""));
        match place {
            "policy" => write!(
                out,
                "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">",
                policy()
            )?,
            "style" => write!(out, "<style>{STYLE}</style>")?,
            "data" => {
                out.write_all(b"<script type=\"application/json\" id=\"data\">")?;
                let data = data::Data::of(report, options);
                serde_json::to_writer(ScriptSafe(&mut *out), &data)?;
                out.write_all(b"</script>")?;
            }
            "script" => write!(out, "<script>{SCRIPT}</script>")?,
            _ => {}
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// What the page may do: run its own script and use its own style sheet, nothing else.
fn policy() -> String {
    let hash = |text: &str| BASE64.encode(&Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

/// JSON on its way into a `<script>` element. Where that ends, and what a `<!--` in it means, the
/// HTML parser decides by the characters `<`, `>` and `&`, which JSON has in strings only:
/// there they can be written as escapes.
struct ScriptSafe<'a>(&'a mut dyn Write);

impl Write for ScriptSafe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_special = |byte: &u8| matches!(byte, b'<' | b'>' | b'&');
        let plain = bytes.iter().position(is_special).unwrap_or(bytes.len());
        match (plain, bytes.first()) {
            (0, Some(byte)) => write!(self.0, "\\u{byte:04x}").map(|()| 1),
            _ => self.0.write(&bytes[..plain]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
