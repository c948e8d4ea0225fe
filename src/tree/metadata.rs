//! What is known of a file beside its contents.

/// What is known of a file beside its contents: what `stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The number of the inode: files with the same one are one file.
    pub inode: u64,
    /// What the file is.
    pub file_type: FileType,
    /// The lowest 12 bits of the mode: permissions, set-user-ID, set-group-ID and sticky.
    pub permissions: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The number of names; 1 for a directory with more than the file system counts.
    pub links: u32,
    /// The size in bytes: of a link, the length of its target.
    pub size: u64,
    /// The room it takes, in units of 512 bytes.
    pub sectors: u64,
    /// Which device it is, of a device.
    pub device: Option<DeviceNumber>,
    /// When its contents were last read.
    pub accessed: Moment,
    /// When its contents last changed.
    pub modified: Moment,
    /// When its inode last changed.
    pub changed: Moment,
    /// When it was made, where the file system keeps that.
    pub created: Option<Moment>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl FileType {
    /// The type that a mode has in its highest four bits; `None` where they mean nothing.
    #[must_use]
    pub fn of_mode(mode: u16) -> Option<Self> {
        Some(match mode >> 12 {
            0x1 => Self::Fifo,
            0x2 => Self::CharacterDevice,
            0x4 => Self::Directory,
            0x6 => Self::BlockDevice,
            0x8 => Self::File,
            0xa => Self::Symlink,
            0xc => Self::Socket,
            _ => return None,
        })
    }

    /// The letter that `ls -l` puts in front of the permissions; a regular file has `-`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::File => '-',
            Self::Directory => 'd',
            Self::Symlink => 'l',
            Self::CharacterDevice => 'c',
            Self::BlockDevice => 'b',
            Self::Fifo => 'p',
            Self::Socket => 's',
        }
    }

    /// The word for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Symlink => "symbolic link",
            Self::CharacterDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "named pipe",
            other => other.name(),
        }
    }

    /// The word for scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::CharacterDevice => "character-device",
            Self::BlockDevice => "block-device",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
        }
    }
}

/// The number of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// A time of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Seconds since 1970, UTC; negative before.
    pub seconds: i64,
    /// Nanoseconds after that, below a thousand million.
    pub nanoseconds: u32,
}
