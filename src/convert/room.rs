//! Whether a target fits: what it takes at least and at most, and what is free.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::input::Input;
use super::options::{ConvertOptions, Sparse};
use crate::sink::{FreeRoom, Reflink};

/// What a target takes, and what there is for it, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room {
    /// Less is not possible.
    pub least: u64,
    /// The data that may be written, and the tables of the format.
    pub most: u64,
    /// What is free at best; `None` for a stream.
    pub free: Option<u64>,
    /// What of it is free without doubt.
    sure: u64,
    /// Whether a file system keeps notes of its own about the target.
    is_file: bool,
}

impl Room {
    /// Of a block device or a stream.
    pub(super) fn of_device(needed: u64, free: Option<u64>) -> Self {
        Self {
            least: needed,
            most: needed,
            free,
            sure: free.unwrap_or(0),
            is_file: false,
        }
    }

    /// Of a file that takes `most` bytes in `folder`, made from `input`.
    pub(super) fn of_file(
        options: &ConvertOptions,
        most: u64,
        free: FreeRoom,
        folder: &Path,
        input: &Input,
    ) -> Self {
        let is_certain = if options.sparse == Sparse::Never {
            free.is_exact
        } else {
            // How much of the data is zeros, how small it becomes and which blocks the file
            // system shares shows only when it is done.
            let may_share =
                free.can_share && options.reflink != Reflink::Never && lies_on(folder, input);
            free.is_exact && !may_share && !options.may_shrink()
        };
        Self {
            least: if is_certain { most } else { 0 },
            most,
            free: Some(free.bytes),
            sure: free.sure,
            is_file: true,
        }
    }

    /// Of two targets in one place.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            least: self.least.saturating_add(other.least),
            most: self.most.saturating_add(other.most),
            ..other
        }
    }

    /// Whether it fits; `None` where that shows only when it is done.
    #[must_use]
    pub fn fits(&self) -> Option<bool> {
        let free = self.free?;
        if free < self.least {
            return Some(false);
        }
        (self.sure >= self.most.saturating_add(self.notes())).then_some(true)
    }

    /// What a file system may need for itself: lists of extents, entries of directories. A
    /// generous guess.
    fn notes(&self) -> u64 {
        if self.is_file {
            (self.most >> 8).saturating_add(64 << 10)
        } else {
            0
        }
    }

    /// Whether it may take far less than the most.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.least < self.most
    }
}

/// Whether a layer of the source lies on the file system of a directory.
fn lies_on(folder: &Path, input: &Input) -> bool {
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    let here = device(folder);
    here.is_none() || input.store_files().iter().any(|file| device(file) == here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_or_not_or_that_shows_later() {
        let mib = 1 << 20;
        let room = |least, most, free| Room {
            least: least * mib,
            most: most * mib,
            free: Some(free * mib),
            sure: free * mib,
            is_file: true,
        };
        assert_eq!(room(16, 16, 17).fits(), Some(true));
        assert_eq!(room(0, 16, 17).fits(), Some(true));
        assert_eq!(room(0, 16, 15).fits(), None);
        assert_eq!(room(16, 16, 15).fits(), Some(false));
        // The file system wants something for itself.
        assert_eq!(room(16, 16, 16).fits(), None);
        // What is kept back for root may be enough, and may not be.
        let kept_back = Room {
            sure: 15 * mib,
            ..room(16, 16, 20)
        };
        assert_eq!(kept_back.fits(), None);
        assert_eq!(Room::of_device(16, Some(16)).fits(), Some(true));
        assert_eq!(Room::of_device(16, Some(15)).fits(), Some(false));
        assert_eq!(Room::of_device(16, None).fits(), None);
        let both = room(1, 16, 17).and(room(0, 3, 17));
        assert_eq!((both.least, both.most), (mib, 19 * mib));
        assert_eq!(both.fits(), None);
    }
}
