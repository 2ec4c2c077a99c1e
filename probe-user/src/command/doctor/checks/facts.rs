//! The fields that are read, and the facts that they tell.

use lastref::kernel::layout::{self, Need};
use probe_common::ALL_FACTS;

use super::super::diagnosis::{Check, State};
use super::Host;

const FIELDS: &str = "fields";
const FACTS: &str = "facts";

/// The fields that are read.
pub fn fields(host: &Host) -> Vec<Check> {
    let resolved = match &host.resolved {
        None => return Vec::new(),
        Some(Err(error)) => {
            let remedy = "use a kernel that has it";
            return vec![Check::bad(FIELDS, "layout", error.to_string(), remedy).required()];
        }
        Some(Ok(resolved)) => resolved,
    };
    let check = |field: &layout::ResolvedField| {
        let name = format!("{}.{}", field.type_name, field.path);
        let (use_of, required) = match field.need {
            Need::Everything => ("everything".to_owned(), true),
            Need::Facts(facts) => {
                let names: Vec<&str> = facts.iter().map(|fact| fact.name()).collect();
                (names.join(", "), false)
            }
            Need::Detail(detail) => (detail.to_owned(), false),
        };
        let check = match field.offset {
            Some(offset) => Check::ok(FIELDS, &name, format!("offset {offset}; for {use_of}")),
            None => Check {
                state: State::Bad,
                ..Check::ok(FIELDS, &name, format!("this kernel has none; for {use_of}"))
            },
        };
        check.required_if(required)
    };
    resolved.fields.iter().map(check).collect()
}

/// The facts that can be told.
pub fn facts(host: &Host) -> Vec<Check> {
    let (Some(resolved), Some((attach, _))) = (host.resolved(), &host.attach) else {
        return Vec::new();
    };
    let unknown = resolved.unknown_facts(*attach);
    ALL_FACTS
        .iter()
        .map(|fact| match unknown.get(fact.name()) {
            Some(reason) => Check::unknown(FACTS, fact.name(), reason.as_str()),
            None => Check::ok(FACTS, fact.name(), "known"),
        })
        .collect()
}
