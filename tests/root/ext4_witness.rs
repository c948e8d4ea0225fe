//! A second witness beside the kernel: what `ferrosys`, a reader by others, lists of the same
//! images. Where it agrees, the kernel's list is what the disk holds and not what one kernel makes
//! of it.

use crate::support::listing::{Answer, Contents, Listed, Listing, Stat, joined};
use crate::support::unlike::differences;
use ferrosys::ext::ondisk::Inode;
use ferrosys::ext::{Reader, Timestamp};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Kinds that it does not open.
const REFUSED: [&str; 12] = [
    "inline_data",
    "inline_data_1024",
    "inline_data_plain",
    "ea_inode",
    "ea_inode_1k",
    "ea_inode_inline",
    "bigalloc",
    "bigalloc_1k",
    "large_dir",
    "mmp",
    "stable_inodes",
    "casefold",
];

/// Kinds that take it most of a minute: what they have beside others is a number of links.
const SLOW: [&str; 1] = ["dir_nlink"];

type Ext = Reader<File>;

fn answer<T, E: std::fmt::Display>(result: Result<T, E>) -> Answer<T> {
    result.map_err(|error| error.to_string())
}

/// The list, of a file system of which the kernel's is known: that says where files have data.
fn list(reader: &mut Ext, kernel: &Listing) -> Answer<Listing> {
    let mut list = Listing::new();
    let mut todo = vec![(Vec::new(), 2)];
    while let Some((path, number)) = todo.pop() {
        let inode = answer(reader.inode(number))?;
        if inode.mode >> 12 == 4 {
            for entry in answer(reader.read_dir(&inode))? {
                if entry.name != b"." && entry.name != b".." {
                    todo.push((joined(&path, &entry.name), entry.inode));
                }
            }
        }
        let runs = kernel
            .get(&path)
            .and_then(|file| file.contents.clone().ok());
        let runs = runs.unwrap_or_default().runs;
        list.insert(path, listed(reader, number, &inode, runs));
    }
    Ok(list)
}

fn listed(reader: &mut Ext, number: u32, inode: &Inode, runs: Vec<(u64, u64)>) -> Listed {
    let letter = match inode.mode >> 12 {
        1 => 'p',
        2 => 'c',
        4 => 'd',
        6 => 'b',
        10 => 'l',
        12 => 's',
        _ => '-',
    };
    let time = |time: Timestamp| (time.secs, time.nanos);
    let attributes = answer(reader.xattrs(inode)).map(|found| {
        let pairs = found.into_iter().map(|found| (found.name, found.value));
        pairs.collect::<BTreeMap<_, _>>()
    });
    Listed {
        inode: number.into(),
        stat: Ok(Stat {
            letter,
            permissions: inode.mode & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
            links: inode.links_count.into(),
            size: inode.size,
            sectors: inode.blocks,
            device: "cb".contains(letter).then(|| reader.device(inode)),
            accessed: time(inode.atime),
            modified: time(inode.mtime),
            changed: time(inode.ctime),
            created: Some(time(inode.crtime)),
        }),
        target: match letter {
            'l' => answer(reader.read_symlink(inode)),
            _ => Ok(Vec::new()),
        },
        attributes,
        contents: match letter {
            '-' => contents(reader, inode, runs),
            _ => Ok(Contents::default()),
        },
        names: Ok(()),
    }
}

fn contents(reader: &mut Ext, inode: &Inode, runs: Vec<(u64, u64)>) -> Answer<Contents> {
    // What the kernel takes for a hole is looked at too, where that is not long.
    let all = (inode.size < 64 << 20).then(|| vec![(0, inode.size)]);
    let found = Contents::of(inode.size, all.unwrap_or(runs.clone()), |buf, at| {
        let read = answer(reader.read_into(inode, at, buf))?;
        if read == buf.len() {
            Ok(())
        } else {
            Err(format!("{read} bytes at {at}"))
        }
    });
    found.map(|found| Contents { runs, ..found })
}

/// What the two disagree on, of an image; an error where the witness does not open it.
fn compare(image: &Path, kernel: &Listing) -> Result<Vec<String>, String> {
    let mut reader = answer(Reader::open(File::open(image).unwrap()))?;
    let theirs = list(&mut reader, kernel)?;
    let mut kernel = kernel.clone();
    // It gives the room as it is stored, and a time of birth where there is none.
    for (path, file) in &mut kernel {
        let theirs = theirs.get(path).map(|file| file.stat.clone());
        if let (Ok(stat), Some(Ok(theirs))) = (&mut file.stat, theirs) {
            stat.sectors = theirs.sectors;
            stat.created = stat.created.and(theirs.created).or(theirs.created);
        }
    }
    Ok(differences(&kernel, &theirs))
}

/// Asserts that the witness shows of an image what the kernel does, or does not know its kind.
pub(crate) fn assert_agrees(kind: &str, image: &Path, kernel: &Listing) {
    if SLOW.contains(&kind) {
        return;
    }
    match compare(image, kernel) {
        Ok(unlike) => {
            assert!(!REFUSED.contains(&kind), "{kind} is read by now");
            assert!(unlike.is_empty(), "{kind}: ferrosys: {}", unlike.join("\n"));
        }
        Err(error) => assert!(REFUSED.contains(&kind), "{kind}: ferrosys: {error}"),
    }
}
