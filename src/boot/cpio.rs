//! An archive that the kernel unpacks into its first file system: the "new ASCII" format of cpio,
//! Documentation/driver-api/early-userspace/buffer-format.rst.

use crate::util::bytes::{saturating_u32, to_u64};

/// An archive as it grows. Every run makes the same: no times, and numbers in order.
#[derive(Debug, Default)]
pub(super) struct Cpio {
    bytes: Vec<u8>,
    members: u32,
}

impl Cpio {
    /// Adds a folder. It must not be one that another archive before this one has as a link: the
    /// kernel would put a folder in its place.
    pub(super) fn folder(&mut self, path: &[u8]) {
        self.member(path, 0o040_755, &[]);
    }

    /// Adds a file; the kernel passes it over where its folder is missing.
    pub(super) fn file(&mut self, path: &[u8], mode: u32, contents: &[u8]) {
        self.member(path, 0o100_000 | mode, contents);
    }

    /// The archive with its end, padded to 512 bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.members = 0;
        self.member(b"TRAILER!!!", 0, &[]);
        let len = self.bytes.len().next_multiple_of(512);
        self.bytes.resize(len, 0);
        self.bytes
    }

    fn member(&mut self, path: &[u8], mode: u32, contents: &[u8]) {
        self.members = self.members.saturating_add(u32::from(mode != 0));
        let size = saturating_u32(to_u64(contents.len()));
        let name = saturating_u32(to_u64(path.len().saturating_add(1)));
        let links = if mode & 0o040_000 != 0 { 2 } else { 1 };
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor,
        // namesize, check
        let fields = [
            self.members,
            mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            0,
            0,
            name,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path);
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        let len = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(len, 0);
    }
}
