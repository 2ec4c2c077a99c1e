//! How long to pause between passes.

use std::time::Duration;

/// The pause after a pass that took `took`, for `duty_percent` of the time to be spent in passes;
/// at least `shortest`.
pub fn pause(took: Duration, duty_percent: u8, shortest: Duration) -> Duration {
    let duty = u32::from(duty_percent).clamp(1, 100);
    (took.saturating_mul(100 - duty) / duty).max(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_millis(20);

    fn pause(took: Duration, duty_percent: u8) -> Duration {
        super::pause(took, duty_percent, SHORTEST)
    }

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
