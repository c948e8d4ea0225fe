//! How much an extraction is about to write, so that people see how far it has come.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::tree::{FileType, Resolved, Tree};

/// The bytes of all regular files below `paths`, holes included, each file once. What cannot be
/// read counts nothing: the extraction says why.
#[must_use]
pub fn total_size(tree: &dyn Tree, paths: &[Resolved], stop: &AtomicBool) -> u64 {
    let mut open: Vec<u64> = paths.iter().map(|path| path.inode).collect();
    // Directories, and files with several names; others are met once.
    let mut seen = HashSet::new();
    let mut total = 0u64;
    while let Some(inode) = open.pop() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let Ok(node) = tree.node(inode) else {
            continue;
        };
        let metadata = node.metadata();
        let is_directory = metadata.file_type == FileType::Directory;
        if (is_directory || metadata.links > 1) && !seen.insert(inode) {
            continue;
        }
        match metadata.file_type {
            FileType::File => total = total.saturating_add(metadata.size),
            FileType::Directory => {
                let entries = node.entries().map_while(Result::ok);
                open.extend(entries.map(|entry| entry.inode));
            }
            _ => {}
        }
    }
    total
}
