//! What a damaged chain reads as with `--salvage`, worked out byte by byte from the files alone.

use super::image::Version;
use super::{ImageBuilder, ImageFile, Scratch, field};
use std::path::PathBuf;

/// Bytes of a cluster of [`good`].
pub const CLUSTER: u64 = 32 << 10;

/// An image of three clusters, which a test spoils.
pub fn good(version: Version) -> ImageBuilder {
    ImageBuilder::new(version).store_all([2, 0, 1])
}

/// Writes an image where its test looks for it.
pub fn written(scratch: &Scratch, image: &ImageFile) -> PathBuf {
    let path = scratch.source().join("disk.hds");
    image.write(&path);
    path
}

/// An image whose second cluster is lost.
pub fn damaged(scratch: &Scratch) -> PathBuf {
    let mut image = good(Version::V2).build();
    image.put_u32(field::entry(1), 99);
    written(scratch, &image)
}

/// A byte of a disk, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byte {
    Read(u8),
    /// A layer says that it has it, and does not.
    Lost,
    /// Another entry uses the same place, or the entry points between two clusters.
    Doubtful(u8),
}

impl Byte {
    /// What a target holds.
    pub fn value(self) -> u8 {
        match self {
            Self::Read(value) | Self::Doubtful(value) => value,
            Self::Lost => 0,
        }
    }
}

fn word(file: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap())
}

/// The disk of these images, base first. Follows sections 2.2, 2.4 and 3.5 of the format's
/// description, with no thought of speed. Versions are told by the signature.
pub fn salvaged(layers: &[Vec<u8>]) -> Vec<Byte> {
    let size = word(layers.last().unwrap(), 36) as usize * 512;
    (0..size).map(|at| byte(layers, at)).collect()
}

fn byte(layers: &[Vec<u8>], at: usize) -> Byte {
    for file in layers.iter().rev() {
        let cluster = word(file, 28) as usize * 512;
        let entries = word(file, 32) as usize;
        let size = word(file, 36) as usize * 512;
        if at >= size || at / cluster >= entries {
            continue;
        }
        let entry = word(file, 64 + 4 * (at / cluster)) as usize;
        if entry == 0 {
            continue;
        }
        let is_v1 = file.starts_with(b"WithoutFreeSpace");
        let unit = if is_v1 { 512 } else { cluster };
        let data = word(file, 48) as usize * 512;
        let host = entry * unit;
        if host < data || host + at % cluster >= file.len() {
            return Byte::Lost;
        }
        let value = file[host + at % cluster];
        let clusters = size.div_ceil(cluster);
        let shared = (0..clusters).any(|other| {
            let place = word(file, 64 + 4 * other) as usize * unit;
            let in_file = place >= data && place < file.len();
            other != at / cluster && in_file && place.abs_diff(host) < cluster
        });
        return if shared || !(host - data).is_multiple_of(cluster) {
            Byte::Doubtful(value)
        } else {
            Byte::Read(value)
        };
    }
    Byte::Read(0)
}
