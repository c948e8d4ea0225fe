//! The log of a journal: transactions, one after the other in a ring.

use std::collections::HashMap;

use super::block::{self, Kind, Tag};
use super::file::JournalFile;
use super::header::{Header, Sums};
use crate::error::Result;
use crate::ext4::files::checksum::{START, crc32_be};
use crate::ext4::files::error::refused;
use crate::ext4::files::replayed::{Copy, Replayed};

/// The transactions that were committed.
#[derive(Debug)]
pub(super) struct Log {
    transactions: Vec<Transaction>,
    /// The number after the last one.
    pub(super) next: u32,
}

#[derive(Debug, Default)]
struct Transaction {
    sequence: u32,
    /// Copies of blocks, each with its block in the journal.
    copies: Vec<(Tag, u32)>,
    revoked: Vec<u64>,
}

/// What is known while the log is walked over.
struct Walk<'a> {
    journal: &'a JournalFile<'a>,
    header: &'a Header,
    log: Log,
    /// The transaction that is being read.
    current: Transaction,
    /// The sum of it, in a journal of the first kind.
    sum: u32,
    /// When the last transaction was committed.
    last_commit: u64,
    /// Whether a block of the log had a wrong checksum: it may be older than the log.
    suspect: bool,
    /// Whether the log has ended, and what follows is only looked at.
    ended: bool,
    /// How many blocks of the ring may still be passed.
    left: u32,
    at: u32,
}

impl Log {
    /// Reads the log from the block where it begins, up to the last transaction that was committed.
    ///
    /// # Errors
    ///
    /// [`FilesError::Journal`](crate::ext4::FilesError::Journal) for what the kernel refuses too.
    pub(super) fn scan(journal: &JournalFile<'_>, header: &Header, start: u32) -> Result<Self> {
        let mut walk = Walk {
            journal,
            header,
            log: Self {
                transactions: Vec::new(),
                next: header.sequence,
            },
            current: Transaction {
                sequence: header.sequence,
                ..Transaction::default()
            },
            sum: START,
            last_commit: 0,
            suspect: false,
            ended: false,
            left: header.len(),
            at: start,
        };
        while walk.step()? {}
        Ok(walk.log)
    }

    /// Says where the newest copies lie of all blocks that were not revoked after them.
    pub(super) fn replayed(&self, journal: &JournalFile<'_>, header: &Header) -> Result<Replayed> {
        let mut revoked: HashMap<u64, u32> = HashMap::new();
        for transaction in &self.transactions {
            for &block in &transaction.revoked {
                // Later ones come later.
                revoked.insert(block, transaction.sequence);
            }
        }
        let mut newest = HashMap::new();
        for transaction in &self.transactions {
            for (tag, place) in &transaction.copies {
                let sequence = transaction.sequence;
                let since = revoked.get(&tag.block);
                if since.is_some_and(|&since| !is_after(sequence, since)) {
                    continue;
                }
                if tag.block >= journal.reader.superblock.blocks {
                    return Err(refused("it has a block from outside the file system"));
                }
                if header.sums.seed().is_some() {
                    let copy = journal.read(*place)?;
                    if !block::copy_is_right(&copy, tag, sequence, header.sums) {
                        return Err(refused("the checksum of a block in it is wrong"));
                    }
                }
                let copy = Copy {
                    offset: journal.place(*place)?,
                    escaped: tag.escaped,
                };
                newest.insert(tag.block, copy);
            }
        }
        Ok(Replayed::new(newest))
    }
}

/// Whether one number of a transaction comes after another one; they wrap.
fn is_after(sequence: u32, other: u32) -> bool {
    sequence.wrapping_sub(other).cast_signed() > 0
}

impl Walk<'_> {
    /// Goes on by one block and those that belong to it; false at the end of the log.
    fn step(&mut self) -> Result<bool> {
        let bytes = self.journal.read(self.at)?;
        let Some(kind) = block::kind(&bytes, self.current.sequence) else {
            return Ok(false);
        };
        self.pass()?;
        match kind {
            Kind::Descriptor => self.descriptor(&bytes)?,
            Kind::Revoke => {
                self.suspect |= !block::tail_is_right(&bytes, self.header.sums);
                if !self.suspect {
                    let revoked = block::revoked(&bytes, self.header)?;
                    self.current.revoked.extend(revoked);
                }
            }
            Kind::Commit => return self.commit(&bytes),
            Kind::Other => return Ok(false),
        }
        Ok(true)
    }

    /// Goes on to the next block.
    fn pass(&mut self) -> Result<u32> {
        let passed = self.at;
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| refused("its log has no end"))?;
        self.at = self.header.after(self.at);
        Ok(passed)
    }

    fn descriptor(&mut self, bytes: &[u8]) -> Result<()> {
        self.suspect |= !block::tail_is_right(bytes, self.header.sums);
        let summed = self.header.sums == Sums::V1 && !self.ended;
        if summed {
            self.sum = crc32_be(self.sum, bytes);
        }
        for tag in block::tags(bytes, self.header) {
            let place = self.pass()?;
            if summed {
                self.sum = crc32_be(self.sum, &self.journal.read(place)?);
            }
            self.current.copies.push((tag, place));
        }
        Ok(())
    }

    fn commit(&mut self, bytes: &[u8]) -> Result<bool> {
        let time = block::commit_time(bytes);
        let wrong = || Err(refused("the checksum of a transaction is wrong"));
        if self.suspect {
            // Older than the log: it has ended before.
            return if time < self.last_commit {
                Ok(false)
            } else {
                wrong()
            };
        }
        let v1 = self.header.sums == Sums::V1;
        if v1 && self.ended {
            return wrong();
        }
        let right = match v1 {
            true => block::v1_commit_is_right(bytes, self.sum),
            false => block::commit_is_right(bytes, self.header.sums),
        };
        if !right {
            if time < self.last_commit {
                return Ok(false);
            }
            if !self.header.async_commit {
                return wrong();
            }
            self.ended = true;
        }
        if right {
            self.last_commit = time;
        }
        let sequence = self.current.sequence.wrapping_add(1);
        let next = Transaction {
            sequence,
            ..Transaction::default()
        };
        let done = std::mem::replace(&mut self.current, next);
        self.sum = START;
        if !self.ended {
            self.log.transactions.push(done);
            self.log.next = sequence;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_transactions_wrap() {
        assert!(is_after(1, 0) && is_after(0, u32::MAX) && is_after(3, u32::MAX - 3));
        assert!(!is_after(7, 7) && !is_after(u32::MAX, 0));
    }
}
