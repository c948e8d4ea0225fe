//! Reading files without reading their holes.

use md5::{Digest as _, Md5};
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The parts of a file that are not holes, as `[from, to)`.
pub fn data_segments(file: &File, len: u64) -> Vec<(u64, u64)> {
    let mut segments = Vec::new();
    let mut at = 0;
    while at < len {
        let from = match lseek(file, i64::try_from(at).unwrap(), Whence::SeekData) {
            Ok(from) => u64::try_from(from).unwrap(),
            Err(Errno::ENXIO) => break,
            Err(errno) => panic!("SEEK_DATA at {at}: {errno}"),
        };
        let to = lseek(file, i64::try_from(from).unwrap(), Whence::SeekHole).unwrap();
        at = u64::try_from(to).unwrap();
        segments.push((from, at));
    }
    segments
}

/// A digest of a file's bytes that does not depend on where its holes are and that costs only
/// what is stored: the length and every 4 KiB block that is not zero, with its offset.
pub fn content_digest(path: &Path) -> String {
    const BLOCK: u64 = 4096;
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let mut md5 = Md5::new();
    md5.update(len.to_le_bytes());
    for (from, to) in data_segments(&file, len) {
        let mut at = from / BLOCK * BLOCK;
        while at < to {
            let mut buf = vec![0; usize::try_from((len - at).min(256 * BLOCK)).unwrap()];
            file.read_exact_at(&mut buf, at).unwrap();
            for (number, block) in (0u64..).zip(buf.chunks(4096)) {
                if at + number * BLOCK < to && !is_zero(block) {
                    md5.update((at + number * BLOCK).to_le_bytes());
                    md5.update(block);
                }
            }
            at += 256 * BLOCK;
        }
    }
    hex(&md5.finalize())
}

pub fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(256)
        .all(|chunk| chunk.iter().fold(0, |seen, byte| seen | byte) == 0)
}

pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
