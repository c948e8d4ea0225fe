//! What an initramfs holds: the names of its files, as far as it can be unpacked.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use crate::util::bytes::is_zero;

/// What is known of an initramfs.
#[derive(Debug, Default)]
pub(super) struct Listing {
    names: Vec<Vec<u8>>,
    /// The bytes that its files take.
    pub(super) size: u64,
}

impl Listing {
    /// Reads the names; `None` where it is packed in a way that is not read here, or is damaged.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut listing = Self::default();
        let mut rest = bytes;
        loop {
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            rest = rest.get(zeros..)?;
            if rest.is_empty() {
                return Some(listing);
            }
            if rest.starts_with(b"07070") {
                listing.add(&mut rest).ok()?;
            } else if rest.starts_with(&[0x1f, 0x8b]) {
                let mut unpacked = GzDecoder::new(&mut rest);
                listing.add_all(&mut unpacked).ok()?;
            } else if rest.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
                let unpacked = zstd::Decoder::with_buffer(&mut rest).ok()?;
                listing.add_all(&mut unpacked.single_frame()).ok()?;
            } else {
                return None;
            }
        }
    }

    /// Whether a file of a kernel's module is there, packed or not, whichever dash its name has.
    pub(super) fn has_module(&self, name: &str) -> bool {
        self.names.iter().any(|path| {
            let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let file = String::from_utf8_lossy(file).replace('-', "_");
            file.strip_prefix(name)
                .is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."))
        })
    }

    fn add_all(&mut self, archive: &mut impl Read) -> io::Result<()> {
        self.add(archive)?;
        io::copy(archive, &mut io::sink()).map(drop)
    }

    /// Adds the names of one archive, up to its end.
    fn add(&mut self, archive: &mut impl Read) -> io::Result<()> {
        loop {
            let mut header = [0; 110];
            archive.read_exact(&mut header)?;
            let number = |at: usize| {
                let text = header.get(at..at + 8).unwrap_or_default();
                let text = std::str::from_utf8(text).map_err(io::Error::other)?;
                u64::from_str_radix(text, 16).map_err(io::Error::other)
            };
            if !header.starts_with(b"07070") {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let (size, name_size) = (number(54)?, number(94)?);
            if name_size == 0 || name_size > 4096 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let padded = (110 + name_size).next_multiple_of(4) - 110;
            let mut name = Vec::new();
            archive.take(padded).read_to_end(&mut name)?;
            let end = name.iter().position(|byte| *byte == 0);
            name.truncate(end.unwrap_or(name.len()));
            if name == b"TRAILER!!!" {
                return Ok(());
            }
            let wanted = size.next_multiple_of(4);
            let passed = io::copy(&mut archive.take(wanted), &mut io::sink())?;
            if passed != wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.size = self.size.saturating_add(size);
            if !is_zero(&name) {
                self.names.push(name);
            }
        }
    }
}
