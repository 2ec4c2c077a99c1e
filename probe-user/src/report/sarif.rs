//! The findings whose file and line are known as SARIF 2.1.0, for tools that show results in the
//! source.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::checks;
use super::model::{Frame, Report, Severity, Site, Source};
use super::parts;
use crate::hazard::RULES;

/// Where the schema is published.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What relative paths start from: the top of the kernel's source.
const SOURCE_ROOT: &str = "SRCROOT";

/// Writes the findings.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let run = Run {
        tool: tool(report),
        invocations: [invocation(report)],
        results: Results(report),
    };
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [run],
    };
    serde_json::to_writer_pretty(&mut *out, &log)?;
    out.write_all(b"\n")
}

/// The whole file.
#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

/// What one run of the tool found.
#[derive(Serialize)]
struct Run<'a> {
    tool: Value,
    invocations: [Value; 1],
    results: Results<'a>,
}

/// The results, made one by one as they are written.
struct Results<'a>(&'a Report);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let results = self
            .0
            .findings
            .iter()
            .filter_map(|site| Some(result(site, &self.0.kernel.release, place(site)?)));
        serializer.collect_seq(results)
    }
}

/// The program and its rules.
fn tool(report: &Report) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.title },
                "fullDescription": { "text": rule.means },
                "help": { "text": format!("{}\n\n{}", rule.why, rule.way_out) },
                "defaultConfiguration": { "level": level(rule.worst()) },
            })
        })
        .collect();
    json!({ "driver": {
        "name": report.tool.name,
        "version": report.tool.version,
        "rules": rules,
    } })
}

/// When it ran, and what the results do not have.
fn invocation(report: &Report) -> Value {
    let elsewhere = report
        .findings
        .iter()
        .filter(|site| place(site).is_none())
        .count();
    let mut notifications = Vec::new();
    if elsewhere > 0 {
        let text =
            format!("findings without a known file and line, which are left out: {elsewhere}");
        notifications.push(json!({ "level": "warning", "message": { "text": text } }));
    }
    if let Some(reason) = checks::incomplete(report) {
        let text = format!("the picture is not complete: {reason}");
        notifications.push(json!({ "level": "warning", "message": { "text": text } }));
    }
    json!({
        "executionSuccessful": true,
        "startTimeUtc": report.capture.started,
        "toolExecutionNotifications": notifications,
    })
}

/// A finding at its place.
fn result(site: &Site, release: &str, place: Place) -> Value {
    let hazard = parts::worst(site);
    let sentences: Vec<&str> = hazard
        .into_iter()
        .flat_map(|hazard| std::iter::once(&hazard.title).chain(&hazard.evidence))
        .map(String::as_str)
        .collect();
    let rule = hazard.map_or("no-rule", |hazard| &hazard.rule);
    let frames: Vec<Value> = site.frames.iter().flat_map(stack_frames).collect();
    let mut result = json!({
        "ruleId": rule,
        "level": level(site.severity),
        "message": { "text": format!("{}: {}", site.severity.name(), sentences.join(". ")) },
        "locations": [location(place.function, Some(place.source))],
        "stacks": [{ "message": { "text": "iput(), called by" }, "frames": frames }],
        "partialFingerprints": { "lastrefSite/v1": site.id },
        "occurrenceCount": site.counts.puts().max(1),
        "properties": { "severity": site.severity, "kernel": release },
    });
    if let Some(index) = RULES.iter().position(|known| known.id == rule) {
        result["ruleIndex"] = index.into();
    }
    if site.known {
        result["baselineState"] = "unchanged".into();
    }
    if let Some(reason) = &site.suppressed {
        result["suppressions"] = json!([{ "kind": "external", "justification": reason }]);
    }
    result
}

/// Where a finding is shown: a function and its source.
#[derive(Clone, Copy)]
struct Place<'a> {
    function: &'a str,
    source: &'a Source,
}

/// The innermost place of the chain whose file and line are known.
fn place(site: &Site) -> Option<Place<'_>> {
    site.frames
        .iter()
        .flat_map(places)
        .find_map(|(function, source)| {
            Some(Place {
                function,
                source: source?,
            })
        })
}

/// The functions of a frame, innermost first: what is inlined there and the function itself.
fn places(frame: &Frame) -> impl Iterator<Item = (&str, Option<&Source>)> {
    let inlined = frame
        .inlined
        .iter()
        .map(|inlined| (inlined.function.as_str(), inlined.source.as_ref()));
    let function = frame.function.as_deref().unwrap_or("(unknown)");
    inlined
        .chain([(function, frame.source.as_ref())])
        .map(|(function, source)| (function, source.filter(|source| source.line > 0)))
}

/// A frame as frames of a stack.
fn stack_frames(frame: &Frame) -> impl Iterator<Item = Value> {
    places(frame).map(|(function, source)| {
        let mut value = json!({ "location": location(function, source) });
        if let Some(module) = &frame.module {
            value["module"] = module.as_str().into();
        }
        value
    })
}

/// A place in a function, and in the source if that is known.
fn location(function: &str, source: Option<&Source>) -> Value {
    let mut location = json!({ "logicalLocations": [{ "name": function, "kind": "function" }] });
    if let Some(source) = source {
        location["physicalLocation"] = json!({
            "artifactLocation": artifact(&source.file),
            "region": { "startLine": source.line },
        });
    }
    location
}

/// A source file. Debug information names it absolutely, or from the top of the source.
fn artifact(file: &str) -> Value {
    if file.starts_with('/') {
        json!({ "uri": format!("file://{}", encode(file)) })
    } else {
        let file = file.trim_start_matches("./");
        json!({ "uri": encode(file), "uriBaseId": SOURCE_ROOT })
    }
}

/// A path as the path of a URI (RFC 3986).
fn encode(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/+".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// How a severity is shown.
const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Deadlock | Severity::Unsafe => "error",
        Severity::Risky => "warning",
        Severity::Latent => "note",
        Severity::Expected | Severity::Benign => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    const SARIF_SCHEMA: &str = include_str!("../../tests/schemas/sarif-2.1.0.json");

    /// The report as SARIF, which must be valid.
    fn sarif(report: &Report) -> Value {
        let mut bytes = Vec::new();
        write(report, &mut bytes).unwrap();
        let value = serde_json::from_slice(&bytes).unwrap();
        let schema = serde_json::from_str(SARIF_SCHEMA).unwrap();
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        value
    }

    #[test]
    fn findings_are_where_their_source_is() {
        let value = sarif(&sample::report());
        let run = &value["runs"][0];
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        let first = &results[0];
        assert_eq!(first["ruleId"], "writeback-self-wait");
        assert_eq!(first["level"], "error");
        assert_eq!(first["ruleIndex"], 0);
        let place = &first["locations"][0];
        assert_eq!(
            place["physicalLocation"],
            json!({
                "artifactLocation": { "uri": "fs/cephlike/caps.c", "uriBaseId": "SRCROOT" },
                "region": { "startLine": 712 },
            })
        );
        assert_eq!(place["logicalLocations"][0]["name"], "put_capsnap");
        assert_eq!(first["stacks"][0]["frames"].as_array().unwrap().len(), 13);
        let notes = &run["invocations"][0]["toolExecutionNotifications"];
        let text = notes[0]["message"]["text"].as_str().unwrap();
        assert!(text.ends_with("left out: 1"), "{text}");
        assert!(
            notes[1]["message"]["text"]
                .as_str()
                .unwrap()
                .contains("7 probe hits")
        );
        assert!(
            sarif(&sample::empty())["runs"][0]["results"]
                .as_array()
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn any_name_and_path_is_valid() {
        let mut report = sample::report();
        let site = &mut report.findings[0];
        site.known = true;
        site.contexts[0].hazards[0].rule = "of a later version\n".into();
        site.frames[0].function = Some("\u{0}\"\\".into());
        site.frames[0].inlined.clear();
        for (file, uri) in [
            (
                "/usr/src/a b/\u{e9}%.c",
                "file:///usr/src/a%20b/%C3%A9%25.c",
            ),
            ("./include/linux/fs.h", "include/linux/fs.h"),
            ("javascript:alert(1)\n", "javascript%3Aalert%281%29%0A"),
        ] {
            let source = Source {
                file: file.into(),
                line: 1,
            };
            report.findings[0].frames[0].source = Some(source);
            let value = sarif(&report);
            let result = &value["runs"][0]["results"][0];
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], uri);
            assert_eq!(result["baselineState"], "unchanged");
        }
        report.findings[0].frames[0].source = Some(Source {
            file: "f.c".into(),
            line: 0,
        });
        sarif(&report);
    }
}
