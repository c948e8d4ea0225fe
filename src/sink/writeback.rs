//! Bytes that go to the disk while others are still being written, so that there is little left
//! to wait for at the end.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::sync::Mutex;

use super::decisions::Durability;
use crate::sys;
use crate::util::sync::lock;

/// A part of the file, in bytes: it goes to the disk once all of it is written. Large enough for
/// a file system to give it one place, in whatever order the parts are completed.
const PART: u64 = 16 << 20;
/// The most parts that are begun at a time; what is written to others waits for the sync.
const MOST: usize = 1 << 15;

/// What of a file that is being written is complete, in parts. The kernel would let it lie until
/// memory runs short or until it is told to sync.
#[derive(Debug)]
pub(crate) struct Writeback {
    /// For each part that is begun, how many of its bytes are written. `None` where the run does
    /// not wait for the disk.
    begun: Option<Mutex<HashMap<u64, u64>>>,
}

impl Writeback {
    /// Sends nothing early where the target is not synced.
    pub(crate) fn new(durability: Durability) -> Self {
        Self {
            begun: (durability == Durability::Synced).then(Mutex::default),
        }
    }

    /// Tells that bytes of `file` were written: parts that are now complete are sent to the disk,
    /// without waiting for it. Whether they arrive is known when the file is synced.
    pub(crate) fn wrote(&self, file: &File, range: Range<u64>) {
        for part in self.complete(range) {
            sys::start_writeback(file, part.start, part.end - part.start);
        }
    }

    /// Tells that bytes of `file` need not go to the disk: they stay zero, or are there already.
    pub(crate) fn skipped(&self, file: &File, range: Range<u64>) {
        // What lies between the first and the last part has nothing that could be sent.
        let first = range.start..range.end.min(range.start.next_multiple_of(PART));
        let last = first.end.max(range.end / PART * PART)..range.end;
        self.wrote(file, first);
        self.wrote(file, last);
    }

    /// The parts that a range completes.
    fn complete(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let Some(begun) = &self.begun else {
            return Vec::new();
        };
        let mut begun = lock(begun);
        let mut complete = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let part = at / PART;
            let end = ((part + 1) * PART).min(range.end);
            if begun.len() < MOST || begun.contains_key(&part) {
                let written = begun.entry(part).or_default();
                *written += end - at;
                if *written >= PART {
                    begun.remove(&part);
                    complete.push(part * PART..(part + 1) * PART);
                }
            }
            at = end;
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_complete_once_all_of_it_is_written_in_any_order() {
        let writeback = Writeback::new(Durability::Synced);
        assert!(writeback.complete(5..PART).is_empty());
        let rest = PART + 7..3 * PART + 1;
        assert_eq!(writeback.complete(rest), [2 * PART..3 * PART]);
        assert!(writeback.complete(0..4).is_empty());
        assert_eq!(writeback.complete(4..5), [0..PART]);
        assert_eq!(writeback.complete(PART..PART + 7), [PART..2 * PART]);
        let left = writeback.begun.unwrap().into_inner().unwrap();
        assert_eq!(left, HashMap::from([(3, 1)]));
    }

    #[test]
    fn zeros_complete_parts_and_large_holes_take_no_room() {
        let file = tempfile::tempfile().unwrap();
        let writeback = Writeback::new(Durability::Synced);
        writeback.skipped(&file, 1..1 << 60);
        assert_eq!(writeback.complete(0..1), [0..PART]);
        writeback.skipped(&file, PART..PART + 9);
        writeback.skipped(&file, 2 * PART - 9..2 * PART);
        let middle = PART + 9..2 * PART - 9;
        assert_eq!(writeback.complete(middle), [PART..2 * PART]);
        assert!(writeback.begun.unwrap().into_inner().unwrap().is_empty());
    }

    #[test]
    fn parts_that_are_never_complete_take_bounded_room() {
        let writeback = Writeback::new(Durability::Synced);
        for part in 0..2 * MOST as u64 {
            assert!(writeback.complete(part * PART..part * PART + 1).is_empty());
        }
        assert_eq!(writeback.complete(1..PART), [0..PART]);
        let left = writeback.begun.unwrap().into_inner().unwrap();
        assert_eq!(left.len(), MOST - 1);
    }

    #[test]
    fn where_nobody_waits_nothing_is_counted() {
        let writeback = Writeback::new(Durability::Unsynced);
        assert!(writeback.complete(0..PART).is_empty());
        assert!(writeback.begun.is_none());
    }
}
