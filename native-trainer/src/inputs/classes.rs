//! Classes of images: names as folders, lists and shards give them, and the numbers that stand for them.

use std::collections::BTreeMap;

/// Numbers in names up to here are taken at their word; beyond it the names are only put in order.
const MAX_NUMBER: u32 = 1 << 20;

/// The classes of a run.
#[derive(Debug, Default)]
pub(super) struct Classes {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Classes {
    /// The number of a class for now, in the order in which they come.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// Puts the names in their final order and says for each old number the new one.
    ///
    /// Where all names are numbers, as in WebDataset's `.cls`, the class is that number, so that a second list with
    /// other classes missing still means the same. Else it is the place among the names in order, as torchvision's
    /// `ImageFolder`.
    pub(super) fn settle(&mut self) -> Vec<u32> {
        let number = |name: &String| name.parse().ok().filter(|n: &u32| *n < MAX_NUMBER && n.to_string() == *name);
        let moves: Option<Vec<u32>> = self.names.iter().map(number).collect();
        if let Some(moves) = moves {
            let count = moves.iter().max().map_or(0, |most| most + 1);
            self.names = (0..count).map(|number| number.to_string()).collect();
            return moves;
        }
        let mut sorted = self.names.clone();
        sorted.sort();
        let place = |name: &String| sorted.binary_search(name).map_or(0, |place| place as u32);
        let moves = self.names.iter().map(place).collect();
        self.names = sorted;
        moves
    }

    /// The names, by number.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_numbers_are_themselves() {
        let check = |given: &[&str], moves: &[u32], names: &[&str]| {
            let mut classes = Classes::default();
            for (number, name) in given.iter().enumerate() {
                assert_eq!(classes.number(name), number as u32);
            }
            given.iter().enumerate().for_each(|(number, name)| assert_eq!(classes.number(name), number as u32));
            assert_eq!(classes.settle(), moves, "{given:?}");
            assert_eq!(classes.names(), names, "{given:?}");
        };
        check(&["dog", "cat", "10"], &[2, 1, 0], &["10", "cat", "dog"]);
        check(&["3", "0"], &[3, 0], &["0", "1", "2", "3"]);
        check(&["10", "9"], &[10, 9], &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
        check(&["01", "1"], &[0, 1], &["01", "1"]);
        check(&["4294967295"], &[0], &["4294967295"]);
        check(&[], &[], &[]);
    }
}
