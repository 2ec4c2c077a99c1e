//! The JSON Schema of a report, made from the model's types.

use schemars::Schema;

use super::model::Report;

/// The schema.
#[must_use]
pub fn schema() -> Schema {
    schemars::schema_for!(Report)
}

/// The schema as indented JSON with a final newline, the form of `docs/report.schema.json`.
///
/// # Errors
///
/// Never with the types of this crate; the JSON writer's error is passed on.
pub fn text() -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(&schema())?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");

    #[test]
    fn the_documented_schema_is_the_code_s() {
        let documented = std::fs::read_to_string(DOCUMENT).unwrap();
        assert!(
            documented == text().unwrap(),
            "docs/report.schema.json is out of date; \
             update it: cargo run -- schema > docs/report.schema.json"
        );
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
