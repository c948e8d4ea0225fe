//! Fills a planned file.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::compress::Codec;
use super::error::WriteError;
use super::header::Header;
use super::layout::Qcow2Layout;
use super::options::Compression;
use super::packed::{self, Space};
use super::refcount::Section;
use super::tables::{COPIED, SeenBy, Tables, TargetFile};
use crate::error::{Error, Result};
use crate::sink::{
    Durability, FileBytes, FileSinkOptions, PartialFile, Partials, Sink, Transfer, Writeback,
};
use crate::util::bytes::{is_zero, saturating_i64, to_usize, zero_pieces};
use crate::util::sync::lock;

/// A qcow2 file, written under a temporary name in the directory of the target and given its name
/// at the end.
///
/// Workers write data where the layout says, in parallel and without a lock; compressed clusters
/// take a place under a lock that is held for no longer than that. All other tables are written
/// at the end, the header last.
#[derive(Debug)]
pub struct Qcow2Sink {
    partial: PartialFile,
    pub(super) layout: Qcow2Layout,
    options: FileSinkOptions,
    pub(super) body: Body,
    /// Whether zeros have to be written, because room could not be given in another way.
    write_zeros: bool,
    /// Whether all tables and the header are written.
    complete: AtomicBool,
    transfer: Transfer,
    writeback: Writeback,
}

/// What is known of the clusters that were written.
#[derive(Debug)]
pub(super) enum Body {
    /// A bit for every planned cluster.
    Planned(Vec<AtomicU64>),
    Packed {
        compression: Compression,
        space: Mutex<Space>,
        /// Those that no thread uses now.
        codecs: Mutex<Vec<Codec>>,
    },
}

impl Qcow2Sink {
    /// Makes a partial file beside `target`. [`FileSinkOptions::allocate`] gives room to every
    /// planned cluster and all tables; it does nothing where clusters are compressed.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::create`], and [`ErrorKind::Io`](crate::ErrorKind::Io) where the file
    /// system does not take the size.
    pub fn create(
        target: &Path,
        layout: Qcow2Layout,
        options: FileSinkOptions,
        partials: &Arc<Partials>,
    ) -> Result<Self> {
        let partial = PartialFile::create(target, options.if_exists, partials)?;
        let body = if let Some(compression) = layout.options().compression {
            let space = Space::new(layout.data_offset(), layout.cluster_size());
            Body::Packed {
                compression,
                space: Mutex::new(space),
                codecs: Mutex::default(),
            }
        } else {
            let words = to_usize(layout.clusters().div_ceil(64));
            Body::Planned(
                std::iter::repeat_with(AtomicU64::default)
                    .take(words)
                    .collect(),
            )
        };
        let mut sink = Self {
            partial,
            layout,
            options,
            body,
            write_zeros: false,
            complete: AtomicBool::new(false),
            transfer: Transfer::new(options.reflink),
            writeback: Writeback::new(options.durability),
        };
        sink.set_size()?;
        Ok(sink)
    }

    /// Where the file is until it gets its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Gives the file its planned length, which spares its writers the work of making it longer.
    fn set_size(&mut self) -> Result<()> {
        if matches!(self.body, Body::Packed { .. }) {
            return Ok(());
        }
        let len = self.layout.file_len();
        self.set_len(len)?;
        if !self.options.allocate {
            return Ok(());
        }
        let signed = saturating_i64(len);
        match fallocate(
            self.partial.file().as_fd(),
            FallocateFlags::empty(),
            0,
            signed,
        ) {
            Ok(()) => Ok(()),
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                self.write_zeros = true;
                Ok(())
            }
            Err(error) => Err(self.failed("allocating room for", error.into())),
        }
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let set = self.partial.file().set_len(len);
        set.map_err(|error| self.failed("setting the size of", error))
    }

    fn failed(&self, doing: &'static str, error: std::io::Error) -> Error {
        crate::sink::refusal(doing, self.partial.target(), None, error)
    }

    fn file(&self) -> TargetFile<'_> {
        TargetFile {
            file: self.partial.file(),
            name: self.partial.target(),
        }
    }

    /// Writes data of the disk at its place in the file.
    fn write_data(&self, bytes: &[u8], place: u64) -> Result<()> {
        self.file().write_at(bytes, place)?;
        let range = place..place + bytes.len() as u64;
        self.writeback.wrote(self.partial.file(), range);
        Ok(())
    }

    /// Remembers that the planned clusters were written.
    fn mark(&self, written: &[AtomicU64], ranks: Range<u64>) {
        for rank in ranks {
            let bit = 1 << (rank % 64);
            if let Some(word) = written.get(to_usize(rank / 64))
                && word.load(Ordering::Relaxed) & bit == 0
            {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    fn write_planned(&self, written: &[AtomicU64], data: &[u8], offset: u64) -> Result<()> {
        let end = offset + data.len() as u64;
        let mut rest = data;
        for (range, place) in self.layout.placed(offset..end) {
            let len = to_usize(range.end - range.start);
            let (bytes, later) = rest.split_at(len.min(rest.len()));
            rest = later;
            match place {
                Some(place) => {
                    self.write_data(bytes, place)?;
                    let last = place + bytes.len() as u64 - 1;
                    let ranks = self.layout.rank_of(place)..self.layout.rank_of(last) + 1;
                    self.mark(written, ranks);
                }
                None => refuse_data(bytes, range.start)?,
            }
        }
        Ok(())
    }

    /// Lets `take` fill what lies in one piece in the file from `offset` of the disk on: it is
    /// given the range of the source and the place. Gives what it did.
    fn take(
        &self,
        host_range: Range<u64>,
        offset: u64,
        take: impl FnOnce(Range<u64>, u64) -> Result<u64>,
    ) -> Result<u64> {
        let Body::Planned(written) = &self.body else {
            return Ok(0);
        };
        let len = host_range.end - host_range.start;
        let Some((range, Some(place))) = self.layout.placed(offset..offset + len).next() else {
            return Ok(0); // the copy that reads it sees whether it needs a place
        };
        let host_end = host_range.start + (range.end - range.start);
        let taken = take(host_range.start..host_end, place)?;
        if taken > 0 {
            let last = self.layout.rank_of(place + taken - 1);
            self.mark(written, self.layout.rank_of(place)..last + 1);
        }
        Ok(taken)
    }

    fn write_packed(
        &self,
        space: &Mutex<Space>,
        codec: &mut Codec,
        data: &[u8],
        offset: u64,
    ) -> Result<()> {
        let cluster_size = self.layout.cluster_size();
        let mut entries = Entries::new(self.file());
        let clusters = offset / cluster_size.bytes()..;
        for (number, cluster) in clusters.zip(data.chunks(cluster_size.buffer())) {
            let Some(entry_offset) = self.layout.entry_offset(number) else {
                refuse_data(cluster, number * cluster_size.bytes())?;
                continue;
            };
            let padded;
            let cluster = if cluster.len() < cluster_size.buffer() {
                // The last cluster of the disk: readers expect a whole one.
                let mut whole = cluster.to_vec();
                whole.resize(cluster_size.buffer(), 0);
                padded = whole;
                &padded
            } else {
                cluster
            };
            let take = |place: &dyn Fn(&mut Space) -> u64| {
                let mut space = lock(space);
                let place = place(&mut space);
                self.layout.check_file_len(space.end()).map(|()| place)
            };
            let entry = match codec.compress(cluster) {
                Some(compressed) => {
                    let len = compressed.len() as u64;
                    let place = take(&|space| space.pack(len))?;
                    self.write_data(compressed, place)?;
                    packed::entry(place, len, cluster_size)
                }
                None => {
                    let place = take(&Space::whole)?;
                    self.write_data(cluster, place)?;
                    COPIED | place
                }
            };
            entries.add(entry_offset, entry)?;
        }
        entries.write()
    }

    /// Writes everything but the data.
    fn write_metadata(&self, seen_by: Option<SeenBy<'_>>) -> Result<()> {
        let refcounts = match &self.body {
            Body::Planned(bits) => self.write_planned_tables(bits, seen_by)?,
            Body::Packed { space, .. } => self.write_packed_tables(space)?,
        };
        self.set_len(refcounts.file_len())?;
        // Only now is it a qcow2 file.
        let header = Header::new(&self.layout, refcounts.table()).encode();
        self.file().write_at(&header, 0)?;
        self.complete.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn write_planned_tables(
        &self,
        bits: &[AtomicU64],
        seen_by: Option<SeenBy<'_>>,
    ) -> Result<Section> {
        let layout = &self.layout;
        let written = |rank: u64| {
            let word = bits.get(to_usize(rank / 64));
            let bit = |word: &AtomicU64| word.load(Ordering::Relaxed) >> (rank % 64) & 1;
            self.options.allocate || word.is_some_and(|word| bit(word) == 1)
        };
        let file = self.file();
        let mut tables = Tables::new(&file, layout.tables_offset(), seen_by);
        for (number, (_, offset)) in layout.tables().enumerate() {
            let planned = layout.planned_in(number);
            let entries = planned
                .filter(|&(_, rank)| written(rank))
                .map(|(entry, rank)| (u64::from(entry), COPIED | layout.place(rank)));
            tables.write_entries(offset, entries)?;
        }
        self.write_l1(&mut tables)?;
        let refcounts = layout.refcounts();
        let data = layout.data_offset() / layout.cluster_size().bytes();
        refcounts.write(&mut tables, |cluster| match cluster.checked_sub(data) {
            Some(rank) if rank < layout.clusters() => u16::from(written(rank)),
            _ => 1,
        })?;
        tables.zeros_until(refcounts.file_len());
        Ok(refcounts)
    }

    /// The L2 tables were written with the clusters.
    fn write_packed_tables(&self, space: &Mutex<Space>) -> Result<Section> {
        let file = self.file();
        let mut tables = Tables::new(&file, self.layout.l1_offset(), None);
        self.write_l1(&mut tables)?;
        let cluster_size = self.layout.cluster_size();
        let data = self.layout.data_offset() / cluster_size.bytes();
        let space = lock(space);
        let refcounts = Section::after(space.end() / cluster_size.bytes(), cluster_size);
        refcounts.write(&mut tables, |cluster| {
            if cluster < data {
                1
            } else {
                space.count(cluster)
            }
        })?;
        Ok(refcounts)
    }

    fn write_l1(&self, tables: &mut Tables<'_, '_>) -> Result<()> {
        let entries = self.layout.tables();
        tables.write_entries(
            self.layout.l1_offset(),
            entries.map(|(index, offset)| (u64::from(index), COPIED | offset)),
        )
    }

    /// Writes all tables and the header, lets them be seen, and syncs.
    pub(super) fn complete_seen_by(&self, seen_by: Option<SeenBy<'_>>) -> Result<()> {
        if !self.complete.load(Ordering::Relaxed) {
            self.write_metadata(seen_by)?;
        }
        if self.options.durability == Durability::Synced {
            self.partial.sync()?;
        }
        Ok(())
    }
}

/// The disk's plan had no place for these bytes: as long as they are zeros they need none. A file
/// system may call a range data that it called a hole before.
pub(super) fn refuse_data(bytes: &[u8], offset: u64) -> Result<()> {
    if is_zero(bytes) {
        return Ok(());
    }
    Err(WriteError::Unplanned { offset }.into())
}

impl Sink for Qcow2Sink {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        match &self.body {
            Body::Planned(written) => self.write_planned(written, data, offset),
            Body::Packed {
                compression,
                space,
                codecs,
            } => {
                let idle = || lock(codecs);
                let codec = idle().pop();
                let mut codec = match codec {
                    Some(codec) => codec,
                    None => Codec::new(*compression, self.layout.cluster_size())?,
                };
                let done = self.write_packed(space, &mut codec, data, offset);
                idle().push(codec);
                done
            }
        }
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        if !self.write_zeros {
            // What has no entry reads as zeros, and so does a new file.
            if let Body::Planned(_) = self.body {
                for (range, place) in self.layout.placed(offset..offset + len) {
                    let len = range.end - range.start;
                    place.inspect(|&at| self.writeback.skipped(self.partial.file(), at..at + len));
                }
            }
            return Ok(());
        }
        zero_pieces(len).try_fold(offset, |at, zeros| {
            let next = at + zeros.len() as u64;
            self.write_at(zeros, at).map(|()| next)
        })?;
        Ok(())
    }

    fn alignment(&self) -> u64 {
        match self.body {
            Body::Planned(_) => 1,
            Body::Packed { .. } => self.layout.cluster_size().bytes(),
        }
    }

    fn has_shared(&self) -> bool {
        self.transfer.has_shared()
    }

    fn shortest_transfer(&self) -> Option<u64> {
        match self.body {
            Body::Planned(_) => self.transfer.shortest(),
            Body::Packed { .. } => None,
        }
    }

    fn clone_range(&self, source: &File, host_range: Range<u64>, offset: u64) -> Result<u64> {
        let target = (self.partial.file(), self.partial.target());
        self.take(host_range, offset, |host_range, place| {
            let shared = self.transfer.share(target, source, host_range, place)?;
            self.writeback.skipped(target.0, place..place + shared);
            Ok(shared)
        })
    }

    fn copy_range(&self, source: &File, host_range: Range<u64>, offset: u64) -> Result<u64> {
        let target = (self.partial.file(), self.partial.target());
        self.take(host_range, offset, |host_range, place| {
            let copied = self.transfer.copy(target, source, host_range, place)?;
            self.writeback.wrote(target.0, place..place + copied);
            Ok(copied)
        })
    }

    fn max_writers(&self) -> usize {
        /// What all writers may use together, in bytes.
        const MEMORY: usize = 40 << 20;
        match self.body {
            Body::Planned(_) => usize::MAX,
            Body::Packed { .. } => {
                // The cluster or more as it was read, as it is compressed, and the coder.
                let cluster = self.layout.cluster_size().buffer();
                MEMORY / (cluster.max(256 << 10) + cluster * 5 / 4 + Codec::MEMORY)
            }
        }
    }

    fn complete(&self) -> Result<()> {
        self.complete_seen_by(None)
    }

    fn readable_at(&self) -> Option<&Path> {
        Some(self.path())
    }

    fn file_bytes<'a>(&'a self, seen_by: &'a mut (dyn FnMut(&[u8]) + Send)) -> FileBytes<'a> {
        match self.bytes_seen_by(seen_by) {
            Some(bytes) => FileBytes::Seen(Box::new(bytes)),
            None => FileBytes::WhenComplete,
        }
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if !self.complete.load(Ordering::Relaxed) {
            self.write_metadata(None)?;
        }
        self.partial.finish(self.options.durability)
    }
}

/// L2 entries that follow each other in the file, written together.
struct Entries<'a> {
    file: TargetFile<'a>,
    offset: u64,
    bytes: Vec<u8>,
}

impl<'a> Entries<'a> {
    fn new(file: TargetFile<'a>) -> Self {
        Self {
            file,
            offset: 0,
            bytes: Vec::new(),
        }
    }

    fn add(&mut self, offset: u64, entry: u64) -> Result<()> {
        if offset != self.offset + self.bytes.len() as u64 {
            self.write()?;
            self.offset = offset;
        }
        self.bytes.extend_from_slice(&entry.to_be_bytes());
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        if !self.bytes.is_empty() {
            self.file.write_at(&self.bytes, self.offset)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Qcow2Options;
    use super::*;
    use crate::sink::{IfExists, Reflink};

    const OPTIONS: FileSinkOptions = FileSinkOptions {
        if_exists: IfExists::Refuse,
        allocate: false,
        durability: Durability::Unsynced,
        reflink: Reflink::Auto,
    };

    fn sink(dir: &Path, compression: Option<Compression>) -> Qcow2Sink {
        let options = Qcow2Options {
            compression,
            ..Qcow2Options::default()
        };
        // Two tables; only the first one is planned where clusters are compressed.
        let layout = Qcow2Layout::plan(1 << 30, options, [Ok(65536..65540)]).unwrap();
        Qcow2Sink::create(&dir.join("disk.qcow2"), layout, OPTIONS, &Arc::default()).unwrap()
    }

    #[test]
    fn data_that_was_not_planned_is_refused_and_zeros_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for compression in [None, Some(Compression::Zstd)] {
            let sink = sink(dir.path(), compression);
            let mut data = vec![0; 3 * 65536];
            let far = 900 << 20;
            sink.write_at(&data, far).unwrap();
            data[65536] = 1;
            sink.write_at(&data, 0).unwrap();
            let error = sink.write_at(&data, far).unwrap_err();
            assert!(
                matches!(error.detail(), Some(WriteError::Unplanned { offset }) if *offset >= far),
                "{error}"
            );
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    fn only_file(dir: &Path) -> std::path::PathBuf {
        let mut entries = std::fs::read_dir(dir).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    #[test]
    fn nothing_is_a_qcow2_file_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        for compression in [None, Some(Compression::Zlib)] {
            let sink = sink(dir.path(), compression);
            sink.write_at(&[1; 65536], 65536).unwrap();
            let partial = std::fs::read(only_file(dir.path())).unwrap();
            assert!(!partial.starts_with(b"QFI"));
            Box::new(sink).finish().unwrap();
            let target = dir.path().join("disk.qcow2");
            assert!(std::fs::read(&target).unwrap().starts_with(b"QFI\xfb"));
            std::fs::remove_file(target).unwrap();
        }
    }
}
