//! Device nodes outside `/dev`, as chroots of name and mail servers have them.

use std::collections::{BTreeMap, BTreeSet};

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
const MORE: &str = "is one of more device nodes than are looked for: an unprivileged container may \
                    not be able to unpack them";

/// A directory, and the number of the one that it is in. Names are not kept: a million of them
/// would be much memory, and few directories have nodes.
struct Folder {
    inode: u64,
    parent: usize,
}

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    if context.receiver.kind != Kind::Lxc {
        return Ok(());
    }
    let tree = draft.view.0;
    let (folders, nodes) = nodes(tree);
    let mut seen = 0;
    for (folder, path) in paths(tree, &folders, &nodes) {
        if draft.loses(&path) {
            continue;
        }
        for (_, name) in nodes.iter().filter(|(of, _)| *of == folder) {
            let node = join(&path, &to_text(name));
            seen += 1;
            if seen > MOST {
                return draft.keep(&node, MORE);
            }
            draft.remove(&node, REASON)?;
        }
    }
    Ok(())
}

/// All directories, each after the one that it is in; and device nodes with the numbers of their
/// directories: all of them, or more than [`MOST`].
fn nodes(tree: &dyn Tree) -> (Vec<Folder>, Vec<(usize, Vec<u8>)>) {
    let mut ancestors = Ancestors::default();
    let root = tree.root();
    let mut folders = vec![Folder {
        inode: root,
        parent: 0,
    }];
    let mut nodes = Vec::new();
    let mut at = 0;
    while let Some(&Folder { inode, .. }) = folders.get(at) {
        for entry in entries(tree, inode, &mut ancestors) {
            let is_dev = inode == root && entry.name == b"dev";
            match file_type(tree, &entry) {
                Some(FileType::Directory) if !is_dev => folders.push(Folder {
                    inode: entry.inode,
                    parent: at,
                }),
                Some(FileType::CharacterDevice) if is_whiteout(tree, &entry) => {}
                Some(FileType::CharacterDevice | FileType::BlockDevice)
                    if nodes.len() <= 2 * MOST =>
                {
                    nodes.push((at, entry.name));
                }
                _ => {}
            }
        }
        if nodes.len() > 2 * MOST {
            break;
        }
        at += 1;
    }
    (folders, nodes)
}

/// The paths of the directories that have nodes, by their numbers. Each directory on the way is
/// listed once.
fn paths(
    tree: &dyn Tree,
    folders: &[Folder],
    nodes: &[(usize, Vec<u8>)],
) -> BTreeMap<usize, String> {
    let mut below: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (folder, _) in nodes {
        let mut at = *folder;
        while let Some(folder) = folders.get(at).filter(|_| at > 0) {
            if !below.entry(folder.parent).or_default().insert(at) {
                break;
            }
            at = folder.parent;
        }
    }
    let mut paths = BTreeMap::from([(0, String::new())]);
    for (parent, children) in below {
        let (Some(path), Some(folder)) = (paths.get(&parent).cloned(), folders.get(parent)) else {
            continue;
        };
        let Ok(node) = tree.node(folder.inode) else {
            continue;
        };
        let names = sorted_entries(&*node).0.into_iter();
        let names: BTreeMap<u64, Vec<u8>> = names.map(|entry| (entry.inode, entry.name)).collect();
        for child in children {
            let inode = folders.get(child).map(|child| child.inode);
            if let Some(name) = inode.and_then(|inode| names.get(&inode)) {
                paths.insert(child, join(&path, &to_text(name)));
            }
        }
    }
    let with_nodes: BTreeSet<usize> = nodes.iter().map(|(folder, _)| *folder).collect();
    paths.retain(|folder, _| with_nodes.contains(folder));
    paths
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

/// Whether a character device is overlayfs's sign for a file that was removed. Everybody may make
/// it.
fn is_whiteout(tree: &dyn Tree, entry: &Entry) -> bool {
    let node = tree.node(entry.inode).ok();
    let device = node.and_then(|node| node.metadata().device);
    device.is_some_and(|device| (device.major, device.minor) == (0, 0))
}
