//! One member of an archive up to its data: a ustar header, and in front of it the records for what
//! such a header cannot say.
//!
//! | what | where |
//! |---|---|
//! | a name of 100 bytes at most, ASCII or no UTF-8 | the header |
//! | a name in UTF-8 that is longer, or not only ASCII | record `path`, `linkpath` |
//! | a longer name in other bytes | GNU's long name: a record has to be UTF-8 |
//! | fractions of a second, times before 1970 or after 2242 | record `mtime` |
//! | owners over 2097151, sizes from 8 GiB on | records `uid`, `gid`, `size` |
//! | attributes, capabilities among them | `SCHILY.xattr.NAME` |
//! | ACLs | `SCHILY.acl.access` and `.default` too, for readers that take no attribute for them |
//! | holes | `GNU.sparse` 1.0: a map in front of the data |
//!
//! GNU tar and bsdtar read both ways of writing a long name; a record that is no UTF-8 makes bsdtar
//! end with an error. Names of owners are left empty: who they are on the receiving side is decided
//! by numbers.

use super::acl;
use super::field::{octal, octal_or_binary};
use super::pax::Records;
use crate::tree::{Attribute, FileType, Metadata};
use crate::util::bytes::to_u64;

/// The unit that everything in an archive is padded to, in bytes.
pub(super) const BLOCK: usize = 512;

/// A member, as its header says it.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// The path that it gets, with `./` in front, and of a directory a `/` at the end.
    pub(super) path: &'a [u8],
    pub(super) metadata: &'a Metadata,
    pub(super) attributes: &'a [Attribute],
    pub(super) kind: Kind<'a>,
}

/// What kind of member it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    /// Another name of the file that the member of this path is.
    HardLink(&'a [u8]),
    /// A regular file, whose data follows as it is.
    Plain,
    /// A regular file: this many bytes follow, the map of what is stored and what that is.
    Sparse(u64),
    /// A symbolic link to this path.
    Symlink(&'a [u8]),
    /// A file without data: a directory, a device, a pipe.
    Other,
}

/// The longest name that a header holds.
const NAME: usize = 100;

impl Member<'_> {
    /// Adds the member's bytes up to its data to `out`: a multiple of [`BLOCK`].
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut records = Records::default();
        let mut header = Header::new();
        self.put_names(&mut header, &mut records, out);
        self.put_numbers(&mut header, &mut records);
        self.put_attributes(&mut records);
        if !records.bytes().is_empty() {
            let name = format!("./PaxHeaders/{}", self.metadata.inode);
            extension(b'x', name.as_bytes(), records.bytes(), out);
        }
        out.extend(header.finished());
    }

    fn put_names(&self, header: &mut Header, records: &mut Records, out: &mut Vec<u8>) {
        let is_text = std::str::from_utf8(self.path).is_ok();
        match self.kind {
            // A reader that knows nothing of maps should not take the map for the file.
            Kind::Sparse(_) if is_text => {
                records.add(b"GNU.sparse.name", self.path);
                let name = format!("./GNUSparseFile.0/{}", self.metadata.inode);
                header.put_name(Header::NAME, name.as_bytes());
            }
            _ => put_name(b"path", b'L', Header::NAME, self.path, header, records, out),
        }
        if let Kind::HardLink(target) | Kind::Symlink(target) = self.kind {
            let key = b"linkpath";
            put_name(key, b'K', Header::LINK, target, header, records, out);
        }
    }

    fn put_numbers(&self, header: &mut Header, records: &mut Records) {
        let metadata = self.metadata;
        let bytes = &mut header.0;
        octal(&mut bytes[100..108], u64::from(metadata.permissions));
        for (key, at, id) in [
            (&b"uid"[..], 108, metadata.uid),
            (b"gid", 116, metadata.gid),
        ] {
            if !octal(&mut bytes[at..at + 8], u64::from(id)) {
                octal(&mut bytes[at..at + 8], 0);
                records.number(key, u64::from(id));
            }
        }
        let size = match self.kind {
            Kind::Plain => metadata.size,
            Kind::Sparse(stored) => stored,
            _ => 0,
        };
        if !octal(&mut bytes[124..136], size) {
            octal(&mut bytes[124..136], 0);
            records.number(b"size", size);
        }
        if let Kind::Sparse(_) = self.kind {
            records.number(b"GNU.sparse.major", 1);
            records.number(b"GNU.sparse.minor", 0);
            records.number(b"GNU.sparse.realsize", metadata.size);
        }
        let seconds = u64::try_from(metadata.modified.seconds);
        let is_held = seconds.is_ok_and(|seconds| octal(&mut bytes[136..148], seconds));
        if !is_held {
            octal(&mut bytes[136..148], 0);
        }
        if !is_held || metadata.modified.nanoseconds != 0 {
            records.moment(b"mtime", metadata.modified);
        }
        bytes[156] = self.letter();
        if let (Some(device), Kind::Other) = (metadata.device, self.kind) {
            octal_or_binary(&mut bytes[329..337], u64::from(device.major));
            octal_or_binary(&mut bytes[337..345], u64::from(device.minor));
        }
    }

    fn put_attributes(&self, records: &mut Records) {
        for (name, key) in [acl::ACCESS, acl::DEFAULT] {
            let mut attributes = self.attributes.iter();
            let found = attributes.find(|attribute| attribute.name == name);
            if let Some(text) = found.and_then(|attribute| acl::text(&attribute.value)) {
                records.add(key, text.as_bytes());
            }
        }
        for attribute in self.attributes {
            records.attribute(&attribute.name, &attribute.value);
        }
    }

    /// The type, as POSIX has it.
    fn letter(&self) -> u8 {
        match (self.kind, self.metadata.file_type) {
            (Kind::HardLink(_), _) => b'1',
            (_, FileType::Symlink) => b'2',
            (_, FileType::CharacterDevice) => b'3',
            (_, FileType::BlockDevice) => b'4',
            (_, FileType::Directory) => b'5',
            (_, FileType::Fifo) => b'6',
            // Sockets have no type of their own, and are left out before this.
            (_, FileType::File | FileType::Socket) => b'0',
        }
    }
}

/// Puts a name where it can stand; see the table above.
fn put_name(
    key: &[u8],
    gnu: u8,
    field: usize,
    name: &[u8],
    header: &mut Header,
    records: &mut Records,
    out: &mut Vec<u8>,
) {
    header.put_name(field, name);
    match std::str::from_utf8(name) {
        Ok(text) if name.len() > NAME || !text.is_ascii() => records.add(key, name),
        Err(_) if name.len() > NAME => {
            let name = [name, b"\0"].concat();
            extension(gnu, b"././@LongLink", &name, out);
        }
        _ => {}
    }
}

/// Adds a member that says something about the next one.
fn extension(letter: u8, name: &[u8], data: &[u8], out: &mut Vec<u8>) {
    let mut header = Header::new();
    header.put_name(Header::NAME, name);
    let bytes = &mut header.0;
    octal(&mut bytes[100..108], 0o644);
    octal(&mut bytes[108..116], 0);
    octal(&mut bytes[116..124], 0);
    octal(&mut bytes[136..148], 0);
    octal_or_binary(&mut bytes[124..136], to_u64(data.len()));
    bytes[156] = letter;
    out.extend(header.finished());
    out.extend(data);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

/// A ustar header.
#[derive(Debug)]
struct Header([u8; BLOCK]);

impl Header {
    /// Where the name is.
    const NAME: usize = 0;
    /// Where the target of a link is.
    const LINK: usize = 157;

    fn new() -> Self {
        let mut bytes = [0; BLOCK];
        bytes[257..265].copy_from_slice(b"ustar\x0000");
        Self(bytes)
    }

    /// Puts a name into a field, as much of it as fits; UTF-8 is not cut inside a character.
    fn put_name(&mut self, at: usize, name: &[u8]) {
        let mut len = name.len().min(NAME);
        if let Ok(text) = std::str::from_utf8(name) {
            while !text.is_char_boundary(len) {
                len -= 1;
            }
        }
        self.0[at..at + len].copy_from_slice(&name[..len]);
    }

    /// The bytes with their checksum: their sum, in which its own field counts as spaces.
    fn finished(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().copied().map(u64::from).sum();
        octal(&mut self.0[148..155], sum);
        self.0
    }
}

#[cfg(test)]
mod tests;
