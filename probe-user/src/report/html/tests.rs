//! The page as a parser of HTML sees it, and names that try to be more than names.

use scraper::{Html, Selector};
use serde_json::Value;

use super::*;
use crate::report::sample;

/// Names as somebody might choose them who wants to run a script in the reader's browser.
const HOSTILE: &[&str] = &[
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]><img src=x onerror=alert(1)>",
    "\"'><svg/onload=alert(1)>&lt;&#x3c;",
    "\u{2028}\u{2029}\u{202e}\0",
];

fn page(report: &Report, source_url: Option<&str>) -> String {
    let options = HtmlOptions {
        source_url: source_url.map(|url| url.parse().unwrap()),
    };
    let mut page = Vec::new();
    write(report, &options, &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// A report with hostile names wherever somebody other than the kernel's source chooses them.
fn hostile() -> Report {
    let mut report = sample::report();
    let mut names = HOSTILE.iter().copied().cycle().map(String::from);
    let mut next = || names.next().unwrap();
    report.kernel.release = next();
    report.kernel.debug_information = vec![next()];
    report.capture.incomplete_because = vec![next()];
    report.capture.filesystems = vec![next()];
    report.capture.workload.as_mut().unwrap().command = vec![next(), next()];
    for site in report.findings.iter_mut().chain(&mut report.other_sites) {
        site.id = next();
        for frame in &mut site.frames {
            frame.function = Some(next());
            frame.module = Some(next());
            if let Some(source) = &mut frame.source {
                source.file = next();
            }
        }
        for context in &mut site.contexts {
            context.facts.yes.push(next());
            context.called = Some(next());
            for hazard in &mut context.hazards {
                hazard.rule = next();
                hazard.title = next();
                hazard.evidence.push(next());
                hazard.waits_for = Some(next());
                hazard.why = next();
            }
            if let Some(example) = &mut context.example {
                example.comm = next();
                example.inode.filesystem = next();
                example.inode.superblock = next();
            }
        }
        for call in &mut site.stuck {
            call.comm = next();
            call.stack.push(next());
        }
    }
    report
}

fn select<'a>(html: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
    html.select(&Selector::parse(selector).unwrap()).collect()
}

/// The data that the script of a page gets.
fn data(html: &Html) -> Value {
    let text: String = select(html, "script#data")[0].text().collect();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_page_is_well_formed() {
    for report in [sample::report(), sample::empty(), hostile()] {
        let html = Html::parse_document(&page(&report, None));
        assert!(html.errors.is_empty(), "{:?}", html.errors);
        for required in [
            "title",
            "h1",
            "main",
            "noscript",
            "html[lang]",
            "meta[name=viewport]",
        ] {
            assert_eq!(select(&html, required).len(), 1, "{required}");
        }
    }
}

#[test]
fn labels_and_controls_refer_to_elements() {
    let html = Html::parse_document(&page(&sample::report(), None));
    for attribute in ["aria-controls", "aria-labelledby", "for"] {
        for element in select(&html, &format!("[{attribute}]")) {
            let id = element.attr(attribute).unwrap();
            assert_eq!(
                select(&html, &format!("#{id}")).len(),
                1,
                "{attribute}={id}"
            );
        }
    }
}

#[test]
fn nothing_is_fetched() {
    let text = page(&sample::report(), None);
    for outside in [
        "http:",
        "https:",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
    ] {
        assert!(!text.contains(outside), "{outside}");
    }
    let html = Html::parse_document(&text);
    for element in select(&html, "[src], [href]") {
        let address = element.attr("src").or(element.attr("href")).unwrap();
        assert!(address.starts_with('#') || address == "data:,", "{address}");
    }
}

#[test]
fn only_the_own_script_and_style_may_run() {
    let html = Html::parse_document(&page(&hostile(), None));
    let policies = select(&html, "meta[http-equiv=Content-Security-Policy]");
    let [policy] = policies.as_slice() else {
        panic!("{policies:?}");
    };
    let policy = policy.attr("content").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    for (directive, element) in [("script-src", "script:not([type])"), ("style-src", "style")] {
        let elements = select(&html, element);
        assert_eq!(elements.len(), 1, "{element}");
        let text: String = elements[0].text().collect();
        let hash = BASE64.encode(&Sha256::digest(text));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{hash}';")),
            "{policy}"
        );
    }
    // What makes markup of text, or is a script or style outside of these elements.
    for sink in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!SCRIPT.contains(sink), "{sink}");
    }
    for attribute in [" onclick=", " onload=", " style="] {
        assert!(!PAGE.contains(attribute), "{attribute}");
    }
}

#[test]
fn hostile_names_stay_names() {
    let harmless = Html::parse_document(&page(&sample::report(), None));
    let text = page(&hostile(), None);
    let html = Html::parse_document(&text);
    assert_eq!(select(&html, "*").len(), select(&harmless, "*").len());
    assert!(!text.contains("alert(1)</script>"));
    let data = data(&html);
    assert_eq!(data["release"], HOSTILE[0]);
    let all = data.to_string();
    for name in HOSTILE {
        assert!(all.contains(&Value::from(*name).to_string()), "{name:?}");
    }
}

#[test]
fn every_site_is_in_the_data() {
    let report = sample::report();
    let html = Html::parse_document(&page(&report, None));
    let data = data(&html);
    let sites: Vec<_> = report.sites().collect();
    assert_eq!(data["sites"].as_array().unwrap().len(), sites.len());
    let at = |table: &str, index: &Value| {
        data[table][usize::try_from(index.as_u64().unwrap()).unwrap()].clone()
    };
    for (site, row) in sites.iter().zip(data["sites"].as_array().unwrap()) {
        assert_eq!(row["id"], site.id);
        assert_eq!(row["severity"], site.severity.name());
        for (frame, index) in site.frames.iter().zip(row["frames"].as_array().unwrap()) {
            assert_eq!(
                at("frames", index)["function"],
                Value::from(frame.function.clone())
            );
        }
        for (context, row) in site
            .contexts
            .iter()
            .zip(row["contexts"].as_array().unwrap())
        {
            assert_eq!(
                at("fact_sheets", &row["facts"])["yes"],
                Value::from(context.facts.yes.clone())
            );
            for (hazard, row) in context
                .hazards
                .iter()
                .zip(row["hazards"].as_array().unwrap())
            {
                let rule = at("rules", &row["rule"]);
                assert_eq!(rule["why"], hazard.why);
                assert_eq!(rule["way_out"], hazard.way_out);
                assert!(!rule["says"].as_array().unwrap().is_empty());
                assert_eq!(at("strings", &row["evidence"][0]), hazard.evidence[0]);
            }
        }
    }
}

#[test]
fn source_lines_are_linked_where_asked() {
    let url = "https://example.org/{file}#L{line}";
    let html = Html::parse_document(&page(&sample::report(), Some(url)));
    assert_eq!(data(&html)["source_url"], url);
    for (bad, expected) in [
        (
            "javascript:alert('{file}')",
            "must begin with https:// or http://",
        ),
        ("file:///{file}", "must begin with https:// or http://"),
        ("https://example.org/", "must have {file} in it"),
    ] {
        let error = bad.parse::<SourceUrl>().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_the_baseline_knows_of_a_finding_is_marked() {
    let mut report = sample::report();
    report.findings[0].contexts[0].hazards[0].known = true;
    let data = data(&Html::parse_document(&page(&report, None)));
    let hazard = |site: usize| &data["sites"][site]["contexts"][0]["hazards"][0];
    assert_eq!(hazard(0)["known"], true);
    assert!(hazard(1)["known"].is_null());
}
