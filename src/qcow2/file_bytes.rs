//! Sees the bytes of the file while the disk is copied into it.

use super::layout::Layout;
use super::sink::Qcow2Sink;
use super::tables::SeenBy;
use crate::bytes::zero_pieces;
use crate::copy::Observer;
use crate::error::Result;

/// Turns what is seen of the disk, in its order, into the bytes of the qcow2 file, in the order of
/// the file, so that a checksum of the file needs no look at it.
///
/// Given to the copy as its observer; [`complete`](FileBytes::complete) comes after it.
pub struct FileBytes<'a> {
    sink: &'a Qcow2Sink,
    layout: &'a Layout,
    /// How much of the disk was seen, in bytes.
    disk_at: u64,
    /// How much of the file was given on, in bytes.
    file_at: u64,
    seen_by: SeenBy<'a>,
}

impl<'a> FileBytes<'a> {
    pub(super) fn new(
        sink: &'a Qcow2Sink,
        layout: &'a Layout,
        header: &[u8],
        seen_by: SeenBy<'a>,
    ) -> Self {
        seen_by(header);
        Self {
            sink,
            layout,
            disk_at: 0,
            file_at: header.len() as u64,
            seen_by,
        }
    }

    /// Writes all tables, which make the file a complete one, and gives them on. The sink is still
    /// to be finished.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) where the file system does not take them.
    pub fn complete(mut self) -> Result<()> {
        // The last cluster may reach beyond the disk.
        self.zeros_until(self.layout.tables_offset());
        self.sink.complete_seen_by(Some(self.seen_by))
    }

    fn zeros_until(&mut self, offset: u64) {
        zero_pieces(offset.saturating_sub(self.file_at)).for_each(&mut *self.seen_by);
        self.file_at = self.file_at.max(offset);
    }

    /// The next `len` bytes of the disk: gives on those that have a place, `bytes` or zeros.
    fn pass(&mut self, len: u64, bytes: Option<&[u8]>) {
        let start = self.disk_at;
        self.disk_at += len;
        for (range, place) in self.layout.placed(start..self.disk_at) {
            let Some(place) = place else {
                continue; // zeros, or the sink has refused them
            };
            self.zeros_until(place);
            let within = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
            let part = bytes.and_then(|bytes| bytes.get(within(range.start)..within(range.end)));
            match part {
                Some(part) => (self.seen_by)(part),
                None => zero_pieces(range.end - range.start).for_each(&mut *self.seen_by),
            }
            self.file_at += range.end - range.start;
        }
    }
}

impl Observer for FileBytes<'_> {
    fn data(&mut self, bytes: &[u8], _beforehand: &[u8]) {
        self.pass(bytes.len() as u64, Some(bytes));
    }

    fn zeros(&mut self, len: u64) {
        self.pass(len, None);
    }
}
