//! The kernel stack of a thread right now, as the kernel prints it.

use std::{fs, io, ops::Range};

use crate::{kernel::symbols::plain_name, report::model::Frame};

/// The kernel stack of `thread`, innermost first, each line as `function+0x1f/0x90 [module]`.
/// Empty if the thread runs in user space or on a CPU.
///
/// # Errors
/// If the thread has ended, or the caller may not look (`CAP_SYS_ADMIN`; the kernel needs
/// `CONFIG_STACKTRACE=y`).
pub fn read(thread: u32) -> io::Result<Vec<String>> {
    // Threads that are no group leaders can be looked up there, too; they are just not listed.
    fs::read_to_string(format!("/proc/{thread}/stack")).map(|text| parse(&text))
}

/// The thread's name; empty if it has ended.
#[must_use]
pub fn comm(thread: u32) -> String {
    fs::read_to_string(format!("/proc/{thread}/comm"))
        .map(|text| text.trim_end_matches('\n').to_owned())
        .unwrap_or_default()
}

/// Takes the lines apart; the address in front is always shown as zero
/// (`proc_pid_stack()` in fs/proc/base.c).
fn parse(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            line.split_once("] ")
                .map_or(line, |(_, frame)| frame)
                .trim()
        })
        .filter(|frame| !frame.is_empty())
        // The kernel prints the address itself where it has no name (`__sprint_symbol()`,
        // kernel/kallsyms.c).
        .map(|frame| {
            if frame.starts_with("0x") {
                "(unknown)"
            } else {
                frame
            }
        })
        .map(ToOwned::to_owned)
        .collect()
}

/// The frames further out than the first `inner` lines of a stack as [`read`] gives it.
/// BPF trampolines are left out: they are the observer's.
#[must_use]
pub fn frames_outside(stack: &[String], inner: usize) -> Vec<Frame> {
    stack
        .iter()
        .skip(inner)
        .map(|line| parse_frame(line))
        .filter(|frame| !super::is_trampoline(frame))
        .collect()
}

/// Takes `function+0x1f/0x90 [module]` apart.
fn parse_frame(line: &str) -> Frame {
    let (place, module) = match line.split_once(" [") {
        Some((place, module)) => (place, Some(module.trim_end_matches(']').to_owned())),
        None => (line, None),
    };
    let Some((function, numbers)) = place.split_once('+') else {
        return Frame::default();
    };
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let (offset, size) = numbers.split_once('/').unwrap_or((numbers, ""));
    Frame {
        function: Some(function.to_owned()),
        offset: number(offset).unwrap_or(0),
        size: number(size),
        module,
        ..Frame::default()
    }
}

/// The lines of each call of `name` on the stack, innermost first. Parts that the compiler split
/// off, and the observer's trampolines between them, belong to the same call.
#[must_use]
pub fn calls_of(stack: &[String], name: &str) -> Vec<Range<usize>> {
    let mut calls: Vec<Range<usize>> = Vec::new();
    for (index, line) in stack.iter().enumerate() {
        if function_of(line) != name {
            continue;
        }
        match calls.last_mut() {
            Some(last) if stack[last.end..index].iter().all(|line| is_observers(line)) => {
                last.end = index + 1;
            }
            _ => calls.push(index..index + 1),
        }
    }
    calls
}

/// The function that the line with this index called: the next one further in, but for the
/// observer's trampolines.
#[must_use]
pub fn called_by(stack: &[String], index: usize) -> Option<&str> {
    stack[..index]
        .iter()
        .rev()
        .find(|line| !is_observers(line))
        .map(|line| function_of(line))
}

/// The function of a line, without what compilers append to its name.
fn function_of(line: &str) -> &str {
    plain_name(line.split_once('+').map_or(line, |(function, _)| function))
}

/// Whether the line is a trampoline's, of a BPF program or a kretprobe.
fn is_observers(line: &str) -> bool {
    let frame = parse_frame(line);
    super::is_trampoline(&frame)
        || frame
            .function
            .is_some_and(|name| super::is_return_trampoline(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let stack = parse(
            "[<0>] __inode_wait_for_writeback+0xa5/0xf0\n[<0>] evict.cold+0x12/0x90\n\
             [<0>] ceph_put_wrbuffer_cap_refs+0x21d/0x2d0 [ceph]\n[<0>] 0xffffffffc0\n",
        );
        assert_eq!(stack.len(), 4);
        assert_eq!(stack[2], "ceph_put_wrbuffer_cap_refs+0x21d/0x2d0 [ceph]");
        assert_eq!(calls_of(&stack, "evict")[0], 1..2);
        assert_eq!(calls_of(&stack, "ceph_put_wrbuffer_cap_refs")[0], 2..3);
        assert!(calls_of(&stack, "inode_wait_for_writeback").is_empty());
        assert!(parse("").is_empty());
    }

    #[test]
    fn what_is_outside_of_a_function_becomes_frames() {
        let stack = parse(
            "[<0>] schedule+0x1/0x2\n[<0>] evict+0xd0/0x270\n\
             [<0>] bpf_trampoline_6442534573+0x76/0x119\n[<0>] do_unlinkat+0x21/0x2d0\n\
             [<0>] vfs_x+0x3/0x4 [ceph]\n[<0>] 0xffff\n",
        );
        let frames = frames_outside(&stack, 2);
        assert_eq!(frames.len(), 3);
        assert_eq!(frames[0].function.as_deref(), Some("do_unlinkat"));
        assert_eq!((frames[0].offset, frames[0].size), (0x21, Some(0x2d0)));
        assert_eq!(frames[1].module.as_deref(), Some("ceph"));
        assert_eq!(frames[2].function, None);
        assert!(frames_outside(&stack, stack.len()).is_empty());
    }

    #[test]
    fn calls_are_counted_once_each() {
        let stack = parse(
            "[<0>] schedule+0x1/0x2\n[<0>] evict.cold+0xd0/0x270\n\
             [<0>] bpf_trampoline_6442534573+0x76/0x119\n[<0>] evict+0x9/0x270\n\
             [<0>] iput+0x21/0x2d0\n[<0>] dput+0x21/0x2d0\n\
             [<0>] evict+0xd0/0x270\n[<0>] kretprobe_trampoline+0x0/0x70\n\
             [<0>] iput+0x21/0x2d0\n",
        );
        assert_eq!(calls_of(&stack, "evict"), [1..4, 6..7]);
        assert_eq!(calls_of(&stack, "iput"), [4..5, 8..9]);
        assert_eq!(called_by(&stack, 4), Some("evict"));
        assert_eq!(called_by(&stack, 5), Some("iput"));
        assert_eq!(called_by(&stack, 8), Some("evict"));
        assert_eq!(called_by(&stack, 0), None);
    }

    #[test]
    fn a_thread_that_does_not_exist_is_an_error() {
        assert!(read(u32::MAX).is_err());
        assert_eq!(comm(u32::MAX), "");
    }
}
