//! The bytes of the negotiation: options in, replies out. Nothing here reads or writes.

use crate::util::bytes::{be_u16, be_u32, be_u64, saturating_u32, to_usize};

/// The most bytes of a string: the protocol's own limit.
pub(super) const MAX_STRING: usize = 4096;

/// The most bytes of an option's data; a client that announces more is hung up on. A name and a
/// dozen of queries of the longest kind have room.
pub(super) const MAX_DATA: u32 = 64 << 10;

/// The most options of a client. The most that any known one sends are about ten.
pub(super) const MAX_OPTIONS: u32 = 64;

/// The first words of the server: `NBDMAGIC`, `IHAVEOPT`, fixed newstyle and no zeroes.
pub(super) const GREETING: &[u8; 18] = b"NBDMAGICIHAVEOPT\0\x03";

/// The client's answer to the greeting.
pub(super) mod client_flags {
    pub(in super::super) const FIXED_NEWSTYLE: u32 = 1;
    pub(in super::super) const NO_ZEROES: u32 = 1 << 1;
}

const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054; // IHAVEOPT
const REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;

/// What the one metadata context is called.
pub(super) const BASE_ALLOCATION: &[u8] = b"base:allocation";

/// What a client asks for before it reads anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    ExportName,
    Abort,
    List,
    Info,
    Go,
    StructuredReply,
    ListMeta,
    SetMeta,
    /// An option that is not supported: encryption, extended headers, or an unknown one.
    Other,
}

/// The header of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OptionHeader {
    /// The option's number, repeated in replies.
    pub(super) number: u32,
    /// The number of bytes after the header.
    pub(super) len: u32,
}

impl OptionHeader {
    pub(super) const SIZE: usize = 16;

    /// Reads a header; `None` where the magic is wrong.
    pub(super) fn parse(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        (be_u64(bytes, 0) == OPTION_MAGIC).then(|| Self {
            number: be_u32(bytes, 8),
            len: be_u32(bytes, 12),
        })
    }

    pub(super) fn choice(self) -> Choice {
        match self.number {
            1 => Choice::ExportName,
            2 => Choice::Abort,
            3 => Choice::List,
            6 => Choice::Info,
            7 => Choice::Go,
            8 => Choice::StructuredReply,
            9 => Choice::ListMeta,
            10 => Choice::SetMeta,
            _ => Choice::Other,
        }
    }
}

/// The data of an option makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Invalid;

/// The data of `INFO` and `GO`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InfoRequest<'a> {
    pub(super) export: &'a str,
    pub(super) wants_name: bool,
    pub(super) wants_description: bool,
    pub(super) wants_block_size: bool,
}

impl<'a> InfoRequest<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, Invalid> {
        let (export, rest) = string(data)?;
        let (count, kinds) = rest.split_first_chunk::<2>().ok_or(Invalid)?;
        if kinds.len() != 2 * usize::from(u16::from_be_bytes(*count)) {
            return Err(Invalid);
        }
        let wants = |kind| kinds.chunks_exact(2).any(|word| be_u16(word, 0) == kind);
        Ok(Self {
            export,
            wants_name: wants(INFO_NAME),
            wants_description: wants(INFO_DESCRIPTION),
            wants_block_size: wants(INFO_BLOCK_SIZE),
        })
    }
}

/// The data of `LIST_META_CONTEXT` and `SET_META_CONTEXT`, with the queries looked at already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MetaRequest<'a> {
    pub(super) export: &'a str,
    /// Whether there was no query.
    pub(super) is_empty: bool,
    /// Whether a query is `base:allocation`.
    pub(super) asks_allocation: bool,
    /// Whether a query is `base:`, which means all of that name space in a list.
    pub(super) asks_base: bool,
}

impl<'a> MetaRequest<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, Invalid> {
        let (export, rest) = string(data)?;
        let (count, mut rest) = rest.split_first_chunk::<4>().ok_or(Invalid)?;
        let count = u32::from_be_bytes(*count);
        let mut request = Self {
            export,
            is_empty: count == 0,
            asks_allocation: false,
            asks_base: false,
        };
        // However many are announced, each takes at least four bytes of the data.
        for _ in 0..count {
            let query;
            (query, rest) = string(rest)?;
            request.asks_allocation |= query.as_bytes() == BASE_ALLOCATION;
            request.asks_base |= query == "base:";
        }
        if rest.is_empty() {
            Ok(request)
        } else {
            Err(Invalid)
        }
    }
}

/// A string as the protocol wants it: UTF-8, no NUL, not too long.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Invalid> {
    if bytes.len() > MAX_STRING || bytes.contains(&0) {
        return Err(Invalid);
    }
    std::str::from_utf8(bytes).map_err(|_| Invalid)
}

/// As much of a text of ours as the protocol takes: no NUL, not too long.
pub(super) fn cut(text: &str) -> &str {
    let end = text.find('\0').unwrap_or(text.len()).min(MAX_STRING);
    let end = (0..=end).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A string with its length in front, and what is after it.
fn string(bytes: &[u8]) -> Result<(&str, &[u8]), Invalid> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or(Invalid)?;
    let len = to_usize(u32::from_be_bytes(*len));
    let (string, rest) = rest.split_at_checked(len).ok_or(Invalid)?;
    Ok((text(string)?, rest))
}

const INFO_EXPORT: u16 = 0;
const INFO_NAME: u16 = 1;
const INFO_DESCRIPTION: u16 = 2;
const INFO_BLOCK_SIZE: u16 = 3;

/// The kinds of replies to an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyKind {
    Ack,
    Server,
    Info,
    MetaContext,
    Unsupported,
    Policy,
    Invalid,
    Unknown,
}

impl ReplyKind {
    fn number(self) -> u32 {
        const ERROR: u32 = 1 << 31;
        match self {
            Self::Ack => 1,
            Self::Server => 2,
            Self::Info => 3,
            Self::MetaContext => 4,
            Self::Unsupported => ERROR + 1,
            Self::Policy => ERROR + 2,
            Self::Invalid => ERROR + 3,
            Self::Unknown => ERROR + 6,
        }
    }
}

/// A reply to option `number`.
pub(super) fn reply(number: u32, kind: ReplyKind, data: &[&[u8]]) -> Vec<u8> {
    let len: usize = data.iter().map(|piece| piece.len()).sum();
    let len = saturating_u32(len as u64);
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&REPLY_MAGIC.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&kind.number().to_be_bytes());
    bytes.extend_from_slice(&len.to_be_bytes());
    data.iter().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}

/// A reply that names an export.
pub(super) fn server_reply(number: u32, export: &str, description: &str) -> Vec<u8> {
    let len = saturating_u32(export.len() as u64).to_be_bytes();
    let data: [&[u8]; 3] = [&len, export.as_bytes(), description.as_bytes()];
    reply(number, ReplyKind::Server, &data)
}

/// A reply with the size and the transmission flags of an export.
pub(super) fn export_reply(number: u32, size: u64, flags: u16) -> Vec<u8> {
    let data: [&[u8]; 3] = [
        &INFO_EXPORT.to_be_bytes(),
        &size.to_be_bytes(),
        &flags.to_be_bytes(),
    ];
    reply(number, ReplyKind::Info, &data)
}

/// A reply with an export's name.
pub(super) fn name_reply(number: u32, name: &str) -> Vec<u8> {
    let data: [&[u8]; 2] = [&INFO_NAME.to_be_bytes(), name.as_bytes()];
    reply(number, ReplyKind::Info, &data)
}

/// A reply with an export's description.
pub(super) fn description_reply(number: u32, text: &str) -> Vec<u8> {
    let data: [&[u8]; 2] = [&INFO_DESCRIPTION.to_be_bytes(), text.as_bytes()];
    reply(number, ReplyKind::Info, &data)
}

/// A reply with the smallest, the best and the largest size of a request.
pub(super) fn block_size_reply(number: u32, sizes: [u32; 3]) -> Vec<u8> {
    let [minimum, preferred, maximum] = sizes.map(u32::to_be_bytes);
    let kind = INFO_BLOCK_SIZE.to_be_bytes();
    let data: [&[u8]; 4] = [&kind, &minimum, &preferred, &maximum];
    reply(number, ReplyKind::Info, &data)
}

/// A reply with a metadata context.
pub(super) fn context_reply(number: u32, id: u32, name: &[u8]) -> Vec<u8> {
    reply(number, ReplyKind::MetaContext, &[&id.to_be_bytes(), name])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixed(text: &[u8]) -> Vec<u8> {
        let len = u32::try_from(text.len()).unwrap();
        [&len.to_be_bytes(), text].concat()
    }

    #[test]
    fn an_info_request_counts_exactly() {
        let good = [prefixed(b"disk"), vec![0, 2, 0, 3, 0, 1]].concat();
        let request = InfoRequest::parse(&good).unwrap();
        assert_eq!(request.export, "disk");
        assert!(request.wants_block_size && request.wants_name && !request.wants_description);
        for bad in [
            &good[..good.len() - 1],
            &good[..good.len() - 2],
            &good[..9],
            &[&good[..], &[0]].concat(),
            &[],
            // More requests than data, and a name longer than all of it.
            &[prefixed(b""), vec![0xff, 0xff]].concat(),
            &[0xff, 0xff, 0xff, 0xff, b'a', 0, 0],
        ] {
            assert_eq!(InfoRequest::parse(bad), Err(Invalid), "{bad:?}");
        }
    }

    #[test]
    fn names_have_limits() {
        let asks = |name: &[u8]| {
            let data = [prefixed(name), vec![0, 0]].concat();
            InfoRequest::parse(&data).is_ok()
        };
        assert!(asks(&[b'x'; 4096]));
        assert!(!asks(&[b'x'; 4097]));
        assert!(!asks(b"a\0b"));
        assert!(!asks(b"\xff\xfe"));
        assert!(asks("größe".as_bytes()));
    }

    #[test]
    fn announced_queries_that_are_not_there_are_an_error_and_no_loop() {
        let data = [prefixed(b""), vec![0xff; 4]].concat();
        assert_eq!(MetaRequest::parse(&data), Err(Invalid));
        let data = [prefixed(b""), vec![0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]].concat();
        assert_eq!(MetaRequest::parse(&data), Err(Invalid));
        let queries = [prefixed(b"qemu:x"), prefixed(BASE_ALLOCATION)].concat();
        let data = [prefixed(b""), vec![0, 0, 0, 2], queries].concat();
        let request = MetaRequest::parse(&data).unwrap();
        assert!(request.asks_allocation && !request.asks_base && !request.is_empty);
    }
}
