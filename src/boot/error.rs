//! Why no disk that boots can be made.

use std::path::PathBuf;

use crate::error::{Detail, ErrorKind};

/// Why no disk that boots can be made of a disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// The disk has no partition and nothing else that is known.
    #[error("the disk has neither a partition nor a file system that is known")]
    NothingToBoot,
    /// The new partition table has no entry of that number.
    #[error("partition {number} is past the 128 that the new partition table has")]
    PartitionNumber {
        /// The number.
        number: u32,
    },
    /// The disk would be larger than any disk can be.
    #[error("the disk is too large for another partition")]
    TooLarge,
    /// A word of the kernel's command line that the boot loader cannot hand on as it is.
    #[error("the boot loader hands on no quotation mark, backslash or control character: {word}")]
    CommandLine {
        /// The word, made safe for a terminal.
        word: String,
    },
    /// The program that makes GRUB's images is missing.
    #[error("grub-mkimage is not installed; on Debian it is in the package grub-common")]
    NoGrub,
    /// GRUB's modules for one kind of firmware are missing.
    #[error("GRUB for {firmware} is not installed; on Debian it is in the package {package}")]
    NoPlatform {
        /// `BIOS` or `UEFI`.
        firmware: &'static str,
        /// Debian's name.
        package: &'static str,
    },
    /// GRUB's program failed, or made something else than it should.
    #[error("{} made no image for {firmware}: {why}", program.display())]
    GrubFailed {
        /// The program.
        program: PathBuf,
        /// `BIOS` or `UEFI`.
        firmware: &'static str,
        /// What it said.
        why: String,
    },
}

impl Detail for BootError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NothingToBoot | Self::CommandLine { .. } => ErrorKind::Input,
            Self::PartitionNumber { .. } | Self::TooLarge => ErrorKind::Unsupported,
            Self::NoGrub | Self::NoPlatform { .. } | Self::GrubFailed { .. } => ErrorKind::Io,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NothingToBoot => "no-system",
            Self::PartitionNumber { .. } => "partition-number",
            Self::TooLarge => "disk-too-large",
            Self::CommandLine { .. } => "kernel-command-line",
            Self::NoGrub | Self::NoPlatform { .. } => "no-grub",
            Self::GrubFailed { .. } => "grub-failed",
        }
    }
}
