//! How a copy is made, and what it did.

use std::sync::atomic::AtomicBool;

/// How a disk is copied.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions<'a> {
    /// Look for zeros in what is stored, and leave them out like holes.
    pub find_zeros: bool,
    /// Stop soon once this is set.
    pub stop: &'a AtomicBool,
}

/// What a copy did; every byte of the disk is in one of the first three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes written as data.
    pub written: u64,
    /// Bytes that the target shares with the files of the disk, so that they were not written.
    pub shared: u64,
    /// Bytes left to the sink as zeros.
    pub zeros: u64,
    /// Bytes of data that were read in the order of the image's files, and not in that of the disk,
    /// because they were not in memory and a disk with a head holds them.
    pub by_file: u64,
}
