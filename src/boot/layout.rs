//! Where everything lies on a disk that boots.

use std::collections::BTreeSet;
use std::ops::Range;

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid, uuid};

use super::error::BootError;
use super::gpt::{BACK, ENTRIES, Entry, FRONT, NewTable, SECTOR};
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::partition::{FileSystem, Partition, PartitionLayout, PartitionType};

const MIB: u64 = 1 << 20;
/// A BIOS boot partition: where GRUB's core lies.
const BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// An EFI system partition.
pub(super) const EFI_SYSTEM: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const LINUX_DATA: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
const LINUX_SWAP: Uuid = uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f");
const LINUX_LVM: Uuid = uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928");
const BASIC_DATA: Uuid = uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
/// The names of what is added, by which it is known on a disk that was made before.
const BIOS_NAME: &str = "ploopconv BIOS boot";
const SYSTEM_NAME: &str = "ploopconv boot";

/// A partition that is taken over: which bytes of the old disk it has.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) from: Range<u64>,
    pub(super) entry: Entry,
}

impl Kept {
    /// Where its bytes lie on the new disk. The last sector of the partition may have more.
    pub(super) fn place(&self) -> Range<u64> {
        let start = self.entry.range.start;
        let len = self.from.end.saturating_sub(self.from.start);
        start..start.saturating_add(len)
    }
}

/// Where everything lies, in bytes of the new disk.
#[derive(Debug)]
pub(super) struct Layout {
    /// By their places.
    pub(super) kept: Vec<Kept>,
    /// What is added.
    pub(super) bios: Entry,
    pub(super) system: Entry,
    guid: Uuid,
    pub(super) size: u64,
    /// The serial number of the boot partition's file system.
    pub(super) serial: u32,
}

/// How many bytes what is added takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Added {
    pub(super) core: u64,
    pub(super) system: u64,
}

impl Layout {
    /// Finds places beside the partitions of `disk`, which keep theirs; where a new table does not
    /// fit in front of the first, or there was none, all move by a mebibyte. What lies between
    /// partitions belonged to the old table and its boot loader, and is not taken over.
    pub(super) fn of(disk: &dyn VirtualDisk, old: &PartitionLayout, added: Added) -> Result<Self> {
        let identity = Identity::of(disk, old)?;
        let mut kept = kept(disk, old, &identity)?;
        let first = kept.iter().map(|kept| kept.from.start).min();
        let moved = match first {
            None => return Err(BootError::NothingToBoot.into()),
            Some(first) if first < FRONT => MIB,
            Some(_) => 0,
        };
        for kept in &mut kept {
            let start = kept.from.start.checked_add(moved);
            let end = kept.from.end.checked_add(moved).and_then(whole_sectors);
            kept.entry.range = start
                .zip(end)
                .map(|(start, end)| start..end)
                .ok_or(BootError::TooLarge)?;
        }
        kept.sort_by_key(|kept| kept.entry.range.start);
        let taken: BTreeSet<u32> = kept.iter().map(|kept| kept.entry.number).collect();
        // Behind the others, as long as a table has them.
        let last = taken.last().copied().unwrap_or(0);
        let numbers = (last.saturating_add(1)..=ENTRIES).chain(1..=last);
        let mut free = numbers.filter(|number| !taken.contains(number));
        let numbers = [free.next(), free.next()].map(|number| number.unwrap_or(u32::MAX));
        let first = kept.first().map_or(MIB, |kept| kept.entry.range.start);
        let last = kept
            .iter()
            .map(|kept| kept.entry.range.end)
            .max()
            .unwrap_or(0);
        let place = Place::of(first, last, added).ok_or(BootError::TooLarge)?;
        let entry = |number, kind, name: &str, range| Entry {
            number,
            kind,
            guid: identity.derived(name),
            attributes: 0,
            name: name.to_owned(),
            range,
        };
        Ok(Self {
            kept,
            bios: entry(numbers[0], BIOS_BOOT, BIOS_NAME, place.bios),
            system: entry(numbers[1], EFI_SYSTEM, SYSTEM_NAME, place.system),
            guid: identity.disk(),
            size: place.size,
            serial: serial(identity.derived("serial number")),
        })
    }

    pub(super) fn table(&self) -> NewTable {
        let kept = self.kept.iter().map(|kept| kept.entry.clone());
        NewTable {
            guid: self.guid,
            size: self.size,
            entries: kept
                .chain([self.bios.clone(), self.system.clone()])
                .collect(),
        }
    }
}

/// Where what is added lies.
struct Place {
    bios: Range<u64>,
    system: Range<u64>,
    size: u64,
}

impl Place {
    /// Around partitions from `first` to `last`; `None` where no disk is so large.
    fn of(first: u64, last: u64, added: Added) -> Option<Self> {
        let behind = last.max(MIB).checked_next_multiple_of(MIB)?;
        let gap = FRONT..first.min(MIB);
        let (bios, after) = if gap.end.saturating_sub(gap.start) >= added.core {
            (gap, behind)
        } else {
            let end = behind.checked_add(added.core.checked_next_multiple_of(MIB)?)?;
            (behind..end, end)
        };
        let end = after.checked_add(added.system)?;
        let size = end.checked_add(BACK)?.checked_next_multiple_of(MIB)?;
        i64::try_from(size).ok()?;
        Some(Self {
            bios,
            system: after..end,
            size,
        })
    }
}

fn whole_sectors(at: u64) -> Option<u64> {
    at.checked_next_multiple_of(SECTOR)
}

/// What tells a disk from others: new GUIDs are made of it, so that each run makes the same.
struct Identity {
    /// The disk's GUID, where its table has one.
    guid: Option<Uuid>,
    digest: Sha256,
}

impl Identity {
    fn of(disk: &dyn VirtualDisk, layout: &PartitionLayout) -> Result<Self> {
        let mut digest = Sha256::new();
        let mut add = |text: &str| digest.update(format!("{text}\n"));
        add(&disk.size().to_string());
        let guid = layout.table.and_then(|table| table.guid);
        add(&guid.map(|guid| guid.to_string()).unwrap_or_default());
        let contents = layout
            .partitions
            .iter()
            .filter_map(|part| part.content.as_ref());
        for content in contents.chain(&layout.whole) {
            add(content.uuid.as_deref().unwrap_or_default());
        }
        // The disk's number in a boot record, and whatever else is there.
        let mut start = vec![0; 512];
        if disk.size() >= 512 {
            disk.read_at(&mut start, 0)?;
        }
        digest.update(start);
        Ok(Self { guid, digest })
    }

    fn disk(&self) -> Uuid {
        self.guid.unwrap_or_else(|| self.derived("disk"))
    }

    /// A GUID for something of the disk.
    fn derived(&self, what: &str) -> Uuid {
        let mut digest = self.digest.clone();
        digest.update(what);
        let bytes: [u8; 32] = digest.finalize().into();
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        Builder::from_random_bytes(bytes).into_uuid()
    }
}

fn serial(guid: Uuid) -> u32 {
    guid.as_fields().0
}

/// The partitions that are taken over: all but those that an earlier run added.
fn kept(
    disk: &dyn VirtualDisk,
    layout: &PartitionLayout,
    identity: &Identity,
) -> Result<Vec<Kept>> {
    if layout.table.is_none() {
        let Some(whole) = &layout.whole else {
            return Err(BootError::NothingToBoot.into());
        };
        let entry = Entry {
            number: 1,
            kind: LINUX_DATA,
            guid: identity.derived("partition 1"),
            attributes: 0,
            name: String::new(),
            range: 0..0,
        };
        let is_for_linux = !matches!(whole.kind, FileSystem::Swap);
        return match is_for_linux {
            true => Ok(vec![Kept {
                from: 0..disk.size(),
                entry,
            }]),
            false => Err(BootError::NothingToBoot.into()),
        };
    }
    let parts = layout.partitions.iter();
    let parts = parts.filter(|part| !part.is_extended && !is_added(part));
    let kept = parts.map(|part| Kept {
        from: part.start..part.start.saturating_add(part.len),
        entry: Entry {
            number: part.number,
            kind: kind(part),
            guid: part
                .guid
                .unwrap_or_else(|| identity.derived(&format!("partition {}", part.number))),
            attributes: part.attributes,
            name: part.name.clone(),
            range: 0..0,
        },
    });
    Ok(kept.collect())
}

pub(super) fn is_added(part: &Partition) -> bool {
    let names = [(BIOS_BOOT, BIOS_NAME), (EFI_SYSTEM, SYSTEM_NAME)];
    let is =
        |(kind, name): &(Uuid, &str)| part.kind == PartitionType::Guid(*kind) && part.name == *name;
    names.iter().any(is)
}

/// The type of a partition in a GPT.
fn kind(part: &Partition) -> Uuid {
    match part.kind {
        PartitionType::Guid(guid) => guid,
        PartitionType::Id(0x82) => LINUX_SWAP,
        PartitionType::Id(0x83) => LINUX_DATA,
        PartitionType::Id(0x8e) => LINUX_LVM,
        PartitionType::Id(0xef) => EFI_SYSTEM,
        PartitionType::Id(_) => BASIC_DATA,
    }
}
