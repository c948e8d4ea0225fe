//! A qcow2 image read as a disk.
//!
//! Versions 2 and 3, every cluster size, clusters compressed with zlib or zstd, clusters that say
//! zeros; of an image with snapshots its current state. What would need another file or a key is
//! refused. Refcounts are not looked at.
//!
//! Why not imago, which reads the same but zstd: two readers would be two opinions of what an
//! image holds, and this program writes zstd.
//!
//! Tables are read when they are needed, in blocks of 4 KiB of which a few are kept. Whatever an
//! image says, memory is bounded, and every offset is checked against the file. The last cluster
//! of the file may be cut off by the file's end; then the rest of it reads as zeros, as in QEMU.

mod entry;
mod error;
mod header;
#[cfg(test)]
mod tests;
mod unpack;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use self::error::ReadError;

use self::entry::{Cluster, Packed};
use self::header::{HEAD, Header};
use self::unpack::Unpacker;
use crate::disk::DiskError;
use crate::disk::{Extent, ExtentKind, Extents, Joined, RawDisk, Store, StoreId, VirtualDisk};
use crate::error::{Error, Result};
use crate::util::bytes::{be_u64, to_usize};
use crate::util::sync::lock;

/// A disk that is stored in a qcow2 image, which is its one layer.
#[derive(Debug)]
pub struct Qcow2Disk {
    /// The bytes of the file.
    file: RawDisk,
    path: PathBuf,
    header: Header,
    tables: Blocks,
    unpacker: Unpacker,
}

/// What is being done where an image cannot be read.
const READING: &str = "reading the qcow2 image";

/// How far a single question looks into the tables: a bound on its cost, not on the answer.
const LOOK_AHEAD: u64 = 64 << 20;

impl Qcow2Disk {
    /// Opens an image in a regular file or on a block device.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) and
    /// [`SourceError::NotAFile`](crate::source::SourceError::NotAFile) where it cannot be opened,
    /// [`ReadError`] where it cannot be read as a disk.
    pub fn open(path: &Path) -> Result<Self> {
        Self::over(RawDisk::open(path)?, path)
    }

    /// Reads the image whose file is `file`; messages call it `name`.
    ///
    /// # Errors
    ///
    /// As [`Qcow2Disk::open`].
    pub fn over(file: RawDisk, name: &Path) -> Result<Self> {
        let len = to_usize(file.size()).min(HEAD);
        let mut head = vec![0; len];
        file.read_at(&mut head, 0)?;
        Self::with_head(file, &head, name)
    }

    /// As [`Qcow2Disk::over`], for a file whose first bytes were once `head`.
    pub(super) fn with_head(file: RawDisk, head: &[u8], name: &Path) -> Result<Self> {
        let failed = |source| Error::during(READING, source).of(name);
        let header = Header::parse(head, file.size()).map_err(failed)?;
        let cluster = to_usize(header.cluster());
        let disk = Self {
            file,
            path: name.to_owned(),
            header,
            tables: Blocks::new(),
            unpacker: Unpacker::new(header.compression, cluster),
        };
        disk.check_l1()?;
        Ok(disk)
    }

    fn failed(&self, source: ReadError) -> Error {
        Error::during(READING, source).of(&self.path)
    }

    /// Looks at every entry of the L1 table that the disk needs.
    fn check_l1(&self) -> Result<()> {
        let mut tables = 0;
        for index in 0..self.header.size.div_ceil(self.header.table_span()) {
            tables += u64::from(self.l2_table(index)?.is_some());
        }
        // Tables that share a cluster could make a small file a walk without end.
        if tables > self.file.size() / self.header.cluster() {
            return Err(self.failed(ReadError::L2Tables(tables)));
        }
        Ok(())
    }

    /// Where an L2 table is; it lies inside the file.
    pub(super) fn l2_table(&self, index: u64) -> Result<Option<u64>> {
        let entry = self
            .tables
            .entry(&self.file, self.header.l1_offset, index)?;
        let wrong = |why| self.failed(ReadError::L1Entry { index, entry, why });
        let table = entry::l1(entry, self.header.cluster_bits).map_err(wrong)?;
        match table.map(|offset| offset.checked_add(self.header.cluster())) {
            Some(None) => Err(wrong("points past the end of the file")),
            Some(Some(end)) if end > self.file.size() => {
                Err(wrong("points past the end of the file"))
            }
            _ => Ok(table),
        }
    }

    /// What the tables say of the cluster at `offset` of the disk, and up to where that holds: the
    /// cluster's end, or that of all that a missing table would know.
    fn cluster_at(&self, offset: u64) -> Result<(Cluster, u64)> {
        let Header { cluster_bits, .. } = self.header;
        let span = self.header.table_span();
        let Some(table) = self.l2_table(offset / span)? else {
            let end = (offset / span + 1).saturating_mul(span);
            return Ok((Cluster::Zeros, end));
        };
        let index = (offset % span) >> cluster_bits;
        let entry = self.tables.entry(&self.file, table, index)?;
        let start = offset >> cluster_bits << cluster_bits;
        let wrong = |why| {
            let offset = start;
            self.failed(ReadError::L2Entry { offset, entry, why })
        };
        let cluster = entry::l2(entry, cluster_bits, self.header.version).map_err(wrong)?;
        if let Cluster::Plain { host_offset } | Cluster::Compressed(Packed { host_offset, .. }) =
            cluster
            && host_offset >= self.file.size()
        {
            return Err(wrong("points past the end of the file"));
        }
        Ok((cluster, start.saturating_add(self.header.cluster())))
    }

    /// Where the cluster at `offset` of the disk is stored; nothing where it is not.
    pub(super) fn place_of(&self, offset: u64) -> Result<Option<u64>> {
        Ok(match self.cluster_at(offset)?.0 {
            Cluster::Plain { host_offset } => Some(host_offset),
            Cluster::Zeros | Cluster::Compressed(_) => None,
        })
    }

    /// How many L2 tables the disk can have.
    pub(super) fn table_count(&self) -> u64 {
        self.header.size.div_ceil(self.header.table_span())
    }

    /// The bytes of the file.
    pub(super) fn file(&self) -> &RawDisk {
        &self.file
    }

    /// What the tables say from `offset` on, up to the end of a cluster or more.
    fn step(&self, offset: u64) -> Result<(Extent, Cluster)> {
        let (cluster, end) = self.cluster_at(offset)?;
        let store = StoreId::FIRST;
        let mut len = end.min(self.header.size) - offset;
        let kind = match cluster {
            Cluster::Zeros => ExtentKind::Hole,
            // The last cluster may end past the file: that reads as zeros, and is stored nowhere.
            Cluster::Plain { host_offset } => {
                let host_offset = host_offset.saturating_add(offset % self.header.cluster());
                match self.file.size().saturating_sub(host_offset) {
                    0 => ExtentKind::Hole,
                    there => {
                        len = len.min(there);
                        ExtentKind::Data { store, host_offset }
                    }
                }
            }
            Cluster::Compressed(Packed { host_offset, .. }) => {
                ExtentKind::Compressed { store, host_offset }
            }
        };
        Ok((Extent { offset, len, kind }, cluster))
    }

    /// The extent at `offset`, which is cut off after `max` bytes or little more.
    fn extent_within(&self, offset: u64, max: u64) -> Result<(Extent, Cluster)> {
        DiskError::check_range(offset, 1, self.header.size)?;
        let (mut extent, cluster) = self.step(offset)?;
        while extent.len < max && extent.end() < self.header.size {
            let (next, _) = self.step(extent.end())?;
            if !extent.continues_in(&next) {
                break;
            }
            extent.len = extent.len.saturating_add(next.len);
        }
        Ok((extent, cluster))
    }

    fn read_compressed(&self, buf: &mut [u8], offset: u64, packed: Packed) -> Result<()> {
        let Header { cluster_bits, .. } = self.header;
        let number = offset >> cluster_bits;
        let within = to_usize(offset % self.header.cluster());
        let read = |into: &mut Vec<u8>| {
            // The sectors of the last cluster may end past the file.
            let len = packed.len.min(self.file.size() - packed.host_offset);
            into.resize(to_usize(len), 0);
            self.file.read_at(into, packed.host_offset)
        };
        if self.unpacker.read(buf, within, number, packed, read)? {
            return Ok(());
        }
        let offset = number << cluster_bits;
        Err(self.failed(ReadError::Unpack { offset }))
    }
}

impl VirtualDisk for Qcow2Disk {
    fn size(&self) -> u64 {
        self.header.size
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        Ok(self.extent_within(offset, LOOK_AHEAD)?.0)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        DiskError::check_range(offset, buf.len() as u64, self.header.size)?;
        let mut rest = buf;
        let mut offset = offset;
        while !rest.is_empty() {
            let (extent, cluster) = self.extent_within(offset, rest.len() as u64)?;
            let len = to_usize(extent.len).min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            match (extent.kind, cluster) {
                (ExtentKind::Data { host_offset, .. }, _) => self.file.read_at(now, host_offset)?,
                (_, Cluster::Compressed(packed)) => self.read_compressed(now, offset, packed)?,
                _ => now.fill(0),
            }
            rest = later;
            offset += len as u64;
        }
        Ok(())
    }

    fn stores(&self) -> &[Store] {
        self.file.stores()
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        let end = range.end.min(self.header.size);
        let mut offset = range.start;
        let steps = std::iter::from_fn(move || {
            if offset >= end {
                return None;
            }
            let step = self.step(offset).map(|(extent, _)| extent);
            // After an error nothing follows.
            offset = step.as_ref().map_or(end, Extent::end);
            Some(step)
        });
        let steps = steps.map(move |step| step.map(|extent| extent.within(&(0..end))).transpose());
        Box::new(Joined::new(steps.flatten()))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.file.check_unchanged()
    }
}

/// Blocks of the file that hold tables: those that were read last.
#[derive(Debug)]
struct Blocks {
    places: Vec<Mutex<Option<Block>>>,
}

/// The number of a block, and its bytes.
type Block = (u64, Arc<Vec<u8>>);

impl Blocks {
    const BLOCK: u64 = 4096;
    /// 1 MiB of tables.
    const KEPT: usize = 256;

    fn new() -> Self {
        let places = std::iter::repeat_with(Mutex::default);
        Self {
            places: places.take(Self::KEPT).collect(),
        }
    }

    /// An entry of the table at `table`, a multiple of 8; all of it lies inside the file.
    fn entry(&self, file: &RawDisk, table: u64, index: u64) -> Result<u64> {
        let at = table.saturating_add(index.saturating_mul(8));
        let block = self.block(file, at / Self::BLOCK)?;
        let within = to_usize(at % Self::BLOCK);
        Ok(be_u64(&block, within))
    }

    fn block(&self, file: &RawDisk, number: u64) -> Result<Arc<Vec<u8>>> {
        let read = || {
            let start = number * Self::BLOCK;
            let len = Self::BLOCK.min(file.size().saturating_sub(start));
            let mut bytes = vec![0; to_usize(len)];
            file.read_at(&mut bytes, start)?;
            Ok(Arc::new(bytes))
        };
        let at = to_usize(number % Self::KEPT as u64);
        let Some(place) = self.places.get(at) else {
            return read();
        };
        let mut place = lock(place);
        match &*place {
            Some((held, block)) if *held == number => Ok(Arc::clone(block)),
            _ => {
                let block = read()?;
                *place = Some((number, Arc::clone(&block)));
                Ok(block)
            }
        }
    }
}
