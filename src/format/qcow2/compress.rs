//! One cluster compressed, if that makes it smaller.

use std::fmt;

use flate2::{Compress, FlushCompress, Status};

use super::error::WriteError;
use super::options::{Compression, Qcow2ClusterSize};
use crate::error::Result;
use crate::util::bytes::to_usize;

/// What a thread needs to compress clusters; made once and used again.
pub(super) struct Codec {
    coder: Coder,
    /// The size of a cluster.
    cluster: usize,
    /// Room for what a coder makes of a cluster.
    out: Vec<u8>,
}

enum Coder {
    Zstd(zstd::bulk::Compressor<'static>),
    Zlib(Compress),
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec").finish_non_exhaustive()
    }
}

impl Codec {
    /// The memory of the coders, in bytes, less the buffer: what both need at most, measured.
    pub(super) const MEMORY: usize = 1 << 20;

    pub(super) fn new(compression: Compression, cluster_size: Qcow2ClusterSize) -> Result<Self> {
        /// The middle between speed and size that zstd itself takes for its default.
        const ZSTD_LEVEL: i32 = 3;
        let cluster = cluster_size.buffer();
        let (coder, room) = match compression {
            Compression::Zstd => (
                Coder::Zstd(
                    zstd::bulk::Compressor::new(ZSTD_LEVEL)
                        .map_err(|source| WriteError::Compressor { source })?,
                ),
                cluster - 1,
            ),
            // Room for the worst case, so that every stream comes to its end: zlib-rs 0.6.8
            // panics some time after a stream that did not was reset.
            Compression::Zlib => (
                Coder::Zlib(deflate()),
                cluster + cluster / 8 + cluster / 64 + 64,
            ),
        };
        Ok(Self {
            coder,
            cluster,
            out: vec![0; room],
        })
    }

    /// The compressed cluster; `None` where it would not be smaller. (Whatever else goes wrong
    /// inside a coder ends there too: the cluster is stored plain, and that is always right.)
    pub(super) fn compress(&mut self, cluster: &[u8]) -> Option<&[u8]> {
        let len = match &mut self.coder {
            Coder::Zstd(zstd) => zstd.compress_to_buffer(cluster, &mut self.out[..]).ok()?,
            Coder::Zlib(zlib) => {
                zlib.reset();
                let done = zlib.compress(cluster, &mut self.out, FlushCompress::Finish);
                if !matches!(done, Ok(Status::StreamEnd)) {
                    *zlib = deflate();
                    return None;
                }
                to_usize(zlib.total_out())
            }
        };
        self.out.get(..len).filter(|out| out.len() < self.cluster)
    }
}

fn deflate() -> Compress {
    /// QEMU writes and reads deflate with a window of 1 << 12 bytes.
    const WINDOW_BITS: u8 = 12;
    /// In so small a window there is little to be found by searching longer: level 6 takes a fifth
    /// more time and makes a Linux system smaller by one part in a hundred.
    const LEVEL: u32 = 4;
    Compress::new_with_window_bits(flate2::Compression::new(LEVEL), false, WINDOW_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_become_smaller_is_not_compressed_and_the_next_one_is_all_the_same() {
        let noise: Vec<u8> = (0u64..4096 / 8)
            .flat_map(|k| {
                let x = (k + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (x ^ (x >> 29))
                    .wrapping_mul(0xBF58_476D_1CE4_E5B9)
                    .to_le_bytes()
            })
            .collect();
        let text = b"all work and no play ".repeat(4096 / 21 + 1);
        let size = Qcow2ClusterSize::from_bytes(4096).unwrap();
        let half: Vec<u8> = text[..2000].iter().chain(&noise[..2096]).copied().collect();
        for compression in [Compression::Zstd, Compression::Zlib] {
            let mut codec = Codec::new(compression, size).unwrap();
            let first = codec.compress(&text[..4096]).unwrap().to_vec();
            assert!(first.len() < 200, "{}", first.len());
            // Many in a row: what one leaves behind may show much later.
            for _ in 0..100 {
                assert_eq!(codec.compress(&noise), None);
            }
            assert!(codec.compress(&half).is_some());
            assert_eq!(codec.compress(&text[..4096]), Some(&first[..]));
        }
    }
}
