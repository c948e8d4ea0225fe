//! What to do about a disk whose free blocks cannot be left out.

use ploopconv::convert::CompactError;
use ploopconv::ext4::FreeError;
use ploopconv::{Error, ErrorKind};

use super::hint::Hint;
use super::retry::Typed;

/// Advice for free blocks that cannot be left out: the disk can be read with them, and a copy helps
/// itself.
pub(super) fn of_compaction(error: &CompactError, typed: &Typed) -> Vec<Hint> {
    let text = "to read all of it, with its free blocks";
    let mut hints = vec![Hint::run(text, typed.dropping("compact"))];
    if let CompactError::Part { source, .. } = error {
        hints.extend(for_a_copy(source).map(Hint::say));
    }
    hints
}

/// What can be done with a copy of the disk.
fn for_a_copy(error: &Error) -> Option<&'static str> {
    match (error.detail(), error.kind()) {
        (Some(FreeError::Journal), _) => Some(
            "a copy replays its journal when it is mounted writable, and fstrim makes its free \
             blocks holes then",
        ),
        // e2fsck repairs neither the file system nor the partition: it asks which one is right.
        (Some(FreeError::Cut { .. }), _) => None,
        (Some(_), _) | (None, ErrorKind::Corrupt) => Some(
            "e2fsck -f repairs a copy, and fstrim makes its free blocks holes when it is mounted",
        ),
        _ => None,
    }
}
