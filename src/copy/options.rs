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
    /// In which order data was read, where there was a choice.
    pub chosen: Chosen,
}

/// Bytes of data that were read in either order, where the disk's clusters lie in disorder in its
/// files and the target takes them in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chosen {
    /// In the order of the disk.
    pub by_disk: u64,
    /// In the order of the image's files, because they were not in memory and a disk with a head
    /// holds them.
    pub by_file: u64,
}
