//! A short name for weights: the same tensors give the same digits, wherever they lie and however they were read.
//!
//! Sixty-four bits of a multiplicative hash (FxHash's step, MurmurHash3's end) over the tensors as stored, in the order
//! in which the model takes them. It tells models apart and guards against mistakes, not against an attacker; the store
//! of the page holds files to their SHA-256.

/// The hash so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Fingerprint {
    state: u64,
    /// Bytes that do not fill a word yet.
    rest: Vec<u8>,
}

impl Fingerprint {
    /// Takes in the next stretch; where one ends and the next begins does not matter.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        if !self.rest.is_empty() {
            let missing = bytes.len().min(8 - self.rest.len());
            self.rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            let Some(word) = self.rest.first_chunk::<8>() else { return };
            self.state = step(self.state, u64::from_le_bytes(*word));
            self.rest.clear();
        }
        let (words, rest) = bytes.as_chunks::<8>();
        self.state = words.iter().fold(self.state, |state, word| step(state, u64::from_le_bytes(*word)));
        self.rest.extend_from_slice(rest);
    }

    /// Sixteen hexadecimal digits.
    pub(super) fn digits(&self) -> String {
        let mut last = [0; 8];
        last[..self.rest.len()].copy_from_slice(&self.rest);
        let mut state = step(self.state, u64::from_le_bytes(last)) ^ self.rest.len() as u64;
        state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        state = (state ^ (state >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        format!("{:016x}", state ^ (state >> 33))
    }
}

fn step(state: u64, word: u64) -> u64 {
    (state.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_matter() {
        let bytes: Vec<u8> = (0..97).map(|i| i * 31).collect();
        let of = |cuts: &[usize]| {
            let mut fingerprint = Fingerprint::default();
            let mut start = 0;
            for &cut in cuts.iter().chain(&[bytes.len()]) {
                fingerprint.update(&bytes[start..cut]);
                start = cut;
            }
            fingerprint.digits()
        };
        let whole = of(&[]);
        assert_eq!(whole.len(), 16);
        assert_eq!(of(&[1]), whole);
        assert_eq!(of(&[3, 5, 8, 50, 51]), whole);
        let mut other = bytes.clone();
        other[90] ^= 1;
        let mut changed = Fingerprint::default();
        changed.update(&other);
        assert_ne!(changed.digits(), whole);
        assert_ne!(Fingerprint::default().digits(), {
            let mut one = Fingerprint::default();
            one.update(&[0]);
            one.digits()
        });
    }
}
