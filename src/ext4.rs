//! Names what a loss cost: the files of an ext2, ext3 or ext4 file system that have bytes in lost
//! ranges of its disk, and the metadata that is gone.
//!
//! The reader is our own, because it asks the other way round: not for the bytes of a file, but for
//! the files of a byte, over damage. ext4-view, the reader that is kept best, gives neither inode
//! numbers nor extents, and refuses what is damaged. Facts are those of the kernel's documentation
//! of the ext4 layout. The journal is not replayed.
//!
//! Time and memory are bounded by what the disk stores, whatever the file system claims.

mod groups;
mod inode;
mod lost;
mod names;
mod superblock;

use std::ops::Range;

use self::groups::Groups;
use self::inode::{Inode, Kind, Mapping};
use self::lost::{LostInodes, LostRanges};
use self::superblock::Superblock;
use crate::disk::{ExtentKind, Loss, VirtualDisk};
use crate::error::Result;

/// What a file system lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// Files that lost bytes, at most [`Affected::MOST_FILES`], in the order of their inodes; those
    /// whose inode is lost come last.
    pub files: Vec<AffectedFile>,
    /// How many more there are.
    pub more_files: u64,
    /// Metadata that is lost.
    pub metadata: Vec<LostMetadata>,
    /// Whether the journal holds changes that are not in their places yet: names and places are
    /// those before them.
    pub journal_dirty: bool,
    /// Whether the file system was so inconsistent that the search was given up.
    pub gave_up: bool,
}

impl Affected {
    /// The most files that are named.
    pub const MOST_FILES: usize = 50_000;
}

/// A file that lost bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedFile {
    /// The inode number.
    pub inode: u32,
    /// The path from the root of the file system, the first one that was found: someone else's
    /// text. `None` where no directory that can be read names the file.
    pub path: Option<String>,
    /// What it is.
    pub kind: FileKind,
    /// The size in bytes; zero where the inode is lost.
    pub size: u64,
    /// The first ranges of the file that are lost, in bytes; at most [`AffectedFile::MOST_RANGES`].
    pub ranges: Vec<Range<u64>>,
    /// The bytes in all lost ranges.
    pub bytes: u64,
    /// How many of them are doubtful and not zeros.
    pub doubtful: u64,
    /// Whether part of the list of its blocks is lost too, so that more may be.
    pub map_lost: bool,
}

impl AffectedFile {
    /// The most ranges that are kept for a file.
    pub const MOST_RANGES: usize = 16;
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory: names may be missing from it.
    Directory,
    /// A symbolic link.
    Symlink,
    /// The journal.
    Journal,
    /// Another file of the file system's own, such as a quota file.
    System,
    /// The inode is lost, and with it everything but the name.
    InodeLost,
}

impl FileKind {
    /// The word that users and scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Journal => "journal",
            Self::System => "system",
            Self::InodeLost => "inode-lost",
        }
    }
}

/// Metadata of one kind that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostMetadata {
    /// What it is.
    pub kind: MetadataKind,
    /// Lost bytes.
    pub bytes: u64,
    /// The inodes in them, used or not.
    pub inodes: u64,
}

/// Metadata of a file system that belongs to no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetadataKind {
    /// The superblock.
    Superblock,
    /// The descriptors of the block groups.
    GroupDescriptors,
    /// A copy of the two.
    Backup,
    /// A map of blocks or inodes in use.
    Bitmap,
    /// A table of inodes.
    InodeTable,
}

impl MetadataKind {
    /// The words that users and scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Superblock => "superblock",
            Self::GroupDescriptors => "group descriptors",
            Self::Backup => "backup of superblock and group descriptors",
            Self::Bitmap => "bitmaps",
            Self::InodeTable => "inode tables",
        }
    }
}

/// Finds out what `losses` (in the order of the disk) cost the file system that fills `disk`, which
/// gives zeros for them; `None` where no ext2, ext3 or ext4 can be made out.
///
/// # Errors
///
/// What the disk says when it is read.
pub fn affected(disk: &dyn VirtualDisk, losses: &[Loss]) -> Result<Option<Affected>> {
    let lost = LostRanges::new(losses);
    let Some(superblock) = Superblock::find(disk, &lost)? else {
        return Ok(None);
    };
    let mut found = Affected {
        journal_dirty: superblock.needs_recovery(),
        ..Affected::default()
    };
    let mut search = Search {
        disk,
        lost: &lost,
        superblock: &superblock,
        budget: Budget::of(disk)?,
        lost_inodes: LostInodes::default(),
        directories: Vec::new(),
    };
    search.groups(&mut found)?;
    if !found.files.is_empty() || !search.lost_inodes.is_empty() {
        search.name_files(&mut found)?;
    }
    found.gave_up = search.budget.is_spent();
    Ok(Some(found))
}

/// How much may be looked at: a file system that is sound has no more than the disk stores.
#[derive(Debug)]
struct Budget {
    bytes: u64,
}

impl Budget {
    fn of(disk: &dyn VirtualDisk) -> Result<Self> {
        /// Directories are read twice, and small disks get their way.
        const LEAST: u64 = 16 << 20;
        let mut bytes = LEAST;
        for extent in disk.extents() {
            let extent = extent?;
            let ExtentKind::Data { layer, host_offset } = extent.kind else {
                continue;
            };
            // What is a hole of the file costs whoever made it nothing.
            let end = host_offset.saturating_add(extent.len);
            let mut at = host_offset;
            while let Some(run) = disk.next_data(layer, at)?.filter(|run| run.start < end) {
                let stored = run.end.min(end).saturating_sub(run.start);
                bytes = bytes.saturating_add(stored.saturating_mul(2));
                at = run.end.max(at.saturating_add(1));
            }
        }
        Ok(Self { bytes })
    }

    /// Takes some; false where there is not so much left.
    fn take(&mut self, bytes: u64) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }

    fn is_spent(&self) -> bool {
        self.bytes == 0
    }
}

/// A search through one file system.
struct Search<'a> {
    disk: &'a dyn VirtualDisk,
    lost: &'a LostRanges,
    superblock: &'a Superblock,
    budget: Budget,
    lost_inodes: LostInodes,
    /// The inodes of all directories, ascending.
    directories: Vec<u32>,
}

/// The inodes that are the file system's own are below this one.
const FIRST_FREE_INODE: u32 = 11;
const ROOT_INODE: u32 = 2;
const JOURNAL_INODE: u32 = 8;
/// A map of blocks kept for growing: no file.
const RESIZE_INODE: u32 = 7;

impl Search<'_> {
    /// Goes through all block groups: what of their metadata is lost, and every inode.
    fn groups(&mut self, found: &mut Affected) -> Result<()> {
        let superblock = self.superblock;
        let mut metadata = Metadata::default();
        // Every group has a descriptor that is stored: more than the disk can have are a claim.
        let descriptors = superblock.groups.saturating_mul(superblock.descriptor_size);
        if !self.budget.take(descriptors) {
            return Ok(());
        }
        superblock.note_copies(self.lost, &mut |kind, bytes| metadata.add(kind, bytes, 0));
        let mut groups = Groups::new(self.disk, superblock, self.lost);
        let inode_size = superblock.inode_size;
        for number in 0..superblock.groups {
            let Some(group) = groups.get(number)? else {
                continue;
            };
            for bitmap in [group.block_bitmap, group.inode_bitmap] {
                let bytes = self.lost.bytes_in(&superblock.block_range(bitmap, 1));
                metadata.add(MetadataKind::Bitmap, bytes, 0);
            }
            let first_inode = number * u64::from(superblock.inodes_per_group) + 1;
            let start = superblock.offset_of(group.inode_table);
            let table = start..start.saturating_add(u64::from(group.inodes_used) * inode_size);
            for (part, _) in self.lost.within(&table) {
                let from = (part.start - start) / inode_size;
                let to = (part.end - start).div_ceil(inode_size);
                self.lost_inodes.add(first_inode + from..first_inode + to);
                metadata.add(MetadataKind::InodeTable, part.end - part.start, to - from);
            }
            self.inodes(&table, first_inode, found)?;
            if self.budget.is_spent() {
                break;
            }
        }
        found.metadata = metadata.0;
        Ok(())
    }

    /// Looks at all inodes of a table; what is a hole of the disk holds none.
    fn inodes(&mut self, table: &Range<u64>, first_inode: u64, found: &mut Affected) -> Result<()> {
        const CHUNK: u64 = 64 << 10;
        let size = self.superblock.inode_size;
        let end = table.end.min(self.disk.size());
        // An inode may lie over the edge of two extents.
        let mut next = 0;
        let mut buffer = Vec::new();
        for extent in self.disk.extents_in(table.start.min(end)..end) {
            let extent = extent?;
            if extent.kind == ExtentKind::Hole {
                continue;
            }
            let last = (extent.end() - table.start).div_ceil(size);
            let mut index = ((extent.offset - table.start) / size).max(next);
            while index < last {
                let start = table.start + index * size;
                let len = (CHUNK.min((last - index) * size)).min(end.saturating_sub(start));
                let len = len / size * size;
                if len == 0 {
                    break;
                }
                if !self.budget.take(len) {
                    return Ok(());
                }
                buffer.resize(usize::try_from(len).unwrap_or(0), 0);
                self.disk.read_at(&mut buffer, start)?;
                let bytes = buffer.chunks_exact(usize::try_from(size).unwrap_or(usize::MAX));
                for (number, bytes) in (first_inode + index..).zip(bytes) {
                    // The table may have more room than there are inodes.
                    let Ok(number) = u32::try_from(number) else {
                        return Ok(());
                    };
                    if let Some(inode) = Inode::parse(number, bytes) {
                        self.inode(&inode, found)?;
                    }
                }
                index += len / size;
            }
            next = index;
        }
        Ok(())
    }

    /// Notes an inode if it lost something.
    fn inode(&mut self, inode: &Inode, found: &mut Affected) -> Result<()> {
        if inode.kind == Kind::Directory {
            self.directories.push(inode.number);
        }
        if inode.number == RESIZE_INODE {
            return Ok(());
        }
        let mut file = AffectedFile {
            inode: inode.number,
            path: None,
            kind: match (inode.number, inode.kind) {
                (JOURNAL_INODE, _) => FileKind::Journal,
                (ROOT_INODE, _) | (_, Kind::Directory) => FileKind::Directory,
                (number, _) if number < FIRST_FREE_INODE => FileKind::System,
                (_, Kind::Symlink) => FileKind::Symlink,
                (_, Kind::File | Kind::Other) => FileKind::File,
            },
            size: inode.size,
            ranges: Vec::new(),
            bytes: 0,
            doubtful: 0,
            map_lost: false,
        };
        let (lost, superblock) = (self.lost, self.superblock);
        let file_ref = &mut file;
        let mut note = |mapping: Mapping| match mapping {
            Mapping::Unknown => file_ref.map_lost = true,
            // What was reserved and never written reads as zeros anyway.
            Mapping::Blocks {
                unwritten: true, ..
            } => {}
            Mapping::Blocks {
                logical,
                physical,
                len,
                ..
            } => {
                let stored = superblock.block_range(physical, len);
                for (part, doubtful) in lost.within(&stored) {
                    let start = superblock
                        .offset_of(logical)
                        .saturating_add(part.start - stored.start);
                    let end = start.saturating_add(part.end - part.start).min(inode.size);
                    if start < end {
                        file_ref.add(start..end, doubtful);
                    }
                }
            }
        };
        inode.map(self.disk, superblock, lost, &mut self.budget, &mut note)?;
        if file.bytes > 0 || file.map_lost {
            found.add(file);
        }
        Ok(())
    }
}

impl Affected {
    fn add(&mut self, file: AffectedFile) {
        if self.files.len() < Self::MOST_FILES {
            self.files.push(file);
        } else {
            self.more_files += 1;
        }
    }
}

impl AffectedFile {
    fn add(&mut self, range: Range<u64>, doubtful: bool) {
        let len = range.end - range.start;
        self.bytes = self.bytes.saturating_add(len);
        if doubtful {
            self.doubtful = self.doubtful.saturating_add(len);
        }
        let has_room = self.ranges.len() < Self::MOST_RANGES;
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if has_room => self.ranges.push(range),
            _ => {}
        }
    }
}

/// Lost metadata by kind.
#[derive(Debug, Default)]
struct Metadata(Vec<LostMetadata>);

impl Metadata {
    fn add(&mut self, kind: MetadataKind, bytes: u64, inodes: u64) {
        if bytes == 0 {
            return;
        }
        let place = self.0.binary_search_by_key(&kind, |lost| lost.kind);
        match place.map(|at| self.0.get_mut(at)) {
            Ok(Some(lost)) => {
                lost.bytes = lost.bytes.saturating_add(bytes);
                lost.inodes = lost.inodes.saturating_add(inodes);
            }
            Ok(None) => {}
            Err(at) => self.0.insert(
                at,
                LostMetadata {
                    kind,
                    bytes,
                    inodes,
                },
            ),
        }
    }
}
