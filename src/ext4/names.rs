//! From inodes to paths: one pass over all directories.

use std::collections::HashMap;

use super::groups::Groups;
use super::inode::{Inode, Mapping};
use super::{Affected, AffectedFile, FileKind, JOURNAL_INODE, ROOT_INODE, Search};
use crate::bytes::{le_u16, le_u32};
use crate::error::Result;

/// A name in a directory.
type Name = Box<[u8]>;

/// The most directories whose names are kept (about 100 MiB); below others, paths are not known.
const MOST_DIRECTORIES: usize = 1 << 20;
/// The longest path that is told, in names.
const DEEPEST: usize = 256;

/// What directories say.
#[derive(Default)]
struct Names {
    /// Of each directory: the one that it is in, and its name there.
    directories: HashMap<u32, (u32, Name)>,
    /// The same for files that are looked for.
    files: HashMap<u32, Option<(u32, Name)>>,
}

impl Search<'_> {
    /// Finds the paths of files that lost something, and the files whose inode is lost.
    pub(super) fn name_files(&mut self, found: &mut Affected) -> Result<()> {
        let mut names = Names::default();
        let inodes = found.files.iter().map(|file| (file.inode, None));
        names.files = inodes.collect();
        let mut groups = Groups::new(self.disk, self.superblock, self.lost);
        for at in 0..self.directories.len() {
            let Some(&directory) = self.directories.get(at) else {
                break;
            };
            if let Some(inode) = self.read_inode(&mut groups, directory)? {
                self.read_directory(&inode, &mut names, found)?;
            }
            if self.budget.is_spent() {
                break;
            }
        }
        for file in &mut found.files {
            file.path = match file.inode {
                ROOT_INODE => Some("/".to_owned()),
                JOURNAL_INODE => None,
                inode => names.path_of(inode),
            };
        }
        Ok(())
    }

    fn read_inode(&self, groups: &mut Groups<'_>, number: u32) -> Result<Option<Inode>> {
        let per_group = self.superblock.inodes_per_group;
        let (group, index) = ((number - 1) / per_group, (number - 1) % per_group);
        let Some(group) = groups.get(u64::from(group))? else {
            return Ok(None);
        };
        let size = self.superblock.inode_size;
        let at = self.superblock.offset_of(group.inode_table) + u64::from(index) * size;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.disk.read_at(&mut bytes, at)?;
        Ok(Inode::parse(number, &bytes))
    }

    fn read_directory(
        &mut self,
        inode: &Inode,
        names: &mut Names,
        found: &mut Affected,
    ) -> Result<()> {
        let mut runs = Vec::new();
        let mut note = |mapping: Mapping| {
            if let Mapping::Blocks { physical, len, .. } = mapping {
                runs.push((physical, len));
            }
        };
        let (disk, superblock) = (self.disk, self.superblock);
        inode.map(disk, superblock, self.lost, &mut self.budget, &mut note)?;
        let mut block = vec![0; usize::try_from(superblock.block_size).unwrap_or(0)];
        for number in runs
            .into_iter()
            .flat_map(|(first, len)| first..first.saturating_add(len))
        {
            if !self.budget.take(superblock.block_size) {
                return Ok(());
            }
            disk.read_at(&mut block, superblock.offset_of(number))?;
            entries(&block, &mut |child, name| {
                if name != b"." && name != b".." {
                    self.meet(inode.number, child, name, names, found);
                }
            });
        }
        Ok(())
    }

    fn meet(
        &self,
        directory: u32,
        child: u32,
        name: &[u8],
        names: &mut Names,
        found: &mut Affected,
    ) {
        // A directory whose inode is lost is in no list; its name helps nobody's path.
        if names.directories.len() < MOST_DIRECTORIES
            && self.directories.binary_search(&child).is_ok()
        {
            let place = || (directory, name.into());
            names.directories.entry(child).or_insert_with(place);
        }
        if let Some(place) = names.files.get_mut(&child) {
            place.get_or_insert_with(|| (directory, name.into()));
        } else if self.lost_inodes.contain(child) {
            names.files.insert(child, Some((directory, name.into())));
            found.add(AffectedFile {
                inode: child,
                path: None,
                kind: FileKind::InodeLost,
                size: 0,
                ranges: Vec::new(),
                bytes: 0,
                doubtful: 0,
                map_lost: true,
            });
        }
    }
}

impl Names {
    /// The path of a file; of one below a directory that nothing names, the rest of it.
    fn path_of(&self, inode: u32) -> Option<String> {
        let (directory, name) = self.files.get(&inode)?.as_ref()?;
        let (mut directory, mut path) = (*directory, vec![name]);
        let mut lost_root = None;
        while directory != ROOT_INODE {
            match self.directories.get(&directory) {
                Some((parent, name)) if path.len() < DEEPEST => {
                    path.push(name);
                    directory = *parent;
                }
                _ => {
                    lost_root = Some(format!("(directory of inode {directory})"));
                    break;
                }
            }
        }
        let names = path.iter().rev().map(|name| String::from_utf8_lossy(name));
        let text = names.fold(lost_root.unwrap_or_default(), |text, name| {
            format!("{text}/{name}")
        });
        Some(text)
    }
}

/// Tells the names in a block of a directory. A block of an index looks like one without names.
fn entries(block: &[u8], tell: &mut dyn FnMut(u32, &[u8])) {
    let mut at = 0;
    while let Some(entry) = block.get(at..).filter(|entry| entry.len() >= 8) {
        let len = match le_u16(entry, 4) {
            // Blocks of 64 KiB: more than the field can count.
            0 | 0xffff => block.len(),
            len => usize::from(len),
        };
        let inode = le_u32(entry, 0);
        let name_len = entry.get(6).copied().map_or(0, usize::from);
        let name = entry.get(8..).and_then(|rest| rest.get(..name_len));
        if let Some(name) = name.filter(|name| inode != 0 && !name.is_empty()) {
            tell(inode, name);
        }
        if len < 8 {
            return;
        }
        at += len;
    }
}
