//! Compressed clusters to plain ones, with a few of them kept: a reader asks for parts.

use std::fmt;
use std::sync::Mutex;

use flate2::{Decompress, FlushDecompress};
use zstd::zstd_safe::find_frame_compressed_size;

use super::entry::Packed;
use super::header::Compression;
use crate::error::Result;
use crate::util::bytes::to_usize;
use crate::util::sync::lock;

/// Places for clusters that were unpacked last. A cluster has one place, by its number: threads
/// that want parts of one cluster wait for each other, and all others do not.
pub(super) struct Unpacker {
    places: Vec<Mutex<Place>>,
    compression: Compression,
    /// The size of a cluster in bytes.
    cluster: usize,
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

/// Takes memory only when it is used.
#[derive(Default)]
struct Place {
    /// What `plain` holds.
    holds: Option<Packed>,
    plain: Vec<u8>,
    packed: Vec<u8>,
    codec: Option<Codec>,
}

enum Codec {
    Zlib(Decompress),
    Zstd(zstd::bulk::Decompressor<'static>),
}

/// What all places may take together, in bytes: each has a cluster and the most that a compressed
/// one is said to take.
const MEMORY: usize = 24 << 20;
const MAX_PLACES: usize = 64;

impl Unpacker {
    pub(super) fn new(compression: Compression, cluster: usize) -> Self {
        let places = (MEMORY / (3 * cluster)).clamp(1, MAX_PLACES);
        Self {
            places: std::iter::repeat_with(Mutex::default)
                .take(places)
                .collect(),
            compression,
            cluster,
        }
    }

    /// Fills `buf` with what the cluster numbered `number` has from `within` on. `read` fills its
    /// argument with the compressed bytes that begin at the given place of the file.
    ///
    /// Gives `false` where they cannot be unpacked.
    pub(super) fn read(
        &self,
        buf: &mut [u8],
        within: usize,
        number: u64,
        packed: Packed,
        read: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<bool> {
        let at = to_usize(number % self.places.len() as u64);
        let Some(place) = self.places.get(at) else {
            return Ok(false);
        };
        let mut place = lock(place);
        let place = &mut *place;
        if place.holds != Some(packed) {
            place.holds = None;
            read(&mut place.packed)?;
            place.plain.resize(self.cluster, 0);
            let mut codec = match place.codec.take() {
                Some(codec) => codec,
                None => match Codec::new(self.compression) {
                    Some(codec) => codec,
                    None => return Ok(false),
                },
            };
            if !codec.unpack(&place.packed, &mut place.plain) {
                return Ok(false); // and the codec, whose state is unknown, is gone
            }
            place.codec = Some(codec);
            place.holds = Some(packed);
        }
        let Some(plain) = place.plain.get(within..).and_then(|p| p.get(..buf.len())) else {
            return Ok(false);
        };
        buf.copy_from_slice(plain);
        Ok(true)
    }
}

impl Codec {
    fn new(compression: Compression) -> Option<Self> {
        match compression {
            Compression::Zlib => Some(Self::Zlib(Decompress::new(false))),
            Compression::Zstd => zstd::bulk::Decompressor::new().ok().map(Self::Zstd),
        }
    }

    /// Fills all of `plain`, or gives `false`. What follows in `packed` is not looked at: the end
    /// of the last sector belongs to somebody else.
    fn unpack(&mut self, packed: &[u8], plain: &mut [u8]) -> bool {
        match self {
            Self::Zlib(zlib) => {
                zlib.reset(false);
                zlib.decompress(packed, plain, FlushDecompress::Finish)
                    .is_ok()
                    && zlib.total_out() == plain.len() as u64
            }
            Self::Zstd(zstd) => unpack_frames(zstd, packed, plain).is_some(),
        }
    }
}

/// A cluster may be compressed into several frames. Each is unpacked in one go, so that no window
/// is kept, whose size a frame chooses.
fn unpack_frames(
    zstd: &mut zstd::bulk::Decompressor<'static>,
    packed: &[u8],
    plain: &mut [u8],
) -> Option<()> {
    let (mut packed, mut plain) = (packed, plain);
    while !plain.is_empty() {
        let len = find_frame_compressed_size(packed).ok()?;
        let (frame, rest) = packed.split_at_checked(len.max(1))?;
        let written = zstd.decompress_to_buffer(frame, plain).ok()?;
        packed = rest;
        plain = plain.get_mut(written..)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack(compression: Compression, packed: &[u8], cluster: usize) -> Option<Vec<u8>> {
        let unpacker = Unpacker::new(compression, cluster);
        let mut buf = vec![0; cluster];
        let place = Packed {
            host_offset: 0,
            len: packed.len() as u64,
        };
        let read = |into: &mut Vec<u8>| {
            into.clear();
            into.extend_from_slice(packed);
            Ok(())
        };
        unpacker
            .read(&mut buf, 0, 7, place, read)
            .unwrap()
            .then_some(buf)
    }

    #[test]
    fn a_cluster_of_several_frames_and_a_strangers_bytes_behind_it_is_whole() {
        let text = b"all work and no play".repeat(30);
        let frame = |part: &[u8]| zstd::bulk::compress(part, 3).unwrap();
        let packed = [frame(&text[..200]), frame(&text[200..512]), b"else".into()].concat();
        assert_eq!(
            unpack(Compression::Zstd, &packed, 512).as_deref(),
            Some(&text[..512])
        );
        // One byte too many or too few.
        for len in [199, 201] {
            let packed = [frame(&text[..len]), frame(&text[200..512])].concat();
            assert_eq!(unpack(Compression::Zstd, &packed, 512), None);
        }
        assert_eq!(unpack(Compression::Zstd, &frame(&[]).repeat(9), 512), None);
    }

    #[test]
    fn noise_cannot_be_unpacked_and_the_next_cluster_is_all_the_same() {
        let unpacker = Unpacker::new(Compression::Zlib, 512);
        // A stored block of deflate: its kind, its length, its complement, its bytes.
        let sound = [&[1, 0, 2, 0xff, 0xfd][..], &[7; 512], b"else"].concat();
        for round in 0..9u64 {
            for (packed, good) in [(&sound[..], true), (&sound[1..], false), (&[], false)] {
                let place = Packed {
                    host_offset: round,
                    len: packed.len() as u64,
                };
                let mut buf = [0; 3];
                let read = |into: &mut Vec<u8>| {
                    into.clear();
                    into.extend_from_slice(packed);
                    Ok(())
                };
                let done = unpacker.read(&mut buf, 509, 0, place, read).unwrap();
                assert_eq!((done, buf == [7; 3]), (good, good));
            }
        }
    }
}
