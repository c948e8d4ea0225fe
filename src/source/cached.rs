//! What of a file is in the page cache.

use std::fs::File;

use crate::sys;

/// How a file is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// What the page cache has of it; nothing is read for the answer.
    PageCache,
    /// By a read that does not wait, after which the kernel may read what it did not have.
    Read,
}

impl Asked {
    /// The way that suits `file`. The code that opens an image reads its first byte. Where the page
    /// cache does not have that byte, the file's reads go to another one, as with overlayfs, or the
    /// kernel let go of it since.
    pub(super) fn of(file: &File) -> Self {
        match sys::is_read_at_once(file, 0) && sys::is_in_page_cache(file, 0) == Some(true) {
            true => Self::PageCache,
            false => Self::Read,
        }
    }

    /// Whether the byte at `offset` is in the page cache; `true` where the kernel does not say.
    pub(super) fn is_cached(self, file: &File, offset: u64) -> bool {
        match self {
            Self::PageCache => sys::is_in_page_cache(file, offset).unwrap_or(true),
            Self::Read => sys::is_read_at_once(file, offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

    #[test]
    fn what_was_written_just_now_is_cached_in_every_way() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(&file, vec![1; 100_000]).unwrap();
        let file = file.as_file();
        // Of a file on overlayfs, there is one way.
        for asked in [Asked::of(file), Asked::Read] {
            for offset in [0, 70_000, 99_999] {
                assert!(asked.is_cached(file, offset), "{asked:?} {offset}");
            }
        }
    }

    #[test]
    fn a_file_whose_pages_are_elsewhere_is_asked_by_a_read() {
        // Like a file of overlayfs, it has no pages of its own.
        let file = File::open("/proc/self/stat").unwrap();
        assert_eq!(Asked::of(&file), Asked::Read);
        assert!(Asked::of(&file).is_cached(&file, 0));
    }
}
