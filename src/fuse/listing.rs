//! The names of directories, read once for all who look for one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use crate::error::{Error, Result};
use crate::tree::{FileType, Node};
use crate::util::bytes::{saturating_u32, to_u64, to_usize};
use crate::util::sync::lock;

/// The names of a directory, as far as they can be read.
#[derive(Debug)]
pub(super) struct DirectoryNames {
    names: Vec<u8>,
    items: Vec<Item>,
    /// The places of items, ordered by name; made when a name is looked for.
    by_name: OnceLock<Vec<u32>>,
    /// What ended the names early.
    pub(super) problem: Option<Error>,
    /// The inode of the directory above.
    pub(super) parent: u64,
}

#[derive(Debug)]
struct Item {
    inode: u64,
    start: usize,
    len: u16,
    file_type: Option<FileType>,
}

/// A name of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListedName<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u64,
    pub(super) file_type: Option<FileType>,
}

impl DirectoryNames {
    /// Reads a directory.
    pub(super) fn read(node: &dyn Node) -> Self {
        let (mut names, mut items, mut problem) = (Vec::new(), Vec::new(), None);
        for entry in node.entries() {
            match entry {
                Ok(entry) => {
                    let Ok(len) = u16::try_from(entry.name.len()) else {
                        continue;
                    };
                    items.push(Item {
                        inode: entry.inode,
                        start: names.len(),
                        len,
                        file_type: entry.file_type,
                    });
                    names.extend_from_slice(&entry.name);
                }
                Err(error) => problem = Some(error),
            }
        }
        // Whoever reads the files in this order reads the tables of inodes, and mostly the data
        // too, from one end to the other.
        items.sort_by_key(|item| item.inode);
        names.shrink_to_fit();
        items.shrink_to_fit();
        let inode = node.metadata().inode;
        Self {
            names,
            items,
            by_name: OnceLock::new(),
            problem,
            parent: node.parent().unwrap_or(inode),
        }
    }

    fn listed(&self, item: &Item) -> ListedName<'_> {
        let name = self.names.get(item.start..).unwrap_or_default();
        ListedName {
            name: name.get(..usize::from(item.len)).unwrap_or_default(),
            inode: item.inode,
            file_type: item.file_type,
        }
    }

    /// The names from one place on, in an order that is always the same.
    pub(super) fn from(&self, place: u64) -> impl Iterator<Item = ListedName<'_>> {
        let rest = self.items.get(to_usize(place)..).unwrap_or_default();
        rest.iter().map(|item| self.listed(item))
    }

    /// The inode of a name.
    pub(super) fn find(&self, name: &[u8]) -> Option<u64> {
        let at = |place: u32| {
            let item = self.items.get(to_usize(place))?;
            Some(self.listed(item))
        };
        let by_name = self.by_name.get_or_init(|| {
            let mut places: Vec<_> = (0..saturating_u32(to_u64(self.items.len()))).collect();
            places.sort_by(|&one, &other| {
                let (one, other) = (at(one), at(other));
                one.map(|one| one.name).cmp(&other.map(|other| other.name))
            });
            places
        });
        let found =
            by_name.binary_search_by(|&place| at(place).map(|item| item.name).cmp(&Some(name)));
        let place = by_name.get(found.ok()?).copied()?;
        Some(at(place)?.inode)
    }

    /// About how many bytes it takes.
    fn room(&self) -> usize {
        self.names.len() + self.items.len() * (size_of::<Item>() + size_of::<u32>())
    }
}

/// The directories that were read last.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// By inode, the one that was asked for last in front.
    kept: Mutex<VecDeque<(u64, Arc<DirectoryNames>)>>,
}

impl Listings {
    /// The most directories.
    const MOST: usize = 64;
    /// About the most bytes of all but the first.
    const ROOM: usize = 32 << 20;

    /// The names of the directory with this inode, which `read` reads where they are not known.
    pub(super) fn get(
        &self,
        inode: u64,
        read: impl FnOnce() -> Result<DirectoryNames>,
    ) -> Result<Arc<DirectoryNames>> {
        {
            let mut kept = lock(&self.kept);
            if let Some(at) = kept.iter().position(|(known, _)| *known == inode)
                && let Some(found) = kept.remove(at)
            {
                let names = Arc::clone(&found.1);
                kept.push_front(found);
                return Ok(names);
            }
        }
        // Two may read the same one at the same time, and find the same names.
        let names = Arc::new(read()?);
        let mut kept = lock(&self.kept);
        kept.retain(|(known, _)| *known != inode);
        let mut room = 0;
        let fits = kept.iter().take(Self::MOST - 1).take_while(|(_, names)| {
            room += names.room();
            room <= Self::ROOM
        });
        let fits = fits.count();
        kept.truncate(fits);
        kept.push_front((inode, Arc::clone(&names)));
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;
    use crate::tree::testing::Memory;

    #[test]
    fn every_name_is_found_and_has_a_place_that_stays() {
        let mut tree = Memory::new();
        for number in (0..500).rev() {
            tree.file(&format!("n{number}"), b"");
        }
        let read = || DirectoryNames::read(&*tree.node(tree.root()).unwrap());
        let names = read();
        assert_eq!(names.from(0).count(), 500);
        let all: Vec<_> = names.from(0).collect();
        let again = read();
        for place in [0, 1, 250, 499, 500, u64::MAX >> 1] {
            let rest: Vec<_> = again.from(place).collect();
            assert_eq!(rest, all.get(place as usize..).unwrap_or_default());
        }
        for one in &all {
            assert_eq!(names.find(one.name), Some(one.inode));
        }
        assert_eq!(names.find(b"n500"), None);
        assert_eq!(names.find(b""), None);
    }

    #[test]
    fn directories_that_were_read_last_are_not_read_again() {
        let tree = Memory::new();
        let listings = Listings::default();
        let mut reads = 0;
        let mut get = |inode: u64| {
            let read = || {
                reads += 1;
                Ok(DirectoryNames::read(&*tree.node(tree.root()).unwrap()))
            };
            listings.get(inode, read).unwrap();
            reads
        };
        let most = Listings::MOST as u64;
        for inode in 0..most {
            get(inode);
        }
        assert_eq!(get(0), most);
        assert_eq!(get(most), most + 1);
        assert_eq!(get(0), most + 1);
        assert_eq!(get(1), most + 2);
    }
}
