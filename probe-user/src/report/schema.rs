//! The JSON Schemas of a report and of a stream's lines, made from their types.

use schemars::Schema;

use super::{jsonl, model::Report};

/// The schema.
#[must_use]
pub fn schema() -> Schema {
    schemars::schema_for!(Report)
}

/// The schema of a report as indented JSON with a final newline, the form of
/// `docs/report.schema.json`.
///
/// # Errors
///
/// Never with the types of this crate; the JSON writer's error is passed on.
pub fn text() -> serde_json::Result<String> {
    indented(&schema())
}

/// The same for one line of a stream, the form of `docs/jsonl.schema.json`.
///
/// # Errors
///
/// Never with the types of this crate; the JSON writer's error is passed on.
pub fn text_of_line() -> serde_json::Result<String> {
    indented(&jsonl::schema())
}

fn indented(schema: &Schema) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(schema)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    const DOCUMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

    #[test]
    fn the_documented_schemas_are_the_code_s() {
        for (name, command, text) in [
            ("report.schema.json", "schema", text().unwrap()),
            (
                "jsonl.schema.json",
                "schema --jsonl",
                text_of_line().unwrap(),
            ),
        ] {
            let documented = std::fs::read_to_string(format!("{DOCUMENTS}/{name}")).unwrap();
            assert!(
                documented == text,
                "docs/{name} is out of date; update it: cargo run -- {command} > docs/{name}"
            );
        }
    }

    #[test]
    fn reports_are_valid() {
        let schema = serde_json::to_value(schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for report in [sample::report(), sample::empty()] {
            let value = serde_json::to_value(&report).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
        let mut wrong = serde_json::to_value(sample::report()).unwrap();
        wrong["findings"][0]["severity"] = "terrible".into();
        assert!(!validator.is_valid(&wrong));
    }
}
