//! What the exit status of `lastref` says.

use std::process::ExitStatus;

/// Whether it came to a verdict: no findings, findings, or an incomplete picture, which the report
/// tells as well. Anything else is a failure.
pub fn is_verdict(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 1 | 5))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn a_verdict_is_no_failure() {
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        assert!([0, 1, 5].into_iter().all(|code| is_verdict(exited(code))));
        assert!(![2, 4, 255].into_iter().any(|code| is_verdict(exited(code))));
        let killed = ExitStatus::from_raw(1);
        assert!(!is_verdict(killed));
    }
}
