//! Answers what the kernel asks of a tree.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEntry,
    ReplyLseek, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};

use super::attributes::{Numbers, attributes_of, type_of, unknown};
use super::audience::Audience;
use super::event::FuseEvent;
use super::listing::{DirectoryNames, Listings};
use crate::disk::{VirtualDisk, Watch};
use crate::error::{Error, Result};
use crate::ext4::FilesError;
use crate::tree::{Capacity, FileType, Node, Tree};
use crate::util::bytes::{saturating_i64, saturating_u32, to_u64, to_usize};

/// How long the kernel may believe what it was told: nothing changes.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long the kernel may believe what is only a guess.
const NOT_AT_ALL: Duration = Duration::ZERO;

/// The most bytes that a name has.
const LONGEST_NAME: u32 = 255;

/// Who hears of what goes wrong.
pub(super) type Listener = Box<dyn Fn(&FuseEvent<'_>) + Send + Sync>;

/// A tree of files as the kernel asks for it.
pub(super) struct Served {
    pub(super) tree: Arc<dyn Tree>,
    /// What the files are read from.
    pub(super) disk: Arc<dyn VirtualDisk>,
    pub(super) watch: Watch,
    pub(super) listings: Listings,
    pub(super) capacity: Capacity,
    pub(super) audience: Audience,
    pub(super) numbers: Numbers,
    /// Whether the kernel opens files and directories without asking.
    pub(super) opens_itself: bool,
    pub(super) listener: Listener,
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("tree", &self.tree)
            .finish_non_exhaustive()
    }
}

impl Served {
    /// Gives what `answer` finds for the file that the kernel knows by this number.
    fn of<T>(
        &self,
        number: INodeNo,
        answer: impl FnOnce(&dyn Node) -> Result<T>,
    ) -> std::result::Result<T, Errno> {
        let inode = self.numbers.swapped(number.0);
        self.answer(inode, || answer(&*self.tree.node(inode)?))
    }

    /// Turns what cannot be read into an error of the operating system, and says so.
    fn answer<T>(
        &self,
        inode: u64,
        answer: impl FnOnce() -> Result<T>,
    ) -> std::result::Result<T, Errno> {
        let tell = |error: &Error| (self.listener)(&FuseEvent::Changed { error });
        if !self.watch.is_fit(&*self.disk, tell) {
            return Err(Errno::EIO);
        }
        answer().map_err(|error| {
            (self.listener)(&FuseEvent::Failed {
                inode,
                error: &error,
            });
            match error.detail() {
                Some(FilesError::Encrypted(_)) => Errno::from_i32(nix::libc::ENOKEY),
                _ => Errno::EIO,
            }
        })
    }

    fn names_of(&self, number: INodeNo) -> std::result::Result<Arc<DirectoryNames>, Errno> {
        let inode = self.numbers.swapped(number.0);
        self.answer(inode, || {
            self.listings.get(inode, || {
                let node = self.tree.node(inode)?;
                Ok(DirectoryNames::read(&*node))
            })
        })
    }

    /// The attributes of a file as the kernel is to know it.
    fn attributes(&self, node: &dyn Node) -> fuser::FileAttr {
        attributes_of(node.metadata(), self.capacity.block_size)
    }

    /// The same, under the number by which the kernel asks for it.
    fn numbered(&self, mut attributes: fuser::FileAttr) -> fuser::FileAttr {
        attributes.ino = INodeNo(self.numbers.swapped(attributes.ino.0));
        attributes
    }

    /// What the kernel is told at the end of a directory: that it ended, or that it is damaged.
    fn ending(&self, number: INodeNo, names: &DirectoryNames) -> std::result::Result<(), Errno> {
        let Some(error) = &names.problem else {
            return Ok(());
        };
        let inode = self.numbers.swapped(number.0);
        (self.listener)(&FuseEvent::Failed { inode, error });
        match error.detail() {
            Some(FilesError::Encrypted(_)) => Err(Errno::from_i32(nix::libc::ENOKEY)),
            _ => Err(Errno::EIO),
        }
    }

    fn look_up(&self, parent: INodeNo, name: &OsStr) -> std::result::Result<Option<u64>, Errno> {
        let names = self.names_of(parent)?;
        match names.find(name.as_bytes()) {
            Some(inode) => Ok(Some(inode)),
            // What could not be read may have had it.
            None => self.ending(parent, &names).map(|()| None),
        }
    }

    fn attribute_names(
        &self,
        request: &Request,
        ino: INodeNo,
    ) -> std::result::Result<Vec<u8>, Errno> {
        let attributes = self.of(ino, |node| node.attributes())?;
        let mut list = Vec::new();
        for attribute in attributes {
            // As the kernel's own file systems do.
            if request.uid() == 0 || !attribute.name.starts_with(b"trusted.") {
                list.extend_from_slice(&attribute.name);
                list.push(0);
            }
        }
        Ok(list)
    }

    fn attribute(&self, ino: INodeNo, name: &OsStr) -> std::result::Result<Vec<u8>, Errno> {
        let attributes = self.of(ino, |node| node.attributes())?;
        let mut attributes = attributes.into_iter();
        let found = attributes.find(|attribute| attribute.name == name.as_bytes());
        Ok(found.ok_or(Errno::ENODATA)?.value)
    }

    fn bytes(&self, ino: INodeNo, offset: u64, size: u32) -> std::result::Result<Vec<u8>, Errno> {
        self.of(ino, |node| {
            let metadata = node.metadata();
            let is_file = metadata.file_type == FileType::File;
            let left = metadata.size.saturating_sub(offset);
            let len = if is_file {
                left.min(u64::from(size))
            } else {
                0
            };
            let mut bytes = vec![0; to_usize(len)];
            if len > 0 {
                node.read_at(&mut bytes, offset)?;
            }
            Ok(bytes)
        })
    }

    /// Where the next data or the next hole begins; the end of the file is a hole.
    fn seek(&self, ino: INodeNo, offset: u64, whence: i32) -> std::result::Result<u64, Errno> {
        let wants_data = match whence {
            nix::libc::SEEK_DATA => true,
            nix::libc::SEEK_HOLE => false,
            _ => return Err(Errno::EINVAL),
        };
        let found = self.of(ino, |node| {
            let size = node.metadata().size;
            let mut at = offset;
            while at < size {
                let run = node.run_at(at)?;
                if run.data == wants_data {
                    return Ok(Some(at));
                }
                at = at.saturating_add(run.len);
            }
            Ok((offset < size && !wants_data).then_some(size))
        })?;
        found.ok_or(Errno::ENXIO)
    }

    fn opened(&self, flags: FopenFlags, reply: ReplyOpen) {
        match self.opens_itself {
            true => reply.error(Errno::ENOSYS),
            false => reply.opened(FileHandle(0), flags),
        }
    }
}

fn reply_attribute(found: std::result::Result<Vec<u8>, Errno>, size: u32, reply: ReplyXattr) {
    match found {
        Ok(value) if size == 0 => reply.size(saturating_u32(to_u64(value.len()))),
        Ok(value) if value.len() > to_usize(size) => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let mut wanted = InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_ASYNC_DIO;
        let itself = InitFlags::FUSE_NO_OPEN_SUPPORT | InitFlags::FUSE_NO_OPENDIR_SUPPORT;
        self.opens_itself = config.capabilities().contains(itself);
        if self.opens_itself {
            wanted |= itself;
        }
        if self.audience == Audience::Everybody {
            // The kernel asks for ACLs where it decides who may read a file.
            wanted |= InitFlags::FUSE_POSIX_ACL;
        }
        let _ = config.add_capabilities(wanted & config.capabilities());
        // What cannot be set stays as it was.
        let _ = config.set_max_write(1 << 20);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = match self.look_up(parent, name) {
            // The kernel refuses a root below itself, but takes over what it is told of it.
            Ok(Some(inode)) if inode == self.numbers.root => return reply.error(Errno::EIO),
            Ok(Some(inode)) => inode,
            Ok(None) => {
                // The kernel remembers that there is no such name.
                let nothing = unknown(0, FileType::File);
                return reply.entry(&FOR_EVER, &nothing, Generation(0));
            }
            Err(errno) => return reply.error(errno),
        };
        let node = self.answer(found, || Ok(self.attributes(&*self.tree.node(found)?)));
        match node {
            Ok(attributes) => reply.entry(&FOR_EVER, &self.numbered(attributes), Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        // Under its own number, which `stat` shows, the root's too.
        match self.of(ino, |node| Ok(self.attributes(node))) {
            Ok(attributes) => reply.attr(&FOR_EVER, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.of(ino, |node| node.link_target()) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.opened(FopenFlags::FOPEN_KEEP_CACHE, reply);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let keep = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR;
        self.opened(keep, reply);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.bytes(ino, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn lseek(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let found = match u64::try_from(offset) {
            Ok(offset) => self.seek(ino, offset, whence),
            Err(_) => Err(Errno::ENXIO),
        };
        match found {
            Ok(offset) => reply.offset(saturating_i64(offset)),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = match self.names_of(ino) {
            Ok(names) => names,
            Err(errno) => return reply.error(errno),
        };
        let own = self.numbers.swapped(ino.0);
        let dots = [(&b"."[..], own), (b"..", names.parent)];
        let dots = dots
            .into_iter()
            .map(|(name, inode)| (name, inode, Some(FileType::Directory)));
        let listed = names.from(offset.saturating_sub(2));
        let listed = listed.map(|listed| (listed.name, listed.inode, listed.file_type));
        let dots = dots.skip(to_usize(offset.min(2)));
        let mut is_empty = true;
        for ((name, inode, file_type), next) in dots.chain(listed).zip(offset + 1..) {
            let kind = type_of(file_type.unwrap_or_else(|| self.type_at(inode)));
            if reply.add(INodeNo(inode), next, kind, OsStr::from_bytes(name)) {
                return reply.ok();
            }
            is_empty = false;
        }
        // First what there is, and at the next question that there was more.
        match self.ending(ino, &names) {
            Err(errno) if is_empty => reply.error(errno),
            _ => reply.ok(),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let names = match self.names_of(ino) {
            Ok(names) => names,
            Err(errno) => return reply.error(errno),
        };
        let own = self.numbers.swapped(ino.0);
        let mut is_empty = true;
        for (name, inode) in [(".", own), ("..", names.parent)]
            .into_iter()
            .skip(to_usize(offset.min(2)))
        {
            // The kernel looks up neither, and takes the number as it is.
            let attributes = unknown(inode, FileType::Directory);
            let next = if name == "." { 1 } else { 2 };
            if reply.add(
                INodeNo(inode),
                next,
                name,
                &NOT_AT_ALL,
                &attributes,
                Generation(0),
            ) {
                return reply.ok();
            }
            is_empty = false;
        }
        let offset = offset.max(2);
        for (listed, next) in names.from(offset - 2).zip(offset + 1..) {
            let node = self.tree.node(listed.inode);
            let (attributes, how_long) = match &node {
                Ok(node) => (self.numbered(self.attributes(&**node)), FOR_EVER),
                // The name is there all the same; a request for more gets the error.
                Err(_) => {
                    let file_type = listed.file_type.unwrap_or(FileType::File);
                    (self.numbered(unknown(listed.inode, file_type)), NOT_AT_ALL)
                }
            };
            let name = OsStr::from_bytes(listed.name);
            let number = attributes.ino;
            if reply.add(number, next, name, &how_long, &attributes, Generation(0)) {
                return reply.ok();
            }
            is_empty = false;
        }
        match self.ending(ino, &names) {
            Err(errno) if is_empty => reply.error(errno),
            _ => reply.ok(),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let Capacity {
            block_size,
            blocks,
            free,
            available,
            files,
            free_files,
        } = self.capacity;
        reply.statfs(
            blocks,
            free,
            available,
            files,
            free_files,
            block_size,
            LONGEST_NAME,
            block_size,
        );
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        reply_attribute(self.attribute(ino, name), size, reply);
    }

    fn listxattr(&self, request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        reply_attribute(self.attribute_names(request, ino), size, reply);
    }
}

impl Served {
    /// The type of a file, where its directory does not say it.
    fn type_at(&self, inode: u64) -> FileType {
        let node = self.tree.node(inode);
        node.map_or(FileType::File, |node| node.metadata().file_type)
    }
}
