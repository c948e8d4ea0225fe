//! The blocks of a group that were claimed.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::util::bytes::{to_u64, to_usize};

/// A bit a block, set by many threads. Pages without a bit take no memory, because what a group
/// claims to have is no reason to reserve any.
#[derive(Debug)]
pub(super) struct Taken {
    blocks: u64,
    pages: OnceLock<Box<[OnceLock<Page>]>>,
}

/// How many words a page has.
const WORDS: usize = 64;

type Page = Box<[AtomicU64; WORDS]>;

impl Taken {
    /// No bit of so many is set.
    pub(super) fn new(blocks: u64) -> Self {
        Self {
            blocks,
            pages: OnceLock::new(),
        }
    }

    /// Sets bits; gives one that was set before.
    pub(super) fn set(&self, bits: Range<u64>) -> Option<u64> {
        let mut at = bits.start;
        while at < bits.end {
            let next = ((at / 64 + 1) * 64).min(bits.end);
            let mask = (u64::MAX >> (64 - (next - at))) << (at % 64);
            let before = self.word(at)?.fetch_or(mask, Ordering::Relaxed) & mask;
            if before != 0 {
                return Some(at / 64 * 64 + u64::from(before.trailing_zeros()));
            }
            at = next;
        }
        None
    }

    /// The word that has a bit.
    fn word(&self, bit: u64) -> Option<&AtomicU64> {
        let number = to_usize(bit / 64);
        let pages = self.pages.get_or_init(|| {
            let pages = self.blocks.div_ceil(to_u64(WORDS) * 64);
            std::iter::repeat_with(OnceLock::new)
                .take(to_usize(pages))
                .collect()
        });
        let page = pages.get(number / WORDS)?;
        let page = page.get_or_init(|| Box::new([const { AtomicU64::new(0) }; WORDS]));
        page.get(number % WORDS)
    }

    /// All bits, 64 in a word.
    pub(super) fn words(&self) -> Vec<u64> {
        let pages = self.pages.get().map(|pages| &**pages);
        let words = pages.unwrap_or_default().iter().flat_map(|page| {
            let page = page.get();
            (0..WORDS).map(move |at| {
                let word = page.and_then(|page| page.get(at));
                word.map_or(0, |word| word.load(Ordering::Relaxed))
            })
        });
        words.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_that_was_set_before_is_found_across_words_and_pages() {
        let taken = Taken::new(10_000);
        assert!(taken.words().is_empty());
        assert_eq!(taken.set(60..130), None);
        assert_eq!(taken.set(0..60), None);
        assert_eq!(taken.set(4000..9000), None);
        assert_eq!(taken.set(8999..9001), Some(8999));
        assert_eq!(taken.set(5..5), None);
        let words = taken.words();
        let set: u32 = words.iter().map(|word| word.count_ones()).sum();
        // What was set beside a bit that was set before is set, too.
        assert_eq!(set, 130 + 5001);
        assert_eq!(words[..3], [u64::MAX, u64::MAX, 3]);
    }
}
