//! Classes in the address: `class1=cat:ginger-cat,grey-cat&class2=fruit:apples`. The visitor's own pictures have no name
//! there.

use super::{Described, EXAMPLE};
use crate::hash::Address;
use crate::texts::SAMPLES;

/// A link holds no more classes than this.
const MOST: usize = 64;
/// The address of a room without classes.
const NONE: &str = "none";

/// The classes that a link names; nothing where it names none. Samples that we do not have are left out.
pub(super) fn read(address: &Address) -> Option<Described> {
    if address.get("classes") == Some(NONE) {
        return Some(Vec::new());
    }
    let values = (1..=MOST).map_while(|number| address.get(&format!("class{number}")));
    let class = |value: &str| {
        // No sample has a colon in its name, so that a class may.
        let (name, samples) = value.rsplit_once(':').unwrap_or((value, ""));
        let known = |name: &str| SAMPLES.iter().map(|sample| sample.name).find(|sample| *sample == name);
        (name.to_owned(), samples.split(',').filter_map(known).collect())
    };
    let classes: Described = values.map(class).collect();
    (!classes.is_empty()).then_some(classes)
}

/// Writes classes down, unless they are the example.
pub(super) fn write(classes: &Described, address: &mut Address) {
    let example = EXAMPLE.iter().map(|(name, samples)| (*name, samples.as_slice()));
    if classes.iter().map(|(name, samples)| (name.as_str(), samples.as_slice())).eq(example) {
        return;
    }
    address.put("classes", classes.is_empty().then_some(NONE));
    for (at, (name, samples)) in classes.iter().take(MOST).enumerate() {
        address.put(&format!("class{}", at + 1), Some(format!("{name}:{}", samples.join(","))));
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn there_and_back(classes: Described) -> Option<Described> {
        let mut address = Address::default();
        write(&classes, &mut address);
        read(&Address::parse(&address.format()))
    }

    #[test]
    fn classes_are_written_and_read() {
        let classes = vec![("a: b & c".to_owned(), vec!["reef", "apples"]), ("empty".to_owned(), vec![])];
        assert_eq!(there_and_back(classes.clone()), Some(classes));
        assert_eq!(there_and_back(Vec::new()), Some(Vec::new()));
    }

    #[test]
    fn the_example_needs_no_words_and_strangers_are_left_out() {
        assert_eq!(there_and_back(EXAMPLE.map(|(name, samples)| (name.to_owned(), samples.to_vec())).to_vec()), None);
        let read = read(&Address::parse("class1=x:reef,../etc&class3=y:reef"));
        assert_eq!(read, Some(vec![("x".to_owned(), vec!["reef"])]));
    }
}
