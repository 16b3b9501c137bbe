//! Images that cannot be read: how many a run bears, which they are, and why.
//!
//! A bad image is skipped and listed, never fatal by itself; a folder full of them is a mistake, and the run then stops
//! and says so. Natively the list goes to a file, in a browser to the page.

use std::collections::BTreeMap;
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

/// The bad images of a run, each with the reason, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    allowed: u64,
    images: BTreeMap<u64, String>,
}

impl Quarantine {
    /// An empty list for a run over `total` images.
    pub fn new(budget: Budget, total: u64) -> Self {
        Self { allowed: budget.allows(total), images: BTreeMap::new() }
    }

    /// Adds an image, by its number, and why it is bad. False if it stood there already: an image that comes again in
    /// the next epoch counts once.
    pub fn add(&mut self, image: u64, reason: impl Into<String>) -> bool {
        let known = self.images.contains_key(&image);
        if !known {
            self.images.insert(image, reason.into());
        }
        !known
    }

    /// Whether an image is known to be bad, so that it need not be read again.
    pub fn contains(&self, image: u64) -> bool {
        self.images.contains_key(&image)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.images.len() as u64
    }

    /// How many there may be.
    pub fn allowed(&self) -> u64 {
        self.allowed
    }

    /// Whether there are more than there may be.
    pub fn exceeded(&self) -> bool {
        self.count() > self.allowed
    }

    /// Numbers and reasons.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &str)> {
        self.images.iter().map(|(&image, reason)| (image, reason.as_str()))
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

    #[test]
    fn an_image_counts_once_however_often_it_comes() {
        let mut bad = Quarantine::new(Budget::Share(0.02), 100);
        assert_eq!(bad.allowed(), 2);
        assert!(bad.add(7, "cut") && bad.add(3, "empty") && !bad.add(7, "cut again"));
        assert!(!bad.exceeded() && bad.contains(7) && !bad.contains(8));
        assert_eq!(bad.iter().collect::<Vec<_>>(), [(3, "empty"), (7, "cut")]);
        assert!(bad.add(8, "no image"));
        assert!(bad.exceeded() && bad.count() == 3);
    }
}
