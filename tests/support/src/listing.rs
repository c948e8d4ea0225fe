//! Lists of all files of a tree with everything that is known of each: one is made by the kernel,
//! through a mount, and others by readers of file systems. `unlike` compares them.

use super::sparse::is_zero;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirEntryExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Every path of a tree, from its root and without a `/` in front; the root's is empty.
pub type Listing = BTreeMap<Vec<u8>, Listed>;

/// What a reader answers: something, or why it could not.
pub type Answer<T> = Result<T, String>;

/// Seconds since 1970, and nanoseconds after that.
pub type Time = (i64, u32);

/// What is compared of a file. Of a file whose inode cannot be read there is only the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub inode: u64,
    pub stat: Answer<Stat>,
    /// Of a link where it leads, of others nothing.
    pub target: Answer<Vec<u8>>,
    pub attributes: Answer<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Of a regular file.
    pub contents: Answer<Contents>,
    /// Of a directory: whether its names could be read to the end.
    pub names: Answer<()>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// As `ls -l` has it.
    pub letter: char,
    pub permissions: u16,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
    pub size: u64,
    pub sectors: u64,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    pub accessed: Time,
    pub modified: Time,
    pub changed: Time,
    pub created: Option<Time>,
}

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// SHA-256 over every piece of [`PIECE`] bytes that is not zero, with its offset.
    pub digest: Vec<u8>,
    /// What is no hole, as `[from, to)`; runs do not touch.
    pub runs: Vec<(u64, u64)>,
}

/// The unit of the digest.
pub const PIECE: u64 = 4096;

/// The most bytes of one file that are read: bounds what a damaged file system can ask for.
pub const MOST: u64 = 1 << 30;

impl Contents {
    /// Takes the runs of data of a file of this size, and what reads it.
    pub fn of(
        size: u64,
        runs: Vec<(u64, u64)>,
        mut read: impl FnMut(&mut [u8], u64) -> Answer<()>,
    ) -> Answer<Self> {
        let mut sha = Sha256::new();
        let mut buf = vec![0; 64 * usize::try_from(PIECE).unwrap()];
        // No piece is read twice where two runs share one.
        let mut done = 0;
        let mut sum = 0;
        for &(from, to) in &runs {
            let mut at = done.max(from / PIECE * PIECE);
            let end = (to.div_ceil(PIECE) * PIECE).min(size);
            while at < end {
                let len = usize::try_from((end - at).min(buf.len() as u64)).unwrap();
                read(&mut buf[..len], at)?;
                for (number, piece) in (0..).zip(buf[..len].chunks(PIECE as usize)) {
                    if !is_zero(piece) {
                        sha.update((at + number * PIECE).to_le_bytes());
                        sha.update(piece);
                    }
                }
                at += len as u64;
                sum += len as u64;
                if sum > MOST {
                    return Err(format!("more than {MOST} bytes"));
                }
            }
            done = done.max(end);
        }
        let digest = sha.finalize().to_vec();
        Ok(Self { digest, runs })
    }
}

/// Everything below `root`, as the kernel shows it. An error of a file is part of the list.
pub fn of_mount(root: &Path) -> Listing {
    let mut list = Listing::new();
    let mut todo = vec![(Vec::new(), 0)];
    // A file with many names is read once.
    let mut known: BTreeMap<u64, Listed> = BTreeMap::new();
    let mut walked = BTreeSet::new();
    while let Some((path, said)) = todo.pop() {
        let place = root.join(PathBuf::from(std::ffi::OsString::from_vec(path.clone())));
        let inode = match std::fs::symlink_metadata(&place) {
            Ok(found) => found.ino(),
            Err(error) => {
                list.insert(path, unreadable(said, &error.to_string()));
                continue;
            }
        };
        let mut file = known.entry(inode).or_insert_with(|| listed(&place)).clone();
        let is_directory = matches!(&file.stat, Ok(stat) if stat.letter == 'd');
        if is_directory && walked.insert(inode) {
            let (names, ended) = names(&place);
            file.names = ended;
            let below = names
                .iter()
                .map(|(name, said)| (joined(&path, name), *said));
            todo.extend(below.rev());
        }
        list.insert(path, file);
    }
    list
}

/// A file of which only its number is known, and the error.
pub fn unreadable(inode: u64, error: &str) -> Listed {
    Listed {
        inode,
        stat: Err(error.to_owned()),
        target: Err(error.to_owned()),
        attributes: Err(error.to_owned()),
        contents: Err(error.to_owned()),
        names: Err(error.to_owned()),
    }
}

/// The path of a name in a directory.
pub fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        return name.to_vec();
    }
    [path, b"/", name].concat()
}

/// The names of a directory in the order of their bytes with the inodes that it says, and whether
/// they are all.
fn names(place: &Path) -> (Vec<(Vec<u8>, u64)>, Answer<()>) {
    let mut names = Vec::new();
    let mut ended = Ok(());
    match std::fs::read_dir(place) {
        Ok(entries) => {
            for entry in entries {
                match entry {
                    Ok(entry) => names.push((entry.file_name().into_vec(), entry.ino())),
                    Err(error) => {
                        ended = Err(error.to_string());
                        break;
                    }
                }
            }
        }
        Err(error) => ended = Err(error.to_string()),
    }
    names.sort();
    names.dedup_by(|one, other| one.0 == other.0);
    (names, ended)
}

fn listed(place: &Path) -> Listed {
    let found = match std::fs::symlink_metadata(place) {
        Ok(found) => found,
        Err(error) => return unreadable(0, &error.to_string()),
    };
    let stat = stat(&found);
    let target = match stat.letter {
        'l' => std::fs::read_link(place).map(|target| target.into_os_string().into_vec()),
        _ => Ok(Vec::new()),
    };
    let contents = match stat.letter {
        '-' => contents(place, stat.size),
        _ => Ok(Contents::default()),
    };
    Listed {
        inode: found.ino(),
        stat: Ok(stat),
        target: target.map_err(|error| error.to_string()),
        attributes: attributes(place).map_err(|error| error.to_string()),
        contents,
        names: Ok(()),
    }
}

fn stat(found: &std::fs::Metadata) -> Stat {
    let kind = found.file_type();
    let letter = match kind {
        _ if kind.is_dir() => 'd',
        _ if kind.is_symlink() => 'l',
        _ if kind.is_char_device() => 'c',
        _ if kind.is_block_device() => 'b',
        _ if kind.is_fifo() => 'p',
        _ if kind.is_socket() => 's',
        _ => '-',
    };
    let number = |number: u64| u32::try_from(number).unwrap();
    let device = found.rdev();
    let device = (
        number(nix::sys::stat::major(device)),
        number(nix::sys::stat::minor(device)),
    );
    let nanoseconds = |part: i64| u32::try_from(part).unwrap();
    Stat {
        letter,
        permissions: u16::try_from(found.mode() & 0o7777).unwrap(),
        uid: found.uid(),
        gid: found.gid(),
        links: found.nlink(),
        size: found.size(),
        sectors: found.blocks(),
        device: "cb".contains(letter).then_some(device),
        accessed: (found.atime(), nanoseconds(found.atime_nsec())),
        modified: (found.mtime(), nanoseconds(found.mtime_nsec())),
        changed: (found.ctime(), nanoseconds(found.ctime_nsec())),
        created: found.created().ok().map(since_1970),
    }
}

fn since_1970(time: std::time::SystemTime) -> Time {
    match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => (
            i64::try_from(after.as_secs()).unwrap(),
            after.subsec_nanos(),
        ),
        Err(before) => {
            let before = before.duration();
            let seconds = -i64::try_from(before.as_secs()).unwrap();
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanoseconds => (seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    }
}

fn attributes(place: &Path) -> std::io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut attributes = BTreeMap::new();
    for name in xattr::list(place)? {
        // Listed and gone is a contradiction, not an empty value.
        let value = xattr::get(place, &name)?.ok_or(std::io::ErrorKind::NotFound)?;
        attributes.insert(name.as_bytes().to_vec(), value);
    }
    Ok(attributes)
}

fn contents(place: &Path, size: u64) -> Answer<Contents> {
    let file = File::open(place).map_err(|error| error.to_string())?;
    let runs = runs(&file, size).map_err(|errno| errno.to_string())?;
    Contents::of(size, runs, |buf, at| {
        file.read_exact_at(buf, at)
            .map_err(|error| error.to_string())
    })
}

/// What of a file the kernel says is no hole.
fn runs(file: &File, size: u64) -> Result<Vec<(u64, u64)>, Errno> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size {
        let from = match lseek(file, i64::try_from(at).unwrap(), Whence::SeekData) {
            Ok(from) => from,
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno),
        };
        let to = lseek(file, from, Whence::SeekHole)?;
        at = u64::try_from(to).unwrap();
        runs.push((u64::try_from(from).unwrap(), at));
    }
    Ok(joined_runs(runs))
}

/// Runs that touch become one.
pub fn joined_runs(runs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, to) in runs {
        match joined.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => joined.push((from, to)),
        }
    }
    joined
}
