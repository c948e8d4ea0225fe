//! From inodes to paths: one pass over all directories.

use std::collections::HashMap;

use super::lost::LostInodes;
use super::report::{Affected, AffectedFile, FileKind};
use super::search::{JOURNAL_INODE, ROOT_INODE, Search};
use crate::error::Result;
use crate::ext4::directory::Entries;
use crate::ext4::groups::Groups;
use crate::ext4::inode::Inode;
use crate::ext4::mapping::Mapping;

/// A name in a directory.
type Name = Box<[u8]>;

/// The most directories whose names are kept (about 100 MiB); below others, paths are not known.
const MOST_DIRECTORIES: usize = 1 << 20;
/// The most names of a path that a report shows.
const DEEPEST: usize = 256;

/// What directories say.
struct Names {
    /// Of each directory: the one that it is in, and its name there.
    directories: HashMap<u32, (u32, Name)>,
    /// The same for files that are looked for.
    files: HashMap<u32, Option<(u32, Name)>>,
}

/// Finds the paths of files that lost something, and the files whose inode is lost.
pub(super) fn find(
    search: &Search<'_>,
    lost_inodes: &LostInodes,
    found: &mut Affected,
) -> Result<()> {
    let inodes = found.files.iter().map(|file| (file.inode, None));
    let mut pass = Pass {
        search,
        lost_inodes,
        names: Names {
            directories: HashMap::new(),
            files: inodes.collect(),
        },
        found,
    };
    pass.read_directories()?;
    let Pass { names, found, .. } = pass;
    for file in &mut found.files {
        file.path = match file.inode {
            ROOT_INODE => Some("/".to_owned()),
            JOURNAL_INODE => None,
            inode => names.path_of(inode),
        };
    }
    Ok(())
}

/// One pass over all directories.
struct Pass<'a> {
    search: &'a Search<'a>,
    lost_inodes: &'a LostInodes,
    names: Names,
    found: &'a mut Affected,
}

impl Pass<'_> {
    fn read_directories(&mut self) -> Result<()> {
        let search = self.search;
        let (superblock, contents) = (search.superblock, search.contents);
        let mut groups = Groups::new(search.descriptors, superblock);
        for &directory in &search.directories {
            let inode = Inode::read(contents, superblock, &mut groups, directory)?;
            if let Some(inode) = inode.filter(Inode::has_blocks) {
                self.read_directory(&inode)?;
            }
            if search.budget.is_spent() {
                break;
            }
        }
        Ok(())
    }

    fn read_directory(&mut self, inode: &Inode) -> Result<()> {
        let Search {
            superblock,
            contents,
            ..
        } = *self.search;
        for mapping in self.search.mappings(inode) {
            let Mapping::Blocks { physical, len, .. } = mapping? else {
                continue;
            };
            for number in physical..physical.saturating_add(len) {
                // Lost blocks are read too: what is doubtful may still have names.
                let Some(block) = superblock.read_block(contents, number)? else {
                    return Ok(());
                };
                for entry in Entries::of(&block) {
                    if entry.name != b"." && entry.name != b".." {
                        self.meet(inode.number, entry.inode, entry.name);
                    }
                }
            }
        }
        Ok(())
    }

    fn meet(&mut self, directory: u32, child: u32, name: &[u8]) {
        let (names, found) = (&mut self.names, &mut *self.found);
        // A directory whose inode is lost is in no list; its name is part of no path.
        if names.directories.len() < MOST_DIRECTORIES
            && self.search.directories.binary_search(&child).is_ok()
        {
            let place = || (directory, name.into());
            names.directories.entry(child).or_insert_with(place);
        }
        if let Some(place) = names.files.get_mut(&child) {
            place.get_or_insert_with(|| (directory, name.into()));
        } else if self.lost_inodes.contain(child) {
            names.files.insert(child, Some((directory, name.into())));
            found.add(AffectedFile {
                map_lost: true,
                ..AffectedFile::new(child, FileKind::InodeLost, 0)
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
