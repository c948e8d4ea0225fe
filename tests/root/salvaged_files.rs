//! The files that lost bytes, against what `debugfs` says of the same blocks.

use crate::support::system::Mounted;
use crate::support::{Fill, ImageBuilder, Scratch, convert, field};
use crate::tools::tool;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Clusters of the images: small ones, so that single blocks can be lost.
const CLUSTER: u64 = 4096;

/// A file system of 32 MiB with files and directories of all sizes.
fn file_system(scratch: &Scratch, options: &[&str]) -> PathBuf {
    let raw = scratch.path().join("fs.raw");
    std::fs::File::create(&raw)
        .unwrap()
        .set_len(32 << 20)
        .unwrap();
    let mut mkfs = Command::new("mke2fs");
    mkfs.args(["-q", "-F"]).args(options);
    tool("e2fsprogs", mkfs.arg(&raw));
    let mounted = Mounted::image(&raw, &scratch.path().join("mounted"), "loop");
    for folder in ["etc", "var/lib/deep/deeper", "home/user with space"] {
        let folder = mounted.dir.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, size) in [10, 4096, 5000, 40_000, 700_000].into_iter().enumerate() {
            let bytes = crate::support::image::pattern(number as u64, 0, size);
            std::fs::write(folder.join(format!("file{number}")), bytes).unwrap();
        }
    }
    let many = mounted.dir.join("many");
    std::fs::create_dir(&many).unwrap();
    for number in 0..400 {
        std::fs::write(
            many.join(format!("a-name-that-takes-room-{number:05}")),
            [1],
        )
        .unwrap();
    }
    // Written in reverse and in pieces, so that it has a tree of extents.
    let pieces = std::fs::File::create(mounted.dir.join("pieces")).unwrap();
    for piece in (0..200u64).rev() {
        std::os::unix::fs::FileExt::write_all_at(&pieces, &[3; 1024], piece * 16384).unwrap();
    }
    std::os::unix::fs::symlink("x".repeat(100), mounted.dir.join("long-link")).unwrap();
    drop(pieces);
    tool(
        "coreutils",
        Command::new("sync").arg("-f").arg(&mounted.dir),
    );
    drop(mounted);
    // Wait until the lazily unmounted file system is really gone.
    let _ = Command::new("e2fsck").args(["-fy"]).arg(&raw).output();
    raw
}

/// The file system as an image that lost these clusters.
fn image(scratch: &Scratch, raw: &Path, lost: &BTreeSet<u64>) -> PathBuf {
    let bytes = std::fs::read(raw).unwrap();
    let clusters = bytes.len() as u64 / CLUSTER;
    let mut image = ImageBuilder::v2();
    image = image.cluster_sectors(8).clusters(clusters as u32);
    for (index, piece) in (0u32..).zip(bytes.chunks(CLUSTER as usize)) {
        if piece.iter().any(|byte| *byte != 0) || lost.contains(&u64::from(index)) {
            image = image.fill(index, Fill::Bytes(piece.to_vec()));
        }
    }
    let mut image = image.build();
    for index in lost {
        image.put_u32(field::entry(*index), 0xf000_0000);
    }
    let path = scratch.source().join("fs.hds");
    image.write(&path);
    path
}

fn salvage(scratch: &Scratch, image: &Path) -> Value {
    let salvage = convert(image, &scratch.target()).args(["--salvage", "--json", "-f"]);
    let report = salvage.run().status(5).json();
    report["salvage"]["partitions"][0].clone()
}

fn debugfs(raw: &Path, request: &str) -> String {
    let mut debugfs = Command::new("debugfs");
    tool("e2fsprogs", debugfs.args(["-R", request]).arg(raw))
}

/// The owner of each block by `debugfs`, where there is one.
fn owners(raw: &Path, blocks: &BTreeSet<u64>) -> BTreeMap<u64, u32> {
    let all: Vec<_> = blocks.iter().collect();
    let lines = all.chunks(5000).map(|blocks| {
        let list = blocks.iter().fold("icheck".to_owned(), |mut text, block| {
            let _ = write!(text, " {block}");
            text
        });
        debugfs(raw, &list)
    });
    let text: String = lines.collect();
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    });
    lines.collect()
}

/// The paths of inodes by `debugfs`.
fn paths(raw: &Path, inodes: &BTreeSet<u32>) -> BTreeMap<u32, String> {
    let list = inodes.iter().fold("ncheck".to_owned(), |mut text, inode| {
        let _ = write!(text, " {inode}");
        text
    });
    let lines = debugfs(raw, &list);
    let lines = lines.lines().skip(1).filter_map(|line| {
        let (inode, path) = line.split_once('\t')?;
        Some((inode.trim().parse().ok()?, path.replace("//", "/")))
    });
    lines.collect()
}

fn block_size(raw: &Path) -> u64 {
    let text = tool("e2fsprogs", Command::new("dumpe2fs").arg("-h").arg(raw));
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Block size:"));
    line.unwrap().trim().parse().unwrap()
}

/// Asserts that a report names the owners of these lost clusters, and no other file.
fn assert_owners(raw: &Path, lost: &BTreeSet<u64>, part: &Value) {
    let block = block_size(raw);
    let blocks: BTreeSet<u64> = lost
        .iter()
        .flat_map(|cluster| cluster * CLUSTER / block..(cluster + 1) * CLUSTER / block)
        .collect();
    let owners = owners(raw, &blocks);
    // The map of blocks kept for growing is no file.
    let theirs: BTreeSet<u32> = owners
        .values()
        .copied()
        .filter(|&inode| inode != 7)
        .collect();
    let files = part["files"].as_array().unwrap();
    let kept = |file: &&Value| file["kind"] != "inode-lost";
    let inode = |file: &Value| u32::try_from(file["inode"].as_u64().unwrap()).unwrap();
    let ours: BTreeSet<u32> = files.iter().filter(kept).map(inode).collect();
    assert_eq!(ours, theirs, "{part:#}");
    let names = paths(raw, &theirs);
    for file in files.iter().filter(kept) {
        let number = inode(file);
        let is_whole = file["map_lost"] == false;
        if let Some(path) = names.get(&number) {
            // Where a block of a directory is lost, so are names: the rest of the path is named, if
            // any.
            let told = file["path"].as_str().unwrap_or("()");
            let known = told.split_once(')').map_or(told, |(_, known)| known);
            let lost_names = files.iter().any(|file| file["kind"] == "directory");
            let partly = lost_names && told.starts_with('(') && path.ends_with(known);
            assert!(path == told || partly, "{file}");
        }
        if !is_whole || file["kind"] == "directory" {
            continue;
        }
        // Each block of theirs has a byte of ours, except those past the end.
        let count = owners.values().filter(|owner| **owner == number).count() as u64;
        let bytes = file["lost_bytes"].as_u64().unwrap();
        assert!(
            bytes <= count * block && bytes > (count - 1) * block
                || file["size"].as_u64().unwrap() < block,
            "{file}: {count} blocks"
        );
    }
}

fn random(seed: u64, count: usize, most: u64) -> BTreeSet<u64> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn files_that_lost_data_are_those_that_debugfs_names() {
    for (seed, options) in [
        (1, &["-t", "ext4", "-b", "4096"][..]),
        (2, &["-t", "ext4", "-b", "1024", "-O", "^64bit"]),
        (3, &["-t", "ext3", "-b", "1024"]),
        (
            4,
            &[
                "-t",
                "ext2",
                "-b",
                "2048",
                "-O",
                "^sparse_super,^resize_inode",
            ],
        ),
        (
            5,
            &[
                "-t",
                "ext4",
                "-b",
                "4096",
                "-I",
                "128",
                "-O",
                "^metadata_csum,^uninit_bg",
            ],
        ),
        (
            6,
            &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"],
        ),
    ] {
        let scratch = Scratch::new();
        let raw = file_system(&scratch, options);
        // The blocks that files have, by debugfs; some of them are lost.
        let block = block_size(&raw);
        let all: BTreeSet<u64> = (0..(32 << 20) / block).collect();
        let used: Vec<u64> = owners(&raw, &all)
            .into_iter()
            .filter(|(_, inode)| *inode > 11)
            .map(|(number, _)| number * block / CLUSTER)
            .collect();
        let metadata = metadata_clusters(&raw, block);
        let lost: BTreeSet<u64> = random(seed, 30, used.len() as u64)
            .into_iter()
            .map(|at| used[at as usize])
            .filter(|cluster| !metadata.contains(cluster))
            .collect();
        assert!(lost.len() > 5);
        let image = image(&scratch, &raw, &lost);
        let part = salvage(&scratch, &image);
        assert_eq!(part["metadata"], serde_json::json!([]), "{options:?}");
        assert_owners(&raw, &lost, &part);
    }
}

/// The clusters that hold inode tables and what else belongs to no file, by dumpe2fs.
fn metadata_clusters(raw: &Path, block: u64) -> BTreeSet<u64> {
    let text = tool("e2fsprogs", Command::new("dumpe2fs").arg(raw));
    let mut clusters = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("  ")) {
        for word in line.replace(',', " ").split_whitespace() {
            if !line.contains("superblock")
                && !line.contains("bitmap")
                && !line.contains("Inode table")
                && !line.contains("Group descriptor")
                && !line.contains("GDT")
            {
                continue;
            }
            let mut ends = word.split('-').map(str::parse::<u64>);
            if let Some(Ok(first)) = ends.next() {
                let last = ends.next().and_then(Result::ok).unwrap_or(first);
                clusters.extend(first * block / CLUSTER..=last * block / CLUSTER);
            }
        }
    }
    clusters
}

#[test]
fn names_are_told_by_path_and_range() {
    let scratch = Scratch::new();
    let raw = file_system(&scratch, &["-t", "ext4", "-b", "4096"]);
    let of = |path: &str, block: u64| {
        let text = debugfs(&raw, &format!("bmap \"{path}\" {block}"));
        text.trim().parse::<u64>().unwrap()
    };
    let path = "/home/user with space/file3";
    let lost = BTreeSet::from([of(path, 2), of(path, 9), of("/etc/file0", 0)]);
    let image = image(&scratch, &raw, &lost);
    let target = scratch.target();
    let outcome = convert(&image, &target).arg("--salvage").run().status(5);
    outcome.says([
        "/home/user with space/file3: bytes 8192-12287, 36864-39999 of 40000",
        "/etc/file0: bytes 0-9 of 10",
    ]);
    let list = std::fs::read_to_string(scratch.out().join("disk.raw.lost")).unwrap();
    assert!(list.contains("#   /etc/file0: bytes 0-9 of 10\n"), "{list}");
}

#[test]
fn a_hostile_name_is_a_name_and_no_line_of_the_list() {
    let scratch = Scratch::new();
    let raw = scratch.path().join("fs.raw");
    std::fs::File::create(&raw)
        .unwrap()
        .set_len(8 << 20)
        .unwrap();
    tool(
        "e2fsprogs",
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-b", "4096"])
            .arg(&raw),
    );
    {
        let mounted = Mounted::image(&raw, &scratch.path().join("mounted"), "loop");
        let name = "x\n0x0  0x800000  +\n\x1b[2J";
        std::fs::write(mounted.dir.join(name), vec![1; 4096]).unwrap();
        tool(
            "coreutils",
            Command::new("sync").arg("-f").arg(&mounted.dir),
        );
    }
    let of_12 = debugfs(&raw, "bmap <12> 0").trim().parse::<u64>().unwrap();
    let image = image(&scratch, &raw, &BTreeSet::from([of_12]));
    let target = scratch.target();
    let outcome = convert(&image, &target).arg("--salvage").run().status(5);
    outcome.says([r"/x\u{a}0x0  0x800000  +\u{a}\u{1b}[2j: bytes 0-4095 of 4096"]);
    let list = scratch.out().join("disk.raw.lost");
    crate::support::mapfile::assert_covers(&list, 8 << 20);
    assert_eq!(crate::support::mapfile::blocks(&list, "-", 4096), [of_12]);
}

#[test]
fn files_whose_inodes_are_lost_are_named_by_their_directories() {
    let scratch = Scratch::new();
    let raw = file_system(&scratch, &["-t", "ext4", "-b", "4096"]);
    let text = tool("e2fsprogs", Command::new("dumpe2fs").arg(&raw));
    let table = text
        .lines()
        .find(|line| line.contains("Inode table at"))
        .unwrap();
    let first: u64 = table
        .trim()
        .trim_start_matches("Inode table at ")
        .split('-')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    // Sixteen inodes a block: those of the fourth.
    let inodes: BTreeSet<u32> = (49..65).collect();
    let lost = BTreeSet::from([first + 3]);
    let image = image(&scratch, &raw, &lost);
    let part = salvage(&scratch, &image);
    let metadata = &part["metadata"][0];
    assert_eq!(
        (&metadata["kind"], &metadata["inodes"]),
        (&"inode tables".into(), &16.into())
    );
    let theirs: BTreeSet<String> = paths(&raw, &inodes).into_values().collect();
    let files = part["files"].as_array().unwrap();
    let ours: BTreeSet<String> = files
        .iter()
        .filter(|file| file["kind"] == "inode-lost")
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect();
    assert!(theirs.len() > 10);
    assert_eq!(ours, theirs);
}

#[test]
fn a_lost_superblock_is_replaced_by_its_copy() {
    for options in [
        &["-t", "ext4", "-b", "1024"][..],
        &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"],
    ] {
        let scratch = Scratch::new();
        let raw = file_system(&scratch, options);
        let at = debugfs(&raw, "bmap /etc/file1 1")
            .trim()
            .parse::<u64>()
            .unwrap();
        // The superblock and the first group descriptors, and a block of a file.
        let lost = BTreeSet::from([0, at * 1024 / CLUSTER]);
        let image = image(&scratch, &raw, &lost);
        let part = salvage(&scratch, &image);
        let kinds: Vec<_> = part["metadata"]
            .as_array()
            .unwrap()
            .iter()
            .map(|lost| lost["kind"].as_str().unwrap())
            .collect();
        assert!(
            kinds.starts_with(&["superblock", "group descriptors"]),
            "{part:#}"
        );
        assert_owners(&raw, &lost, &part);
    }
}

#[test]
fn a_lost_list_of_blocks_and_a_lost_directory_are_said() {
    let scratch = Scratch::new();
    let raw = file_system(&scratch, &["-t", "ext4", "-b", "4096"]);
    let text = debugfs(&raw, "dump_extents /pieces");
    // The first line below the root names the block of the node.
    let node: u64 = text
        .lines()
        .find(|line| line.trim_start().starts_with("0/"))
        .and_then(|line| {
            line.split_whitespace()
                .rev()
                .find_map(|word| word.parse().ok())
        })
        .unwrap();
    assert!(text.contains("/ 1") || text.contains("/1"), "{text}");
    let node = {
        // "0/ 1   1/  1     0 -   199  NODE": icheck says whether it is the file's.
        let stat = debugfs(&raw, "stat /pieces");
        let line = stat
            .lines()
            .find(|line| line.contains("(ETB0)"))
            .unwrap_or(&stat);
        let word = line.split("(ETB0):").nth(1).unwrap_or("");
        word.split([',', ' '])
            .next()
            .unwrap()
            .parse()
            .unwrap_or(node)
    };
    let directory = debugfs(&raw, "bmap /many 1").trim().parse::<u64>().unwrap();
    let lost = BTreeSet::from([node, directory]);
    let image = image(&scratch, &raw, &lost);
    let part = salvage(&scratch, &image);
    let files = part["files"].as_array().unwrap();
    let by_path = |path: &str| files.iter().find(|file| file["path"] == path);
    assert_eq!(by_path("/pieces").unwrap()["map_lost"], true, "{part:#}");
    assert_eq!(by_path("/many").unwrap()["kind"], "directory");
    let outcome = convert(&image, &scratch.target())
        .args(["--salvage", "-f"])
        .run();
    outcome.says(["list of its blocks", "names may be missing"]);
}

#[test]
fn a_tree_that_would_take_for_ever_is_given_up() {
    let scratch = Scratch::new();
    let raw = file_system(&scratch, &["-t", "ext4", "-b", "4096"]);
    let imap = debugfs(&raw, "imap /pieces");
    // "located at block 37, offset 0x0e00"
    let number = |mark: &str, radix| {
        let text = imap.split(mark).nth(1).unwrap();
        let text = text
            .trim_start_matches("0x")
            .split([',', '\n', ' '])
            .next()
            .unwrap();
        u64::from_str_radix(text, radix).unwrap()
    };
    let inode = number("at block ", 10) * 4096 + number("offset ", 16);
    // Blocks of another file become nodes: every entry of one is the one below it.
    let nodes: Vec<u64> = (0..4)
        .map(|at| {
            debugfs(&raw, &format!("bmap /etc/file4 {at}"))
                .trim()
                .parse()
                .unwrap()
        })
        .collect();
    let node = |count: u16, depth: u16, below: u64| {
        let mut bytes = [0xf30a, count, count, depth, 0, 0]
            .map(u16::to_le_bytes)
            .concat();
        for logical in 0..u32::from(count) {
            bytes.extend(logical.to_le_bytes());
            bytes.extend((below as u32).to_le_bytes());
            bytes.extend([0; 4]);
        }
        bytes
    };
    let file = std::fs::File::options().write(true).open(&raw).unwrap();
    let put = |bytes: &[u8], at| std::os::unix::fs::FileExt::write_all_at(&file, bytes, at);
    put(&node(4, 4, nodes[0]), inode + 40).unwrap();
    for (at, depth) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
        let below = nodes.get(at + 1).copied().unwrap_or(5);
        put(&node(340, depth, below), nodes[at] * 4096).unwrap();
    }
    let lost = debugfs(&raw, "bmap /etc/file2 1")
        .trim()
        .parse::<u64>()
        .unwrap();
    let image = image(&scratch, &raw, &BTreeSet::from([lost]));
    let salvage = convert(&image, &scratch.target()).args(["--salvage", "--json"]);
    let report = salvage.within(30).run().status(5).json();
    let notes = report["salvage"]["partitions"][0]["notes"].to_string();
    assert!(notes.contains("contradicts itself"), "{notes}");
}

#[test]
fn file_systems_spoiled_at_random_end_in_time() {
    let scratch = Scratch::new();
    let raw = file_system(&scratch, &["-t", "ext4", "-b", "4096"]);
    let sound = std::fs::read(&raw).unwrap();
    for seed in 0..12 {
        let mut bytes = sound.clone();
        // Metadata lies in front; words there become other words from there.
        for at in random(seed, 4000, 3 << 20) {
            let from = random(seed + at, 1, 3 << 20).into_iter().next().unwrap() as usize;
            bytes[at as usize] = sound[from];
        }
        let spoiled = scratch.path().join("spoiled.raw");
        std::fs::write(&spoiled, bytes).unwrap();
        let image = image(&scratch, &spoiled, &random(seed, 200, 8192));
        let salvage = convert(&image, &scratch.target()).args(["--salvage", "--json", "-f"]);
        salvage.within(30).run().status(5);
    }
}
