//! What a disk stores, less the holes of the files that it is stored in: what has to be read.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use rayon::prelude::*;

use super::error::DiskError;
use super::extent::{Extent, ExtentKind};
use super::holes::{HoleMap, Holes};
use super::store::{Store, StoreId};
use super::virtual_disk::{Extents, VirtualDisk};
use crate::error::Result;
use crate::source::FileSource;
use crate::workers::Workers;

/// How many bytes a copy that keeps holes would write: what is stored, less the holes of the
/// files it is stored in. Reads no data; looks through large tables on all of `workers`.
///
/// # Errors
///
/// What the disk says while its extents are walked.
pub fn stored_bytes(disk: &dyn VirtualDisk, workers: &Workers) -> Result<u64> {
    /// The least bytes of a disk that one worker walks over at a time.
    const PART: u64 = 64 << 30;
    /// The most parts: a header may claim any size, and each part has its cost.
    const PARTS: u64 = 4096;
    let (size, holes) = (disk.size(), Arc::new(Holes::default()));
    let len = PART.max(size.div_ceil(PARTS));
    let stored_in = |part: u64| {
        let start = part * len;
        stored_within(disk, start..start.saturating_add(len).min(size), &holes)
    };
    if size <= len {
        return stored_in(0);
    }
    workers.install(|| {
        let parts = (0..size.div_ceil(len)).into_par_iter().map(stored_in);
        parts.try_reduce(|| 0, |one, other| Ok(one.saturating_add(other)))
    })
}

/// As [`stored_bytes`], within ranges that do not overlap.
///
/// # Errors
///
/// As [`stored_bytes`].
pub(crate) fn stored_bytes_in(
    disk: &dyn VirtualDisk,
    ranges: &[Range<u64>],
    workers: &Workers,
) -> Result<u64> {
    let holes = Arc::new(Holes::default());
    let stored_in = |range: &Range<u64>| stored_within(disk, range.clone(), &holes);
    workers.install(|| {
        let parts = ranges.par_iter().map(stored_in);
        parts.try_reduce(|| 0, |one, other| Ok(one.saturating_add(other)))
    })
}

/// The bytes of a range that are data, as [`Pieces`] has it: nothing is made of them but a sum, and
/// a large disk has millions of extents.
fn stored_within(disk: &dyn VirtualDisk, range: Range<u64>, holes: &Arc<Holes>) -> Result<u64> {
    let mut met = Met::new(disk, Arc::clone(holes));
    let (mut sum, mut failed) = (0u64, None);
    disk.each_extent_in(range, &mut |extent| {
        if let ExtentKind::Data { store, host_offset } = extent.kind
            && let Some(data) = met.known_data_within(store, host_offset, extent.len)
        {
            sum = sum.saturating_add(data);
            return ControlFlow::Continue(());
        }
        match met.data_of(extent) {
            Ok(data) => {
                sum = sum.saturating_add(data);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(sum), Err)
}

/// The ranges that a copy which keeps holes would write, in the order of the disk: what is
/// stored, less the holes of the files it is stored in. Reads no data. Ranges may touch.
///
/// Ends after the first error of the disk.
pub fn stored_ranges(disk: &dyn VirtualDisk) -> impl Iterator<Item = Result<Range<u64>>> {
    let mut pieces = Some(Pieces::new(disk));
    std::iter::from_fn(move || {
        loop {
            match pieces.as_mut()?.next_piece() {
                Ok(Some(piece)) if piece.data => {
                    return Some(Ok(piece.offset..piece.offset + piece.len));
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    pieces = None;
                    return Some(Err(error));
                }
            }
        }
    })
}

/// Where bytes are stored; the order is that of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The store.
    pub(crate) store: StoreId,
    /// Bytes from the start of the store.
    pub(crate) host_offset: u64,
}

impl Place {
    /// The file, where a kernel may take the bytes from there.
    pub(crate) fn file(self, disk: &dyn VirtualDisk) -> Option<&FileSource> {
        disk.store(self.store)?.shared_file()
    }

    /// The store, where its bytes are the disk's.
    pub(crate) fn shared(self, disk: &dyn VirtualDisk) -> Option<&Store> {
        let store = disk.store(self.store)?;
        store.shared_file().map(|_| store)
    }

    /// The place `bytes` further on.
    pub(crate) fn after(self, bytes: u64) -> Self {
        Self {
            host_offset: self.host_offset.saturating_add(bytes),
            ..self
        }
    }
}

/// A run of the disk that is all data or all zeros.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) data: bool,
    /// Whether part of the data is not stored, but was taken along for the alignment's sake.
    pub(crate) mixed: bool,
    /// Where its first byte is stored; all of it, unless it is mixed.
    pub(crate) place: Option<Place>,
}

impl Piece {
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// What is left of the piece from `offset` on.
    pub(crate) fn from(self, offset: u64) -> Option<Self> {
        let len = self.end().saturating_sub(offset);
        let passed = offset.saturating_sub(self.offset);
        (len > 0).then_some(Self {
            offset,
            len,
            place: self.place.map(|place| place.after(passed)),
            ..self
        })
    }
}

/// The holes of the stores of a disk that were met so far.
struct Met<'a> {
    disk: &'a dyn VirtualDisk,
    holes: Arc<Holes>,
    /// Those of each store.
    maps: Vec<Option<Arc<HoleMap>>>,
    /// A run of a store that was met last, and whether it is data: most files have few runs.
    last: (StoreId, Range<u64>, bool),
}

impl<'a> Met<'a> {
    fn new(disk: &'a dyn VirtualDisk, holes: Arc<Holes>) -> Self {
        Self {
            disk,
            holes,
            maps: Vec::new(),
            last: (StoreId::FIRST, 0..0, false),
        }
    }

    /// How many of `len` bytes from `host_offset` on may be other than zero, where they lie in the
    /// run that was met last.
    #[inline]
    fn known_data_within(&self, store: StoreId, host_offset: u64, len: u64) -> Option<u64> {
        let (last, run, is_data) = &self.last;
        let end = host_offset.saturating_add(len);
        let is_known = *last == store && run.start <= host_offset && end <= run.end;
        is_known.then_some(if *is_data { len } else { 0 })
    }

    /// How many bytes of an extent may be other than zero.
    // Apart: most extents lie in a run that is known.
    #[inline(never)]
    fn data_of(&mut self, extent: Extent) -> Result<u64> {
        let Extent { offset, len, kind } = extent;
        match kind {
            ExtentKind::Data { store, host_offset } => {
                let map = self.map(store)?;
                let data = map.data_within(host_offset, len);
                let (is_data, run) = map.run_at(host_offset)?;
                self.last = (store, run, is_data);
                data
            }
            ExtentKind::Compressed { .. } => Ok(len),
            ExtentKind::Hole => Ok(0),
            ExtentKind::Lost { .. } => Err(DiskError::Lost { offset, len }.into()),
        }
    }

    /// The holes of a store.
    fn map(&mut self, store: StoreId) -> Result<&HoleMap> {
        let index = store.index();
        if self.maps.len() <= index {
            self.maps.resize(index.saturating_add(1), None);
        }
        match self.maps.get_mut(index) {
            Some(Some(map)) => Ok(map),
            Some(place) => Ok(place.insert(self.holes.of(self.disk, store)?)),
            None => unreachable!("there is a place for every store that was met"),
        }
    }
}

/// The pieces of a part of a disk, in its order, without gap or overlap.
pub(crate) struct Pieces<'a> {
    disk: &'a dyn VirtualDisk,
    extents: Extents<'a>,
    /// What is left of an extent that was cut.
    rest: Option<Extent>,
    /// What is left of a piece of which only a part was wanted.
    back: Option<Piece>,
    met: Met<'a>,
}

impl<'a> Pieces<'a> {
    /// All of a disk.
    pub(crate) fn new(disk: &'a dyn VirtualDisk) -> Self {
        Self::within(disk, 0..disk.size(), Arc::new(Holes::default()))
    }

    /// A range of it, in bytes; several can share what they learn about the files' holes.
    pub(crate) fn within(disk: &'a dyn VirtualDisk, range: Range<u64>, holes: Arc<Holes>) -> Self {
        Self {
            disk,
            extents: disk.extents_in(range),
            rest: None,
            back: None,
            met: Met::new(disk, holes),
        }
    }

    pub(crate) fn next_piece(&mut self) -> Result<Option<Piece>> {
        if let Some(piece) = self.back.take() {
            return Ok(Some(piece));
        }
        let Some(extent) = self.rest.take().map(Ok).or_else(|| self.extents.next()) else {
            return Ok(None);
        };
        let Extent { offset, len, kind } = extent?;
        let (store, host_offset) = match kind {
            ExtentKind::Data { store, host_offset } => (store, host_offset),
            // Holes of the file say nothing about what was compressed.
            ExtentKind::Compressed { .. } => {
                let data = true;
                return Ok(Some(Piece {
                    offset,
                    len,
                    data,
                    mixed: false,
                    place: None,
                }));
            }
            ExtentKind::Hole => {
                let data = false;
                return Ok(Some(Piece {
                    offset,
                    len,
                    data,
                    mixed: false,
                    place: None,
                }));
            }
            ExtentKind::Lost { .. } => return Err(DiskError::Lost { offset, len }.into()),
        };
        // Whether its first byte may be other than zero, and up to where that holds.
        let (data, until) = self.met.map(store)?.at(host_offset)?;
        let now = until.saturating_sub(host_offset).clamp(1, len);
        if now < len {
            self.rest = Some(Extent {
                offset: offset + now,
                len: len - now,
                kind: ExtentKind::Data {
                    store,
                    host_offset: host_offset + now,
                },
            });
        }
        Ok(Some(Piece {
            offset,
            len: now,
            data,
            mixed: false,
            place: data.then_some(Place { store, host_offset }),
        }))
    }

    /// The next aligned run; the last one ends with the disk.
    pub(crate) fn next_aligned(&mut self, alignment: u64) -> Result<Option<Piece>> {
        let Some(piece) = self.next_piece()? else {
            return Ok(None);
        };
        let size = self.disk.size();
        let whole = if piece.end() >= size {
            piece.end()
        } else {
            piece.end() - piece.end() % alignment
        };
        if whole > piece.offset {
            self.back = piece.from(whole);
            let len = whole - piece.offset;
            return Ok(Some(Piece { len, ..piece }));
        }
        // An aligned range of several pieces is data where one of them is.
        let end = piece.offset.saturating_add(alignment).min(size);
        let mut data = piece.data;
        let mut at = piece.end();
        while at < end {
            let Some(next) = self.next_piece()? else {
                break;
            };
            data |= next.data;
            at = next.end();
            self.back = next.from(end);
        }
        Ok(Some(Piece {
            len: end - piece.offset,
            data,
            mixed: data,
            ..piece
        }))
    }
}
