//! What a file system has room for.

/// What a file system has room for, as `statfs` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// The size of a block in bytes, a power of two.
    pub block_size: u32,
    /// The blocks that files can have.
    pub blocks: u64,
    /// Those that no file has.
    pub free: u64,
    /// Those of them that are not kept for root.
    pub available: u64,
    /// The files that there can be.
    pub files: u64,
    /// How many more there can be.
    pub free_files: u64,
}

impl Default for Capacity {
    /// No room at all.
    fn default() -> Self {
        Self {
            block_size: 4096,
            blocks: 0,
            free: 0,
            available: 0,
            files: 0,
            free_files: 0,
        }
    }
}
