//! The list that a reader of this library makes of a tree of files, in the form in which the kernel
//! makes it.

use crate::support::listing::{Answer, Contents, Listed, Listing, Stat, Time, joined, joined_runs};
use crate::support::listing::{PIECE, unreadable};
use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::ext4::Files;
use ploopconv::tree::{FileType, Metadata, Moment, Node, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The messages of an error and of its causes.
pub(crate) fn story(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let causes = causes.map(|cause| format!(": {cause}"));
    error.to_string() + &causes.collect::<String>()
}

fn answer<T>(result: ploopconv::Result<T>) -> Answer<T> {
    result.map_err(|error| story(&error))
}

/// Opens the file system in a raw image.
pub(crate) fn open(image: &Path) -> ploopconv::Result<Files> {
    let disk: Arc<dyn VirtualDisk> = Arc::new(RawDisk::open(image)?);
    Files::open(disk)
}

/// Everything that a tree shows, or why its file system cannot be opened.
pub(crate) fn list_of(image: &Path) -> Answer<Listing> {
    answer(open(image)).map(|files| list(&files))
}

/// Everything that a tree shows, by one walk from its root. What must hold of any tree is asserted.
pub(crate) fn list(tree: &dyn Tree) -> Listing {
    let mut list = Listing::new();
    let mut todo = vec![(Vec::new(), tree.root(), tree.root(), None)];
    let mut known: BTreeMap<u64, Listed> = BTreeMap::new();
    let mut walked = BTreeSet::new();
    while let Some((path, inode, parent, said)) = todo.pop() {
        let node = match tree.node(inode) {
            Ok(node) => node,
            Err(error) => {
                list.insert(path, unreadable(inode, &story(&error)));
                continue;
            }
        };
        let metadata = node.metadata();
        assert_eq!(metadata.inode, inode, "{}", path.escape_ascii());
        let mut file = known.entry(inode);
        let file = match file {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(listed(&*node)).clone()
            }
            std::collections::btree_map::Entry::Occupied(ref mut found) => found.get().clone(),
        };
        let mut file = file;
        if let (Some(said), Ok(stat)) = (said, &mut file.stat)
            && said != metadata.file_type
        {
            // As it goes: readdir says one thing and stat another.
            stat.letter = '?';
        }
        if metadata.file_type == FileType::Directory && walked.insert(inode) {
            let (entries, ended) = entries(&*node, inode, parent);
            file.names = ended;
            let below = entries.into_iter().rev();
            let below = below.map(|(name, (to, said))| (joined(&path, &name), to, inode, said));
            todo.extend(below);
        }
        list.insert(path, file);
    }
    list
}

type Entries = BTreeMap<Vec<u8>, (u64, Option<FileType>)>;

/// The names of a directory, in the order of their bytes, and whether they are all.
fn entries(node: &dyn Node, inode: u64, parent: u64) -> (Entries, Answer<()>) {
    let mut entries = BTreeMap::new();
    let mut ended = Ok(());
    let mut walk = node.entries();
    for (number, entry) in walk.by_ref().enumerate() {
        let entry = match answer(entry) {
            Ok(entry) => entry,
            Err(error) => {
                ended = Err(error);
                break;
            }
        };
        let name = entry.name.escape_ascii();
        let is_name =
            !entry.name.is_empty() && !entry.name.iter().any(|byte| b"/\0".contains(byte));
        assert!(
            is_name && entry.name != b"." && entry.name != b"..",
            "{inode}: {name}"
        );
        // One lookup for each would take the square of their number.
        if number % 97 == 0 {
            match node.lookup(&entry.name) {
                Ok(found) if found == Some(entry.inode) => {}
                Ok(found) => ended = Err(format!("{name} leads to {found:?}")),
                Err(error) => ended = Err(story(&error)),
            }
        }
        let name = entry.name.clone();
        let to = (entry.inode, entry.file_type);
        if entries.insert(entry.name, to).is_some() {
            // Which of the two the kernel finds hangs on its way of searching.
            ended = Err(format!("two files have the name {}", name.escape_ascii()));
            entries.remove(&name);
        }
    }
    if ended.is_err() {
        assert!(walk.next().is_none(), "{inode}: after an error come more");
    } else {
        ended = answer(node.lookup(b"no such name")).map(|found| assert_eq!(found, None));
    }
    match answer(node.parent()) {
        Ok(found) if found == parent => {}
        Ok(found) => ended = ended.and(Err(format!("parent {found} instead of {parent}"))),
        Err(error) => ended = ended.and(Err(error)),
    }
    (entries, ended)
}

fn time(moment: Moment) -> Time {
    assert!(moment.nanoseconds < 1_000_000_000, "{moment:?}");
    (moment.seconds, moment.nanoseconds)
}

fn stat(metadata: &Metadata) -> Stat {
    Stat {
        letter: metadata.file_type.letter(),
        permissions: metadata.permissions,
        uid: metadata.uid,
        gid: metadata.gid,
        links: metadata.links.into(),
        size: metadata.size,
        sectors: metadata.sectors,
        device: metadata.device.map(|device| (device.major, device.minor)),
        accessed: time(metadata.accessed),
        modified: time(metadata.modified),
        changed: time(metadata.changed),
        created: metadata.created.map(time),
    }
}

fn listed(node: &dyn Node) -> Listed {
    let metadata = node.metadata();
    let attributes = answer(node.attributes()).map(|attributes| {
        let ordered = attributes
            .windows(2)
            .all(|pair| pair[0].name < pair[1].name);
        assert!(
            ordered,
            "{}: attributes by name: {attributes:?}",
            metadata.inode
        );
        let pairs = attributes.into_iter();
        pairs
            .map(|attribute| (attribute.name, attribute.value))
            .collect()
    });
    let contents = match metadata.file_type {
        FileType::File => contents(node, metadata.size),
        _ => Ok(Contents::default()),
    };
    Listed {
        inode: metadata.inode,
        stat: Ok(stat(metadata)),
        target: answer(node.link_target()),
        attributes,
        contents,
        names: Ok(()),
    }
}

fn contents(node: &dyn Node, size: u64) -> Answer<Contents> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size {
        let run = answer(node.run_at(at))?;
        assert!(
            run.len > 0 && at + run.len <= size,
            "{at}: {run:?} of {size}"
        );
        if run.data {
            runs.push((at, at + run.len));
        }
        at += run.len;
    }
    assert!(node.run_at(size).is_err() && node.run_at(u64::MAX).is_err());
    assert!(node.read_at(&mut [0], size).is_err());
    edges(node, size, &runs)?;
    Contents::of(size, joined_runs(runs), |buf, at| {
        answer(node.read_at(buf, at))
    })
}

/// Asserts that a read over the edge of a run gives what two reads give, and that a hole is zeros.
fn edges(node: &dyn Node, size: u64, runs: &[(u64, u64)]) -> Answer<()> {
    let edges = runs.iter().flat_map(|&(from, to)| [from, to]);
    for edge in edges.step_by(1 + runs.len() / 8) {
        let from = edge.saturating_sub(PIECE + 3);
        let to = (edge + PIECE + 5).min(size);
        let read = |from: u64, to: u64| {
            let mut bytes = vec![0xA5; usize::try_from(to - from).unwrap()];
            answer(node.read_at(&mut bytes, from)).map(|()| bytes)
        };
        let both = read(from, to)?;
        let parts = [read(from, edge)?, read(edge, to)?].concat();
        assert!(
            both == parts,
            "{}: over the edge at {edge}",
            node.metadata().inode
        );
        for &(from, to) in runs {
            assert!(from < to);
        }
    }
    Ok(())
}
