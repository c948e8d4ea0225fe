//! What sees a disk once, in order, while its bytes pass: digests; and what sees how far a job has
//! come.

/// Sees how far a job over a disk has come.
pub trait Progress: Sync {
    /// Another `bytes` of the disk are done, holes included. Called from many threads.
    fn advance(&self, bytes: u64);
}

/// Progress that is not shown.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}

/// Computes a digest of a piece of the disk from nothing but its bytes.
pub type PieceDigest = fn(&[u8]) -> Vec<u8>;

/// Sees the disk's bytes once, in the order of the disk, while they are copied.
pub trait Observer: Send {
    /// Data is seen in pieces that begin and end at multiples of this many bytes (a power of two)
    /// or end with the disk.
    fn alignment(&self) -> u64 {
        1
    }

    /// What many threads can compute of each piece by itself, before its turn comes.
    fn piece_digest(&self) -> Option<PieceDigest> {
        None
    }

    /// The next bytes of the disk, and what [`piece_digest`](Observer::piece_digest) made of
    /// them.
    fn data(&mut self, bytes: &[u8], digest: &[u8]);

    /// The next `len` bytes of the disk are zeros.
    fn zeros(&mut self, len: u64);
}
