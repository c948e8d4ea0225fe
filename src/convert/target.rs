//! Where a conversion goes, told before anything is opened.

use std::fmt;
use std::fs::Metadata;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::ConvertError;
use super::input::{Input, identity};
use crate::error::Result;
use crate::in_use::{Host, Sign, User, Watched};
use crate::sink::TargetError;
use crate::sink::{BlockSink, FreeRoom, IfExists, PartialFile, backing_file, free_room};
use crate::util::paths::folder_of;

/// Where the bytes go.
#[derive(Debug)]
pub enum Target {
    /// A regular file, there or not.
    File(PathBuf),
    /// A block device.
    Device(PathBuf),
    /// A pipe or a character device.
    Stream(PathBuf),
    /// A stream that is open already.
    Open(OpenStream),
    /// A directory for an image of every partition, there or not.
    Directory(PathBuf),
}

/// A stream that somebody opened: stdout.
pub struct OpenStream {
    /// What messages call it.
    pub name: PathBuf,
    /// Takes the bytes.
    pub out: Box<dyn Write + Send>,
    /// Device and inode number, where it is a file.
    pub identity: Option<(u64, u64)>,
    /// Its path, where it is a file.
    pub kept_in: Option<PathBuf>,
}

impl fmt::Debug for OpenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStream")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Tells a target by what is there already.
    ///
    /// # Errors
    ///
    /// [`TargetError::Exists`] for a character device that is not to be written to.
    pub fn at(path: &Path, if_exists: IfExists) -> Result<Self> {
        let path = path.to_owned();
        let Ok(meta) = std::fs::metadata(&path) else {
            return Ok(Self::File(path));
        };
        let kind = meta.file_type();
        if kind.is_block_device() {
            return Ok(Self::Device(path));
        }
        if kind.is_char_device() {
            if if_exists == IfExists::Refuse && !is_memory_device(&meta) {
                return Err(TargetError::Exists { path }.into());
            }
            return Ok(Self::Stream(path));
        }
        if kind.is_fifo() {
            return Ok(Self::Stream(path));
        }
        Ok(Self::File(path))
    }

    /// Whether it is a file or several: what has a place beside it.
    #[must_use]
    pub fn is_files(&self) -> bool {
        matches!(self, Self::File(_) | Self::Directory(_))
    }

    /// What is left of a copy that was stopped.
    #[must_use]
    pub fn fate(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Directory(_) => "nothing was left behind",
            Self::Device(_) => "the device holds part of the disk, without its first MiB",
            Self::Open(_) | Self::Stream(_) => "what was sent is part of the disk",
        }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &Path {
        match self {
            Self::Open(stream) => &stream.name,
            Self::File(path) | Self::Device(path) | Self::Stream(path) | Self::Directory(path) => {
                path
            }
        }
    }

    /// Makes sure that no file of the source is written over, under whatever name.
    ///
    /// # Errors
    ///
    /// [`ConvertError::TargetIsSource`] where one would be.
    pub fn refuse_files_of(&self, input: &Input) -> Result<()> {
        let file = match self {
            Self::Open(stream) => stream.identity,
            Self::Stream(path) | Self::File(path) | Self::Directory(path) => identity(path),
            // A loop device is another name for the file behind it.
            Self::Device(path) => identity(&backing_file(path).unwrap_or(path.clone())),
        };
        if file.is_some_and(|file| input.has_file(file)) {
            let path = self.name().to_owned();
            return Err(ConvertError::TargetIsSource { path }.into());
        }
        Ok(())
    }

    /// Makes sure that no machine runs on what is changed where it lies: QEMU holds locks, and a
    /// loop device may be mounted. That a program has it open says less: what it wrote shows in the
    /// times.
    ///
    /// # Errors
    ///
    /// [`TargetError::InUse`] where one does.
    pub(super) fn refuse_use(&self) -> Result<()> {
        let (Self::File(path) | Self::Device(path)) = self else {
            return Ok(());
        };
        let path = path.to_owned();
        let signs = Host::default().signs(&[Watched { path, top: true }]);
        let says = |sign: &Sign| matches!(sign.user, User::Lock { .. } | User::Loop { .. });
        match signs.into_iter().find(says) {
            Some(Sign { path, user }) => {
                let user = user.to_string();
                Err(TargetError::InUse { path, user }.into())
            }
            None => Ok(()),
        }
    }

    /// The directory that takes a file.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        Some(folder_of(&real).to_owned())
    }

    /// Makes sure that the target may be written, and says how much room there is, where that is
    /// known.
    pub(super) fn admit(&self, if_exists: IfExists, size: u64) -> Result<Option<FreeRoom>> {
        match self {
            Self::Open(_) | Self::Stream(_) | Self::Directory(_) => Ok(None),
            Self::Device(path) if if_exists == IfExists::Refuse => {
                Err(TargetError::Exists { path: path.clone() }.into())
            }
            Self::Device(path) => {
                self.refuse_use()?;
                let bytes = BlockSink::admit(path, size)?;
                Ok(Some(FreeRoom {
                    bytes,
                    sure: bytes,
                    is_exact: true,
                    can_share: false,
                }))
            }
            Self::File(path) => {
                PartialFile::admit(path, if_exists)?;
                self.folder().as_deref().map(free_room).transpose()
            }
        }
    }
}

/// `/dev/null`, `/dev/zero` and `/dev/full`, in which nothing is kept that could be lost: 3, 5 and
/// 7 of the kernel's memory devices (devices.txt).
fn is_memory_device(meta: &Metadata) -> bool {
    let device = meta.rdev();
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff);
    major == 1 && [3, 5, 7].contains(&minor)
}
