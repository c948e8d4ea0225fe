//! Device nodes outside `/dev`, as chroots of name and mail servers have them.

use super::super::draft::Draft;
use super::super::receiver::Kind;
use super::super::view::{join, to_text};
use super::context::Context;
use crate::error::Result;
use crate::tree::{Ancestors, Entry, FileType, Tree, sorted_entries};

/// Proxmox and LXC unpack an archive as the root of the new container. Incus does so as the host's.
const REASON: &str = "a device node outside /dev: an unprivileged container may make none, and an \
     archive with one does not unpack there. Where a program needs it, as in a chroot, mount the \
     host's own in its place";

/// More than any chroots have; each costs memory.
const MOST: usize = 1000;
const MORE: &str = "has more device nodes than are looked for: an unprivileged container may not \
                    be able to unpack what is left";

/// A directory, and the number of the one that it is in.
struct Folder {
    inode: u64,
    parent: usize,
}

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    if context.receiver.kind != Kind::Lxc {
        return Ok(());
    }
    let tree = draft.view.0;
    let mut ancestors = Ancestors::default();
    // The names are not kept: a million of them would be much memory, and few have nodes in them.
    let root = tree.root();
    let mut folders = vec![Folder {
        inode: root,
        parent: 0,
    }];
    let mut at = 0;
    let mut found = 0;
    while let Some(&Folder { inode, .. }) = folders.get(at) {
        let mut known = None;
        for entry in entries(tree, inode, &mut ancestors) {
            let is_dev = inode == root && entry.name == b"dev";
            match file_type(tree, &entry) {
                Some(FileType::Directory) if !is_dev => folders.push(Folder {
                    inode: entry.inode,
                    parent: at,
                }),
                Some(FileType::CharacterDevice | FileType::BlockDevice)
                    if !is_whiteout(tree, &entry) =>
                {
                    let folder = known.get_or_insert_with(|| path(tree, &folders, at));
                    if draft.loses(folder) {
                        continue;
                    }
                    found += 1;
                    if found > MOST {
                        return draft.keep(folder, MORE);
                    }
                    draft.remove(&join(folder, &to_text(&entry.name)), REASON)?;
                }
                _ => {}
            }
        }
        at += 1;
    }
    Ok(())
}

/// What can be read of a directory: the walk of the archive says what cannot.
fn entries(tree: &dyn Tree, inode: u64, ancestors: &mut Ancestors) -> Vec<Entry> {
    match tree.node(inode) {
        Ok(node) if ancestors.enter(inode).is_ok() => sorted_entries(&*node).0,
        _ => Vec::new(),
    }
}

fn file_type(tree: &dyn Tree, entry: &Entry) -> Option<FileType> {
    let of_inode = || {
        let node = tree.node(entry.inode).ok()?;
        Some(node.metadata().file_type)
    };
    entry.file_type.or_else(of_inode)
}

/// Whether the node is overlayfs's sign for a file that was removed. Everybody may make it.
fn is_whiteout(tree: &dyn Tree, entry: &Entry) -> bool {
    let node = tree.node(entry.inode).ok();
    let device = node.and_then(|node| node.metadata().device);
    device.is_some_and(|device| (device.major, device.minor) == (0, 0))
}

/// The path of a directory, by the names that lead to it.
fn path(tree: &dyn Tree, folders: &[Folder], of: usize) -> String {
    let mut names = Vec::new();
    let mut at = of;
    while at > 0 {
        let Some(folder) = folders.get(at) else {
            break;
        };
        let parent = folders.get(folder.parent).map_or(0, |parent| parent.inode);
        if let Ok(node) = tree.node(parent) {
            let (entries, _) = sorted_entries(&*node);
            let mut entries = entries.into_iter();
            let name = entries.find(|entry| entry.inode == folder.inode);
            names.extend(name.map(|entry| to_text(&entry.name)));
        }
        at = folder.parent;
    }
    names.reverse();
    names.join("/")
}
