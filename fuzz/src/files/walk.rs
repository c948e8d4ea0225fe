//! What every tree of files owes, whatever it is read from.

use std::collections::BTreeSet;

use ploopconv::tree::{FileType, Node, Tree};

/// The most names, runs and bytes that are looked at: bounds an execution, not the tree.
const NAMES: usize = 2000;
const RUNS: usize = 200;
const PIECE: u64 = 4096;

/// Walks over all files, and asserts what holds of each.
pub(super) fn assert_sound(tree: &dyn Tree) {
    let mut todo = vec![tree.root()];
    let mut seen = BTreeSet::new();
    let mut left = NAMES;
    while let Some(number) = todo.pop() {
        if !seen.insert(number) {
            continue;
        }
        let Ok(node) = tree.node(number) else {
            continue;
        };
        assert_eq!(node.metadata().inode, number);
        assert_file(&*node);
        let mut entries = node.entries();
        let mut ended = false;
        for entry in entries.by_ref().take(left) {
            let Ok(entry) = entry else {
                ended = true;
                break;
            };
            left -= 1;
            let sound = !entry.name.is_empty()
                && entry.name.len() <= 255
                && entry.name != b"."
                && entry.name != b".."
                && !entry.name.iter().any(|byte| b"/\0".contains(byte));
            assert!(sound, "{:?}", entry.name.escape_ascii().to_string());
            todo.push(entry.inode);
        }
        assert!(!ended || entries.next().is_none(), "more after an error");
        let _ = node.parent();
        let _ = node.lookup(b"again");
    }
}

fn assert_file(node: &dyn Node) {
    let metadata = node.metadata();
    let times = [metadata.accessed, metadata.modified, metadata.changed];
    assert!(times.iter().all(|time| time.nanoseconds < 1_000_000_000));
    assert!(metadata.permissions <= 0o7777);
    let is_device = matches!(
        metadata.file_type,
        FileType::CharacterDevice | FileType::BlockDevice
    );
    assert_eq!(is_device, metadata.device.is_some());
    if let Ok(target) = node.link_target() {
        assert_eq!(target.is_empty(), metadata.file_type != FileType::Symlink);
    }
    if let Ok(attributes) = node.attributes() {
        let ordered = attributes
            .windows(2)
            .all(|pair| pair[0].name < pair[1].name);
        assert!(
            ordered
                && attributes
                    .iter()
                    .all(|attribute| attribute.name.contains(&b'.'))
        );
    }
    if metadata.file_type == FileType::File {
        assert_contents(node);
    }
}

/// Asserts that runs cover the file, that holes are zeros, and that a read over an edge gives what
/// two reads give.
fn assert_contents(node: &dyn Node) {
    let size = node.metadata().size;
    let mut at = 0;
    let mut last: Option<(u64, Vec<u8>)> = None;
    for _ in 0..RUNS {
        if at == size {
            break;
        }
        let Ok(run) = node.run_at(at) else {
            return;
        };
        assert!(run.len > 0 && at.checked_add(run.len).is_some_and(|end| end <= size));
        let head = read(node, at, run.len.min(PIECE));
        if let (Some(head), false) = (&head, run.data) {
            assert!(head.iter().all(|&byte| byte == 0), "a hole is zeros");
        }
        if let (Some((from, before)), Some(head)) = (&last, &head) {
            let both = read(node, *from, (before.len() + head.len()) as u64);
            assert_eq!(both, Some([&before[..], head].concat()), "over an edge");
        }
        let tail = run.len.min(PIECE);
        at += run.len;
        last = read(node, at - tail, tail).map(|bytes| (at - tail, bytes));
    }
    for past in [size, u64::MAX] {
        assert!(node.run_at(past).is_err() && node.read_at(&mut [0], past).is_err());
    }
}

fn read(node: &dyn Node, from: u64, len: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0xa5; usize::try_from(len).expect("a piece is small")];
    node.read_at(&mut bytes, from).ok()?;
    Some(bytes)
}
