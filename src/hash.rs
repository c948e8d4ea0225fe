//! Digests of what a target holds, computed while it is written.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::observe::{Observer, PieceDigest};
use crate::sys::sha256_of_four;
use crate::util::bytes::{to_usize, zero_pieces};

/// How a digest is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256 of the bytes, as `sha256sum` prints it.
    Sha256,
    /// The SHA-256 of the SHA-256 of every 64 KiB and of the length: as sure as SHA-256 itself,
    /// computed on all cores, and quick where there are only zeros. `blksum` prints the same.
    Blkhash,
}

impl Algorithm {
    /// The word for it: also the extension of checksum files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blkhash => "blkhash",
        }
    }
}

/// A digest that is being computed.
#[derive(Debug)]
pub enum Hasher {
    /// See [`Algorithm::Sha256`].
    Sha256(Sha256),
    /// See [`Algorithm::Blkhash`].
    Blkhash(Blkhash),
}

impl Hasher {
    /// A digest of nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Blkhash => Self::Blkhash(Blkhash::new()),
        }
    }

    /// Ends the digest, in lower-case hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        let digest = match self {
            Self::Sha256(hasher) => hasher.finalize().into(),
            Self::Blkhash(hasher) => hasher.finish(),
        };
        hex(&digest)
    }
}

impl Observer for Hasher {
    fn alignment(&self) -> u64 {
        match self {
            Self::Sha256(_) => 1,
            Self::Blkhash(_) => BLOCK as u64,
        }
    }

    fn piece_digest(&self) -> Option<PieceDigest> {
        match self {
            Self::Sha256(_) => None,
            Self::Blkhash(_) => Some(block_digests),
        }
    }

    fn data(&mut self, bytes: &[u8], digests: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Blkhash(hasher) => hasher.blocks(digests, bytes.len() as u64),
        }
    }

    fn zeros(&mut self, len: u64) {
        match self {
            Self::Sha256(hasher) => zero_pieces(len).for_each(|zeros| hasher.update(zeros)),
            Self::Blkhash(hasher) => hasher.zeros(len),
        }
    }
}

/// The block size of blkhash: part of its definition.
const BLOCK: usize = 64 << 10;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The outer digest of blkhash, as the program `blksum` defines it.
#[derive(Debug)]
pub struct Blkhash {
    outer: Sha256,
    len: u64,
    /// The digest of a whole block of zeros, which holes consist of.
    zero_block: [u8; 32],
}

impl Blkhash {
    fn new() -> Self {
        Self {
            outer: Sha256::new(),
            len: 0,
            zero_block: Sha256::digest(ZEROS).into(),
        }
    }

    fn blocks(&mut self, digests: &[u8], len: u64) {
        self.outer.update(digests);
        self.len += len;
    }

    fn zeros(&mut self, len: u64) {
        for _ in 0..len / BLOCK as u64 {
            self.outer.update(self.zero_block);
        }
        let rest = to_usize(len % BLOCK as u64);
        if let Some(rest) = ZEROS.get(..rest).filter(|rest| !rest.is_empty()) {
            self.outer.update(Sha256::digest(rest));
        }
        self.len += len;
    }

    fn finish(mut self) -> [u8; 32] {
        self.outer.update(self.len.to_le_bytes());
        self.outer.finalize().into()
    }
}

/// The digests of the blocks of `data`, one after the other; the last block may be short.
fn block_digests(data: &[u8]) -> Vec<u8> {
    let mut digests = Vec::with_capacity(data.len().div_ceil(BLOCK) * 32);
    for group in data.chunks(4 * BLOCK) {
        match four(group).and_then(sha256_of_four) {
            Some(four) => digests.extend(four.as_flattened()),
            None => digests.extend(group.chunks(BLOCK).flat_map(Sha256::digest)),
        }
    }
    digests
}

/// Four whole blocks.
fn four(data: &[u8]) -> Option<[&[u8]; 4]> {
    let (a, rest) = data.split_at_checked(BLOCK)?;
    let (b, rest) = rest.split_at_checked(BLOCK)?;
    let (c, d) = rest.split_at_checked(BLOCK)?;
    (d.len() == BLOCK).then_some([a, b, c, d])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in units of at most 256 KiB, as a copy does; zeros as zeros if `sparse`.
    fn blkhash(bytes: &[u8], sparse: bool) -> String {
        let mut hasher = Hasher::new(Algorithm::Blkhash);
        for unit in bytes.chunks(4 * BLOCK) {
            if sparse && unit.iter().all(|&byte| byte == 0) {
                hasher.zeros(unit.len() as u64);
            } else {
                hasher.data(unit, &hasher.piece_digest().unwrap()(unit));
            }
        }
        hasher.finish()
    }

    /// Values of the reference implementation.
    #[test]
    fn blkhash_is_the_one_that_others_compute() {
        let vectors: [(&[u8], &str); 6] = [
            (
                b"",
                "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc",
            ),
            (
                b"\0",
                "3aa275143d0713bc404144a02208ea1ea840d565fa0c19af486cc65b0a10a267",
            ),
            (
                &[0; BLOCK],
                "8ab067ab7939a3d4f40cbb118956c07c06aeae2d075d6e0a2ebbb94bd42832af",
            ),
            (
                &[0; 16 * BLOCK],
                "3dd455346755274ce76f1c555df5e05c1cdd8da4b1c70ab7c2a6b09f51bb5ce0",
            ),
            (
                &[0; BLOCK + 1],
                "43702a4ffbe4bdb5c0cf900dd2a899fdd2536b78559f8b55cf0ed7fe1e8195b5",
            ),
            (
                &[b'A'; BLOCK],
                "2e3a5f57d5e726ee5de62db1a85ff816f4fa6ea4627807d9a51bdc4c883e165e",
            ),
        ];
        for (bytes, expected) in vectors {
            assert_eq!(blkhash(bytes, false), expected, "{} bytes", bytes.len());
            assert_eq!(
                blkhash(bytes, true),
                expected,
                "{} bytes, sparse",
                bytes.len()
            );
        }
    }

    #[test]
    fn zeros_give_the_same_sha256_however_they_come() {
        let mut holes = Hasher::new(Algorithm::Sha256);
        holes.data(b"abc", &[]);
        holes.zeros(200_000);
        let mut bytes = Hasher::new(Algorithm::Sha256);
        bytes.data(&[&b"abc"[..], &vec![0; 200_000]].concat(), &[]);
        assert_eq!(holes.finish(), bytes.finish());

        // As `printf abc | sha256sum` says.
        let mut abc = Hasher::new(Algorithm::Sha256);
        abc.data(b"abc", &[]);
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(abc.finish(), expected);
    }
}
