//! How long to pause between passes.

use std::time::Duration;

/// The shortest pause, whatever the duty: each pass of `drop_caches` is a line in the kernel's log
/// (`drop_caches_sysctl_handler()`), and an empty cache is passed through in no time.
const SHORTEST: Duration = Duration::from_millis(20);

/// The pause after a pass that took `took`, for `duty_percent` of the time to be spent in passes.
pub fn pause(took: Duration, duty_percent: u8) -> Duration {
    let duty = u32::from(duty_percent).clamp(1, 100);
    (took.saturating_mul(100 - duty) / duty).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duty_is_kept() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(second, 10), 9 * second);
        assert_eq!(pause(second, 50), second);
        assert_eq!(pause(second, 1), 99 * second);
        assert_eq!(pause(3 * second, 75), second);
    }

    #[test]
    fn there_is_always_a_pause() {
        assert_eq!(pause(Duration::ZERO, 10), SHORTEST);
        assert_eq!(pause(Duration::from_mins(1), 100), SHORTEST);
    }

    #[test]
    fn nothing_overflows() {
        assert!(pause(Duration::MAX, 1) > Duration::from_secs(1));
        assert_eq!(pause(Duration::MAX, 0), pause(Duration::MAX, 1));
    }
}
