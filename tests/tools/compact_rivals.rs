//! `--compact` where two things say that a partition is their own: what an array, a cache or a
//! pool left of a swap header or of an ext4 is no reason to leave out what they hold.

use crate::support::divided::{MIB, Maker, Raw, assert_content, make};
use crate::support::image::pattern;
use crate::support::{Program, convert, info};
use crate::tools::tool;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

/// The size of a partition, and where it and the next one begin.
const SIZE: u64 = 16 * MIB;
const FIRST: u64 = MIB;
const SECOND: u64 = MIB + SIZE;

/// Bytes at offsets of a partition.
type Pieces = Vec<(u64, Vec<u8>)>;

/// A name, and how to make what has it.
type Named = (&'static str, fn() -> Maker);
type Over = (&'static str, &'static str, fn() -> Pieces);

/// What lies over an older signature, and how `info` names it.
const OVER: [Over; 8] = [
    ("md 0.90", "linux_raid_member", || md_0()),
    ("md 1.0", "linux_raid_member", || md_1(SIZE - (8 << 10))),
    ("md 1.1", "linux_raid_member", || md_1(0)),
    ("md 1.2", "linux_raid_member", || md_1(4096)),
    ("bcache", "bcache", || cached(&BCACHE, 8)),
    ("an early bcachefs", "bcachefs", || cached(&BCACHE, 0)),
    ("bcachefs", "bcachefs", || cached(&BCACHEFS, 0)),
    ("ZFS", "zfs", zfs),
];

const BCACHE: [u8; 16] = [
    0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81,
];
const BCACHEFS: [u8; 16] = [
    0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef,
];

fn uuid() -> Vec<u8> {
    (1..=16).collect()
}

/// `mdp_superblock_1` at a place, with its checksum.
fn md_1(place: u64) -> Pieces {
    let mut sb = vec![0; 256];
    let mut put = |at: usize, bytes: &[u8]| sb[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &0xa92b_4efc_u32.to_le_bytes()); // magic
    put(4, &1u32.to_le_bytes()); // major_version
    put(16, &uuid()); // set_uuid
    put(32, b"host:0"); // set_name
    put(72, &1u32.to_le_bytes()); // level
    put(80, &(8 * MIB / 512).to_le_bytes()); // size
    put(92, &1u32.to_le_bytes()); // raid_disks
    put(128, &2048u64.to_le_bytes()); // data_offset
    put(136, &(8 * MIB / 512).to_le_bytes()); // data_size
    put(144, &(place / 512).to_le_bytes()); // super_offset
    let words = sb.chunks_exact(4).map(|word| {
        let word: [u8; 4] = word.try_into().unwrap();
        u64::from(u32::from_le_bytes(word))
    });
    let sum: u64 = words.sum();
    let sum = ((sum & 0xffff_ffff) + (sum >> 32)) as u32;
    sb[216..220].copy_from_slice(&sum.to_le_bytes()); // sb_csum
    vec![(place, sb)]
}

/// `mdp_super_t`, in the last 64 KiB that are aligned.
fn md_0() -> Pieces {
    let mut sb = vec![0; 4096];
    let mut put = |word: usize, value: u32| {
        sb[word * 4..word * 4 + 4].copy_from_slice(&value.to_le_bytes());
    };
    put(0, 0xa92b_4efc); // md_magic
    put(2, 90); // minor_version
    put(5, 0x0102_0304); // set_uuid0
    put(7, 1); // level
    put(8, 8 << 10); // size
    put(10, 1); // raid_disks
    for word in 13..16 {
        put(word, 0x0506_0708); // set_uuid1 to set_uuid3
    }
    vec![(SIZE - (64 << 10), sb)]
}

/// A superblock of bcache or bcachefs, whose second word is the place of the first one and a
/// checksum of the other.
fn cached(magic: &[u8; 16], second: u64) -> Pieces {
    let mut sb = vec![0; 1024];
    sb[8..16].copy_from_slice(&second.to_le_bytes());
    sb[16..24].copy_from_slice(&1u64.to_le_bytes()); // version
    sb[24..40].copy_from_slice(magic);
    sb[40..56].copy_from_slice(&uuid());
    sb[56..72].copy_from_slice(&uuid());
    vec![(4096, sb)]
}

/// The list of the first label, and uberblocks.
fn zfs() -> Pieces {
    let words: [u32; 3] = [0x0101_0000, 0, 1];
    let mut list: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    list.extend([36u32, 32, 9].iter().flat_map(|word| word.to_be_bytes()));
    list.extend(b"pool_guid\0\0\0");
    list.extend([8u32, 1, 0, 77].iter().flat_map(|word| word.to_be_bytes()));
    list.extend([0; 8]);
    let mut pieces = vec![(16 << 10, list)];
    for number in 0..8u64 {
        let words = [0x00ba_b10c_u64, 5000, number + 1, 1, 1];
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        pieces.push(((128 + number) << 10, bytes));
    }
    pieces
}

fn mkswap() -> Maker {
    make("util-linux", "mkswap", &["-q"])
}

fn ext4_of_1_kib() -> Maker {
    let args = ["-q", "-F", "-t", "ext4", "-b", "1024", "-E", "nodiscard"];
    make("e2fsprogs", "mke2fs", &args)
}

/// A disk whose first partition is a sound ext4, and whose second one is made here. It has data
/// everywhere before that.
fn with_second(make_second: impl FnOnce(&Path)) -> Raw {
    let raw = Raw::sgdisk(35 * MIB, &["-n1:2048:+16M", "-n2:0:+16M"]);
    raw.fill(FIRST, SIZE, ext4_of_1_kib());
    raw.fill(SECOND, SIZE, |path| {
        fs::write(path, pattern(7, 0, SIZE as usize)).unwrap();
        make_second(path);
    });
    raw
}

/// What was there before, with another thing written over it.
fn buried(old: fn() -> Maker, over: Pieces) -> Raw {
    let raw = with_second(old());
    for (offset, bytes) in over {
        raw.write(&bytes, SECOND + offset);
    }
    raw
}

/// What blkid calls a partition; empty where it does not know or finds two.
fn blkid(raw: &Raw, start: u64) -> String {
    let mut blkid = Command::new("blkid");
    blkid.args(["-p", "-o", "value", "-s", "TYPE", "--usages"]);
    blkid.args(["filesystem,raid,crypto,other", "--offset"]);
    blkid.args([&start.to_string(), "--size", &SIZE.to_string()]);
    let output = blkid.arg(&raw.path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Converts with `--compact`, and gives the second partition of the target and what was said.
fn compacted(raw: &Raw) -> (Vec<u8>, String) {
    let target = raw.scratch.out().join("disk.raw");
    let run = convert(&raw.image(), &target).args(["--compact", "-f", "--no-sync"]);
    let run = run.run().status(0);
    let made = fs::read(&target).unwrap();
    (
        made[SECOND as usize..][..SIZE as usize].to_vec(),
        run.stderr,
    )
}

#[test]
fn what_an_array_a_cache_or_a_pool_holds_is_not_left_out_for_an_older_signature() {
    let olds: [Named; 2] = [("swap", mkswap), ("ext4", ext4_of_1_kib)];
    for (old, make_old) in olds {
        for (name, _, over) in OVER {
            let raw = buried(make_old, over());
            let whole = raw.read(SECOND, SIZE);
            let (made, said) = compacted(&raw);
            assert!(made == whole, "{name} over {old}: {said}");
            assert!(said.contains("partition 2 ("), "{name} over {old}: {said}");
            // Alone it is refused, and the hint leads to all of it.
            let target = raw.scratch.path().join("alone");
            let args = ["--compact", "--partition", "2"];
            let run = convert(&raw.image(), &target).args(args).run();
            let hint = "to read all of it, with its free blocks: ploopconv ";
            run.refused(1, &["partition 2", hint]);
        }
    }
}

#[test]
fn arrays_and_caches_are_named_as_blkid_names_them() {
    for (name, kind, over) in OVER {
        let raw = with_second(|path| fs::write(path, pattern(9, 0, SIZE as usize)).unwrap());
        for (offset, bytes) in over() {
            raw.write(&bytes, SECOND + offset);
        }
        let part = &raw.info()["partitions"][1];
        assert_eq!(part["filesystem"], kind, "{name}");
        let theirs = blkid(&raw, SECOND);
        // blkid wants more of bcachefs than a magic number, or does not know it, and it wants more
        // of a pool than a test writes.
        if !["zfs", "bcachefs"].contains(&kind) {
            assert_eq!(theirs, kind, "{name}");
            assert_content(part, &raw.path, SECOND, SIZE);
        }
    }
}

/// An array that mirrors a file system, with its superblock at the end: the files can be read.
#[test]
fn a_mirror_of_a_file_system_stays_whole_and_is_read() {
    let raw = buried(ext4_of_1_kib, md_1(SIZE - (8 << 10)));
    assert_eq!(raw.info()["partitions"][1]["filesystem"], "ext4");
    let (_, said) = compacted(&raw);
    let why = "warning: partition 2 (ext4) stays whole: it has the signature of Linux RAID too, \
               and only one of them is in use";
    assert!(said.contains(why), "{said}");
    let list = Program::new(["ls".as_ref(), raw.image().as_os_str()]);
    list.args(["--partition", "2"])
        .run()
        .status(0)
        .prints("lost+found");
}

#[test]
fn an_array_of_whole_disks_is_not_taken_for_its_partitions() {
    let raw = Raw::new(34 * MIB);
    let script = "echo 2048,32768,83 | sfdisk -q --label dos \"$1\"";
    let mut sh = Command::new("sh");
    tool("fdisk", sh.args(["-c", script, "sh"]).arg(&raw.path));
    raw.fill(FIRST, SIZE, ext4_of_1_kib());
    let (_, sb) = md_1(0).remove(0);
    let place = 34 * MIB - (8 << 10);
    raw.write(&sb, place);
    let target = raw.scratch.target();
    let run = convert(&raw.image(), &target).arg("--compact").run();
    run.refused(1, &["only one of them is in use"]);
    // In the last partition it is that one's, and that of no array of disks.
    let raw = with_second(ext4_of_1_kib());
    compacted(&raw);
}

#[test]
fn a_partition_table_inside_a_partition_keeps_it_whole() {
    let raw = with_second(|path| {
        mkswap()(path);
        let script = "echo 2048,,83 | sfdisk -q --wipe never --label dos \"$1\"";
        let mut sh = Command::new("sh");
        tool("fdisk", sh.args(["-c", script, "sh"]).arg(path));
    });
    let whole = raw.read(SECOND, SIZE);
    let (made, said) = compacted(&raw);
    assert!(made == whole, "{said}");
    assert!(
        said.contains("has the signature of a partition table too"),
        "{said}"
    );
}

#[test]
fn swap_space_that_states_more_than_it_has_room_for_stays_whole() {
    let raw = with_second(|path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(2 * SIZE).unwrap();
        mkswap()(path);
        file.set_len(SIZE).unwrap();
    });
    let whole = raw.read(SECOND, SIZE);
    let (made, said) = compacted(&raw);
    assert!(made == whole, "{said}");
    let why = "partition 2 (swap) stays whole: its header states more pages than it has room for";
    assert!(said.contains(why), "{said}");
    let alone = convert(&raw.image(), &raw.scratch.target());
    let run = alone
        .args(["--compact", "--partition", "2", "--json"])
        .run();
    assert_eq!(run.status(3).json()["code"], "cut-file-system");
}

/// What ext4 leaves of a file system that was there before, where it has no room for descriptors
/// that would lie over it.
fn ext4_without_room() -> Maker {
    let args = [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-O",
        "^resize_inode",
    ];
    let args = [&args[..], &["-E", "nodiscard"]].concat();
    make("e2fsprogs", "mke2fs", &args)
}

fn ext3() -> Maker {
    let args = ["-q", "-F", "-t", "ext3", "-b", "1024", "-E", "nodiscard"];
    make("e2fsprogs", "mke2fs", &args)
}

fn fat(bits: &str) -> Maker {
    make("dosfstools", "mkfs.vfat", &["-F", bits])
}

/// What was in a partition before the last tool: what another tool made, and what lies over that.
type Before = (fn() -> Maker, Pieces);

/// Asserts that a partition is what was made in it last, and is not refused, wherever blkid is
/// sure.
fn assert_last_counts(kind: &str, make_last: fn() -> Maker, name: &str, before: Before) {
    let (make_before, over) = before;
    let raw = with_second(|path| {
        make_before()(path);
        let file = fs::File::options().write(true).open(path).unwrap();
        for (offset, bytes) in &over {
            file.write_all_at(bytes, *offset).unwrap();
        }
        make_last()(path);
    });
    if blkid(&raw, SECOND) != kind {
        return;
    }
    let looked = info(&raw.image()).arg("--compact").run().status(0);
    let (report, said) = (looked.json(), looked.stderr);
    let what = format!("{kind} over {name}: {said}{report}");
    assert_eq!(report["partitions"][1]["filesystem"], kind, "{what}");
    let said = format!("{said}{report}");
    assert_eq!(said.contains("stays whole"), kind == "vfat", "{what}");
}

#[test]
fn what_a_tool_makes_over_what_another_made_is_what_it_made() {
    let made: [Named; 5] = [
        ("swap", mkswap),
        ("ext4", ext4_of_1_kib),
        ("ext4", ext4_without_room),
        ("ext3", ext3),
        ("vfat", || fat("16")),
    ];
    let olds: [Named; 4] = [
        ("swap", mkswap),
        ("ext4", ext4_of_1_kib),
        ("FAT", || fat("32")),
        ("NTFS", || make("ntfs-3g", "mkntfs", &["-F", "-q"])),
    ];
    for (kind, make_last) in made {
        for (name, old) in olds {
            assert_last_counts(kind, make_last, name, (old, vec![]));
        }
    }
}

#[test]
fn what_a_tool_makes_over_what_is_left_of_an_array_or_a_pool_is_what_it_made() {
    let made: [Named; 3] = [
        ("swap", mkswap),
        ("ext4", ext4_of_1_kib),
        ("ext4", ext4_without_room),
    ];
    for (kind, make_last) in made {
        for (name, _, over) in OVER {
            // mkswap leaves the list of a pool, and what its blkid does not know. Then nothing is
            // left out.
            let is_left = ["ZFS", "bcachefs", "an early bcachefs"].contains(&name);
            if kind != "swap" || !is_left {
                assert_last_counts(kind, make_last, name, (mkswap, over()));
            }
        }
    }
}

#[test]
fn large_file_systems_over_swap_and_ext4_are_what_they_are() {
    let mkfs: [(&str, Maker); 4] = [
        ("xfs", make("xfsprogs", "mkfs.xfs", &["-q", "-f"])),
        ("xfs", make("xfsprogs", "mkfs.xfs", &["-q", "-f"])),
        ("btrfs", make("btrfs-progs", "mkfs.btrfs", &["-q", "-f"])),
        ("btrfs", make("btrfs-progs", "mkfs.btrfs", &["-q", "-f"])),
    ];
    for ((kind, make_last), old) in mkfs.into_iter().zip([mkswap, ext4_of_1_kib].repeat(2)) {
        let raw = Raw::new(320 * MIB);
        old()(&raw.path);
        make_last(&raw.path);
        assert_eq!(raw.info()["whole_disk"]["filesystem"], kind);
        let run = convert(&raw.image(), &raw.scratch.target()).arg("--compact");
        run.run().refused(1, &[&format!("the disk is {kind}")]);
    }
}
