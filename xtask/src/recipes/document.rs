//! The blocks of `docs/ci.md` that are marked as recipes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

const FENCE: &str = "```";
const MARK: &str = " recipe=";

/// The recipes of a document, by name.
#[derive(Debug)]
pub struct Document {
    recipes: BTreeMap<String, String>,
}

impl Document {
    /// Reads the document at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut recipes = BTreeMap::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.strip_prefix(FENCE) else {
                continue;
            };
            let mut block = String::new();
            loop {
                match lines.next() {
                    Some(FENCE) => break,
                    Some(line) => block = block + line + "\n",
                    None => bail!("the block {line} has no end"),
                }
            }
            if let Some((_, name)) = info.split_once(MARK) {
                let previous = recipes.insert(name.to_string(), block);
                ensure!(previous.is_none(), "two recipes have the name {name}");
            }
        }
        Ok(Self { recipes })
    }

    /// The recipe of that name, as it stands in the document.
    pub fn recipe(&self, name: &str) -> Result<&str> {
        self.recipes
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("there is no recipe {name}"))
    }

    /// The names of all recipes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.recipes.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_blocks_are_taken_as_they_stand() {
        let text =
            "text\n```sh recipe=one\na\n\n  b\n```\n```\nother\n```\n```yaml recipe=two\n```\n";
        let document = Document::parse(text).unwrap();
        assert_eq!(document.names().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(document.recipe("one").unwrap(), "a\n\n  b\n");
        assert_eq!(document.recipe("two").unwrap(), "");
        assert!(document.recipe("other").is_err());
        assert!(Document::parse("```sh recipe=x\n").is_err());
        assert!(Document::parse("```sh recipe=x\n```\n```sh recipe=x\n```\n").is_err());
    }
}
