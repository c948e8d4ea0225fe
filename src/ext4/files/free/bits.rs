//! Bits of a bitmap.

use std::ops::Range;

use crate::util::bytes::{to_u64, to_usize};

/// A bitmap, as it is stored: the lowest bit of the first byte comes first.
#[derive(Debug)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Takes the bytes of a bitmap.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            for (byte, stored) in word.iter_mut().zip(chunk) {
                *byte = *stored;
            }
            u64::from_le_bytes(word)
        });
        Self(words.collect())
    }

    /// Takes 64 bits at a time, the lowest one first.
    pub(super) fn of_words(words: Vec<u64>) -> Self {
        Self(words)
    }

    /// A bit for each `size` of these, which is set where one of them is.
    pub(super) fn grouped(self, size: u64) -> Self {
        if size == 1 {
            return self;
        }
        let bits = to_u64(self.0.len()) * 64;
        let mut words = vec![0; to_usize(bits.div_ceil(size).div_ceil(64))];
        let mut at = 0;
        while let Some(set) = self.next(at, bits, true) {
            let group = set / size;
            if let Some(word) = words.get_mut(to_usize(group / 64)) {
                *word |= 1u64 << (group % 64);
            }
            at = (group + 1) * size;
        }
        Self(words)
    }

    /// Whether a bit is set; those past the end are not.
    pub(super) fn has(&self, at: u64) -> bool {
        let word = self.0.get(to_usize(at / 64));
        word.is_some_and(|word| word >> (at % 64) & 1 != 0)
    }

    /// The first bit from `at` on, before `end`, that is (or is not) set.
    pub(super) fn next(&self, at: u64, end: u64, set: bool) -> Option<u64> {
        let mut at = at;
        while at < end {
            let word = self.0.get(to_usize(at / 64)).copied().unwrap_or(0);
            let word = if set { word } else { !word };
            let rest = word >> (at % 64);
            if rest != 0 {
                let found = at + u64::from(rest.trailing_zeros());
                return (found < end).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    /// The runs of the first `len` bits that are not set.
    pub(super) fn clear_runs(&self, len: u64) -> impl Iterator<Item = Range<u64>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.next(at, len, false)?;
            let end = self.next(start, len, true).unwrap_or(len);
            at = end;
            Some(start..end)
        })
    }

    /// How many of the first `len` bits are not set.
    pub(super) fn count_clear(&self, len: u64) -> u64 {
        let whole = to_usize(len / 64);
        let set = |word: &u64| u64::from(word.count_ones());
        let mut all: u64 = self.0.iter().take(whole).map(set).sum();
        let rest = self.0.get(whole).copied().unwrap_or(0);
        all += set(&(rest & ((1u64 << (len % 64)) - 1)));
        len.saturating_sub(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_bits_is_set_where_one_of_them_is() {
        let bits = Bits::of_words(vec![0, 1 << 63, 1]).grouped(16);
        let set: Vec<_> = (0..12).filter(|&at| bits.has(at)).collect();
        assert_eq!(set, [7, 8]);
    }

    #[test]
    fn runs_of_clear_bits_end_with_the_bits_that_count() {
        let mut bytes = vec![0xff; 24];
        bytes[0] = 0b1111_1001;
        bytes[7] = 0x7f;
        bytes[8] = 0xfe;
        bytes[20] = 0x0f;
        let bits = Bits::new(&bytes);
        let runs: Vec<_> = bits.clear_runs(166).collect();
        assert_eq!(runs, [1..3, 63..65, 164..166]);
        assert_eq!(bits.count_clear(166), 6);
        assert_eq!(bits.count_clear(64), 3);
        assert_eq!(bits.clear_runs(1).count(), 0);
        assert_eq!(bits.next(0, 166, true), Some(0));
        assert_eq!(bits.next(1, 3, true), None);
        assert!(bits.has(0) && !bits.has(1) && !bits.has(10_000));
    }
}
