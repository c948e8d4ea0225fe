//! An NBD client that sends whatever a test wants, by the protocol's description; it shares no
//! code with the server.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub const ABORT: u32 = 2;
pub const LIST: u32 = 3;
pub const INFO: u32 = 6;
pub const GO: u32 = 7;
pub const STRUCTURED: u32 = 8;
pub const LIST_META: u32 = 9;
pub const SET_META: u32 = 10;

pub const ACK: u32 = 1;
pub const ERR_UNSUP: u32 = (1 << 31) + 1;
pub const ERR_INVALID: u32 = (1 << 31) + 3;
pub const ERR_UNKNOWN: u32 = (1 << 31) + 6;

pub const READ: u16 = 0;
pub const WRITE: u16 = 1;
pub const DISC: u16 = 2;
pub const FLUSH: u16 = 3;
pub const TRIM: u16 = 4;
pub const CACHE: u16 = 5;
pub const WRITE_ZEROES: u16 = 6;
pub const STATUS: u16 = 7;

pub const DF: u16 = 4;
pub const REQ_ONE: u16 = 8;

/// One reply to an option.
#[derive(Debug)]
pub struct OptionReply {
    pub kind: u32,
    pub data: Vec<u8>,
}

/// One chunk of a structured reply.
#[derive(Debug)]
pub struct Chunk {
    pub done: bool,
    pub kind: u16,
    pub cookie: u64,
    pub data: Vec<u8>,
}

impl Chunk {
    /// The number of the error that an error chunk has.
    pub fn error(&self) -> Option<u32> {
        (self.kind & 1 << 15 != 0).then(|| be32(&self.data[0..4]))
    }
}

pub fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

pub fn be64(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// A string with its length in front.
pub fn string(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
}

/// The bytes of an option.
pub fn option(number: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    [
        b"IHAVEOPT",
        &number.to_be_bytes()[..],
        &len.to_be_bytes(),
        data,
    ]
    .concat()
}

/// The data of GO for the default export and no information.
pub fn go() -> Vec<u8> {
    [string(b""), vec![0, 0]].concat()
}

/// The data that choose or list contexts of the default export.
pub fn meta(queries: &[&str]) -> Vec<u8> {
    let mut data = string(b"");
    data.extend(u32::try_from(queries.len()).unwrap().to_be_bytes());
    queries
        .iter()
        .for_each(|query| data.extend(string(query.as_bytes())));
    data
}

/// The bytes of a request.
pub fn request(flags: u16, command: u16, cookie: u64, offset: u64, len: u32) -> Vec<u8> {
    [
        &0x2560_9513_u32.to_be_bytes()[..],
        &flags.to_be_bytes(),
        &command.to_be_bytes(),
        &cookie.to_be_bytes(),
        &offset.to_be_bytes(),
        &len.to_be_bytes(),
    ]
    .concat()
}

/// A connection of its own.
#[derive(Debug)]
pub struct Client {
    pub stream: UnixStream,
}

impl Client {
    /// Connects, and says nothing.
    pub fn silent(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Self { stream }
    }

    /// Connects, reads the greeting and answers it with these flags.
    pub fn greeted(socket: &Path, flags: u32) -> Self {
        let mut client = Self::silent(socket);
        assert_eq!(client.take(18), b"NBDMAGICIHAVEOPT\0\x03");
        client.send(&flags.to_be_bytes());
        client
    }

    /// In the transmission phase, with simple replies.
    pub fn simple(socket: &Path) -> Self {
        let mut client = Self::greeted(socket, 3);
        client.agree(GO, &go());
        client
    }

    /// In the transmission phase, with structured replies and block status.
    pub fn structured(socket: &Path) -> Self {
        let mut client = Self::greeted(socket, 3);
        client.agree(STRUCTURED, b"");
        client.agree(SET_META, &meta(&["base:allocation"]));
        client.agree(GO, &go());
        client
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    #[track_caller]
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Asserts that the server hangs up without another byte.
    #[track_caller]
    pub fn is_hung_up_on(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest, b"", "the server said more"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
        }
    }

    /// Sends an option and reads all replies to it, the last one being the verdict.
    #[track_caller]
    pub fn option(&mut self, number: u32, data: &[u8]) -> Vec<OptionReply> {
        self.send(&option(number, data));
        self.option_replies(number)
    }

    #[track_caller]
    pub fn option_replies(&mut self, number: u32) -> Vec<OptionReply> {
        let mut replies = Vec::new();
        loop {
            let header = self.take(20);
            assert_eq!(be64(&header[0..8]), 0x0003_e889_0455_65a9);
            assert_eq!(be32(&header[8..12]), number);
            let kind = be32(&header[12..16]);
            let len = be32(&header[16..20]);
            assert!(len <= 8192, "a reply of {len} bytes");
            let data = self.take(len as usize);
            replies.push(OptionReply { kind, data });
            if kind == ACK || kind >> 31 == 1 {
                return replies;
            }
        }
    }

    /// Sends an option and gives the verdict's kind.
    #[track_caller]
    pub fn verdict(&mut self, number: u32, data: &[u8]) -> u32 {
        self.option(number, data).last().unwrap().kind
    }

    #[track_caller]
    pub fn agree(&mut self, number: u32, data: &[u8]) {
        assert_eq!(self.verdict(number, data), ACK);
    }

    #[track_caller]
    pub fn ask(&mut self, flags: u16, command: u16, offset: u64, len: u32) {
        self.send(&request(flags, command, 77, offset, len));
    }

    /// Reads the header of a simple reply and gives its error.
    #[track_caller]
    pub fn simple_reply(&mut self) -> u32 {
        let header = self.take(16);
        assert_eq!(be32(&header[0..4]), 0x6744_6698, "no simple reply");
        assert_eq!(be64(&header[8..16]), 77);
        be32(&header[4..8])
    }

    #[track_caller]
    pub fn chunk(&mut self) -> Chunk {
        let header = self.take(20);
        assert_eq!(be32(&header[0..4]), 0x668e_33ef, "no chunk");
        let len = be32(&header[16..20]);
        assert!(len <= (32 << 20) + 8, "a chunk of {len} bytes");
        Chunk {
            done: header[5] & 1 == 1,
            kind: u16::from_be_bytes([header[6], header[7]]),
            cookie: be64(&header[8..16]),
            data: self.take(len as usize),
        }
    }

    /// Reads the chunks of one reply, in whatever number.
    #[track_caller]
    pub fn chunks(&mut self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        loop {
            let chunk = self.chunk();
            assert_eq!(chunk.cookie, 77);
            let done = chunk.done;
            chunks.push(chunk);
            if done {
                return chunks;
            }
        }
    }

    /// Asks, and gives the error of the simple reply.
    #[track_caller]
    pub fn error(&mut self, flags: u16, command: u16, offset: u64, len: u32) -> u32 {
        self.ask(flags, command, offset, len);
        self.simple_reply()
    }

    /// Asks, and gives the error of the structured reply.
    #[track_caller]
    pub fn chunk_error(&mut self, flags: u16, command: u16, offset: u64, len: u32) -> u32 {
        self.ask(flags, command, offset, len);
        let chunks = self.chunks();
        chunks.last().unwrap().error().unwrap_or(0)
    }

    /// Reads the first bytes of the disk, which shows that the connection is well.
    #[track_caller]
    pub fn reads_still(&mut self, expected: &[u8]) {
        self.ask(0, READ, 0, u32::try_from(expected.len()).unwrap());
        let mut bytes = vec![0; expected.len()];
        let first = self.take(4);
        if be32(&first) == 0x6744_6698 {
            let rest = self.take(12);
            assert_eq!(be32(&rest[0..4]), 0);
            bytes = self.take(expected.len());
        } else {
            let header = [first, self.take(16)].concat();
            let mut pending = Some((header[5] & 1 == 1, header[7], be32(&header[16..20])));
            while let Some((done, kind, len)) = pending.take() {
                let data = self.take(len as usize);
                let at = usize::try_from(be64(&data[0..8])).unwrap();
                if kind == 1 {
                    bytes[at..at + data.len() - 8].copy_from_slice(&data[8..]);
                }
                if !done {
                    let header = self.take(20);
                    pending = Some((header[5] & 1 == 1, header[7], be32(&header[16..20])));
                }
            }
        }
        assert!(bytes == expected, "other bytes than the disk's");
    }
}
