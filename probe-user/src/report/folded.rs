//! Folded stacks for flame graph tools: a line for each site, the outermost function first, then
//! how many puts were made there.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::model::{Frame, Report, Site};
use super::page::escape;

/// What marks a function of the kernel itself, as `stackcollapse-perf.pl --kernel` writes it.
const KERNEL: &str = "_[k]";

/// Writes the folded stacks of all sites.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for site in report.sites() {
        let stack = stack(site, KERNEL).join(";");
        writeln!(out, "{stack} {}", site.counts.puts())?;
    }
    Ok(())
}

/// A site's chain, outermost first, down to `iput`. `kernel` is what marks a function of the
/// kernel itself; one of a module is marked with the module's name.
pub(super) fn stack(site: &Site, kernel: &str) -> Vec<String> {
    let truncated = site.truncated.then(|| "[truncated]".to_owned());
    let frames = site.frames.iter().rev().map(|frame| name(frame, kernel));
    let kernel_function = |function: &str| format!("{}{kernel}", clean(function));
    truncated
        .into_iter()
        .chain(frames)
        .chain(jumped_from(site).map(kernel_function))
        .chain([kernel_function("iput")])
        .collect()
}

/// The function between the chain and `iput` that has no frame, if it is the same in all contexts.
fn jumped_from(site: &Site) -> Option<&str> {
    let called: BTreeSet<Option<&str>> = site
        .contexts
        .iter()
        .map(|context| context.called.as_deref())
        .collect();
    match called.into_iter().collect::<Vec<_>>()[..] {
        [called] => called,
        _ => None,
    }
}

/// A frame's function and the mark of where it belongs.
fn name(frame: &Frame, kernel: &str) -> String {
    let function = clean(frame.function.as_deref().unwrap_or("[unknown]"));
    match &frame.module {
        Some(module) => format!("{function}_[{}]", clean(module)),
        None => format!("{function}{kernel}"),
    }
}

/// `text` without what separates frames, stacks and counts.
fn clean(text: &str) -> String {
    escape(text)
        .chars()
        .map(|character| match character {
            ';' => ':',
            character if character.is_whitespace() => '_',
            character => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn folded(report: &Report) -> String {
        let mut bytes = Vec::new();
        write(report, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_site_is_a_line() {
        let report = sample::report();
        let text = folded(&report);
        assert_eq!(text.lines().count(), report.sites().count());
        assert_eq!(
            text.lines().next(),
            Some(
                "[truncated];[unknown]_[gone];kthread_[k];worker_thread_[k];process_one_work_[k];\
                 wb_workfn_[k];wb_writeback_[k];writeback_sb_inodes_[k];\
                 __writeback_single_inode_[k];do_writepages_[k];\
                 cephlike_writepages_start_[cephlike];cephlike_put_wrbuffer_cap_refs_[cephlike];\
                 iput_[k] 3"
            )
        );
        // Puts that were not final are puts.
        assert!(text.contains(";cephlike_drop_cap_[cephlike];iput_[k] 5\n"));
        assert_eq!(folded(&sample::empty()), "");
    }

    #[test]
    fn a_caller_without_a_frame_is_shown_where_it_is_certain() {
        let mut site = sample::site("a", super::super::model::Severity::Risky);
        site.contexts[0].called = Some("d_delete".into());
        assert_eq!(
            stack(&site, ""),
            ["do_unlinkat", "dput", "d_delete", "iput"]
        );
        site.contexts.push(site.contexts[0].clone());
        site.contexts[1].called = None;
        assert_eq!(stack(&site, ""), ["do_unlinkat", "dput", "iput"]);
    }

    #[test]
    fn names_cannot_break_lines_or_frames() {
        let mut report = sample::empty();
        let mut site = sample::site("a", super::super::model::Severity::Risky);
        site.frames[1].function = Some("# a;b 7\n\tc\u{2028}".into());
        site.frames[1].module = Some("x] 1;y".into());
        report.findings = vec![site];
        assert_eq!(
            folded(&report),
            "#_a:b_7\\n\\tc\\u{2028}_[x]_1:y];dput_[k];iput_[k] 2\n"
        );
    }
}
