//! Counts of passed and failed tests, read from the closing lines of the runners.
//!
//! The exit status decides whether a step failed; the counts are for the reader.
//! A runner that fails without saying how many counts as one failure, so that a crash never looks like success.

use std::ops::AddAssign;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Tally {
    /// A check with no tests of its own, such as formatting.
    pub(crate) fn one(ok: bool) -> Self {
        Self { passed: usize::from(ok), failed: usize::from(!ok) }
    }

    /// Reads the text of cargo-nextest, of libtest (also doc tests) or of node's test runner.
    pub(crate) fn read(text: &str, ok: bool) -> Self {
        let mut tally = Self::default();
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with("Summary [") || line.starts_with("test result:") {
                // "Summary [ 1.2s] 3 tests run: 2 passed, 1 failed, 0 skipped"
                // "test result: FAILED. 2 passed; 1 failed; 0 ignored; …"
                tally += Self {
                    passed: number_before(line, "passed"),
                    failed: number_before(line, "failed") + number_before(line, "timed out"),
                };
            } else if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
                // node: "# pass 3", "# fail 0", "# cancelled 0"
                let mut words = rest.split_whitespace();
                let (word, count) = (words.next(), words.next().and_then(|n| n.parse().ok()));
                match (word, count, words.next()) {
                    (Some("pass"), Some(n), None) => tally += Self { passed: n, failed: 0 },
                    (Some("fail" | "cancelled"), Some(n), None) => tally += Self { passed: 0, failed: n },
                    _ => {}
                }
            }
        }
        if !ok && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }
}

/// The number that stands right before `word`, or 0.
fn number_before(line: &str, word: &str) -> usize {
    let Some(at) = line.find(&format!(" {word}")) else { return 0 };
    let before = &line[..at];
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[before.len() - digits..].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, ok: bool, passed: usize, failed: usize) {
        assert_eq!(Tally::read(text, ok), Tally { passed, failed }, "{text}");
    }

    #[test]
    fn reads_each_runner() {
        check("     Summary [   0.010s] 3 tests run: 3 passed, 0 skipped", true, 3, 0);
        check("     Summary [   0.010s] 3 tests run: 2 passed (1 slow), 1 failed, 4 skipped", false, 2, 1);
        check("     Summary [   9.010s] 3 tests run: 1 passed, 1 failed, 1 timed out, 4 skipped", false, 1, 2);
        check("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out", true, 12, 0);
        check("test result: ok. 1 passed; 0 failed\ntest result: FAILED. 2 passed; 3 failed", false, 3, 3);
        check("# tests 3\n# pass 2\n# fail 1\n# cancelled 0", false, 2, 1);
        check("ℹ tests 3\nℹ pass 3\nℹ fail 0", true, 3, 0);
    }

    #[test]
    fn a_crash_is_a_failure() {
        check("error: could not compile `lab-core`", false, 0, 1);
        check("test result: ok. 3 passed; 0 failed", false, 3, 1);
    }

    #[test]
    fn prose_does_not_count() {
        check("# pass the salt\n# fail 3 times\n3 passed", true, 0, 0);
    }
}
