//! What a caller decides about a target.

/// What becomes of a file that has the target's name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// It stays, and there is no target.
    Refuse,
    /// It is replaced, once the new file is complete.
    Replace,
}

/// What a target that is finished outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine: all of the target has reached the disk before it gets its name.
    Synced,
    /// The program: the kernel writes the target back when it likes.
    Unsynced,
}
