//! Units of an archive compressed, each by itself, so that all threads can compress and the result
//! does not depend on how many there are.
//!
//! With zstd every unit is a frame, and readers take frames one after the other as one stream
//! (RFC 8878, 3). With gzip all units are blocks of one member (RFC 1952), because some readers
//! stop after the first member: each ends at a whole byte, and an empty last block ends them all.

use std::fmt;

use flate2::{Compress, Crc, FlushCompress, Status};

use super::error::TarError;
use super::options::TarCompression;
use crate::error::Result;

/// What a thread needs to compress units.
pub(super) struct Codec(Coder);

enum Coder {
    Zstd(Box<zstd::bulk::Compressor<'static>>),
    Gzip(Compress),
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec").finish_non_exhaustive()
    }
}

/// One below zstd's default: its table stays in a core's own cache. A fifth less time for a
/// twenty-fifth more bytes.
const ZSTD_LEVEL: i32 = 2;
/// The middle between speed and size that gzip takes for its default.
const GZIP_LEVEL: u32 = 6;

fn failed(source: std::io::Error) -> TarError {
    TarError::Compressor { source }
}

impl Codec {
    pub(super) fn new(compression: TarCompression) -> Result<Self> {
        Ok(Self(match compression {
            TarCompression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Coder::Gzip(Compress::new(level, false))
            }
            TarCompression::Zstd => {
                let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed)?;
                zstd.include_checksum(true).map_err(failed)?;
                Coder::Zstd(Box::new(zstd))
            }
        }))
    }

    /// Compresses a unit into `packed`; what was there is gone.
    pub(super) fn pack(&mut self, unit: &[u8], packed: &mut Vec<u8>) -> Result<()> {
        packed.clear();
        match &mut self.0 {
            Coder::Zstd(zstd) => {
                packed.reserve_exact(zstd::zstd_safe::compress_bound(unit.len()));
                zstd.compress_to_buffer(unit, packed).map_err(failed)?;
            }
            Coder::Gzip(gzip) => deflate(gzip, unit, packed)?,
        }
        Ok(())
    }
}

/// Adds blocks that end at a whole byte, none of them the last.
fn deflate(gzip: &mut Compress, unit: &[u8], packed: &mut Vec<u8>) -> Result<()> {
    // Stored blocks have 5 bytes for 64 KiB or less; the mark of the end has some, too.
    packed.reserve_exact(unit.len() + unit.len() / 1024 + 64);
    let done = gzip.compress_vec(unit, packed, FlushCompress::Sync);
    let is_all = gzip.total_in() == unit.len() as u64 && packed.ends_with(&[0, 0, 0xff, 0xff]);
    match done {
        Ok(Status::Ok) if is_all => {}
        Ok(_) => return Err(other("deflate did not take all bytes").into()),
        Err(error) => return Err(failed(error.into()).into()),
    }
    // The stream comes to its end, and that is left out: zlib-rs 0.6.8 panics some time after a
    // stream that did not was reset.
    let len = packed.len();
    let ended = gzip.compress_vec(&[], packed, FlushCompress::Finish);
    packed.truncate(len);
    if !matches!(ended, Ok(Status::StreamEnd)) {
        return Err(other("deflate did not end").into());
    }
    gzip.reset();
    Ok(())
}

fn other(text: &'static str) -> TarError {
    failed(std::io::Error::other(text))
}

/// What stands in front of all units of a compressed archive: gzip's header, without a name or a
/// time.
pub(super) fn header(compression: TarCompression) -> &'static [u8] {
    match compression {
        TarCompression::Zstd => &[],
        TarCompression::Gzip => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
    }
}

/// What comes after all units: of gzip an empty last block, the checksum and the length of all
/// bytes.
pub(super) fn trailer(compression: TarCompression, crc: &Crc) -> Vec<u8> {
    match compression {
        TarCompression::Zstd => Vec::new(),
        TarCompression::Gzip => {
            let mut trailer = vec![3, 0];
            trailer.extend(crc.sum().to_le_bytes());
            trailer.extend(crc.amount().to_le_bytes());
            trailer
        }
    }
}
