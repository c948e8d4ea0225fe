//! What shows that a disk starts a machine already.

use super::layout::{EFI_SYSTEM, is_added};
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::partition::{PartitionLayout, PartitionType};

/// What GRUB and LILO have in their first sectors, as messages or as a signature.
const LOADERS: [(&[u8], &str); 2] = [(b"GRUB", "GRUB"), (b"LILO", "LILO")];

/// Whether this program added a boot partition to a disk before.
#[must_use]
pub fn has_added(layout: &PartitionLayout) -> bool {
    layout.partitions.iter().any(is_added)
}

/// The boot loader outside of the file systems that are read, in words; `None` on the disk of a
/// container, and where this program added it.
///
/// # Errors
///
/// What the disk says.
pub fn own_loader(disk: &dyn VirtualDisk, layout: &PartitionLayout) -> Result<Option<String>> {
    if layout.table.is_none() || has_added(layout) {
        return Ok(None);
    }
    let is_system = |kind| match kind {
        PartitionType::Guid(guid) => guid == EFI_SYSTEM,
        PartitionType::Id(id) => id == 0xef,
    };
    if let Some(part) = layout.partitions.iter().find(|part| is_system(part.kind)) {
        return Ok(Some(format!("an EFI system partition ({})", part.number)));
    }
    // The code of the first sector, up to the disk's signature.
    let mut code = [0; 440];
    disk.read_at(&mut code, 0)?;
    let has = |words: &[u8]| code.windows(words.len()).any(|found| found == words);
    let found = LOADERS.iter().find(|(words, _)| has(words));
    Ok(found.map(|(_, name)| format!("{name} in its first sector")))
}
