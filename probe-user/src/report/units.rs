//! Numbers with their units, as people read them.

/// A duration given in nanoseconds: `850 ns`, `12.5 µs`, `3.0 ms`, `1.2 s`, `5 min 3 s`.
#[must_use]
pub fn duration(nanoseconds: u64) -> String {
    const MICROSECOND: u64 = 1_000;
    const MILLISECOND: u64 = 1_000 * MICROSECOND;
    const SECOND: u64 = 1_000 * MILLISECOND;
    const MINUTE: u64 = 60 * SECOND;
    let tenths = |unit: u64| {
        let tenths = nanoseconds / (unit / 10);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match nanoseconds {
        0..MICROSECOND => format!("{nanoseconds} ns"),
        MICROSECOND..MILLISECOND => format!("{} µs", tenths(MICROSECOND)),
        MILLISECOND..SECOND => format!("{} ms", tenths(MILLISECOND)),
        SECOND..MINUTE => format!("{} s", tenths(SECOND)),
        MINUTE.. => format!(
            "{} min {} s",
            nanoseconds / MINUTE,
            nanoseconds % MINUTE / SECOND
        ),
    }
}

/// A duration given in milliseconds, see [`duration`].
#[must_use]
pub fn duration_ms(milliseconds: u64) -> String {
    duration(milliseconds.saturating_mul(1_000_000))
}

/// The sum; one that would not fit is the largest number.
#[must_use]
pub fn sum(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

/// A count and its noun: `1 eviction`, `3 evictions`, `2 dentries`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        for (nanoseconds, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 µs"),
            (999_999, "999.9 µs"),
            (3_000_000, "3.0 ms"),
            (1_250_000_000, "1.2 s"),
            (59_999_999_999, "59.9 s"),
            (303_000_000_000, "5 min 3 s"),
            (u64::MAX, "307445734 min 33 s"),
        ] {
            assert_eq!(duration(nanoseconds), text);
        }
        assert_eq!(duration_ms(u64::MAX), duration(u64::MAX));
    }
}
