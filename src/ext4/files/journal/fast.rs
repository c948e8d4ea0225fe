//! Fast commits: what changed since the last transaction, as changes of files and not of blocks.
//! Facts are those of the kernel's documentation of fast commits and of how it replays them.

use super::file::JournalFile;
use super::header::Header;
use crate::error::Result;
use crate::ext4::extent::Extent;
use crate::ext4::files::checksum::crc32c;
use crate::ext4::files::error::refused;
use crate::ext4::files::record::{Name, Range, Record};
use crate::util::bytes::{le_u16, le_u32};

/// The bytes of a record in front of its contents.
const HEADER: usize = 4;

/// What is known while fast commits are walked over.
#[derive(Default)]
struct Walk {
    /// Those up to the last commit that is whole.
    committed: Vec<Record>,
    /// Those after it.
    pending: Vec<Record>,
    sum: u32,
    /// Whether a commit was whole, so that what makes no sense is the end.
    any: bool,
}

/// Whether there may be more.
#[derive(PartialEq, Eq)]
enum Next {
    More,
    End,
}

/// Reads the fast commits that follow transaction `sequence - 1`.
///
/// # Errors
///
/// [`FilesError::Journal`](crate::ext4::FilesError::Journal) for what the kernel refuses too.
pub(super) fn read(
    journal: &JournalFile<'_>,
    header: &Header,
    sequence: u32,
) -> Result<Vec<Record>> {
    let mut walk = Walk::default();
    // They begin one block after the end of the log.
    for number in header.end.saturating_add(1)..header.fast_end {
        let bytes = journal.read(number)?;
        let is_first = number == header.end + 1;
        if is_first && le_u16(&bytes, 0) != Tag::HEAD {
            break;
        }
        if walk.block(&bytes, sequence)? == Next::End {
            break;
        }
    }
    Ok(walk.committed)
}

/// The kinds of records.
struct Tag;

impl Tag {
    const ADD_RANGE: u16 = 1;
    const DELETE_RANGE: u16 = 2;
    const CREATE: u16 = 3;
    const LINK: u16 = 4;
    const UNLINK: u16 = 5;
    const INODE: u16 = 6;
    const PADDING: u16 = 7;
    const TAIL: u16 = 8;
    const HEAD: u16 = 9;
}

impl Walk {
    fn block(&mut self, bytes: &[u8], sequence: u32) -> Result<Next> {
        let mut at = 0;
        while let Some((header, rest)) =
            bytes.get(at..).and_then(|all| all.split_at_checked(HEADER))
        {
            let (tag, len) = (le_u16(header, 0), usize::from(le_u16(header, 2)));
            let Some(value) = rest.get(..len).filter(|value| fits(tag, value.len())) else {
                return self.senseless();
            };
            let all = bytes.get(at..at + HEADER + len).unwrap_or_default();
            at += HEADER + len;
            let (word, first) = (le_u32(value, 0), le_u32(value, 4));
            match tag {
                Tag::HEAD if word != 0 => {
                    return Err(refused(
                        "its fast commits use a feature that is not read here",
                    ));
                }
                Tag::HEAD if first != sequence => return Ok(Next::End),
                Tag::TAIL => {
                    let summed = all.get(..HEADER + 4).unwrap_or_default();
                    let sum = crc32c(std::mem::take(&mut self.sum), summed);
                    if word != sequence || first != sum {
                        return self.senseless();
                    }
                    self.committed.append(&mut self.pending);
                    self.any = true;
                    continue;
                }
                _ => self.pending.extend(record(tag, value)),
            }
            self.sum = crc32c(self.sum, all);
        }
        Ok(Next::More)
    }

    /// The end, where a commit was whole before it.
    fn senseless(&self) -> Result<Next> {
        match self.any {
            true => Ok(Next::End),
            false => Err(refused("its fast commits make no sense")),
        }
    }
}

/// Whether a record may be so long.
fn fits(tag: u16, len: usize) -> bool {
    match tag {
        Tag::ADD_RANGE => len == 16,
        Tag::DELETE_RANGE => len == 12,
        Tag::CREATE | Tag::LINK | Tag::UNLINK => (9..=8 + 255).contains(&len),
        Tag::INODE => len >= 4 + 128,
        Tag::PADDING => true,
        Tag::TAIL => len >= 8,
        Tag::HEAD => len == 8,
        _ => false,
    }
}

/// What a record says; `None` where it says nothing of a file.
fn record(tag: u16, value: &[u8]) -> Option<Record> {
    let word = |at| le_u32(value, at);
    let name = || Name {
        directory: word(0),
        inode: word(4),
        name: value.get(8..).unwrap_or_default().to_vec(),
    };
    Some(match tag {
        Tag::ADD_RANGE => Record::Range(word(0), Extent::parse(value.get(4..)?).into()),
        Tag::DELETE_RANGE => {
            let (logical, len) = (u64::from(word(4)), u64::from(word(8)));
            let range = Range {
                logical,
                len,
                physical: None,
            };
            Record::Range(word(0), range)
        }
        Tag::CREATE | Tag::LINK => Record::Name {
            name: name(),
            is_new: tag == Tag::CREATE,
        },
        Tag::UNLINK => Record::NoName(name()),
        Tag::INODE => Record::Inode(word(0), value.get(4..)?.to_vec()),
        _ => return None,
    })
}
