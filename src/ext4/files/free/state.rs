//! How a file system was left: closed, or by a kernel that found something wrong.

use super::error::FreeError;
use super::shape::Shape;
use crate::error::Result;
use crate::ext4::files::features::Journal;
use crate::ext4::files::journal;
use crate::ext4::files::reader::Reader;

/// Bits of `s_state`.
const CLOSED: u16 = 0x1;
const HAS_ERRORS: u16 = 0x2;
/// Fast commits were being replayed.
const REPLAYING: u16 = 0x20;

/// Refuses a file system that was not closed, or that the kernel found errors in.
///
/// # Errors
///
/// [`FreeError::NotClosed`], [`FreeError::HasErrors`], and where the journal makes no sense.
pub(super) fn check(reader: &Reader, shape: &Shape) -> Result<()> {
    if shape.state & HAS_ERRORS != 0 {
        return Err(FreeError::HasErrors.into());
    }
    if shape.state & CLOSED == 0 || shape.state & REPLAYING != 0 {
        return Err(FreeError::NotClosed.into());
    }
    let Some(Journal::Inode(inode)) = reader.features.journal else {
        return Ok(());
    };
    let journal = journal::state(reader, inode)?;
    if journal.has_failed {
        return Err(FreeError::HasErrors.into());
    }
    // The kernel forgets such a journal, and e2fsck asks whether to replay it.
    if !journal.is_empty && !reader.features.needs_recovery {
        return Err(FreeError::NotClosed.into());
    }
    Ok(())
}
