//! Bits that are set once.

use crate::util::bytes::to_usize;
use std::ops::Range;

/// One bit for each place or sector.
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub(super) fn new(bits: u64) -> Self {
        Self(vec![0; to_usize(bits.div_ceil(64))])
    }

    /// Marks one bit, and gives something else than 0 if it was marked already.
    pub(super) fn set(&mut self, at: u64) -> u64 {
        let Some(word) = self.0.get_mut(to_usize(at / 64)) else {
            return 0;
        };
        let bit = 1 << (at % 64);
        let again = *word & bit;
        *word |= bit;
        again
    }

    /// Marks one bit for every number, counted from `first`, and gives something else than 0 if one
    /// was marked already. Numbers before the first bit are ignored, and those past the last word.
    pub(super) fn set_all(&mut self, numbers: &[u32], first: u32) -> u64 {
        // In words of 32 bits, and without an end before the last one: with anything more this is
        // what takes longest about a table in disorder.
        numbers.iter().fold(0, |again, number| {
            let at = number.wrapping_sub(first);
            let Some(word) = self.0.get_mut(to_usize(u64::from(at / 64))) else {
                return again;
            };
            let bit = 1 << (at % 64);
            let set = *word & bit;
            *word |= bit;
            again | set
        })
    }

    /// Marks bits up to the first one that is marked already, and gives that one.
    pub(super) fn mark(&mut self, range: Range<u64>) -> Option<u64> {
        let mut at = range.start;
        while at < range.end {
            let word = self.0.get_mut(to_usize(at / 64))?;
            let len = (64 - at % 64).min(range.end - at);
            let mask = (u64::MAX >> (64 - len)) << (at % 64);
            if *word & mask != 0 {
                return Some(at + u64::from(((*word & mask) >> (at % 64)).trailing_zeros()));
            }
            *word |= mask;
            at += len;
        }
        None
    }

    /// Marks what another map of the same size has marked, and says whether anything was already.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let words = self.0.iter_mut().zip(&other.0);
        let again = words.fold(0, |again, (word, other)| {
            let both = *word & other;
            *word |= other;
            again | both
        });
        again != 0
    }
}
