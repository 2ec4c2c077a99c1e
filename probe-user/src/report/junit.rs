//! The report as XML of `JUnit`, in the dialect of Jenkins: a test suite for each rule, with a case
//! for each of its sites.

use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::checks::{self, COMPLETE, Coverage, Test, Verdict};
use super::format::Options;
use super::model::{Report, Site};
use super::page::escape;
use super::{gate, parts};

/// What class names begin with.
const PACKAGE: &str = "lastref";

/// Writes the test suites.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(report: &Report, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let mut tests = checks::tests(report);
    tests.push(Test {
        name: COMPLETE,
        sites: Vec::new(),
        coverage: checks::incomplete(report).map_or(Coverage::Full, Coverage::None),
    });
    let mut document = Document {
        xml: Writer::new_with_indent(&mut *out, b' ', 1),
    };
    document.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let cases: usize = tests.iter().map(|test| test.sites.len().max(1)).sum();
    let failures: usize = tests.iter().map(|test| test.failures(options)).sum();
    document.start(
        "testsuites",
        &[
            ("name", PACKAGE),
            ("tests", &cases.to_string()),
            ("failures", &failures.to_string()),
        ],
    )?;
    for test in &tests {
        document.suite(test, report, options)?;
    }
    document.end("testsuites")?;
    out.write_all(b"\n")
}

/// XML under construction. Whatever is written, it contains no characters that XML does not have.
struct Document<'a> {
    xml: Writer<&'a mut dyn Write>,
}

impl Document<'_> {
    /// A rule and its sites.
    fn suite(&mut self, test: &Test, report: &Report, options: &Options) -> io::Result<()> {
        let class = format!("{PACKAGE}.{}", test.name);
        let skipped = test.sites.is_empty() && matches!(test.coverage, Coverage::None(_));
        self.start(
            "testsuite",
            &[
                ("name", &class),
                ("tests", &test.sites.len().max(1).to_string()),
                ("failures", &test.failures(options).to_string()),
                ("errors", "0"),
                ("skipped", &u8::from(skipped).to_string()),
                ("timestamp", &report.capture.started),
            ],
        )?;
        self.start("properties", &[])?;
        let kernel = parts::kernel(&report.kernel);
        for (name, value) in [("kernel", &kernel), ("lastref", &report.tool.version)] {
            self.empty("property", &[("name", name), ("value", value)])?;
        }
        self.end("properties")?;
        if test.sites.is_empty() {
            self.silent(test, &class)?;
        }
        for (index, site) in test.sites.iter().enumerate() {
            self.case(site, index + 1, &class, report, options)?;
        }
        self.end("testsuite")
    }

    /// A rule without sites.
    fn silent(&mut self, test: &Test, class: &str) -> io::Result<()> {
        self.start("testcase", &[("name", test.name), ("classname", class)])?;
        match &test.coverage {
            Coverage::Full => {}
            Coverage::Partial(blind) => self.text("system-out", &[], &blind.join("\n"))?,
            Coverage::None(reason) => self.empty("skipped", &[("message", reason)])?,
        }
        self.end("testcase")
    }

    /// A site.
    fn case(
        &mut self,
        site: &Site,
        number: usize,
        class: &str,
        report: &Report,
        options: &Options,
    ) -> io::Result<()> {
        let name = checks::case_name(site);
        self.start("testcase", &[("name", &name), ("classname", class)])?;
        let story = checks::story(site, number, &report.kernel);
        match checks::verdict(site, options) {
            Verdict::Pass => self.text("system-out", &[], &story)?,
            Verdict::Tolerated(why) => {
                self.text("system-out", &[], &format!("No failure: {why}.\n{story}"))?;
            }
            Verdict::Fail => {
                let severity = gate::charge(site).unwrap_or(site.severity);
                let title = checks::shown(site).map_or("", |hazard| &hazard.title);
                let attributes = [("type", severity.name()), ("message", title)];
                self.text("failure", &attributes, &story)?;
            }
        }
        self.end("testcase")
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        self.event(Event::Start(element(name, attributes)))
    }

    fn end(&mut self, name: &str) -> io::Result<()> {
        self.event(Event::End(BytesEnd::new(name)))
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        self.event(Event::Empty(element(name, attributes)))
    }

    /// An element with `text` in it, whose lines stay lines.
    fn text(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> io::Result<()> {
        self.start(name, attributes)?;
        let lines: Vec<_> = text.lines().map(escape).collect();
        self.event(Event::Text(BytesText::new(&lines.join("\n"))))?;
        self.end(name)
    }

    fn event(&mut self, event: Event) -> io::Result<()> {
        self.xml.write_event(event)
    }
}

/// An element's tag.
fn element<'a>(name: &'a str, attributes: &[(&str, &str)]) -> BytesStart<'a> {
    let mut element = BytesStart::new(name);
    for (name, value) in attributes {
        element.push_attribute((*name, &*escape(value)));
    }
    element
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;

    use super::*;
    use crate::report::model::Severity;
    use crate::report::sample;

    fn junit(report: &Report) -> String {
        let mut bytes = Vec::new();
        write(report, &Options::default(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// How many elements of each name there are; the document must be well-formed.
    fn elements(text: &str, name: &str) -> usize {
        let mut reader = Reader::from_str(text);
        let mut count = 0;
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) | Event::Empty(tag) => {
                    tag.attributes().for_each(|attribute| {
                        attribute.unwrap();
                    });
                    count += usize::from(tag.name().as_ref() == name.as_bytes());
                }
                Event::Eof => return count,
                _ => {}
            }
        }
    }

    #[test]
    fn findings_are_failures() {
        let report = sample::report();
        let text = junit(&report);
        assert_eq!(elements(&text, "failure"), 3);
        assert_eq!(elements(&text, "skipped"), 32);
        assert_eq!(elements(&text, "testcase"), 33 + 32);
        assert!(
            text.contains("<testsuites name=\"lastref\" tests=\"65\" failures=\"3\">"),
            "{text}"
        );
        assert!(text.contains(
            "<failure type=\"deadlock\" message=\"Final put from inside writeback of the very inode\">\
             1. DEADLOCK: "
        ), "{text}");
        assert_eq!(elements(&junit(&sample::empty()), "failure"), 0);
    }

    #[test]
    fn a_failure_is_of_what_is_charged() {
        let mut report = sample::report();
        for hazard in &mut report.findings[0].contexts[0].hazards {
            if hazard.severity > Severity::Risky {
                hazard.suppressed = Some("by design".into());
            }
        }
        let text = junit(&report);
        assert_eq!(elements(&text, "failure"), 3);
        assert!(!text.contains("<failure type=\"deadlock\""), "{text}");
    }

    #[test]
    fn names_cannot_break_out() {
        let evil = "\"'/><failure/>]]>\u{0}\u{ffff}\u{1b}\n&amp;";
        let report = sample::with_names(evil);
        let text = junit(&report);
        assert_eq!(elements(&text, "failure"), 3);
        let is_bad = |bad: char| bad != '\n' && bad.is_control() || bad == '\u{ffff}';
        assert!(!text.contains(is_bad) && !text.contains("]]>"));
    }
}
