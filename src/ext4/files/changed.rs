//! Files as fast commits changed them: laid over what the blocks say.

use std::collections::{BTreeMap, HashMap};

use super::record::{Name, Range};
use super::run::BlockRun;
use crate::tree::Entry;
use crate::util::bytes::{le_u16, le_u32};

/// Where the list of an inode's blocks lies in it, and where what follows it begins.
const ROOT: std::ops::Range<usize> = 40..100;

/// What fast commits changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Inodes, as far as they were written.
    pub(super) inodes: HashMap<u32, Vec<u8>>,
    /// Ranges of files, later ones over earlier ones.
    pub(super) ranges: HashMap<u32, Vec<Range>>,
    /// Names of directories; `None` for those that are gone.
    names: HashMap<u32, BTreeMap<Vec<u8>, Option<u32>>>,
    /// The parents of directories that are new: their blocks were not written.
    pub(super) parents: HashMap<u32, u32>,
}

impl Changed {
    /// A name leads to this inode now, or to none.
    pub(super) fn set(&mut self, name: Name, inode: Option<u32>) {
        let names = self.names.entry(name.directory).or_default();
        names.insert(name.name, inode);
    }

    /// The bytes of an inode, where they changed; its list of blocks is as it lies on the disk,
    /// and changes by ranges.
    pub(super) fn inode(&self, number: u32, stored: &[u8]) -> Option<Vec<u8>> {
        const FLAG_EXTENTS: u32 = 0x8_0000;
        const MAGIC: u16 = 0xf30a;
        /// An empty list, with room for four entries.
        const EMPTY: [u8; 12] = [0x0a, 0xf3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
        let written = self.inodes.get(&number)?;
        let mut bytes = stored.to_vec();
        let len = written.len().min(bytes.len());
        if let (Some(here), Some(written)) = (bytes.get_mut(..len), written.get(..len)) {
            here.copy_from_slice(written);
        }
        let has_extents = le_u32(&bytes, 32) & FLAG_EXTENTS != 0;
        if let (true, Some(root), Some(old)) = (has_extents, bytes.get_mut(ROOT), stored.get(ROOT))
        {
            root.copy_from_slice(old);
            if le_u16(old, 0) != MAGIC {
                root.fill(0);
                for (byte, empty) in root.iter_mut().zip(EMPTY) {
                    *byte = empty;
                }
            }
        }
        Some(bytes)
    }

    /// Blocks at `logical`, as they changed from `found`.
    pub(super) fn blocks(&self, inode: u32, logical: u64, mut found: BlockRun) -> BlockRun {
        for range in self.ranges.get(&inode).into_iter().flatten() {
            if range.logical > logical {
                found.len = found.len.min(range.logical - logical);
                continue;
            }
            let into = logical - range.logical;
            if into < range.len {
                found = BlockRun {
                    len: range.len - into,
                    first: range.physical.map(|first| first.saturating_add(into)),
                };
            }
        }
        found
    }

    /// Takes away the entries of a directory that changed.
    pub(super) fn drop_changed(&self, inode: u32, entries: &mut Vec<Entry>) {
        if let Some(names) = self.names.get(&inode) {
            entries.retain(|entry| !names.contains_key(&entry.name));
        }
    }

    /// The entries of a directory that it has now instead.
    pub(super) fn added(&self, inode: u32) -> Vec<Entry> {
        let names = self.names.get(&inode).into_iter().flatten();
        let entry = |(name, inode): (&Vec<u8>, &Option<u32>)| {
            Some(Entry {
                name: name.clone(),
                inode: u64::from((*inode)?),
                file_type: None,
            })
        };
        names.filter_map(entry).collect()
    }

    /// The parent of a directory that is new.
    pub(super) fn parent_of_new(&self, inode: u32) -> Option<u64> {
        self.parents.get(&inode).copied().map(u64::from)
    }
}
