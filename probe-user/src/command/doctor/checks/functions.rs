//! The functions that probes stand on, and who calls them.

use lastref::probe::{ATTACH_POINTS, AttachPoint};
use lastref::report::model::Attach;

use super::super::diagnosis::Check;
use super::Host;

const FUNCTIONS: &str = "functions";

/// The functions that probes stand on.
pub fn functions(host: &Host) -> Vec<Check> {
    let Ok(symbols) = &host.symbols else {
        return Vec::new();
    };
    let needs_types = host.is_attached_by(Attach::Fentry);
    let check = |point: &AttachPoint| {
        let name = point.function;
        let remedy = "use a kernel that does not inline it, with CONFIG_KALLSYMS=y";
        let check = match symbols.addresses(name).len() {
            0 => Check::bad(FUNCTIONS, name, "not in the symbol table", remedy),
            1 if needs_types && !host.btf.as_ref().is_ok_and(|btf| btf.has_function(name)) => {
                let remedy = "lastref watch --attach kprobe";
                Check::bad(FUNCTIONS, name, "not in the type information", remedy)
            }
            1 => Check::ok(FUNCTIONS, name, "found"),
            count => Check::unknown(FUNCTIONS, name, format!("{count} functions share the name")),
        };
        check.required_if(!point.optional)
    };
    ATTACH_POINTS.iter().map(check).collect()
}

/// Who calls `evict()` without a put.
pub fn evict_callers(host: &Host) -> Vec<Check> {
    const NAME: &str = "callers of evict";
    let Some(resolved) = host.resolved() else {
        return Vec::new();
    };
    vec![match &resolved.evict_callers {
        Ok(names) => Check::ok(FUNCTIONS, NAME, names.join(", ")),
        Err(reason) => {
            let remedy = "needed for --level evictions only; --level final does without";
            Check::bad(FUNCTIONS, NAME, reason.as_str(), remedy)
        }
    }]
}
