//! The kernel stack of a thread right now, as the kernel prints it.

use std::{fs, io};

use crate::kernel::symbols::plain_name;

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
        .map(ToOwned::to_owned)
        .collect()
}

/// Whether the function `name`, or a part that the compiler split off it, is on the stack.
#[must_use]
pub fn contains_function(stack: &[String], name: &str) -> bool {
    stack.iter().any(|frame| {
        let function = frame
            .split_once('+')
            .map_or(frame.as_str(), |(function, _)| function);
        plain_name(function) == name
    })
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
        assert!(contains_function(&stack, "evict"));
        assert!(contains_function(&stack, "ceph_put_wrbuffer_cap_refs"));
        assert!(!contains_function(&stack, "inode_wait_for_writeback"));
        assert!(parse("").is_empty());
    }

    #[test]
    fn a_thread_that_does_not_exist_is_an_error() {
        assert!(read(u32::MAX).is_err());
        assert_eq!(comm(u32::MAX), "");
    }
}
