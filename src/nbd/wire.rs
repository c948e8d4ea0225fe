//! The bytes of the transmission phase: requests in, replies out. Nothing here reads or writes.
//!
//! All numbers are big-endian. Facts are from the protocol's description (`doc/proto.md` of the
//! nbd project).

use std::fmt;

use crate::util::bytes::{be_u16, be_u32, be_u64, saturating_u16};

/// The most bytes that a read or a write may have: what the protocol's description promises
/// every client, and what the kernel's driver sends at most.
pub const MAX_PAYLOAD: u32 = 32 << 20;

const REQUEST_MAGIC: u32 = 0x2560_9513;
const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
const STRUCTURED_REPLY_MAGIC: u32 = 0x668e_33ef;

/// What an export promises, in the flags that go with its size.
pub mod transmission_flags {
    /// The other flags mean something.
    pub const HAS_FLAGS: u16 = 1;
    /// Nothing can be written.
    pub const READ_ONLY: u16 = 1 << 1;
    /// `FLUSH` is understood.
    pub const SEND_FLUSH: u16 = 1 << 2;
    /// Force unit access is understood.
    pub const SEND_FUA: u16 = 1 << 3;
    /// `TRIM` is understood.
    pub const SEND_TRIM: u16 = 1 << 5;
    /// `WRITE_ZEROES` is understood.
    pub const SEND_WRITE_ZEROES: u16 = 1 << 6;
    /// A read may be asked for in one piece.
    pub const SEND_DF: u16 = 1 << 7;
    /// Several connections see the same bytes.
    pub const CAN_MULTI_CONN: u16 = 1 << 8;
}

/// The flags that a request may carry.
pub(super) mod command_flags {
    pub(in super::super) const FUA: u16 = 1;
    pub(in super::super) const NO_HOLE: u16 = 1 << 1;
    pub(in super::super) const DF: u16 = 1 << 2;
    pub(in super::super) const REQ_ONE: u16 = 1 << 3;
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Read bytes.
    Read,
    /// Write the bytes that follow the request.
    Write,
    /// End the connection.
    Disconnect,
    /// Make sure that what was written stays.
    Flush,
    /// Forget what a range holds.
    Trim,
    /// Read a range ahead.
    Cache,
    /// Make a range read as zeros.
    WriteZeroes,
    /// Say how a range is stored.
    BlockStatus,
    /// Anything else.
    Unknown(u16),
}

impl Command {
    fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Read,
            1 => Self::Write,
            2 => Self::Disconnect,
            3 => Self::Flush,
            4 => Self::Trim,
            5 => Self::Cache,
            6 => Self::WriteZeroes,
            7 => Self::BlockStatus,
            other => Self::Unknown(other),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Disconnect => "disconnect",
            Self::Flush => "flush",
            Self::Trim => "trim",
            Self::Cache => "cache",
            Self::WriteZeroes => "write zeroes",
            Self::BlockStatus => "block status",
            Self::Unknown(number) => return write!(f, "command {number}"),
        };
        f.write_str(name)
    }
}

/// A request as it came, judged only by its magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The flags; which of them are allowed depends on the command.
    pub flags: u16,
    /// What is asked for.
    pub command: Command,
    /// The client's name for the request, repeated in the reply.
    pub cookie: u64,
    /// Where the range begins, in bytes of the disk.
    pub offset: u64,
    /// The number of bytes in the range.
    pub len: u32,
}

impl Request {
    /// The number of bytes of a request, without what a write sends after it.
    pub const SIZE: usize = 28;

    /// Reads a request; `None` where the magic is wrong, so that the start of the next
    /// request is unknown.
    #[must_use]
    pub fn parse(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        (be_u32(bytes, 0) == REQUEST_MAGIC).then(|| Self {
            flags: be_u16(bytes, 4),
            command: Command::from_number(be_u16(bytes, 6)),
            cookie: be_u64(bytes, 8),
            offset: be_u64(bytes, 16),
            len: be_u32(bytes, 24),
        })
    }

    /// Whether the range lies inside a disk of `size` bytes.
    #[must_use]
    pub(super) fn is_inside(&self, size: u64) -> bool {
        self.offset
            .checked_add(u64::from(self.len))
            .is_some_and(|end| end <= size)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            offset,
            len,
            ..
        } = self;
        match command {
            Command::Disconnect | Command::Flush => command.fmt(f),
            _ => write!(f, "{command} of {len} bytes at offset {offset:#x}"),
        }
    }
}

/// An error as a reply tells it: the only ones that may go over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errno {
    /// The export is read-only.
    Perm = 1,
    /// Reading or writing failed.
    Io = 5,
    /// There is no memory.
    NoMem = 12,
    /// The request makes no sense.
    Inval = 22,
    /// There is no room.
    NoSpc = 28,
    /// The request is larger than can be answered in one piece.
    Overflow = 75,
    /// The server stops.
    Shutdown = 108,
}

impl Errno {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Perm => 1,
            Self::Io => 5,
            Self::NoMem => 12,
            Self::Inval => 22,
            Self::NoSpc => 28,
            Self::Overflow => 75,
            Self::Shutdown => 108,
        }
    }

    /// A few words for people, sent along where the reply has room for them.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Perm => "the export is read-only",
            Self::Io => "this range cannot be read or written; the server's log says why",
            Self::NoMem => "no memory",
            Self::Inval => "the request makes no sense here",
            Self::NoSpc => "no room",
            Self::Overflow => "too large for one piece",
            Self::Shutdown => "the server stops",
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Perm => "EPERM",
            Self::Io => "EIO",
            Self::NoMem => "ENOMEM",
            Self::Inval => "EINVAL",
            Self::NoSpc => "ENOSPC",
            Self::Overflow => "EOVERFLOW",
            Self::Shutdown => "ESHUTDOWN",
        })
    }
}

/// The number of bytes of a simple reply's header.
pub(super) const SIMPLE_REPLY: usize = 16;

/// The header of a simple reply; a successful read's data follow it.
pub(super) fn simple_reply(cookie: u64, error: Option<Errno>) -> [u8; SIMPLE_REPLY] {
    let mut bytes = [0; SIMPLE_REPLY];
    bytes[0..4].copy_from_slice(&SIMPLE_REPLY_MAGIC.to_be_bytes());
    bytes[4..8].copy_from_slice(&error.map_or(0, Errno::number).to_be_bytes());
    bytes[8..16].copy_from_slice(&cookie.to_be_bytes());
    bytes
}

/// The kinds of a structured reply's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    None,
    OffsetData,
    OffsetHole,
    BlockStatus,
    Error,
}

impl Chunk {
    fn number(self) -> u16 {
        match self {
            Self::None => 0,
            Self::OffsetData => 1,
            Self::OffsetHole => 2,
            Self::BlockStatus => 5,
            Self::Error => 1 << 15 | 1,
        }
    }
}

/// The number of bytes of a structured reply's chunk header.
pub(super) const CHUNK_HEADER: usize = 20;

/// The header of a chunk with `len` bytes after it; the last chunk of a reply is `done`.
pub(super) fn chunk_header(kind: Chunk, cookie: u64, len: u32, done: bool) -> [u8; CHUNK_HEADER] {
    let mut bytes = [0; CHUNK_HEADER];
    bytes[0..4].copy_from_slice(&STRUCTURED_REPLY_MAGIC.to_be_bytes());
    bytes[4..6].copy_from_slice(&u16::from(done).to_be_bytes());
    bytes[6..8].copy_from_slice(&kind.number().to_be_bytes());
    bytes[8..16].copy_from_slice(&cookie.to_be_bytes());
    bytes[16..20].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// A whole chunk that says what went wrong, and ends the reply.
pub(super) fn error_chunk(cookie: u64, error: Errno) -> Vec<u8> {
    let text = error.text().as_bytes();
    let text_len = saturating_u16(text.len() as u64);
    let mut bytes = chunk_header(Chunk::Error, cookie, 6 + u32::from(text_len), true).to_vec();
    bytes.extend_from_slice(&error.number().to_be_bytes());
    bytes.extend_from_slice(&text_len.to_be_bytes());
    bytes.extend_from_slice(text);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_field_by_field() {
        let mut bytes = [0; Request::SIZE];
        bytes[0..4].copy_from_slice(&[0x25, 0x60, 0x95, 0x13]);
        bytes[5] = 8;
        bytes[7] = 7;
        bytes[15] = 9;
        bytes[16] = 0x80;
        bytes[24..28].copy_from_slice(&[0, 1, 0, 2]);
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(
            request,
            Request {
                flags: command_flags::REQ_ONE,
                command: Command::BlockStatus,
                cookie: 9,
                offset: 1 << 63,
                len: 0x1_0002,
            }
        );
        bytes[3] ^= 1;
        assert_eq!(Request::parse(&bytes), None);
    }

    #[test]
    fn a_range_that_wraps_around_is_not_inside_the_disk() {
        let request = |offset, len| Request {
            flags: 0,
            command: Command::Read,
            cookie: 0,
            offset,
            len,
        };
        assert!(request(10, 90).is_inside(100));
        assert!(request(100, 0).is_inside(100));
        assert!(!request(10, 91).is_inside(100));
        assert!(!request(u64::MAX, 2).is_inside(100));
        assert!(!request(1 << 63, u32::MAX).is_inside(100));
    }

    #[test]
    fn an_error_chunk_is_as_long_as_it_says() {
        for error in [Errno::Perm, Errno::Io, Errno::Shutdown] {
            let chunk = error_chunk(7, error);
            assert_eq!(
                be_u32(&chunk, 16) as usize,
                chunk.len() - CHUNK_HEADER,
                "{error}"
            );
            assert_eq!(be_u16(&chunk, 4), 1, "an error ends the reply");
        }
    }
}
