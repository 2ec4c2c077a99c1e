//! How many checks passed, failed and were skipped: counted, printed, read back.

use std::fmt;

/// How many checks went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// As they must.
    pub passed: u64,
    /// Otherwise.
    pub failed: u64,
    /// Not made.
    pub skipped: u64,
}

impl Tally {
    /// One check.
    pub fn of(passed: bool) -> Self {
        Self {
            passed: u64::from(passed),
            failed: u64::from(!passed),
            skipped: 0,
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Adds up the lines `test result: ok. 3 passed; 0 failed; 1 ignored; …` of all test programs.
    pub fn of_test_programs(log: &str) -> Self {
        let mut tally = Self::default();
        for line in log
            .lines()
            .filter_map(|line| line.strip_prefix("test result: "))
        {
            let number = |what: &str| {
                line.split([';', '.'])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
                    .unwrap_or(0)
            };
            tally.add(Self {
                passed: number("passed"),
                failed: number("failed"),
                skipped: number("ignored"),
            });
        }
        tally
    }

    /// Reads what [`Tally`] prints.
    pub fn parse(line: &str) -> Option<Self> {
        let mut tally = Self::default();
        for (index, part) in line.split(", ").enumerate() {
            let (number, what) = part.split_once(' ')?;
            let number = number.parse().ok()?;
            match (index, what) {
                (0, "passed") => tally.passed = number,
                (1, "failed") => tally.failed = number,
                (2, "skipped") => tally.skipped = number,
                _ => return None,
            }
        }
        line.contains(" failed").then_some(tally)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(formatter, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_back() {
        for tally in [
            Tally {
                passed: 3,
                failed: 0,
                skipped: 0,
            },
            Tally {
                passed: 0,
                failed: 12,
                skipped: 1,
            },
        ] {
            assert_eq!(Tally::parse(&tally.to_string()), Some(tally));
        }
        for other in [
            "",
            "3 passed",
            "error: 3 passed, 0 failed",
            "3 passed, 0 failed, 1 lost",
        ] {
            assert_eq!(Tally::parse(other), None, "{other}");
        }
    }

    #[test]
    fn tests_of_all_programs_are_counted() {
        let log = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                   test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";
        assert_eq!(
            Tally::of_test_programs(log),
            Tally {
                passed: 13,
                failed: 2,
                skipped: 1
            }
        );
        assert_eq!(
            Tally::of_test_programs("error: could not compile"),
            Tally::default()
        );
    }
}
