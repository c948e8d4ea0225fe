//! What a caller can do about an error.

/// What a caller can do about an error, and what an exit status is made from.
///
/// The first three are the news of every reader of a format, and are never mixed up: bytes of
/// another format belong to another program, a feature that is not supported may be in a later
/// version, and a corrupt image needs a repair, a copy or a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is not of the format that it was read as: another reader may know it.
    NotThisFormat,
    /// The format is the right one, and the input uses something that is not read or written
    /// here, or goes past a limit of this library.
    Unsupported,
    /// The input is of the format, and contradicts itself or lacks a part of it.
    Corrupt,
    /// A range of the disk cannot be read: a reader for salvage goes on after it.
    Lost,
    /// Something else uses the input or the device: later, or after that has ended, it works.
    InUse,
    /// The source changed while it was read: what was read is no state of it.
    Changed,
    /// What was asked for is not there, is ambiguous, or is something else than what was meant.
    Input,
    /// The target cannot be made, or may not be replaced, or is not what it should be.
    Target,
    /// There is less room than the target needs.
    NoRoom,
    /// The operating system, a device or a library refused something.
    Io,
    /// The caller asked to stop.
    Stopped,
}
