//! The partition table in a PC's boot record: four entries, and after an extended one a chain of
//! boot records with the logical partitions. Numbered as Linux does.

use super::table::{Entry, PartitionType, Role, TableError, Warning};
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::util::bytes::{field, le_u32, saturating_u32, to_u64};

/// The part of a boot record that matters, whatever the sector size.
const RECORD: usize = 512;
/// The most logical partitions that are read: as many as Linux has numbers for.
const MAX_LOGICAL: usize = 256;
/// Announces a GPT.
const PROTECTIVE: u8 = 0xee;

/// One of the four entries of a boot record, in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    kind: u8,
    start: u32,
    sectors: u32,
}

impl Slot {
    fn is_used(self) -> bool {
        self.sectors != 0
    }

    fn is_extended(self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

/// A boot record that may be a partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    slots: [Slot; 4],
}

impl Record {
    /// Reads a boot record; `None` where it is none, or where its entries are code.
    pub(super) fn parse(sector: &[u8]) -> Option<Self> {
        let slots = entries(sector)?;
        // Linux wants the boot flag to be one of two values, and so tells tables from boot code.
        slots
            .iter()
            .all(|(flag, _)| matches!(flag, 0 | 0x80))
            .then(|| Self {
                slots: slots.map(|(_, slot)| slot),
            })
    }

    /// Whether it announces a GPT.
    pub(super) fn is_protective(&self) -> bool {
        self.slots.iter().any(|slot| slot.kind == PROTECTIVE)
    }

    /// Whether it has no partition at all.
    pub(super) fn is_empty(&self) -> bool {
        !self.slots.iter().any(|slot| slot.is_used())
    }

    /// The partitions of the record itself: of logical ones, the extended partition around them.
    pub(super) fn primary(&self, sector_size: u64) -> Vec<Entry> {
        let used = (1..).zip(self.slots).filter(|(_, slot)| slot.is_used());
        let entries = used.map(|(number, slot)| {
            let role = if slot.is_extended() {
                Role::Extended
            } else {
                Role::Plain
            };
            entry(number, slot, u64::from(slot.start), sector_size, role)
        });
        entries.collect()
    }

    /// Where the disk ends by the entry that announces a GPT, in bytes; `None` without one, and
    /// where it holds no number or the largest one, which programs write that do not say.
    pub(super) fn protected_end(&self) -> Option<u64> {
        let protective = self.slots.iter().find(|slot| slot.kind == PROTECTIVE)?;
        let sectors = u64::from(protective.start).saturating_add(protective.sectors.into());
        (![0, u32::MAX].contains(&protective.sectors)).then(|| sectors.saturating_mul(512))
    }

    /// All partitions, those of the chain too; not yet compared with the disk and each other.
    pub(super) fn entries(
        &self,
        disk: &dyn VirtualDisk,
        sector_size: u64,
        warnings: &mut Vec<Warning>,
    ) -> Result<std::result::Result<Vec<Entry>, TableError>> {
        let mut found = self.primary(sector_size);
        let mut logical = Vec::new();
        for (number, slot) in (1..).zip(self.slots) {
            if slot.is_used() && slot.is_extended() {
                let chain = Chain {
                    disk,
                    sector_size,
                    start: u64::from(slot.start),
                    sectors: u64::from(slot.sectors),
                };
                match chain.walk(&mut logical)? {
                    Ok(true) => {}
                    Ok(false) => warnings.push(Warning::EmptyExtended(number)),
                    Err(why) => return Ok(Err(why)),
                }
            }
        }
        found.extend(logical);
        Ok(Ok(found))
    }
}

/// An extended partition, in sectors.
struct Chain<'a> {
    disk: &'a dyn VirtualDisk,
    sector_size: u64,
    start: u64,
    sectors: u64,
}

impl Chain<'_> {
    /// Follows the boot records and adds what they describe; false where there is not even one.
    fn walk(&self, found: &mut Vec<Entry>) -> Result<std::result::Result<bool, TableError>> {
        let mut at = self.start;
        let mut link_sectors = self.sectors;
        let mut seen = Vec::new();
        loop {
            let outside = TableError::OutsideExtended { at };
            if !self.holds(at, 1) {
                return Ok(Err(outside));
            }
            if seen.contains(&at) {
                return Ok(Err(TableError::ChainLoop { at }));
            }
            seen.push(at);
            let slots = match self.record(at)? {
                Some(slots) => slots,
                // A partition made and never filled; Linux does not mind either.
                None if at == self.start => return Ok(Ok(false)),
                None => return Ok(Err(TableError::ChainBroken { at })),
            };
            let used = || slots.into_iter().filter(|slot| slot.is_used());
            for (place, slot) in slots.into_iter().enumerate() {
                if !slot.is_used() || slot.is_extended() {
                    continue;
                }
                let (offset, sectors) = (u64::from(slot.start), u64::from(slot.sectors));
                let start = at.saturating_add(offset);
                if !self.holds(start, sectors) || offset.saturating_add(sectors) > link_sectors {
                    // The third and fourth sometimes hold rubbish, as Linux knows.
                    if place >= 2 {
                        continue;
                    }
                    if !self.holds(start, sectors) {
                        return Ok(Err(outside));
                    }
                }
                let number = saturating_u32(to_u64(found.len().saturating_add(5)));
                found.push(entry(number, slot, start, self.sector_size, Role::Logical));
            }
            // Records without a partition count too, so that the chain ends.
            if found.len().max(seen.len()) > MAX_LOGICAL {
                return Ok(Err(TableError::TooManyLogical { max: MAX_LOGICAL }));
            }
            let Some(link) = used().find(|slot| slot.is_extended()) else {
                return Ok(Ok(true));
            };
            at = self.start.saturating_add(u64::from(link.start));
            link_sectors = u64::from(link.sectors);
        }
    }

    /// Whether sectors lie inside the extended partition.
    fn holds(&self, start: u64, sectors: u64) -> bool {
        start >= self.start
            && start.saturating_add(sectors) <= self.start.saturating_add(self.sectors)
    }

    fn record(&self, lba: u64) -> Result<Option<[Slot; 4]>> {
        let at = lba.saturating_mul(self.sector_size);
        let mut record = [0; RECORD];
        let end = at.checked_add(to_u64(record.len()));
        if end.is_none_or(|end| end > self.disk.size()) {
            return Ok(None);
        }
        self.disk.read_at(&mut record, at)?;
        Ok(entries(&record).map(|slots| slots.map(|(_, slot)| slot)))
    }
}

fn entry(number: u32, slot: Slot, start: u64, sector_size: u64, role: Role) -> Entry {
    Entry {
        number,
        start: start.saturating_mul(sector_size),
        len: u64::from(slot.sectors).saturating_mul(sector_size),
        kind: PartitionType::Id(slot.kind),
        guid: None,
        attributes: 0,
        name: String::new(),
        role,
    }
}

/// The boot flag and the fields of all four entries; `None` without the signature.
fn entries(sector: &[u8]) -> Option<[(u8, Slot); 4]> {
    if field(sector, 510)? != [0x55, 0xaa] {
        return None;
    }
    let slot = |at: usize| -> Option<(u8, Slot)> {
        let bytes: [u8; 16] = field(sector, at)?;
        let [flag, _, _, _, kind, ..] = bytes;
        let (start, sectors) = (le_u32(&bytes, 8), le_u32(&bytes, 12));
        Some((
            flag,
            Slot {
                kind,
                start,
                sectors,
            },
        ))
    };
    Some([slot(446)?, slot(462)?, slot(478)?, slot(494)?])
}

#[cfg(test)]
mod tests;
