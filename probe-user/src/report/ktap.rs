//! The report as KTAP version 1 (Documentation/dev-tools/ktap.rst): a test for each rule, with a
//! subtest for each of its sites.

use std::io::{self, Write};

use super::checks::{self, COMPLETE, Coverage, Test, Verdict};
use super::format::Options;
use super::model::{Kernel, Report};
use super::page::escape;
use super::parts;
use super::units::duration_ms;

/// How many cases ended how, as kselftest counts them.
#[derive(Debug, Default)]
struct Totals {
    pass: usize,
    fail: usize,
    xfail: usize,
    skip: usize,
}

/// Writes the tests.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(report: &Report, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let tests = checks::tests(report);
    let mut totals = Totals::default();
    writeln!(out, "KTAP version 1\n1..{}", tests.len() + 1)?;
    let about = format!(
        "lastref {} on {}, from {} for {}",
        report.tool.version,
        parts::kernel(&report.kernel),
        report.capture.started,
        duration_ms(report.capture.duration_ms)
    );
    writeln!(out, "# {}", escape(&about))?;
    for (index, test) in tests.iter().enumerate() {
        let number = index + 1;
        if test.sites.is_empty() {
            silent(test, number, &mut totals, out)?;
        } else {
            group(test, number, &report.kernel, options, &mut totals, out)?;
        }
    }
    let number = tests.len() + 1;
    match checks::incomplete(report) {
        None => totals.passed(number, COMPLETE, out)?,
        Some(reason) => totals.skipped(number, COMPLETE, &reason, out)?,
    }
    let Totals {
        pass,
        fail,
        xfail,
        skip,
    } = totals;
    writeln!(
        out,
        "# Totals: pass:{pass} fail:{fail} xfail:{xfail} xpass:0 skip:{skip} error:0"
    )
}

/// A rule without sites.
fn silent(test: &Test, number: usize, totals: &mut Totals, out: &mut dyn Write) -> io::Result<()> {
    match &test.coverage {
        Coverage::None(reason) => return totals.skipped(number, test.name, reason, out),
        Coverage::Partial(blind) => {
            for sentence in blind {
                writeln!(out, "# {}: {}", test.name, escape(sentence))?;
            }
        }
        Coverage::Full => {}
    }
    totals.passed(number, test.name, out)
}

/// A rule and its sites.
fn group(
    test: &Test,
    number: usize,
    kernel: &Kernel,
    options: &Options,
    totals: &mut Totals,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = name(test.name);
    let plan = test.sites.len();
    writeln!(out, "  KTAP version 1\n  # Subtest: {name}\n  1..{plan}")?;
    for (index, site) in test.sites.iter().enumerate() {
        let number = index + 1;
        for line in checks::story(site, number, kernel).lines() {
            writeln!(out, "  # {line}")?;
        }
        let (result, count, directive) = match checks::verdict(site, options) {
            Verdict::Pass => ("ok", &mut totals.pass, String::new()),
            Verdict::Fail => ("not ok", &mut totals.fail, String::new()),
            Verdict::Tolerated(why) => ("ok", &mut totals.xfail, format!(" # XFAIL {why}")),
        };
        *count += 1;
        let case = self::name(&checks::case_name(site));
        writeln!(out, "  {result} {number} {case}{directive}")?;
    }
    let result = match test.failures(options) {
        0 => "ok",
        _ => "not ok",
    };
    writeln!(out, "{result} {number} {name}")
}

impl Totals {
    /// A test that passed.
    fn passed(&mut self, number: usize, name: &str, out: &mut dyn Write) -> io::Result<()> {
        self.pass += 1;
        writeln!(out, "ok {number} {name}")
    }

    /// A test that says nothing.
    fn skipped(
        &mut self,
        number: usize,
        name: &str,
        reason: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        self.skip += 1;
        writeln!(out, "ok {number} {name} # SKIP {}", self::name(reason))
    }
}

/// `text` in one line and without what begins a directive.
fn name(text: &str) -> String {
    escape(text).trim().replace('#', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{Level, LockTracking, Severity};
    use crate::report::sample;

    fn ktap(report: &Report, options: &Options) -> String {
        let mut bytes = Vec::new();
        write(report, options, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Checks one level of nesting by the rules of the specification, from its version line on, and
    /// returns the results on it.
    fn check<'a>(
        lines: &mut std::iter::Peekable<std::str::Lines<'a>>,
        indent: &str,
    ) -> Vec<&'a str> {
        let strip = |line: &'a str| {
            line.strip_prefix(indent)
                .unwrap_or_else(|| panic!("{line:?} is not indented by {indent:?}"))
        };
        let mut results = Vec::new();
        let mut planned = None;
        let mut nested = None;
        assert_eq!(lines.next().map(strip), Some("KTAP version 1"));
        while let Some(line) = lines.peek() {
            if line.len() - line.trim_start().len() < indent.len() {
                break;
            }
            let line = strip(line);
            if line == "  KTAP version 1" {
                assert!(nested.is_none(), "two groups without a result between them");
                let results = check(lines, &format!("{indent}  "));
                nested = Some(results.iter().any(|result| result.starts_with("not ok")));
                continue;
            }
            lines.next();
            if line.starts_with('#') {
                continue;
            }
            if let Some(plan) = line.strip_prefix("1..") {
                assert!(planned.is_none() && results.is_empty(), "{line}");
                planned = Some(plan.parse::<usize>().unwrap());
                continue;
            }
            let (failed, rest) = match line.strip_prefix("not ok ") {
                Some(rest) => (true, rest),
                None => (
                    false,
                    line.strip_prefix("ok ")
                        .unwrap_or_else(|| panic!("{line:?}")),
                ),
            };
            let (number, description) = rest.split_once(' ').unwrap();
            results.push(line);
            assert_eq!(number.parse(), Ok(results.len()), "{line}");
            let (name, directive) = description.split_once(" # ").unwrap_or((description, ""));
            assert!(!name.is_empty() && !name.contains('#'), "{line}");
            assert!(
                directive.is_empty()
                    || !failed
                        && (directive.starts_with("SKIP ") || directive.starts_with("XFAIL ")),
                "{line}"
            );
            assert!(nested.take().is_none_or(|any| any == failed), "{line}");
        }
        assert_eq!(planned, Some(results.len()));
        results
    }

    fn results(text: &str) -> Vec<&str> {
        let mut lines = text.lines().peekable();
        let results = check(&mut lines, "");
        assert_eq!(lines.next(), None);
        results
    }

    #[test]
    fn findings_fail_and_designs_pass() {
        let text = ktap(&sample::report(), &Options::default());
        let results = results(&text);
        assert_eq!(results[0], "not ok 1 writeback-self-wait");
        assert!(text.contains("\n  not ok 1 0f3a5b7c9d1e2f40 cephlike_put_wrbuffer_cap_refs\n"));
        assert!(text.contains("\n  # 1. DEADLOCK: Final put from inside"));
        assert!(text.contains("\n  ok 2 0000000000000000 dput\n"));
        assert!(text.contains(" complete # SKIP 7 probe hits skipped by the kernel\n"));
        assert!(text.contains("\n# Totals: pass:30 fail:3 xfail:0 xpass:0 skip:32 error:0\n"));
    }

    #[test]
    fn a_clean_run_passes() {
        let mut report = sample::empty();
        report.capture.level = Level::Latent;
        report.capture.lock_tracking = Some(LockTracking::default());
        let text = ktap(&report, &Options::default());
        assert!(!text.contains("not ok") && !text.contains("SKIP"), "{text}");
        assert_eq!(results(&text).last(), Some(&"ok 34 complete"));
    }

    #[test]
    fn tolerated_findings_pass_and_say_why() {
        let mut report = sample::report();
        report.findings[0].known = true;
        let options = Options {
            fail_on: Some(Severity::Deadlock),
            ..Options::default()
        };
        let text = ktap(&report, &options);
        results(&text);
        assert!(!text.contains("not ok"), "{text}");
        assert_eq!(text.matches(" # XFAIL milder than --fail-on\n").count(), 2);
        assert_eq!(text.matches(" # XFAIL the baseline has it\n").count(), 1);
    }

    #[test]
    fn names_cannot_forge_results() {
        let evil = "x\nnot ok 1 forged # SKIP\n1..9\nKTAP version 1";
        let report = sample::with_names(evil);
        let text = ktap(&report, &Options::default());
        assert_eq!(results(&text).len(), 36);
        assert!(!text.contains("\nnot ok 1 forged"));
    }
}
