//! How many images that cannot be read a run bears.
//!
//! A bad image is skipped and listed, never fatal by itself; a folder full of them is a mistake, and the run then stops
//! and says so.

use std::str::FromStr;

use thiserror::Error;

/// How many bad images a run bears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// A share of all images, from 0 to 1.
    Share(f64),
    /// A number of images.
    Count(u64),
}

/// A text that is no [`Budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a share such as 1% or 0.5%, or a whole number of images")]
pub struct NoBudget;

impl Budget {
    /// How many of `total` images may be bad.
    pub fn allows(self, total: u64) -> u64 {
        match self {
            Self::Share(share) => (share * total as f64 + 1e-9).floor() as u64,
            Self::Count(count) => count,
        }
    }
}

impl FromStr for Budget {
    type Err = NoBudget;

    fn from_str(text: &str) -> Result<Self, NoBudget> {
        match text.trim().strip_suffix('%') {
            Some(percent) => match percent.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Share(percent / 100.0)),
                _ => Err(NoBudget),
            },
            None => text.trim().parse().map(Self::Count).map_err(|_| NoBudget),
        }
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Share(share) => write!(f, "{}%", share * 100.0),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_shares_or_numbers() {
        let check = |text: &str, total, expected| {
            assert_eq!(text.parse::<Budget>().expect(text).allows(total), expected, "{text} of {total}");
        };
        check("1%", 1000, 10);
        check("1%", 199, 1);
        check("1%", 99, 0);
        check("0.1 %", 1000, 1);
        check("100%", 7, 7);
        check("7%", 100, 7); // 0.07 * 100 is 7.000000000000001
        check("29%", 100, 29); // 0.29 * 100 is 28.999999999999996
        check("0", 1000, 0);
        check("20", 3, 20);
        for wrong in ["", "%", "-1", "-1%", "101%", "1.5", "nan%", "many"] {
            assert!(wrong.parse::<Budget>().is_err(), "{wrong}");
        }
    }
}
