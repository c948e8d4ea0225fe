//! Files whose bytes are stored in every way: holes, room that was never written, many extents,
//! sizes up to the limit of the file system.

use super::chance::Chance;
use super::hard_files::Filling;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes that are different in every block and in every file.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut chance = Chance::of(seed);
    let words = std::iter::repeat_with(|| chance.number().to_le_bytes());
    words.flatten().take(len).collect()
}

pub(crate) fn fill(folder: &Path, filling: &Filling) {
    sizes(folder, filling);
    holes(folder);
    unwritten(folder);
    pieces(&folder.join("pieces"), filling.extents);
    cut(folder);
    far(folder);
}

/// Around what fits into an inode, into a block, into the direct blocks of an ext2 file, and into
/// the first indirect one.
fn sizes(folder: &Path, filling: &Filling) {
    let small = (0..180).step_by(3 * filling.every.min(3));
    let blocks = [1024u64, 2048, 4096].map(|block| {
        let direct = 12 * block;
        let indirect = (12 + block / 4) * block;
        [
            block - 1,
            block,
            block + 1,
            direct,
            direct + 1,
            indirect,
            indirect + 1,
        ]
    });
    let sizes = small.chain(blocks.into_iter().flatten());
    for size in sizes.filter(|&size| size <= filling.largest) {
        let path = folder.join(format!("size{size}"));
        std::fs::write(path, bytes(size, size as usize)).unwrap();
    }
    // Through two levels of indirect blocks.
    let size = filling.largest as usize;
    std::fs::write(folder.join("large"), bytes(99, size)).unwrap();
}

/// A file with data at these offsets and this size.
fn sparse(path: &Path, pieces: &[(u64, usize)], size: u64) {
    let file = File::create(path).unwrap();
    for &(offset, len) in pieces {
        let seed = offset + len as u64;
        file.write_all_at(&bytes(seed, len), offset).unwrap();
    }
    file.set_len(size).unwrap();
}

fn holes(folder: &Path) {
    let file = |name: &str| folder.join(name);
    sparse(&file("hole-all"), &[], 1 << 20);
    sparse(&file("hole-first"), &[(70_000, 5000)], 75_000);
    sparse(&file("hole-last"), &[(0, 5000)], 300_000);
    sparse(
        &file("hole-middle"),
        &[(0, 4096), (1 << 20, 10)],
        (1 << 20) + 10,
    );
    sparse(&file("hole-one-byte"), &[(8191, 1)], 8192);
    // In each of the parts that an ext2 file has, with blocks of 1 KiB and of 4 KiB.
    let places = [
        3 << 10,
        11 << 10,
        12 << 10,
        20 << 10,
        40 << 10,
        48 << 10,
        268 << 10,
        300 << 10,
        1100 << 10,
        5 << 20,
        65 << 20,
        70 << 20,
        200 << 20,
    ];
    let places = places.map(|offset| (offset, 1500));
    sparse(&file("hole-everywhere"), &places, 201 << 20);
    // Zeros that are stored are no hole.
    std::fs::write(file("zeros"), vec![0; 100_000]).unwrap();
}

/// Calls fallocate; `false` where the file system has no such thing.
fn allocate(file: &File, flags: FallocateFlags, offset: i64, len: i64) -> bool {
    match fallocate(file, flags, offset, len) {
        Ok(()) => true,
        Err(Errno::EOPNOTSUPP | Errno::EINVAL) => false,
        Err(errno) => panic!("fallocate {flags:?} {offset} {len}: {errno}"),
    }
}

fn unwritten(folder: &Path) {
    let plain = FallocateFlags::empty();
    let keep = FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let new = |name: &str| File::create_new(folder.join(name)).unwrap();
    let file = new("unwritten");
    allocate(&file, plain, 0, 2 << 20);
    let file = new("unwritten-partly");
    allocate(&file, plain, 0, 2 << 20);
    for offset in [0, 12_345, 65_536, 1 << 20, (2 << 20) - 1] {
        file.write_all_at(&bytes(offset, 1), offset).unwrap();
    }
    // Room past the end that is not part of the file.
    let file = new("kept-size");
    file.write_all_at(&bytes(5, 5000), 0).unwrap();
    allocate(&file, keep, 0, 1 << 20);
    let file = new("kept-size-empty");
    allocate(&file, keep, 0, 100_000);
    let file = new("punched");
    file.write_all_at(&bytes(6, 1 << 20), 0).unwrap();
    file.sync_all().unwrap();
    let punch = keep | FallocateFlags::FALLOC_FL_PUNCH_HOLE;
    for offset in (0..1 << 20).step_by(100_000) {
        allocate(&file, punch, offset, 33_333);
    }
    let file = new("zeroed");
    file.write_all_at(&bytes(7, 1 << 20), 0).unwrap();
    file.sync_all().unwrap();
    allocate(
        &file,
        FallocateFlags::FALLOC_FL_ZERO_RANGE,
        200_000,
        500_000,
    );
    let file = new("collapsed");
    file.write_all_at(&bytes(8, 1 << 20), 0).unwrap();
    file.sync_all().unwrap();
    let collapse = FallocateFlags::FALLOC_FL_COLLAPSE_RANGE;
    allocate(&file, collapse, 1 << 17, 1 << 16);
    let insert = FallocateFlags::FALLOC_FL_INSERT_RANGE;
    allocate(&file, insert, 1 << 18, 1 << 17);
}

/// Every other block is a hole, and the file is written from both ends.
fn pieces(path: &Path, extents: u64) {
    let file = File::create(path).unwrap();
    for number in 0..extents {
        let number = if number % 2 == 0 {
            number
        } else {
            2 * extents - number
        };
        file.write_all_at(&bytes(number, 700), number * 8192)
            .unwrap();
        if number % 512 == 0 {
            file.sync_data().unwrap();
        }
    }
}

/// Files that were longer: what is past their end must not come back.
fn cut(folder: &Path) {
    for (name, size, again) in [
        ("cut", 5_000, 5_000),
        ("cut-and-grown", 5_000, 60_000),
        ("cut-to-nothing", 0, 0),
        ("cut-to-nothing-and-grown", 0, 9_000),
    ] {
        let file = File::create(folder.join(name)).unwrap();
        file.write_all_at(&bytes(size + 1, 400_000), 0).unwrap();
        file.sync_all().unwrap();
        file.set_len(size).unwrap();
        file.set_len(again).unwrap();
    }
}

/// A few bytes as far out as each kind of file system goes.
fn far(folder: &Path) {
    let limits = [
        2 << 30,
        4 << 30,
        16 << 30,
        64 << 30,
        250 << 30,
        1 << 40,
        2 << 40,
        4 << 40,
        (16 << 40) - (1 << 32),
        (16 << 40) - 4096,
    ];
    let mut made = 0;
    for limit in limits {
        let path = folder.join(format!("far{limit}"));
        let file = File::create(&path).unwrap();
        file.write_all_at(b"start", 0).unwrap();
        let far = file.write_all_at(b"far", limit - 5000);
        let end = file.set_len(limit - 1);
        if far.is_err() || end.is_err() {
            // Further than this kind goes.
            std::fs::remove_file(&path).unwrap();
        } else {
            made += 1;
        }
    }
    assert!(made >= 2, "{made} large files");
}
