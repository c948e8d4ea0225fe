//! What becomes of a request: judged, followed, answered.

use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};

use nix::errno::Errno as System;

use super::status::{BASE_ALLOCATION_ID, MAX_EXTENTS, Status};
use super::transmission::{Agreed, Output, lock};
use super::wire::{
    Chunk, Command, Errno, MAX_PAYLOAD, Request, chunk_header, command_flags as flag, error_chunk,
    simple_reply,
};
use super::{Event, Failure, Service};
use crate::bytes::zero_pieces;
use crate::disk::ExtentKind;
use crate::error::{Error, Result};

/// The most bytes that a worker keeps room for, and the most that are read in one go where a
/// reply may come in several chunks. What fits a processor's cache is copied faster.
const CHUNK: u32 = 512 << 10;

/// The most bytes that a worker takes for itself where a reply must be in one piece.
const SMALL: u32 = 2 << 20;

/// Shorter holes between data are sent as data: a chunk of their own would cost more.
const SHORT_HOLE: u64 = 4096;

/// Answers the requests of one connection.
pub(super) struct Answerer<'a> {
    service: &'a Service<'a>,
    output: Output<'a>,
    agreed: Agreed,
    /// Held by the one worker that has a buffer of more than [`SMALL`] bytes.
    large: Mutex<()>,
}

/// A worker's memory, kept from request to request.
pub(super) struct Buffer<'a> {
    bytes: Vec<u8>,
    parts: Vec<Part>,
    /// Held as long as there are more than [`SMALL`] bytes.
    large: Option<MutexGuard<'a, ()>>,
    /// One for all workers of the connection.
    permit: &'a Mutex<()>,
}

/// A run of a request that is sent in one way.
#[derive(Clone, Copy)]
struct Part {
    offset: u64,
    len: u64,
    hole: bool,
}

impl Buffer<'_> {
    /// Room for `len` bytes, at most [`MAX_PAYLOAD`]; their contents are unspecified.
    pub(super) fn prepare(&mut self, len: u32) -> &mut [u8] {
        if len > SMALL && self.large.is_none() {
            self.large = Some(lock(self.permit));
        }
        let len = usize::try_from(len).unwrap_or(0);
        if self.bytes.len() < len {
            // Not resized: nothing of the old contents is wanted, and zeros come for free.
            self.bytes = Vec::new();
            self.bytes = vec![0; len];
        }
        &mut self.bytes[..len]
    }

    /// Gives back what only a large request needed.
    pub(super) fn tidy(&mut self) {
        if self.large.is_some() {
            self.bytes = Vec::new();
            self.large = None;
        }
        self.parts.clear();
    }
}

impl<'a> Answerer<'a> {
    pub(super) fn new(service: &'a Service<'a>, output: Output<'a>, agreed: Agreed) -> Self {
        Self {
            service,
            output,
            agreed,
            large: Mutex::new(()),
        }
    }

    /// Memory for a worker.
    pub(super) fn buffer(&self) -> Buffer<'_> {
        Buffer {
            bytes: Vec::new(),
            parts: Vec::new(),
            large: None,
            permit: &self.large,
        }
    }

    /// Whether the bytes of a write are wanted; else they are passed over, and the answer is
    /// what [`Answerer::answer`] says.
    pub(super) fn takes_write(&self, request: &Request) -> bool {
        self.judge(request).is_ok()
    }

    /// Follows a request and sends the reply; says which error that was.
    ///
    /// # Errors
    ///
    /// Where the client cannot be told, and the connection has to end.
    pub(super) fn answer(
        &self,
        request: &Request,
        buffer: &mut Buffer<'_>,
    ) -> io::Result<Option<Errno>> {
        if let Err(error) = self.judge(request) {
            return self.refuse(request, error);
        }
        match request.command {
            Command::Read if request.len == 0 => self.done(request),
            Command::Read if self.in_chunks(request) => self.read_in_chunks(request, buffer),
            Command::Read => self.read_in_one(request, buffer),
            Command::BlockStatus => self.block_status(request),
            Command::Flush | Command::Trim | Command::WriteZeroes => self.change(request),
            // A write is answered below; the others were refused.
            _ => self.refuse(request, Errno::Inval),
        }
    }

    /// Follows a write whose bytes are in the buffer.
    ///
    /// # Errors
    ///
    /// As [`Answerer::answer`].
    pub(super) fn answer_write(
        &self,
        request: &Request,
        buffer: &Buffer<'_>,
    ) -> io::Result<Option<Errno>> {
        let data = usize::try_from(request.len).ok();
        let Some(data) = data.and_then(|len| buffer.bytes.get(..len)) else {
            return self.refuse(request, Errno::Inval);
        };
        let Some(layer) = &self.service.export.writable else {
            return self.refuse(request, Errno::Perm);
        };
        let written = self.ask(request, || {
            layer.write_at(data, request.offset)?;
            if request.flags & flag::FUA != 0 {
                layer.flush()?;
            }
            Ok(())
        });
        self.finish(request, written)
    }

    /// Says no to what cannot be followed, before anything is done or allocated for it.
    fn judge(&self, request: &Request) -> std::result::Result<(), Errno> {
        let export = self.service.export;
        let writes = matches!(
            request.command,
            Command::Write | Command::Trim | Command::WriteZeroes
        );
        if writes && export.writable.is_none() {
            return Err(Errno::Perm);
        }
        let fua = if export.writable.is_some() {
            flag::FUA
        } else {
            0
        };
        let allowed = match request.command {
            Command::Read if self.agreed.structured => flag::DF | fua,
            Command::BlockStatus if self.agreed.block_status => flag::REQ_ONE | fua,
            Command::WriteZeroes => flag::NO_HOLE | fua,
            Command::Read | Command::Write | Command::Trim | Command::Flush => fua,
            _ => return Err(Errno::Inval),
        };
        if request.flags & !allowed != 0 {
            return Err(Errno::Inval);
        }
        if self.service.stop.load(Ordering::Relaxed) {
            return Err(Errno::Shutdown);
        }
        if request.command == Command::Flush {
            return Ok(());
        }
        let moves_data = matches!(request.command, Command::Read | Command::Write);
        if moves_data && request.len > MAX_PAYLOAD {
            return Err(Errno::Inval);
        }
        if !request.is_inside(export.disk.size()) {
            return Err(if writes { Errno::NoSpc } else { Errno::Inval });
        }
        let block = u64::from(export.minimum_block);
        if !request.offset.is_multiple_of(block) || !u64::from(request.len).is_multiple_of(block) {
            return Err(Errno::Inval);
        }
        if request.command == Command::BlockStatus && request.len == 0 {
            return Err(Errno::Inval);
        }
        if !export.is_fit(self.service.log) {
            return Err(Errno::Io);
        }
        Ok(())
    }

    /// Whether a read is answered in as many chunks as seem good.
    fn in_chunks(&self, request: &Request) -> bool {
        self.agreed.structured && request.flags & flag::DF == 0
    }

    /// Does something with the disk, whose mistakes must not leave a request without an answer.
    fn ask<T>(
        &self,
        request: &Request,
        work: impl FnOnce() -> Result<T>,
    ) -> std::result::Result<T, Errno> {
        let failure = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => Failure::Disk(error),
            Err(_) => Failure::Panicked,
        };
        self.service.log.event(&Event::Failed {
            connection: self.service.connection,
            request,
            reason: &failure,
        });
        Err(match &failure {
            Failure::Disk(Error::Io { source, .. }) => match source.raw_os_error() {
                Some(code) if is_no_room(System::from_raw(code)) => Errno::NoSpc,
                _ => Errno::Io,
            },
            _ => Errno::Io,
        })
    }

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

    fn read_in_chunks(
        &self,
        request: &Request,
        buffer: &mut Buffer<'_>,
    ) -> io::Result<Option<Errno>> {
        if let Err(error) = self.divide(request, buffer) {
            return self.refuse(request, error);
        }
        let disk = self.service.export.disk();
        let end = request.offset.saturating_add(u64::from(request.len));
        // Chunks of holes, sent along with the data behind them.
        let mut holes = Vec::new();
        for at in 0..buffer.parts.len() {
            let Part { offset, len, hole } = buffer.parts[at];
            if hole {
                let done = offset + len == end;
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                holes.extend_from_slice(&chunk_header(Chunk::OffsetHole, request.cookie, 12, done));
                holes.extend_from_slice(&offset.to_be_bytes());
                holes.extend_from_slice(&len.to_be_bytes());
                continue;
            }
            let mut from = offset;
            while from < offset + len {
                let now = u32::try_from(offset + len - from).map_or(CHUNK, |left| left.min(CHUNK));
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
    fn read_in_one(&self, request: &Request, buffer: &mut Buffer<'_>) -> io::Result<Option<Errno>> {
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
        // Read before the header is sent: behind it there is no way to tell an error.
        if let Err(error) = self.ask(request, || disk.read_at(data, request.offset)) {
            return self.refuse(request, error);
        }
        self.output
            .send(&mut [IoSlice::new(&header), IoSlice::new(data)])?;
        Ok(None)
    }

    fn block_status(&self, request: &Request) -> io::Result<Option<Errno>> {
        let export = self.service.export;
        let most = if request.flags & flag::REQ_ONE != 0 {
            1
        } else {
            MAX_EXTENTS
        };
        let range = request.offset..request.offset.saturating_add(u64::from(request.len));
        let found = self.ask(request, || {
            Status::of(export.disk(), &export.data_runs, range, most)
        });
        let status = match found {
            Ok(status) => status,
            Err(error) => return self.refuse(request, error),
        };
        let body = status.encode(BASE_ALLOCATION_ID);
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let header = chunk_header(Chunk::BlockStatus, request.cookie, len, true);
        self.output
            .send(&mut [IoSlice::new(&header), IoSlice::new(&body)])?;
        Ok(None)
    }

    /// Follows what changes the writable layer without bringing bytes along.
    fn change(&self, request: &Request) -> io::Result<Option<Errno>> {
        let Some(layer) = &self.service.export.writable else {
            // Nothing was written, so everything that was is kept.
            return self.done(request);
        };
        let done = self.ask(request, || {
            match request.command {
                Command::Flush => return layer.flush(),
                // What is forgotten may read as anything; zeros need the least.
                _ => layer.zero_at(request.offset, u64::from(request.len))?,
            }
            if request.flags & flag::FUA != 0 {
                layer.flush()?;
            }
            Ok(())
        });
        self.finish(request, done)
    }

    fn finish(
        &self,
        request: &Request,
        result: std::result::Result<(), Errno>,
    ) -> io::Result<Option<Errno>> {
        match result {
            Ok(()) => self.done(request),
            Err(error) => self.refuse(request, error),
        }
    }

    /// Answers success without data.
    fn done(&self, request: &Request) -> io::Result<Option<Errno>> {
        if self.speaks_in_chunks(request) {
            let none = chunk_header(Chunk::None, request.cookie, 0, true);
            self.output.send(&mut [IoSlice::new(&none)])?;
        } else {
            let reply = simple_reply(request.cookie, None);
            self.output.send(&mut [IoSlice::new(&reply)])?;
        }
        Ok(None)
    }

    fn refuse(&self, request: &Request, error: Errno) -> io::Result<Option<Errno>> {
        if self.speaks_in_chunks(request) {
            let chunk = error_chunk(request.cookie, error);
            self.output.send(&mut [IoSlice::new(&chunk)])?;
        } else {
            let reply = simple_reply(request.cookie, Some(error));
            self.output.send(&mut [IoSlice::new(&reply)])?;
        }
        Ok(Some(error))
    }

    /// Whether the reply must be structured; those of the other commands may be simple always.
    fn speaks_in_chunks(&self, request: &Request) -> bool {
        self.agreed.structured && matches!(request.command, Command::Read | Command::BlockStatus)
    }
}

/// Whether an operating system's error says that there is no room for what is written.
fn is_no_room(error: System) -> bool {
    matches!(error, System::ENOSPC | System::EDQUOT | System::EFBIG)
}
