//! A short name for weights: links say with which ones they were made.
//!
//! FNV-1a over words of eight bytes, in the order in which a model is built, whatever the pieces in which a host hands
//! them over. It tells one training from another; it is no defence against somebody who wants two to look alike.

/// A hash on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    hash: u64,
    /// Bytes that make no whole word yet.
    rest: Vec<u8>,
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, rest: Vec::with_capacity(8) }
    }
}

impl Fingerprint {
    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if !self.rest.is_empty() {
            let (first, others) = bytes.split_at(bytes.len().min(8 - self.rest.len()));
            self.rest.extend_from_slice(first);
            bytes = others;
            if self.rest.len() < 8 {
                return;
            }
            let word = std::mem::take(&mut self.rest);
            self.fold(&word);
        }
        let (words, rest) = bytes.split_at(bytes.len() / 8 * 8);
        for word in words.chunks_exact(8) {
            self.fold(word);
        }
        self.rest.extend_from_slice(rest);
    }

    fn fold(&mut self, word: &[u8]) {
        let word = word.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        // The turn lets high bits reach low ones, which multiplication alone does not.
        self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
    }

    /// Sixteen hexadecimal digits.
    pub fn digits(mut self) -> String {
        let rest = std::mem::take(&mut self.rest);
        self.fold(&rest);
        self.fold(&[rest.len() as u8]);
        format!("{:016x}", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&[u8]]) -> String {
        let mut fingerprint = Fingerprint::default();
        pieces.iter().for_each(|piece| fingerprint.update(piece));
        fingerprint.digits()
    }

    #[test]
    fn pieces_do_not_matter_and_bytes_do() {
        let bytes: Vec<u8> = (0..100).collect();
        let whole = of(&[&bytes]);
        assert_eq!(whole.len(), 16);
        for at in 0..100 {
            assert_eq!(of(&[&bytes[..at], &bytes[at..]]), whole, "cut at {at}");
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(of(&[&other]), whole, "another byte at {at}");
        }
        assert_eq!(of(&[&bytes[..3], &bytes[3..5], &bytes[5..]]), whole);
        assert_ne!(of(&[&bytes[..99]]), whole);
        assert_ne!(of(&[]), of(&[&[0]]));
    }
}
