//! Raw disks that are shorter than they were: a copy that was cut short anywhere, with anything
//! inside, as the top and as a base below layers; and those that are short because the disk grew.

use crate::support::divided::{MIB, Raw, ext4, make, sgdisk};
use crate::support::image::pattern;
use crate::support::mapfile::{blocks, list_of};
use crate::support::{ChainBuilder, ImageBuilder, Scratch, check, convert, info};
use crate::tools::tool;
use std::path::Path;
use std::process::Command;

const SIZE: u64 = 16 * MIB;
/// Clusters of the layers above: a MiB.
const CLUSTER: u32 = 2048;

/// A disk that has something to say of its own size, or nothing.
struct Kind {
    name: &'static str,
    bytes: Vec<u8>,
    /// How many bytes of it have to be there before it says anything.
    speaks_from: u64,
}

fn bytes_of(raw: &Raw) -> Vec<u8> {
    std::fs::read(&raw.path).unwrap()
}

fn gpt() -> Vec<u8> {
    let raw = Raw::sgdisk(SIZE, &["--new=1:2048:-2048"]);
    raw.fill(MIB, SIZE - 3 * MIB, ext4("gpt"));
    bytes_of(&raw)
}

/// With a partition that ends where the disk does.
fn mbr() -> Vec<u8> {
    let raw = Raw::new(SIZE);
    let script = format!(
        "printf 'label: dos\\nstart=2048\\n' | sfdisk -q {}",
        raw.path.display()
    );
    tool("fdisk", Command::new("sh").args(["-c", &script]));
    raw.fill(MIB, SIZE - MIB, ext4("mbr"));
    bytes_of(&raw)
}

fn whole(make: impl FnOnce(&Path)) -> Vec<u8> {
    let raw = Raw::new(SIZE);
    make(&raw.path);
    bytes_of(&raw)
}

fn kinds() -> Vec<Kind> {
    let mkfs_xfs = make("xfsprogs", "mkfs.xfs", &["-q", "--unsupported"]);
    let kind = |name, bytes, speaks_from| Kind {
        name,
        bytes,
        speaks_from,
    };
    vec![
        // The protective record alone says it.
        kind("gpt", gpt(), 512),
        kind("mbr", mbr(), 512),
        kind("ext4", whole(ext4("whole")), 2048),
        kind("xfs", whole(mkfs_xfs), 512),
        kind("btrfs", whole_btrfs(), 68 << 10),
        kind("swap", whole(make("util-linux", "mkswap", &[])), 4096),
        kind("nothing", pattern(3, 0, SIZE as usize), u64::MAX),
    ]
}

/// Smaller than mkfs.btrfs makes one: cut out of a larger one, with its size put right nowhere but
/// in the superblock, which is all that is looked at.
fn whole_btrfs() -> Vec<u8> {
    let raw = Raw::new(128 * MIB);
    make("btrfs-progs", "mkfs.btrfs", &["-q"])(&raw.path);
    let mut bytes = raw.read(0, SIZE);
    let total = 0x1_0000 + 0xc9 + 8; // dev_item.total_bytes
    let stated = u64::from_le_bytes(bytes[total..total + 8].try_into().unwrap());
    assert_eq!(stated, 128 * MIB);
    bytes[total..total + 8].copy_from_slice(&SIZE.to_le_bytes());
    bytes
}

/// Inside the table, inside the file system, in the last cluster, one sector short.
const CUTS: [u64; 7] = [
    300,
    700,
    1500,
    3 * MIB + 4096,
    SIZE / 2,
    SIZE - MIB / 2,
    SIZE - 512,
];

/// A disk whose base is raw, below this many layers, cut at `cut` after it was made.
fn cut(scratch: &Scratch, bytes: &[u8], layers: usize, cut: u64) -> Vec<u8> {
    let mut kept = bytes[..cut as usize].to_vec();
    kept.resize(bytes.len(), 0);
    let chain = |bytes: &[u8]| {
        let mut chain = ChainBuilder::raw_base(bytes, CLUSTER);
        for layer in 0..layers {
            let image = ImageBuilder::v2().cluster_sectors(CLUSTER).clusters(16);
            chain = chain.child(&image.seed(layer as u64 + 2).store(5 + layer as u32));
        }
        chain
    };
    let right = chain(&kept).write(&scratch.path().join("right")).model();
    let damaged = chain(bytes).write(&scratch.source());
    let file = std::fs::File::options().write(true).open(&damaged.files[0]);
    file.unwrap().set_len(cut).unwrap();
    right.content()
}

#[test]
fn a_raw_disk_that_was_cut_short_is_never_taken_for_whole() {
    assert_noticed_under(0);
}

#[test]
fn a_raw_base_that_was_cut_short_below_a_layer_is_never_taken_for_whole() {
    assert_noticed_under(1);
}

#[test]
fn a_raw_base_that_was_cut_short_below_two_layers_is_never_taken_for_whole() {
    assert_noticed_under(2);
}

fn assert_noticed_under(layers: usize) {
    for kind in kinds() {
        for at in CUTS {
            let what = format!("{} under {layers} layers, cut at {at}", kind.name);
            let scratch = Scratch::new();
            let right = cut(&scratch, &kind.bytes, layers, at);
            let says_so = layers == 0 || at >= kind.speaks_from || at % 512 != 0;
            let code = if says_so {
                "raw-truncated"
            } else {
                "raw-size-unproven"
            };
            let (source, target) = (scratch.source(), scratch.target());
            convert(&source, &target)
                .run()
                .refused(3, &["root.hds", &at.to_string()]);
            scratch.assert_nothing_left();
            let checked = check(&source).run();
            assert!(
                checked.codes().contains(&code.to_owned()),
                "{what}: {:?}",
                checked.codes()
            );

            convert(&source, &target).arg("--salvage").run().status(5);
            assert!(std::fs::read(&target).unwrap() == right, "{what}");
            // Sectors that layers store are not lost.
            let kinds = if says_so { "-" } else { "/" };
            let lost = blocks(&list_of(&target), kinds, 512);
            assert_eq!(lost, lost_sectors(layers as u64, at), "{what}");
        }
    }
}

fn lost_sectors(layers: u64, cut: u64) -> Vec<u64> {
    let stored = |sector: &u64| (5..5 + layers).contains(&(sector / u64::from(CLUSTER)));
    (cut / 512..SIZE / 512)
        .filter(|sector| !stored(sector))
        .collect()
}

#[test]
fn a_raw_disk_is_read_as_it_is_where_nothing_is_missing() {
    for kind in kinds() {
        for layers in 0..=2 {
            let scratch = Scratch::new();
            let right = cut(&scratch, &kind.bytes, layers, SIZE);
            convert(&scratch.source(), &scratch.target())
                .run()
                .status(0);
            assert!(
                std::fs::read(scratch.target()).unwrap() == right,
                "{}",
                kind.name
            );
        }
    }
}

#[test]
fn a_disk_that_grew_after_its_snapshot_reads_zeros_past_the_raw_base() {
    for kind in kinds() {
        let scratch = Scratch::new();
        let image = ImageBuilder::v2().cluster_sectors(CLUSTER).clusters(24);
        let chain = ChainBuilder::raw_base(&kind.bytes, CLUSTER)
            .child(&image.store_all([20, 3]))
            .write(&scratch.source());
        let run = convert(&chain.dir, &scratch.target()).run();
        if kind.speaks_from == u64::MAX {
            run.refused(3, &["nothing in it says whether"]);
            continue;
        }
        run.status(0).says(["raw-grown", "the disk grew later"]);
        let content = chain.model().content();
        assert!(
            std::fs::read(scratch.target()).unwrap() == content,
            "{}",
            kind.name
        );
        check(&chain.dir).run().status(0).finds("raw-grown", "info");
    }
}

#[test]
fn a_snapshot_of_a_disk_that_grew_is_as_large_as_it_was_and_a_cut_one_is_refused() {
    let snapshot = |bytes: &[u8], cut: u64| {
        let scratch = Scratch::new();
        let image = ImageBuilder::v2().cluster_sectors(CLUSTER).clusters(24);
        let chain = ChainBuilder::raw_base(bytes, CLUSTER)
            .child(&image.store(20))
            .write(&scratch.source());
        let file = std::fs::File::options().write(true).open(&chain.files[0]);
        file.unwrap().set_len(cut).unwrap();
        let run = convert(&chain.dir, &scratch.target()).args(["--snapshot", &chain.guids[0]]);
        (run.run(), std::fs::read(scratch.target()).ok())
    };
    let bytes = gpt();
    let (run, target) = snapshot(&bytes, SIZE);
    run.status(0);
    assert!(target.unwrap() == bytes);
    snapshot(&bytes, SIZE - MIB).0.refused(3, &["GPT"]);
    snapshot(&pattern(3, 0, SIZE as usize), SIZE)
        .0
        .refused(3, &["nothing in it says"]);
}

#[test]
fn a_raw_disk_named_by_hand_is_judged_by_what_it_holds() {
    for (bytes, status) in [(gpt(), 3), (pattern(3, 0, SIZE as usize), 0)] {
        let scratch = Scratch::new();
        std::fs::write(scratch.source().join("disk"), &bytes[..SIZE as usize / 2]).unwrap();
        let by_hand = convert(&scratch.source(), &scratch.target()).args(["--layers", "raw:disk"]);
        by_hand.run().status(status);
    }
}

#[test]
fn a_gpt_that_counts_in_4096_bytes_and_one_whose_backup_was_left_behind_say_where_they_end() {
    let large = Raw::new(SIZE);
    {
        let device = crate::support::loops::Loop::with_sectors(&large.path, 4096);
        sgdisk(&device.path, &["--new=1:256:0"]);
    }
    let grown = Raw::sgdisk(SIZE / 2, &["--new=1:2048:0"]);
    let mut bytes = bytes_of(&grown);
    bytes.resize(SIZE as usize, 0x5a);
    for (bytes, cut_at, status) in [
        (bytes_of(&large), SIZE - 4096, 3),
        // What is free past the left-behind backup says nothing, but no disk ends inside a cluster.
        (bytes.clone(), SIZE - 4096, 3),
        (bytes.clone(), SIZE - MIB, 0),
        (bytes, SIZE / 2 - 4096, 3),
    ] {
        let scratch = Scratch::new();
        cut(&scratch, &bytes, 1, cut_at);
        convert(&scratch.source(), &scratch.target())
            .run()
            .status(status);
    }
}

#[test]
fn free_space_that_was_cut_off_past_the_last_partition_is_not_taken_for_growth() {
    let raw = Raw::new(SIZE);
    let script = format!(
        "printf 'label: dos\\nstart=2048,size=8192\\n' | sfdisk -q {}",
        raw.path.display()
    );
    tool("fdisk", Command::new("sh").args(["-c", &script]));
    raw.fill(MIB, 4 * MIB, ext4("tail"));
    let bytes = bytes_of(&raw);
    for at in [SIZE - 512, SIZE - 4096, SIZE / 2 + 512] {
        let scratch = Scratch::new();
        let right = cut(&scratch, &bytes, 1, at);
        convert(&scratch.source(), &scratch.target())
            .run()
            .refused(3, &["free space may have been cut off"]);
        check(&scratch.source())
            .run()
            .status(3)
            .finds("raw-size-unproven", "damage");
        let kept = convert(&scratch.source(), &scratch.target()).arg("--salvage");
        kept.run().status(5);
        assert!(std::fs::read(scratch.target()).unwrap() == right);
    }
}

#[test]
fn an_empty_raw_disk_is_one_of_which_everything_is_missing() {
    for layers in 0..=1 {
        let scratch = Scratch::new();
        let right = cut(&scratch, &gpt(), layers, 0);
        convert(&scratch.source(), &scratch.target())
            .run()
            .refused(3, &["the file is empty", &SIZE.to_string()]);
        let kept = convert(&scratch.source(), &scratch.target()).arg("--salvage");
        kept.run().status(5);
        assert!(std::fs::read(scratch.target()).unwrap() == right);
        let lost = blocks(&list_of(&scratch.target()), "-", 512);
        assert_eq!(lost, lost_sectors(layers as u64, 0));
    }
}

#[test]
fn the_room_a_cut_disk_takes_and_its_size_are_those_of_the_whole_disk() {
    let scratch = Scratch::new();
    cut(&scratch, &gpt(), 0, SIZE / 4);
    let report = info(&scratch.source()).arg("--salvage").run();
    let report = report.status(5).json();
    assert_eq!(report["virtual_size"], SIZE);
    assert_eq!(report["lost_bytes"], SIZE - SIZE / 4);
    info(&scratch.source())
        .run()
        .status(3)
        .finds("raw-truncated", "damage");
}

#[test]
fn a_part_of_a_split_disk_that_is_alone_says_that_it_is_not_all() {
    let bytes = gpt();
    let scratch = Scratch::new();
    // The first of two parts, which is called like the only one.
    let name = format!("disk.hdd.0.{}.hds", crate::support::TOP);
    let half = scratch.path().join("half");
    std::fs::write(&half, &bytes[..SIZE as usize / 2]).unwrap();
    let mut qemu = Command::new("qemu-img");
    qemu.args(["convert", "-f", "raw", "-O", "parallels"])
        .arg(half);
    tool("qemu-utils", qemu.arg(scratch.source().join(&name)));
    let run = convert(&scratch.source().join(&name), &scratch.target()).run();
    run.status(0)
        .says(["GPT", &SIZE.to_string(), "may be missing"]);
}
