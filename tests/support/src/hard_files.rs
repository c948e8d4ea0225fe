//! Fills a file system with every file that is hard to read: only root can.

use super::{hard_attributes, hard_data, hard_names};
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, makedev, mknod, utimensat};
use nix::sys::time::TimeSpec;
use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::Path;

/// How much of it, and what the file system can hold.
#[derive(Debug, Clone, Copy)]
pub struct Filling {
    /// The names of the large directory.
    pub names: u32,
    /// How long the longest of these names are.
    pub longest: usize,
    /// The directories in one directory.
    pub directories: u32,
    /// The extents of the file that has most.
    pub extents: u64,
    /// The longest value of an attribute.
    pub attribute: usize,
    /// The largest file, but for sparse ones.
    pub largest: u64,
    /// Of a long series of like things only every so many-th is made.
    pub every: usize,
    /// The bytes that are written and deleted again, so that blocks have an earlier life.
    pub deleted: usize,
}

impl Filling {
    /// All of it.
    pub const USUAL: Self = Self {
        names: 3000,
        longest: 120,
        directories: 40,
        extents: 700,
        attribute: 3000,
        largest: 6 << 20,
        every: 1,
        deleted: 6 << 20,
    };

    /// Some of everything, so that a list of it is made in no time.
    pub const SMALL: Self = Self {
        names: 150,
        longest: 100,
        directories: 5,
        extents: 40,
        attribute: 2000,
        largest: 60_000,
        every: 12,
        deleted: 1 << 20,
    };

    /// Puts all of it into a directory.
    pub fn fill(&self, root: &Path) {
        let folder = |name: &str| {
            let folder = root.join(name);
            std::fs::create_dir(&folder).unwrap();
            folder
        };
        earlier_life(&folder("earlier"), self.deleted);
        hard_names::fill(&folder("names"), self);
        hard_data::fill(&folder("data"), self);
        hard_attributes::fill(&folder("attributes"), self);
        nodes(&folder("nodes"));
        links(&folder("links"));
        owners(&folder("owners"));
        // Last, because whatever is made in a directory changes its times.
        times(&folder("times"), self.every);
    }
}

/// Blocks that were data, and inodes that were files.
fn earlier_life(folder: &Path, bytes: usize) {
    let junk: Vec<u8> = (0..bytes).map(|at| (at * 7 % 251) as u8 | 1).collect();
    for (number, piece) in junk.chunks(bytes / 16 + 1).enumerate() {
        std::fs::write(folder.join(format!("junk{number}")), piece).unwrap();
    }
    for number in 0..200 {
        std::fs::write(folder.join(format!("small{number}")), "gone").unwrap();
    }
    sync(folder);
    for entry in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    sync(folder);
}

/// Writes out all of the file system that a folder is on, and of no other.
pub fn sync(folder: &Path) {
    nix::unistd::syncfs(File::open(folder).unwrap()).unwrap();
}

/// Makes a node that is neither file nor directory nor link.
pub(crate) fn node(path: &Path, kind: SFlag, device: (u64, u64)) {
    let mode = Mode::from_bits_truncate(0o640);
    mknod(path, kind, mode, makedev(device.0, device.1)).unwrap();
}

fn nodes(folder: &Path) {
    // The old form has eight bits for each number.
    let numbers = [
        (0, 0),
        (1, 3),
        (8, 255),
        (255, 255),
        (255, 256),
        (256, 0),
        (259, 1_048_575),
        (4095, 1_048_575),
        (7, 65_536),
    ];
    for (major, minor) in numbers {
        for (name, kind) in [("c", SFlag::S_IFCHR), ("b", SFlag::S_IFBLK)] {
            node(
                &folder.join(format!("{name}{major}-{minor}")),
                kind,
                (major, minor),
            );
        }
    }
    node(&folder.join("fifo"), SFlag::S_IFIFO, (0, 0));
    node(&folder.join("socket"), SFlag::S_IFSOCK, (0, 0));
}

fn links(folder: &Path) {
    // 59 is the longest that fits into an inode; a block holds the others.
    for len in [1, 2, 58, 59, 60, 61, 255, 256, 1000, 1023] {
        symlink("t".repeat(len), folder.join(format!("link{len}"))).unwrap();
    }
    for len in [1024, 3000, 4095] {
        // Blocks of 1 KiB hold no more than 1023.
        let _ = symlink("u".repeat(len), folder.join(format!("link{len}")));
    }
    symlink(
        std::ffi::OsStr::new("../a\nb \u{fc}"),
        folder.join("odd target"),
    )
    .unwrap();
    std::fs::write(folder.join("one"), "many names").unwrap();
    for number in 0..50 {
        std::fs::hard_link(folder.join("one"), folder.join(format!("name{number}"))).unwrap();
    }
    std::fs::hard_link(folder.join("link60"), folder.join("link60 again")).unwrap();
}

fn owners(folder: &Path) {
    for (number, id) in [0, 1, 65_534, 65_535, 65_536, 2_097_152, 4_294_967_294_u32]
        .into_iter()
        .enumerate()
    {
        let path = folder.join(format!("owner{id}"));
        std::fs::write(&path, "x").unwrap();
        lchown(&path, Some(id), Some(4_294_967_294 - number as u32)).unwrap();
        let link = folder.join(format!("link{id}"));
        symlink("somewhere", &link).unwrap();
        lchown(&link, Some(id), Some(id)).unwrap();
    }
    for mode in [
        0o000, 0o4755, 0o2755, 0o1777, 0o6711, 0o7777, 0o2644, 0o400, 0o001,
    ] {
        let path = folder.join(format!("mode{mode:o}"));
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let path = folder.join(format!("folder{mode:o}"));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
}

/// Seconds and nanoseconds: before 1970, the ends of 32 bits, and both of the bits that go on.
const TIMES: [(i64, i64); 16] = [
    (-2, 750_000_000),
    (-1, 999_999_999),
    (0, 0),
    (0, 1),
    (-2_147_483_648, 0),
    (-2_147_483_648, 1),
    (-2_147_483_649, 0),
    (-2_177_452_800, 5),
    (-1, 0),
    (1_700_000_000, 123_456_789),
    (2_147_483_647, 999_999_999),
    (2_147_483_648, 0),
    (2_208_988_800, 1),
    (4_294_967_296, 7),
    (13_569_465_600, 999_999_998),
    (15_032_385_535, 0),
];

fn times(folder: &Path, every: usize) {
    for (number, &(seconds, nanoseconds)) in TIMES.iter().enumerate().step_by(every) {
        let file = folder.join(format!("file{seconds}.{nanoseconds}"));
        std::fs::write(&file, "x").unwrap();
        let below = folder.join(format!("folder{seconds}.{nanoseconds}"));
        std::fs::create_dir(&below).unwrap();
        let link = folder.join(format!("link{seconds}.{nanoseconds}"));
        symlink("x", &link).unwrap();
        let other = TIMES[(number + 5) % TIMES.len()];
        for path in [file, below, link] {
            let accessed = TimeSpec::new(seconds, nanoseconds);
            let modified = TimeSpec::new(other.0, other.1);
            let flag = UtimensatFlags::NoFollowSymlink;
            utimensat(AT_FDCWD, &path, &accessed, &modified, flag).unwrap();
        }
    }
}
