//! A GUID partition table in sectors of 512 bytes, as UEFI 2.10, chapter 5 has it.

use std::ops::Range;

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use uuid::Uuid;

use super::error::BootError;
use crate::util::bytes::{saturating_u32, to_usize};

/// The sectors that it counts in, in bytes.
pub(super) const SECTOR: u64 = 512;
/// The entries that everybody makes room for.
pub(super) const ENTRIES: u32 = 128;
const ENTRY_SIZE: u32 = 128;
/// The boot record, the header and the entries, in bytes.
pub(super) const FRONT: u64 = (1 + 1 + 32) * SECTOR;
/// The copies of the entries and the header, in bytes.
pub(super) const BACK: u64 = (32 + 1) * SECTOR;
/// The longest name of a partition, in UTF-16 units.
const LONGEST_NAME: usize = 36;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// A partition in a table that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// From 1 on.
    pub(super) number: u32,
    pub(super) kind: Uuid,
    pub(super) guid: Uuid,
    pub(super) attributes: u64,
    pub(super) name: String,
    /// In bytes of the disk, whole sectors.
    pub(super) range: Range<u64>,
}

/// A table that is written.
#[derive(Debug)]
pub(super) struct NewTable {
    pub(super) guid: Uuid,
    /// The size of the disk in bytes, whole sectors.
    pub(super) size: u64,
    pub(super) entries: Vec<Entry>,
}

impl NewTable {
    /// The start of the disk: a protective boot record, in front of whose table `code` lies, the
    /// header, and the entries.
    ///
    /// # Errors
    ///
    /// [`BootError::PartitionNumber`] for a partition that such a table has no entry for.
    pub(super) fn front(&self, code: &[u8; 440]) -> Result<Vec<u8>, BootError> {
        let entries = self.entries()?;
        let mut bytes = code.to_vec();
        bytes.resize(446, 0);
        // Not active, from head 0, sector 2 to the end of what such addresses reach, type 0xee.
        bytes.extend([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(saturating_u32(self.last_sector()).to_le_bytes());
        bytes.resize(510, 0);
        bytes.extend([0x55, 0xaa]);
        bytes.extend(self.header(1, self.last_sector(), 2, &entries));
        bytes.extend(entries);
        Ok(bytes)
    }

    /// The end of the disk: the copies of the entries and the header.
    ///
    /// # Errors
    ///
    /// As [`NewTable::front`].
    pub(super) fn back(&self) -> Result<Vec<u8>, BootError> {
        let mut bytes = self.entries()?;
        let last = self.last_sector();
        let header = self.header(last, 1, last.saturating_sub(32), &bytes);
        bytes.extend(header);
        Ok(bytes)
    }

    fn last_sector(&self) -> u64 {
        (self.size / SECTOR).saturating_sub(1)
    }

    /// A sector with a header: its place, the other one's, the entries' place, and the entries.
    fn header(&self, own: u64, other: u64, entries_at: u64, entries: &[u8]) -> Vec<u8> {
        let mut bytes = b"EFI PART".to_vec();
        bytes.extend(0x0001_0000_u32.to_le_bytes()); // Revision
        bytes.extend(92_u32.to_le_bytes()); // HeaderSize
        bytes.extend([0; 8]); // HeaderCRC32, Reserved
        bytes.extend(own.to_le_bytes()); // MyLBA
        bytes.extend(other.to_le_bytes()); // AlternateLBA
        bytes.extend((FRONT / SECTOR).to_le_bytes()); // FirstUsableLBA
        let after = self.size.saturating_sub(BACK) / SECTOR;
        bytes.extend(after.saturating_sub(1).to_le_bytes()); // LastUsableLBA
        bytes.extend(self.guid.to_bytes_le()); // DiskGUID
        bytes.extend(entries_at.to_le_bytes()); // PartitionEntryLBA
        bytes.extend(ENTRIES.to_le_bytes()); // NumberOfPartitionEntries
        bytes.extend(ENTRY_SIZE.to_le_bytes()); // SizeOfPartitionEntry
        bytes.extend(CRC.checksum(entries).to_le_bytes()); // PartitionEntryArrayCRC32
        let sum = CRC.checksum(&bytes);
        for (place, byte) in bytes.iter_mut().skip(16).zip(sum.to_le_bytes()) {
            *place = byte;
        }
        bytes.resize(to_usize(SECTOR), 0);
        bytes
    }

    /// All entries, those that are not used included.
    fn entries(&self) -> Result<Vec<u8>, BootError> {
        let size = to_usize(ENTRY_SIZE);
        let mut all = vec![0; to_usize(ENTRIES).saturating_mul(size)];
        for entry in &self.entries {
            let number = entry.number;
            let index = to_usize(number.saturating_sub(1));
            let place = all.chunks_exact_mut(size).nth(index);
            let place = place.ok_or(BootError::PartitionNumber { number })?;
            place.copy_from_slice(&entry.bytes());
        }
        Ok(all)
    }
}

impl Entry {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.kind.to_bytes_le().to_vec(); // PartitionTypeGUID
        bytes.extend(self.guid.to_bytes_le()); // UniquePartitionGUID
        let last = (self.range.end / SECTOR).saturating_sub(1);
        bytes.extend((self.range.start / SECTOR).to_le_bytes()); // StartingLBA
        bytes.extend(last.to_le_bytes()); // EndingLBA
        bytes.extend(self.attributes.to_le_bytes()); // Attributes
        let name = self.name.encode_utf16().take(LONGEST_NAME);
        bytes.extend(name.flat_map(u16::to_le_bytes)); // PartitionName
        bytes.resize(to_usize(ENTRY_SIZE), 0);
        bytes
    }
}
