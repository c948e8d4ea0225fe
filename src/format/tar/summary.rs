//! What an archive holds, and what it does not.

use super::error::shown;
use super::walk::Visited;
use crate::error::Error;
use crate::tree::FileType;

/// What an archive holds, and what was left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TarContents {
    /// Regular files.
    pub files: u64,
    /// Directories, the root among them.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files that are counted already.
    pub hard_links: u64,
    /// Devices, of characters and of blocks.
    pub devices: u64,
    /// Named pipes.
    pub fifos: u64,
    /// Bytes of files that are not stored, and not in the archive.
    pub hole_bytes: u64,
    /// Sockets, which were left out: an archive has no type for them, and a socket works only while
    /// the program runs that made it.
    pub sockets: u64,
    /// The first files that were left out because they cannot be read.
    pub unreadable: Vec<UnreadableFile>,
    /// How many more there are.
    pub more_unreadable: u64,
}

/// A file that was left out of an archive because it cannot be read; of a directory, what of it is
/// left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableFile {
    /// Its path, made safe for a terminal.
    pub path: String,
    /// Why it cannot be read.
    pub why: String,
}

/// A file in an archive of which some bytes are lost, with zeros in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZeroedFile {
    /// Its path, made safe for a terminal.
    pub path: String,
    /// How many bytes are lost.
    pub bytes: u64,
}

/// An archive that was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TarWritten {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The first files of which bytes are lost, by their paths.
    pub zeroed: Vec<ZeroedFile>,
    /// How many bytes of further files are lost.
    pub more_zeroed: u64,
}

/// The most unreadable files that are listed: memory is bounded.
const MOST_LISTED: usize = 1000;

impl TarContents {
    pub(super) fn count(&mut self, visited: Visited) {
        let counter = match visited {
            Visited::HardLink => &mut self.hard_links,
            Visited::File { holes } => {
                self.hole_bytes = self.hole_bytes.saturating_add(holes);
                &mut self.files
            }
            Visited::Other(kind) => match kind {
                FileType::File => &mut self.files,
                FileType::Directory => &mut self.directories,
                FileType::Symlink => &mut self.symlinks,
                FileType::CharacterDevice | FileType::BlockDevice => &mut self.devices,
                FileType::Fifo => &mut self.fifos,
                FileType::Socket => &mut self.sockets,
            },
        };
        *counter += 1;
    }

    pub(super) fn add_unreadable(&mut self, path: &[u8], error: &Error) {
        if self.unreadable.len() >= MOST_LISTED {
            self.more_unreadable += 1;
            return;
        }
        let mut why = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            why += &format!(": {cause}");
            source = cause.source();
        }
        self.unreadable.push(UnreadableFile {
            path: shown(path),
            why,
        });
    }

    /// The members of the archive.
    #[must_use]
    pub fn members(&self) -> u64 {
        self.files + self.directories + self.symlinks + self.hard_links + self.devices + self.fifos
    }

    /// The files that were left out because they cannot be read.
    #[must_use]
    pub fn unreadable_files(&self) -> u64 {
        self.unreadable.len() as u64 + self.more_unreadable
    }
}
