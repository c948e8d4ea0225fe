//! Files at a directory of this machine, through the kernel's FUSE: a [`Tree`](crate::tree::Tree),
//! or a disk and its partitions as files of one.
//!
//! That needs no root: fusermount3 mounts for an ordinary user. The image does not change,
//! so the kernel may remember for ever what it was told: names, attributes, and bytes. Where the
//! source changes all the same, everything that the kernel does not know yet is an I/O error.
//!
//! What is known of a mount stands in the mount itself, as the name of its source, which
//! `/proc/self/mountinfo` shows to everyone. So there is no list to be kept, and none that is left
//! over: a mount is found, and [taken away](Mounted::detach), with or without its server.

mod attributes;
mod audience;
mod disk_files;
mod error;
mod event;
mod files;
mod label;
mod listing;
mod log_file;
mod mount;
mod mounted;
mod unmount;
mod unseen;

pub use self::audience::Audience;
pub use self::disk_files::DiskFiles;
pub use self::error::FuseError;
pub use self::event::FuseEvent;
pub use self::label::{MountLabel, Shown};
pub use self::log_file::log_file_of;
pub use self::mount::{FuseMount, FuseRequest};
pub use self::mounted::{Mounted, mounted};
pub use self::unseen::UnseenFile;
