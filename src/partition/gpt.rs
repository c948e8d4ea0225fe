//! The GUID partition table: a header after the boot record, entries, and a copy of both at the
//! end of the disk. Field names in the comments are those of the UEFI specification.

use uuid::Uuid;

use super::table::{Entry, GptError, PartitionType, Role, SECTOR_SIZES, TableError, Warning};
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::util::bytes::{field, le_u16, le_u32, le_u64, to_usize};

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// What libploop puts there while it rewrites a table for another sector size.
const INTERRUPTED: &[u8; 8] = b"XXX PART";
/// The fields that every header has.
const HEADER_SIZE: u32 = 92;
/// The most bytes that entries may take: 64 times what everybody makes.
const MAX_ENTRIES_SIZE: u64 = 1 << 20;

/// The result of judging what was read; the outer [`Result`] is for reading it.
type Checked<T> = std::result::Result<T, GptError>;

/// What was found of a GPT on a disk.
#[derive(Debug)]
pub(super) enum Found {
    /// No sign of one.
    Nothing,
    /// One that can be used; whether the start of the disk has a sign of it.
    Table { table: Table, at_start: bool },
    /// Signs of one, and nothing that can be used.
    Damaged(TableError),
}

/// A copy of a GPT whose checksums are right.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) sector_size: u64,
    /// The disk's own.
    pub(super) guid: Uuid,
    pub(super) warnings: Vec<Warning>,
    alternate_lba: u64,
    /// The first and the last sector that partitions should keep to.
    usable: (u64, u64),
    used: Vec<Raw>,
}

/// A used entry as it is stored.
#[derive(Debug)]
struct Raw {
    number: u32,
    kind: Uuid,
    guid: Uuid,
    attributes: u64,
    first_lba: u64,
    last_lba: u64,
    name: String,
}

impl Table {
    /// The partitions in bytes, not yet compared with the disk and each other.
    pub(super) fn entries(&mut self) -> std::result::Result<Vec<Entry>, TableError> {
        let mut entries = Vec::new();
        for raw in &self.used {
            let (number, first, last) = (raw.number, raw.first_lba, raw.last_lba);
            if first > last {
                return Err(TableError::Backwards {
                    number,
                    first,
                    last,
                });
            }
            if first < self.usable.0 || last > self.usable.1 {
                self.warnings.push(Warning::OutsideUsable(number));
            }
            // What does not fit 64 bits ends past every disk, which is judged with the rest.
            let start = first.saturating_mul(self.sector_size);
            let end = last.saturating_add(1).saturating_mul(self.sector_size);
            entries.push(Entry {
                number,
                start,
                len: end.saturating_sub(start),
                kind: PartitionType::Guid(raw.kind),
                guid: Some(raw.guid),
                attributes: raw.attributes,
                name: raw.name.clone(),
                role: Role::Plain,
            });
        }
        Ok(entries)
    }
}

/// The fields of a header that are needed, checked against its checksum.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    guid: Uuid,
    alternate_lba: u64,
    usable: (u64, u64),
    entries_lba: u64,
    count: u32,
    entry_size: u32,
    entries_crc: u32,
}

impl Header {
    /// Reads the header in the sector at `lba`.
    fn parse(sector: &[u8], lba: u64) -> Checked<Self> {
        match sector.first_chunk() {
            Some(SIGNATURE) => {}
            Some(INTERRUPTED) => return Err(GptError::Interrupted),
            _ => return Err(GptError::Signature { lba }),
        }
        let size = le_u32(sector, 12); // HeaderSize
        let header = sector.get(..to_usize(size));
        let header = header
            .filter(|_| size >= HEADER_SIZE)
            .ok_or(GptError::HeaderSize(size))?;
        let stated = le_u32(header, 16); // HeaderCRC32, computed with zeros in its place
        let parts = [header.get(..16), Some(&[0; 4]), header.get(20..)];
        let computed = crc32(parts.into_iter().flatten().flatten());
        if stated != computed {
            return Err(GptError::HeaderCrc { stated, computed });
        }
        let stated = le_u64(header, 24); // MyLBA
        if stated != lba {
            return Err(GptError::Place { stated, lba });
        }
        let count = le_u32(header, 80); // NumberOfPartitionEntries
        let entry_size = le_u32(header, 84); // SizeOfPartitionEntry
        if !entry_size.is_power_of_two() || !(128..=4096).contains(&entry_size) {
            return Err(GptError::EntrySize(entry_size));
        }
        let all = u64::from(count).saturating_mul(u64::from(entry_size));
        if all == 0 || all > MAX_ENTRIES_SIZE {
            return Err(GptError::EntryCount(count));
        }
        let guid = field(header, 56).unwrap_or_default(); // DiskGUID
        Ok(Self {
            guid: Uuid::from_bytes_le(guid),
            alternate_lba: le_u64(header, 32), // AlternateLBA
            usable: (le_u64(header, 40), le_u64(header, 48)), // First-, LastUsableLBA
            entries_lba: le_u64(header, 72),   // PartitionEntryLBA
            count,
            entry_size,
            entries_crc: le_u32(header, 88), // PartitionEntryArrayCRC32
        })
    }

    /// The bytes that the entries take: at most [`MAX_ENTRIES_SIZE`].
    fn entries_size(&self) -> usize {
        let size = u64::from(self.count).saturating_mul(u64::from(self.entry_size));
        to_usize(size)
    }

    /// Judges the entries and reads those that are used.
    fn used(&self, bytes: &[u8]) -> Checked<Vec<Raw>> {
        let (stated, computed) = (self.entries_crc, crc32(bytes));
        if stated != computed {
            return Err(GptError::EntriesCrc { stated, computed });
        }
        let size = to_usize(self.entry_size);
        let numbered = (1..).zip(bytes.chunks_exact(size));
        Ok(numbered.filter_map(Raw::parse).collect())
    }
}

impl Raw {
    fn parse((number, bytes): (u32, &[u8])) -> Option<Self> {
        let kind = Uuid::from_bytes_le(field(bytes, 0)?); // PartitionTypeGUID
        let guid = field(bytes, 16)?; // UniquePartitionGUID
        let units: Vec<_> = (56..128).step_by(2).map(|at| le_u16(bytes, at)).collect();
        let name = units.split(|&unit| unit == 0).next().unwrap_or_default();
        (!kind.is_nil()).then(|| Self {
            number,
            kind,
            guid: Uuid::from_bytes_le(guid),
            attributes: le_u64(bytes, 48),        // Attributes
            first_lba: le_u64(bytes, 32),         // StartingLBA
            last_lba: le_u64(bytes, 40),          // EndingLBA
            name: String::from_utf16_lossy(name), // PartitionName
        })
    }
}

/// Looks for a GPT in every sector size, and for its backup where it is damaged.
pub(super) fn find(disk: &dyn VirtualDisk) -> Result<Found> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for sector_size in SECTOR_SIZES {
        match load(disk, sector_size, 1)? {
            Ok(table) => good.push(table),
            Err(GptError::Signature { .. } | GptError::Outside { .. }) => {}
            Err(why) => bad.push((sector_size, why)),
        }
    }
    if let [first, second, ..] = &good[..] {
        return Ok(several(first, second));
    }
    let Some(mut table) = good.pop() else {
        return find_backup(disk, &bad);
    };
    table
        .warnings
        .extend(bad.iter().map(|(size, _)| Warning::OtherGpt(*size)));
    let last = last_lba(disk, table.sector_size);
    match load(disk, table.sector_size, table.alternate_lba)? {
        Err(why) => table.warnings.push(Warning::BackupDamaged(why)),
        Ok(_) if table.alternate_lba != last => table.warnings.push(Warning::BackupNotLast),
        Ok(_) => {}
    }
    let at_start = true;
    Ok(Found::Table { table, at_start })
}

/// What the GPT at the start of a disk says of the disk that it was made for.
#[derive(Debug)]
pub(super) struct Stated {
    /// Where that disk ends, in bytes: after the backup, and after the last partition.
    pub(super) end: u64,
    /// Its partitions, where their entries are there.
    pub(super) entries: Vec<Entry>,
}

/// Reads what the GPT at the start of a disk states; of several, the one that states most. Only the
/// header with its checksum is needed, so a disk that is cut after it tells too.
pub(super) fn stated(disk: &dyn VirtualDisk) -> Result<Option<Stated>> {
    let mut found: Option<Stated> = None;
    for sector_size in SECTOR_SIZES {
        let Some(sector) = sector(disk, sector_size, 1)? else {
            continue;
        };
        let Ok(header) = Header::parse(&sector, 1) else {
            continue;
        };
        let entries = match load(disk, sector_size, 1)? {
            Ok(mut table) => table.entries().unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        // A backup in front of the table is none: the program that wrote it made no backup.
        let backup = Some(header.alternate_lba).filter(|&lba| lba > 1);
        let backup = backup.map(|lba| lba.saturating_add(1).saturating_mul(sector_size));
        let Some(end) = entries.iter().map(Entry::end).chain(backup).max() else {
            continue;
        };
        if found.as_ref().is_none_or(|found| found.end < end) {
            found = Some(Stated { end, entries });
        }
    }
    Ok(found)
}

/// Looks for a backup: where damaged headers say it is, and in the last sector of every size.
fn find_backup(disk: &dyn VirtualDisk, bad: &[(u64, GptError)]) -> Result<Found> {
    let mut good = Vec::new();
    let mut failure = None;
    for sector_size in SECTOR_SIZES {
        let primary = bad.iter().find(|(size, _)| *size == sector_size);
        let last = last_lba(disk, sector_size);
        let stated = match primary {
            // The header is damaged, and so may be this field; the backup has a checksum too.
            Some(_) => sector(disk, sector_size, 1)?.map_or(last, |header| le_u64(&header, 32)),
            None => last,
        };
        let mut found = load(disk, sector_size, stated)?;
        if found.is_err() && stated != last {
            found = load(disk, sector_size, last)?;
        }
        match (found, primary) {
            (Ok(mut table), primary) => {
                table.warnings.extend(primary.map(|(_, why)| match why {
                    GptError::Interrupted => Warning::InterruptedRewrite,
                    why => Warning::BackupUsed(*why),
                }));
                good.push((primary.is_some(), table));
            }
            (Err(_), Some((_, GptError::Interrupted))) => {
                let offset = sector_size;
                failure.get_or_insert(TableError::InterruptedRewrite { offset });
            }
            (Err(backup), Some((_, primary))) => {
                failure.get_or_insert(TableError::Gpt {
                    sector_size,
                    primary: *primary,
                    backup,
                });
            }
            (Err(_), None) => {}
        }
    }
    // A backup in the sector size of the damaged header says more than one that is alone.
    if good.iter().any(|(in_pair, _)| *in_pair) {
        good.retain(|(in_pair, _)| *in_pair);
    }
    if let [(_, first), (_, second), ..] = &good[..] {
        return Ok(several(first, second));
    }
    let Some((in_pair, mut table)) = good.pop() else {
        return Ok(failure.map_or(Found::Nothing, Found::Damaged));
    };
    if !in_pair {
        let interrupted = bad.iter().any(|(_, why)| *why == GptError::Interrupted);
        table.warnings.push(if interrupted {
            Warning::InterruptedRewrite
        } else {
            Warning::BackupUsed(GptError::Signature { lba: 1 })
        });
    }
    let at_start = !bad.is_empty();
    Ok(Found::Table { table, at_start })
}

fn several(first: &Table, second: &Table) -> Found {
    Found::Damaged(TableError::SeveralSectorSizes {
        first: first.sector_size,
        second: second.sector_size,
    })
}

/// Reads and judges the copy whose header is at `lba`.
fn load(disk: &dyn VirtualDisk, sector_size: u64, lba: u64) -> Result<Checked<Table>> {
    let Some(header) = sector(disk, sector_size, lba)? else {
        return Ok(Err(GptError::Outside { lba }));
    };
    let header = match Header::parse(&header, lba) {
        Ok(header) => header,
        Err(why) => return Ok(Err(why)),
    };
    let mut entries = vec![0; header.entries_size()];
    let Some(at) = offset_of(disk, sector_size, header.entries_lba, entries.len()) else {
        return Ok(Err(GptError::EntriesOutside(header.entries_lba)));
    };
    disk.read_at(&mut entries, at)?;
    Ok(header.used(&entries).map(|used| Table {
        sector_size,
        guid: header.guid,
        warnings: Vec::new(),
        alternate_lba: header.alternate_lba,
        usable: header.usable,
        used,
    }))
}

/// Reads one sector; `None` where it is outside the disk.
fn sector(disk: &dyn VirtualDisk, sector_size: u64, lba: u64) -> Result<Option<Vec<u8>>> {
    let mut sector = vec![0; to_usize(sector_size)];
    let Some(at) = offset_of(disk, sector_size, lba, sector.len()) else {
        return Ok(None);
    };
    disk.read_at(&mut sector, at)?;
    Ok(Some(sector))
}

/// The offset of `len` bytes from `lba` on, where all of them are inside the disk.
fn offset_of(disk: &dyn VirtualDisk, sector_size: u64, lba: u64, len: usize) -> Option<u64> {
    let at = lba.checked_mul(sector_size)?;
    let end = at.checked_add(u64::try_from(len).ok()?)?;
    (end <= disk.size()).then_some(at)
}

fn last_lba(disk: &dyn VirtualDisk, sector_size: u64) -> u64 {
    let sectors = disk.size().checked_div(sector_size).unwrap_or(0);
    sectors.saturating_sub(1)
}

/// The CRC-32 of ISO 3309 that UEFI asks for. Bit by bit: a table is 16 KiB, and at most a MiB.
pub(super) fn crc32<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u32 {
    !bytes.into_iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            let carry = if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            (crc >> 1) ^ carry
        })
    })
}

#[cfg(test)]
mod tests;
