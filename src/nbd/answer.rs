//! What becomes of a request: judged, followed, answered.

use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use nix::errno::Errno as System;

use super::buffer::Buffer;
use super::log::{Event, Failure};
use super::negotiation::Agreed;
use super::output::Output;
use super::service::Service;
use super::status::{BASE_ALLOCATION_ID, MAX_EXTENTS, Status};
use super::wire::{
    Chunk, Command, Errno, MAX_PAYLOAD, Request, chunk_header, command_flags as flag, error_chunk,
    simple_reply,
};
use crate::error::Result;
use crate::util::bytes::saturating_u32;

/// Answers the requests of one connection.
pub(super) struct Answerer<'a> {
    pub(super) service: &'a Service<'a>,
    pub(super) output: Output<'a>,
    pub(super) agreed: Agreed,
    /// Held by the one worker that has a large buffer.
    large: Mutex<()>,
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
        Buffer::new(&self.large)
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
    /// Where no reply can reach the client, and the connection has to end.
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
        let data = buffer.filled(request.len);
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
    pub(super) fn ask<T>(
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
            Failure::Disk(error) => match error.io_error().and_then(io::Error::raw_os_error) {
                Some(code) if is_no_room(System::from_raw(code)) => Errno::NoSpc,
                _ => Errno::Io,
            },
            _ => Errno::Io,
        })
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
            Status::of(export.disk(), &export.holes, range, most)
        });
        let status = match found {
            Ok(status) => status,
            Err(error) => return self.refuse(request, error),
        };
        let body = status.encode(BASE_ALLOCATION_ID);
        let len = saturating_u32(body.len() as u64);
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

    pub(super) fn refuse(&self, request: &Request, error: Errno) -> io::Result<Option<Errno>> {
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
