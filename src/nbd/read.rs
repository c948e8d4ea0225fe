//! Reads: divided into data and holes, and sent in chunks or in one piece.

use std::io::{self, IoSlice};

use super::answer::Answerer;
use super::buffer::{Buffer, Part};
use super::wire::{Chunk, Errno, Request, chunk_header, simple_reply};
use crate::disk::ExtentKind;
use crate::util::bytes::{saturating_u32, zero_pieces};

/// The most bytes that are read in one go where a reply may come in several chunks. What fits a
/// processor's cache is copied faster.
const CHUNK: u32 = 512 << 10;

/// Shorter holes between data are sent as data: a chunk of their own would cost more.
const SHORT_HOLE: u64 = 4096;

impl Answerer<'_> {
    /// Cuts a read into data and holes worth telling apart.
    fn divide(&self, request: &Request, buffer: &mut Buffer<'_>) -> std::result::Result<(), Errno> {
        let disk = self.service.export.disk();
        let range = request.offset..request.offset.saturating_add(u64::from(request.len));
        let parts = &mut buffer.parts;
        self.ask(request, || {
            parts.clear();
            for extent in disk.extents_in(range.clone()) {
                let extent = extent?;
                let whole = extent.offset == range.start && extent.end() == range.end;
                // What is lost is data that cannot be read.
                let hole = extent.kind == ExtentKind::Hole && (extent.len >= SHORT_HOLE || whole);
                match parts.last_mut() {
                    Some(last) if last.hole == hole => last.len += extent.len,
                    _ => parts.push(Part {
                        offset: extent.offset,
                        len: extent.len,
                        hole,
                    }),
                }
            }
            Ok(())
        })
    }

    pub(super) fn read_in_chunks(
        &self,
        request: &Request,
        buffer: &mut Buffer<'_>,
    ) -> io::Result<Option<Errno>> {
        if let Err(error) = self.divide(request, buffer) {
            return self.refuse(request, error);
        }
        let disk = self.service.export.disk();
        let end = request.offset.saturating_add(u64::from(request.len));
        // Chunks of holes, sent along with the data after them.
        let mut holes = Vec::new();
        for at in 0..buffer.parts.len() {
            let Part { offset, len, hole } = buffer.parts[at];
            if hole {
                let done = offset + len == end;
                let len = saturating_u32(len);
                holes.extend_from_slice(&chunk_header(Chunk::OffsetHole, request.cookie, 12, done));
                holes.extend_from_slice(&offset.to_be_bytes());
                holes.extend_from_slice(&len.to_be_bytes());
                continue;
            }
            let mut from = offset;
            while from < offset + len {
                let now = saturating_u32(offset + len - from).min(CHUNK);
                let data = buffer.prepare(now);
                // Read before anything is said of it: a chunk once begun could not be taken back.
                if let Err(error) = self.ask(request, || disk.read_at(data, from)) {
                    self.output.send(&mut [IoSlice::new(&holes)])?;
                    return self.refuse(request, error);
                }
                let done = from + u64::from(now) == end;
                let header = chunk_header(Chunk::OffsetData, request.cookie, 8 + now, done);
                self.output.send(&mut [
                    IoSlice::new(&holes),
                    IoSlice::new(&header),
                    IoSlice::new(&from.to_be_bytes()),
                    IoSlice::new(data),
                ])?;
                holes.clear();
                from += u64::from(now);
            }
        }
        self.output.send(&mut [IoSlice::new(&holes)])?;
        Ok(None)
    }

    /// Answers a read in one piece: a simple reply, or the only chunk of a structured one.
    pub(super) fn read_in_one(
        &self,
        request: &Request,
        buffer: &mut Buffer<'_>,
    ) -> io::Result<Option<Errno>> {
        if let Err(error) = self.divide(request, buffer) {
            return self.refuse(request, error);
        }
        let mut header = Vec::with_capacity(32);
        if self.agreed.structured {
            let len = request.len.saturating_add(8);
            header.extend_from_slice(&chunk_header(Chunk::OffsetData, request.cookie, len, true));
            header.extend_from_slice(&request.offset.to_be_bytes());
        } else {
            header.extend_from_slice(&simple_reply(request.cookie, None));
        }
        if buffer.parts.iter().all(|part| part.hole) {
            let zeros = zero_pieces(u64::from(request.len));
            let mut pieces = vec![IoSlice::new(&header)];
            for piece in zeros {
                pieces.push(IoSlice::new(piece));
            }
            self.output.send(&mut pieces)?;
            return Ok(None);
        }
        let disk = self.service.export.disk();
        let data = buffer.prepare(request.len);
        // Read before the header is sent: after it there is no way to tell an error.
        if let Err(error) = self.ask(request, || disk.read_at(data, request.offset)) {
            return self.refuse(request, error);
        }
        self.output
            .send(&mut [IoSlice::new(&header), IoSlice::new(data)])?;
        Ok(None)
    }
}
