//! A disk and its partitions as files of one directory.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::disk::{DiskError, ExtentKind, VirtualDisk, stored_bytes};
use crate::error::{Error, Result};
use crate::partition;
use crate::salvage::View;
use crate::tree::{
    Attribute, Entries, Entry, FileType, Metadata, Moment, Node, Run, Tree, TreeError,
};
use crate::util::bytes::{to_u64, to_usize};
use crate::workers::Workers;

use super::attributes::ROOT;

/// A disk and its partitions as files of one directory: `disk.raw`, `p1.raw` and so on, which only
/// the user who runs this program can read. What the disk stores nowhere is a hole of its file, and
/// what cannot be trusted is an error.
#[derive(Debug)]
pub struct DiskFiles {
    root: Metadata,
    files: Vec<DiskFile>,
}

#[derive(Debug)]
struct DiskFile {
    name: String,
    disk: Arc<dyn VirtualDisk>,
    metadata: Metadata,
}

impl DiskFiles {
    /// The files of a disk; of one that is a partition, only the file of that. Besides gives why
    /// there are no files of partitions, where the partition table makes no sense.
    ///
    /// # Errors
    ///
    /// What the disk says of what it stores.
    pub fn of(
        view: &View,
        partition: Option<u32>,
        workers: &Workers,
    ) -> Result<(Self, Option<Error>)> {
        let mut disks = Vec::new();
        let mut problem = None;
        match partition {
            Some(number) => disks.push((partition_name(number), view.clone())),
            None => {
                disks.push(("disk.raw".to_owned(), view.clone()));
                match partition::read(&*view.disk()) {
                    Ok(layout) => {
                        for part in layout.partitions.iter().filter(|part| !part.is_extended) {
                            let part_view = view.part(part.start, part.len)?;
                            disks.push((partition_name(part.number), part_view));
                        }
                    }
                    Err(error) => problem = Some(error),
                }
            }
        }
        Ok((Self::named(disks, view, workers)?, problem))
    }

    /// The disk alone, as a file of this name.
    ///
    /// # Errors
    ///
    /// What the disk says of what it stores.
    pub fn alone(view: &View, name: &str, workers: &Workers) -> Result<Self> {
        Self::named(vec![(name.to_owned(), view.clone())], view, workers)
    }

    fn named(disks: Vec<(String, View)>, view: &View, workers: &Workers) -> Result<Self> {
        let root = metadata(ROOT, FileType::Directory, newest(&*view.stored()));
        let files = (ROOT + 1..).zip(disks).map(|(inode, (name, view))| {
            // What is lost is nothing that is stored.
            let disk = view.disk();
            let metadata = Metadata {
                size: disk.size(),
                sectors: stored_bytes(&*disk, workers)?.div_ceil(512),
                ..metadata(inode, FileType::File, root.modified)
            };
            Ok(DiskFile {
                name,
                disk: view.trusted(),
                metadata,
            })
        });
        let files = files.collect::<Result<_>>()?;
        Ok(Self { root, files })
    }
}

fn partition_name(number: u32) -> String {
    format!("p{number}.raw")
}

fn metadata(inode: u64, file_type: FileType, modified: Moment) -> Metadata {
    let (permissions, links) = match file_type {
        FileType::Directory => (0o500, 2),
        _ => (0o400, 1),
    };
    Metadata {
        inode,
        file_type,
        permissions,
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        links,
        size: 0,
        sectors: 0,
        device: None,
        accessed: modified,
        modified,
        changed: modified,
        created: None,
    }
}

/// When the files of a disk were changed last.
fn newest(disk: &dyn VirtualDisk) -> Moment {
    let times = disk.stores().iter().filter_map(|store| {
        let meta = std::fs::metadata(store.path()).ok()?;
        Some(Moment {
            seconds: meta.mtime(),
            nanoseconds: u32::try_from(meta.mtime_nsec()).ok()?,
        })
    });
    times.max().unwrap_or_default()
}

impl Tree for DiskFiles {
    fn root(&self) -> u64 {
        ROOT
    }

    fn node(&self, inode: u64) -> Result<Box<dyn Node + '_>> {
        if inode == ROOT {
            return Ok(Box::new(Folder(self)));
        }
        let at = inode.checked_sub(ROOT + 1);
        let file = at.and_then(|at| self.files.get(to_usize(at)));
        // The kernel asks only for what it was told of.
        Ok(Box::new(file.ok_or(TreeError::Name)?))
    }
}

/// The directory.
#[derive(Debug)]
struct Folder<'a>(&'a DiskFiles);

impl Node for Folder<'_> {
    fn metadata(&self) -> &Metadata {
        &self.0.root
    }

    fn entries(&self) -> Entries<'_> {
        Box::new(self.0.files.iter().map(|file| {
            Ok(Entry {
                name: file.name.clone().into_bytes(),
                inode: file.metadata.inode,
                file_type: Some(FileType::File),
            })
        }))
    }

    fn parent(&self) -> Result<u64> {
        Ok(ROOT)
    }

    fn link_target(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn attributes(&self) -> Result<Vec<Attribute>> {
        Ok(Vec::new())
    }

    fn run_at(&self, offset: u64) -> Result<Run> {
        Err(DiskError::check_range(offset, 1, 0)
            .map_or_else(Into::into, |_| TreeError::Name.into()))
    }

    fn read_at(&self, _: &mut [u8], offset: u64) -> Result<()> {
        self.run_at(offset).map(drop)
    }
}

impl Node for &DiskFile {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn entries(&self) -> Entries<'_> {
        Box::new(std::iter::empty())
    }

    fn parent(&self) -> Result<u64> {
        Ok(ROOT)
    }

    fn link_target(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn attributes(&self) -> Result<Vec<Attribute>> {
        Ok(Vec::new())
    }

    fn run_at(&self, offset: u64) -> Result<Run> {
        let size = self.metadata.size;
        DiskError::check_range(offset, 1, size)?;
        let extent = self.disk.extents_in(offset..size).next();
        let extent = extent.unwrap_or_else(|| self.disk.extent_at(offset))?;
        Ok(Run {
            len: extent.len,
            data: extent.kind != ExtentKind::Hole,
        })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        DiskError::check_range(offset, to_u64(buf.len()), self.metadata.size)?;
        self.disk.read_at(buf, offset)
    }
}
