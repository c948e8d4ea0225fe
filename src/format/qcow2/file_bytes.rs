//! Sees the bytes of the file while the disk is copied into it.

use super::header::Header;
use super::layout::Qcow2Layout;
use super::sink::{Body, Qcow2Sink};
use super::tables::SeenBy;
use crate::error::Result;
use crate::observe::Observer;
use crate::sink::FileObserver;
use crate::util::bytes::{to_usize, zero_pieces};

/// Turns what is seen of the disk, in its order, into the bytes of the qcow2 file, in the order of
/// the file, so that a checksum of the file needs no look at it.
///
/// Given to the copy as its observer; [`complete`](FileObserver::complete) comes after it.
pub struct Qcow2Bytes<'a> {
    sink: &'a Qcow2Sink,
    layout: &'a Qcow2Layout,
    /// How much of the disk was seen, in bytes.
    disk_at: u64,
    /// How much of the file was given on, in bytes.
    file_at: u64,
    seen_by: SeenBy<'a>,
}

impl Qcow2Sink {
    /// What sees the bytes of the file, from its start to its end, while the disk is copied into
    /// it. `None` where clusters are compressed: the header stands in front of them, and what it
    /// says is known after them.
    pub(super) fn bytes_seen_by<'a>(&'a self, seen_by: SeenBy<'a>) -> Option<Qcow2Bytes<'a>> {
        let Body::Planned(_) = &self.body else {
            return None;
        };
        let header = Header::new(&self.layout, self.layout.refcounts().table()).encode();
        Some(Qcow2Bytes::new(self, &self.layout, &header, seen_by))
    }
}

impl FileObserver for Qcow2Bytes<'_> {
    /// Writes all tables, which make the file a complete one, and gives them on.
    fn complete(mut self: Box<Self>) -> Result<()> {
        // The last cluster may reach beyond the disk.
        self.zeros_until(self.layout.tables_offset());
        self.sink.complete_seen_by(Some(self.seen_by))
    }
}

impl<'a> Qcow2Bytes<'a> {
    fn new(
        sink: &'a Qcow2Sink,
        layout: &'a Qcow2Layout,
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
            let within = |at: u64| to_usize(at - start);
            let part = bytes.and_then(|bytes| bytes.get(within(range.start)..within(range.end)));
            match part {
                Some(part) => (self.seen_by)(part),
                None => zero_pieces(range.end - range.start).for_each(&mut *self.seen_by),
            }
            self.file_at += range.end - range.start;
        }
    }
}

impl Observer for Qcow2Bytes<'_> {
    fn data(&mut self, bytes: &[u8], _digest: &[u8]) {
        self.pass(bytes.len() as u64, Some(bytes));
    }

    fn zeros(&mut self, len: u64) {
        self.pass(len, None);
    }
}
