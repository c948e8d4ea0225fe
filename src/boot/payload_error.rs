//! Why no kernel is there to start a container with.

use std::path::PathBuf;

use super::initramfs::Fault;
use crate::error::{Detail, ErrorKind};

/// Why no kernel is there to start a container with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// No kernel of the host is for the guest's processor and has an initramfs.
    #[error(
        "{} has no kernel with an initramfs for {architecture}; Debian has one in the package \
         {package}",
        folder.display()
    )]
    NoKernel {
        /// Where it was looked for.
        folder: PathBuf,
        /// The guest's processor.
        architecture: String,
        /// Debian's name.
        package: &'static str,
    },
    /// The file is no kernel that a PC starts.
    #[error("{} is no kernel of Linux for a PC (a bzImage)", path.display())]
    NotAKernel {
        /// The file.
        path: PathBuf,
    },
    /// The kernel is for another processor than the guest's programs.
    #[error("{} is a kernel for {kernel}, and the system is for {guest}", path.display())]
    OtherProcessor {
        /// The kernel.
        path: PathBuf,
        /// Its processor.
        kernel: &'static str,
        /// The guest's.
        guest: String,
    },
    /// The kernel's file is shorter than its header says.
    #[error(
        "{} is cut short: it has {size} bytes, and the kernel takes {stated}", path.display()
    )]
    CutKernel {
        /// The kernel.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The size that the header states, in bytes.
        stated: u64,
    },
    /// No kernel unpacks this initramfs.
    #[error("{} is no initramfs that a kernel unpacks: it {}", path.display(), is(*fault))]
    BrokenInitramfs {
        /// The initramfs.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The kernel's command line is longer than what the kernel takes.
    #[error("the kernel {release} takes a command line of {most} bytes, and this one has {length}")]
    LongCommandLine {
        /// The kernel's release.
        release: String,
        /// Bytes that it takes.
        most: usize,
        /// Bytes that there are, those of the boot loader included.
        length: usize,
    },
    /// The initramfs does not run what is added to it.
    #[error(
        "{} cannot change the container's files at its first boot: neither initramfs-tools nor \
         dracut made it",
        path.display()
    )]
    OtherInitramfs {
        /// The initramfs.
        path: PathBuf,
    },
    /// The folder has the modules of another kernel.
    #[error("{} has modules of the kernel {found}, and the kernel is {release}", folder.display())]
    OtherModules {
        /// The folder.
        folder: PathBuf,
        /// The kernel's release.
        release: String,
        /// The release that the modules are for.
        found: String,
    },
    /// The kernel's initramfs is not beside it.
    #[error("{} has no initramfs for the kernel {release}", folder.display())]
    NoInitramfs {
        /// Where it was looked for.
        folder: PathBuf,
        /// The kernel's release.
        release: String,
    },
    /// The folder has no modules of the kernel.
    #[error("{} has no modules of the kernel {release}", folder.display())]
    NoModules {
        /// The folder.
        folder: PathBuf,
        /// The kernel's release.
        release: String,
    },
    /// The kernel cannot reach the root file system.
    #[error("the kernel {release} cannot start from this disk: it has no driver for {what}")]
    NoDriver {
        /// The kernel's release.
        release: String,
        /// For what: a file system, a bus.
        what: String,
    },
    /// The kernel can reach the root file system with a module that its initramfs lacks.
    #[error("{} cannot start from this disk: it has no driver for {what}", path.display())]
    NoDriverInInitramfs {
        /// The initramfs.
        path: PathBuf,
        /// For what: a file system, a bus.
        what: String,
    },
}

fn is(fault: Fault) -> &'static str {
    match fault {
        Fault::Empty => "is empty",
        Fault::NoArchive => "begins with no archive",
        Fault::Damaged => "is damaged",
    }
}

/// What is found of what a guest is started with.
pub(super) type Found<T> = std::result::Result<T, PayloadError>;

impl Detail for PayloadError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Input
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoKernel { .. } => "no-kernel",
            Self::NotAKernel { .. } => "not-a-kernel",
            Self::OtherProcessor { .. } => "other-processor",
            Self::CutKernel { .. } => "cut-kernel",
            Self::BrokenInitramfs { .. } => "broken-initramfs",
            Self::LongCommandLine { .. } => "kernel-command-line",
            Self::OtherInitramfs { .. } => "other-initramfs",
            Self::OtherModules { .. } => "other-modules",
            Self::NoInitramfs { .. } => "no-initramfs",
            Self::NoModules { .. } => "no-modules",
            Self::NoDriver { .. } | Self::NoDriverInInitramfs { .. } => "no-driver",
        }
    }
}
