//! qcow2 targets: what `qemu-img` and qcow2-rs say of every cluster size and compression.

use crate::support::image::{Version, pattern};
use crate::support::system::Mounted;
use crate::support::{
    ChainBuilder, Fill, ImageBuilder, Model, Program, Scratch, SourceGuard, convert, names_in,
    program,
};
use crate::tools::tool;
use qcow2_rs::dev::Qcow2DevParams;
use qcow2_rs::utils::qcow2_setup_dev_sync;
use serde_json::Value;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll, Waker};

const MIB: u64 = 1 << 20;
const SIZES: [&str; 10] = [
    "4K", "8K", "16K", "32K", "64K", "128K", "256K", "512K", "1M", "2M",
];

fn bytes_of(size: &str) -> u64 {
    let number: u64 = size[..size.len() - 1].parse().unwrap();
    number << if size.ends_with('M') { 20 } else { 10 }
}

/// A source and what it reads as.
struct Disk {
    name: &'static str,
    image: PathBuf,
    content: Vec<u8>,
    /// Whether a byte of some layer is there, holes of the files included.
    stored: Vec<bool>,
}

impl Disk {
    fn new(name: &'static str, image: PathBuf, model: &Model) -> Self {
        let content = model.content();
        let mut stored = vec![false; content.len()];
        for extent in model.extents().iter().filter(|e| e.stored.is_some()) {
            let from = usize::try_from(extent.offset).unwrap();
            stored[from..from + usize::try_from(extent.len).unwrap()].fill(true);
        }
        Self {
            name,
            image,
            content,
            stored,
        }
    }

    /// The content as a disk of whole sectors.
    fn sectors(&self) -> Vec<u8> {
        let mut all = self.content.clone();
        all.resize(all.len().next_multiple_of(512), 0);
        all
    }
}

fn text(seed: u64, len: usize) -> Vec<u8> {
    let words = [
        "ploop ",
        "cluster ",
        "of the ",
        "delta\n",
        "snapshot ",
        "0 ",
    ];
    let choice = pattern(seed, 0, len);
    let mut all: Vec<u8> = Vec::with_capacity(len + 16);
    for byte in choice {
        all.extend_from_slice(words[usize::from(byte) % words.len()].as_bytes());
        if all.len() >= len {
            break;
        }
    }
    all.truncate(len);
    all
}

/// Disks that are awkward in ways of their own.
fn disks(scratch: &Scratch) -> Vec<Disk> {
    let dir = |name: &str| scratch.source().join(name);
    let mut disks = Vec::new();

    // Clusters of one sector, so that a cluster of the target has many holes and owners.
    let tiny = ImageBuilder::v2().cluster_sectors(1).clusters(9001);
    let tiny = (0..40).fold(tiny, |image, k| image.store(k * 3));
    let tiny = (0..8).fold(tiny, |image, k| image.store(4000 + k));
    let tiny = tiny.fill(4100, Fill::FileHole).store(9000).store(8191);
    let file = tiny.write(&dir("tiny.hds"));
    disks.push(Disk::new("tiny", dir("tiny.hds"), &file.model("")));

    // An odd cluster and an odd size; noise, text, one byte, zeros in a hole and written zeros.
    let cluster = 63 * 512;
    let odd = ImageBuilder::v1()
        .cluster_sectors(63)
        .sectors(63 * 180 + 17)
        .store_all([170, 3, 4, 5, 6, 7, 8, 100])
        .fill(9, Fill::Byte(7))
        .fill(10, Fill::Byte(0))
        .fill(11, Fill::FileHole);
    let odd = (20..60).fold(odd, |image, k| {
        image.fill(k, Fill::Bytes(text(u64::from(k), cluster)))
    });
    let odd = (110..170).fold(odd, |image, k| match k % 3 {
        0 => image.store(k),
        1 => image.fill(k, Fill::Bytes(text(u64::from(k), 20_000))),
        _ => image.fill(k, Fill::Byte(0)),
    });
    let file = odd.fill(180, Fill::Byte(9)).write(&dir("odd.hds"));
    disks.push(Disk::new("odd", dir("odd.hds"), &file.model("")));

    // Three layers that hide each other, over the borders of the tables of small clusters.
    let layer = |seed| {
        ImageBuilder::new(Version::V2)
            .cluster_sectors(128)
            .clusters(100)
            .seed(seed)
    };
    let chain = ChainBuilder::base(&layer(1).store_all([99, 31, 32, 33, 0, 64]))
        .child(&layer(2).fill(32, Fill::FileHole).store(63))
        .child(&layer(3).store_all([95, 96]).fill(0, Fill::Byte(0)));
    let chain = chain.write(&dir("chain"));
    disks.push(Disk::new("chain", chain.dir.clone(), &chain.model()));

    // Nothing at all, and a disk that is full.
    let none = ImageBuilder::v2().clusters(50).write(&dir("none.hds"));
    disks.push(Disk::new("none", dir("none.hds"), &none.model("")));
    let full = ImageBuilder::v2().cluster_sectors(2048).clusters(5);
    let full = full.store_all([4, 2, 0, 1, 3]).write(&dir("full.hds"));
    disks.push(Disk::new("full", dir("full.hds"), &full.model("")));
    disks
}

fn qemu_img<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> String {
    tool("qemu-utils", Command::new("qemu-img").args(args))
}

fn qemu_json(command: &str, target: &Path) -> Value {
    let target = target.to_str().unwrap();
    let text = qemu_img([command, "-f", "qcow2", "--output=json", target]);
    serde_json::from_str(&text).unwrap()
}

/// Asserts that `qemu-img check` finds nothing at all and knows of no byte behind the last one.
#[track_caller]
fn assert_clean(target: &Path) {
    let report = qemu_json("check", target);
    for complaint in ["leaks", "corruptions", "leaks-fixed", "corruptions-fixed"] {
        assert!(
            report[complaint].is_null(),
            "{}: {report}",
            target.display()
        );
    }
    assert_eq!(report["check-errors"], 0, "{report}");
    let len = std::fs::metadata(target).unwrap().len();
    assert_eq!(report["image-end-offset"], len, "{report}");
}

/// Asserts everything that `qemu-img` can tell of a target that holds these sectors.
#[track_caller]
fn assert_holds(target: &Path, sectors: &[u8], what: &str) {
    assert_clean(target);
    let raw = target.with_extension("expected");
    std::fs::write(&raw, sectors).unwrap();
    let (from, to) = (raw.to_str().unwrap(), target.to_str().unwrap());
    qemu_img(["compare", "-f", "raw", "-F", "qcow2", from, to]);
    let back = target.with_extension("back");
    qemu_img([
        "convert",
        "-f",
        "qcow2",
        "-O",
        "raw",
        to,
        back.to_str().unwrap(),
    ]);
    assert!(
        std::fs::read(&back).unwrap() == sectors,
        "{what}: read back"
    );
    std::fs::remove_file(raw).unwrap();
    std::fs::remove_file(back).unwrap();
}

#[track_caller]
fn assert_info(target: &Path, sectors: u64, cluster: u64, compression: &str) {
    let info = qemu_json("info", target);
    assert_eq!(info["format"], "qcow2");
    assert_eq!(info["virtual-size"], sectors);
    assert_eq!(info["cluster-size"], cluster);
    let data = &info["format-specific"]["data"];
    assert_eq!(data["compat"], "1.1");
    assert_eq!(data["lazy-refcounts"], false);
    assert_eq!(data["refcount-bits"], 16);
    assert_eq!(data["corrupt"], false);
    assert_eq!(data["extended-l2"], false);
    assert_eq!(data["compression-type"], compression);
    assert!(info["backing-filename"].is_null() && info["snapshots"].is_null());
}

/// The clusters that `qemu-img map` finds allocated.
fn allocated(target: &Path, size: usize, cluster: usize) -> Vec<bool> {
    let mut allocated = vec![false; size.div_ceil(cluster)];
    for extent in qemu_json("map", target).as_array().unwrap() {
        let number = |name: &str| usize::try_from(extent[name].as_u64().unwrap()).unwrap();
        if extent["present"] == true {
            let end = number("start") + number("length");
            allocated[number("start") / cluster..end.div_ceil(cluster)].fill(true);
        }
    }
    allocated
}

/// Asserts which clusters are allocated: every one that holds something, and none that is stored
/// nowhere or, with `always`, that is all zeros.
#[track_caller]
fn assert_allocated(disk: &Disk, target: &Path, cluster: u64, always: bool) {
    let cluster = usize::try_from(cluster).unwrap();
    let found = allocated(target, disk.content.len(), cluster);
    let pieces = disk
        .content
        .chunks(cluster)
        .zip(disk.stored.chunks(cluster));
    for (number, (bytes, stored)) in pieces.enumerate() {
        let holds = bytes.iter().any(|byte| *byte != 0);
        let may_be = if always {
            holds
        } else {
            stored.contains(&true)
        };
        assert!(
            found[number] >= holds && found[number] <= may_be,
            "{}: cluster {number} of {cluster}: allocated {}, holds something {holds}",
            disk.name,
            found[number]
        );
    }
}

/// Runs a future of qcow2-rs, whose synchronous reader never waits, so that no runtime is needed.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("the synchronous reader waits"),
    }
}

/// Reads a whole target with qcow2-rs. It is asked for no byte behind the end, where it answers
/// wrongly.
fn read_with_qcow2_rs(target: &Path, len: usize) -> Vec<u8> {
    let params = Qcow2DevParams::new(9, None, None, true, false);
    let device = qcow2_setup_dev_sync(target, &params).unwrap();
    // Without it, every cluster is a hole.
    at_once(device.qcow2_prep_io()).unwrap();
    let mut all = vec![0xAA; len];
    for (number, piece) in (0u64..).zip(all.chunks_mut(1 << 20)) {
        let asked = piece.len();
        let done = at_once(device.read_at(piece, number << 20)).unwrap();
        assert_eq!(done, asked, "a short read at {number} MiB");
    }
    all
}

fn to_qcow2(image: &Path, target: &Path, size: &str, options: &[&str]) -> Program {
    convert(image, target)
        .args(["-f", "--cluster-size", size])
        .args(options)
}

#[test]
fn every_cluster_size_is_clean_and_holds_the_disk_and_qcow2_rs_reads_the_same() {
    let scratch = Scratch::new();
    let disks = disks(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let target = scratch.out().join("disk.qcow2");
    for disk in &disks {
        let sectors = disk.sectors();
        for size in SIZES {
            for (sparse, always) in [("--sparse=auto", false), ("--sparse", true)] {
                let what = format!("{} {size} {sparse}", disk.name);
                to_qcow2(&disk.image, &target, size, &[sparse])
                    .run()
                    .status(0);
                assert_holds(&target, &sectors, &what);
                assert_info(&target, sectors.len() as u64, bytes_of(size), "zlib");
                assert_allocated(disk, &target, bytes_of(size), always);
                let read = read_with_qcow2_rs(&target, sectors.len());
                if let Some(at) = (0..read.len()).find(|&at| read[at] != sectors[at]) {
                    panic!(
                        "{what}: byte {at} is {:#x} to qcow2-rs, not {:#x}",
                        read[at], sectors[at]
                    );
                }
            }
        }
    }
}

fn assert_every_size_compressed(compression: &str) {
    let scratch = Scratch::new();
    let target = scratch.out().join("disk.qcow2");
    for disk in &disks(&scratch) {
        let sectors = disk.sectors();
        for size in SIZES {
            for (sparse, always) in [("--sparse=auto", false), ("--sparse", true)] {
                let how = format!("--compress={compression}");
                let what = format!("{} {size} {sparse} {how}", disk.name);
                let options = [sparse, &how, "-j", "3"];
                to_qcow2(&disk.image, &target, size, &options)
                    .run()
                    .status(0);
                assert_holds(&target, &sectors, &what);
                assert_info(&target, sectors.len() as u64, bytes_of(size), compression);
                assert_allocated(disk, &target, bytes_of(size), always);
            }
        }
    }
}

#[test]
fn every_cluster_size_is_clean_and_holds_the_disk_compressed_with_zstd() {
    assert_every_size_compressed("zstd");
}

#[test]
fn every_cluster_size_is_clean_and_holds_the_disk_compressed_with_zlib() {
    assert_every_size_compressed("zlib");
}

#[test]
fn a_raw_base_of_any_number_of_bytes_is_filled_up_to_a_sector() {
    let scratch = Scratch::new();
    let bytes = pattern(5, 0, 300_077);
    let chain = ChainBuilder::raw_base(&bytes, 128).write(&scratch.source());
    let mut sectors = bytes;
    sectors.resize(300_544, 0);
    for options in [&[][..], &["--compress"], &["--sparse=never"]] {
        let target = scratch.out().join("disk.qcow2");
        to_qcow2(&chain.dir, &target, "64K", options)
            .run()
            .status(0);
        assert_holds(&target, &sectors, &format!("{options:?}"));
    }
}

#[test]
fn a_qcow2_target_and_a_raw_one_hold_the_same() {
    let scratch = Scratch::new();
    for disk in &disks(&scratch) {
        let (raw, target) = (scratch.target(), scratch.out().join("disk.qcow2"));
        convert(&disk.image, &raw).arg("-f").run().status(0);
        convert(&disk.image, &target).arg("-f").run().status(0);
        let paths = [raw.to_str().unwrap(), target.to_str().unwrap()];
        qemu_img(["compare", "-f", "raw", "-F", "qcow2", paths[0], paths[1]]);
    }
}

#[test]
fn the_format_is_told_by_the_name_or_by_the_option() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(1).write(&image);
    let format = |target: &Path| {
        let text = qemu_img(["info", "--output=json", target.to_str().unwrap()]);
        let info: Value = serde_json::from_str(&text).unwrap();
        info["format"].as_str().unwrap().to_owned()
    };
    for (name, options, expected) in [
        ("a.qcow2", &[][..], "qcow2"),
        ("b.QCOW", &[], "qcow2"),
        ("c.raw", &["-O", "qcow2"], "qcow2"),
        ("d", &["--format=qcow2"], "qcow2"),
        ("e.qcow2", &["-O", "raw"], "raw"),
        ("f.img", &[], "raw"),
    ] {
        let target = scratch.out().join(name);
        convert(&image, &target).args(options).run().status(0);
        assert_eq!(format(&target), expected, "{name} {options:?}");
    }
}

#[test]
fn options_that_cannot_be_followed_are_mistakes_of_the_command_line() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2().store(1).write(&image);
    let pipe = scratch.path().join("pipe.qcow2");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (raw, target) = (scratch.target(), scratch.out().join("disk.qcow2"));
    for (target, options, says) in [
        (&raw, &["--compress"][..], "--compress is for qcow2"),
        (
            &raw,
            &["--cluster-size", "64K"],
            "--cluster-size is for qcow2",
        ),
        (
            &target,
            &["-O", "raw", "--compress=zlib"],
            "--compress is for qcow2",
        ),
        (&target, &["--compress", "--sparse=never"], "--sparse=never"),
        (&target, &["--compress=lzma"], "zstd"),
        (&target, &["--cluster-size=2K"], "4K"),
        (&target, &["--cluster-size=4M"], "2M"),
        (&target, &["--cluster-size=65537"], "64K"),
        (&PathBuf::from("-"), &["-O", "qcow2"], "has to be a file"),
        (&pipe, &[], "has to be a file"),
    ] {
        let outcome = convert(&image, target).args(options).run();
        outcome.status(2).says([says]);
    }
    scratch.assert_nothing_left();
}

#[test]
fn without_sparseness_every_byte_has_room() {
    let scratch = Scratch::new();
    let target = scratch.out().join("disk.qcow2");
    for disk in &disks(&scratch) {
        let sectors = disk.sectors();
        for size in ["4K", "64K", "2M"] {
            to_qcow2(&disk.image, &target, size, &["--sparse=never"])
                .run()
                .status(0);
            assert_holds(&target, &sectors, disk.name);
            let cluster = usize::try_from(bytes_of(size)).unwrap();
            let allocated = allocated(&target, disk.content.len(), cluster);
            assert!(allocated.iter().all(|there| *there), "{} {size}", disk.name);
            let meta = std::fs::metadata(&target).unwrap();
            assert!(meta.blocks() * 512 >= meta.len(), "{} {size}", disk.name);
        }
    }
}

#[test]
fn clusters_that_prove_to_be_zeros_take_no_room_wherever_they_are() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let clusters = ImageBuilder::v2().cluster_sectors(2048).clusters(64);
    let built = (0..64).fold(clusters, |image, k| match k {
        20 | 40 => image.store(k),
        _ => image.fill(k, Fill::Byte(0)),
    });
    let model = built.write(&image).model("");
    let target = scratch.out().join("disk.qcow2");
    for size in SIZES {
        to_qcow2(&image, &target, size, &["--sparse"])
            .run()
            .status(0);
        assert_holds(&target, &model.content(), size);
        let meta = std::fs::metadata(&target).unwrap();
        assert!(
            meta.blocks() * 512 < 3 * MIB,
            "{size}: {} blocks",
            meta.blocks()
        );
        // All places that were planned, and the tables behind them.
        assert!(meta.len() < 75 * MIB, "{size}: {} bytes", meta.len());
    }
}

#[test]
fn compressed_clusters_are_packed_as_well_as_qemu_packs_them() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let built = ImageBuilder::v2().cluster_sectors(2048).clusters(24);
    let built = (0..24).fold(built, |image, k| match k % 4 {
        3 => image.store(k),
        _ => image.fill(k, Fill::Bytes(text(u64::from(k), 1 << 20))),
    });
    let model = built.write(&image).model("");
    let (raw, theirs) = (scratch.target(), scratch.out().join("theirs"));
    std::fs::write(&raw, model.content()).unwrap();
    let target = scratch.out().join("disk.qcow2");
    for compression in ["zstd", "zlib"] {
        for size in ["4K", "64K", "2M"] {
            let how = format!("--compress={compression}");
            to_qcow2(&image, &target, size, &[&how, "-j", "8"])
                .run()
                .status(0);
            assert_holds(&target, &model.content(), size);
            let options = format!("cluster_size={size},compression_type={compression}");
            let (from, to) = (raw.to_str().unwrap(), theirs.to_str().unwrap());
            qemu_img(["convert", "-c", "-O", "qcow2", "-o", &options, from, to]);
            let room = |path: &Path| std::fs::metadata(path).unwrap().blocks() * 512;
            let (ours, theirs) = (room(&target), room(&theirs));
            assert!(
                ours < theirs + theirs / 20,
                "{how} {size}: {ours}, theirs {theirs}"
            );
        }
    }
}

#[test]
fn a_disk_beyond_the_bound_is_refused_with_the_cluster_size_that_would_do() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters((8 << 20) + 1)
        .store(0)
        .write(&image);
    let target = scratch.out().join("disk.qcow2");
    let outcome = to_qcow2(&image, &target, "4K", &[]).run();
    outcome.refused(
        1,
        &[
            "8796094070784 bytes",
            "4K",
            "8K would do",
            "--cluster-size 8K",
        ],
    );
    scratch.assert_nothing_left();
    to_qcow2(&image, &target, "8K", &[]).run().status(0);
    assert_clean(&target);
}

/// Runs to the end and answers the most memory that was seen, in bytes.
fn peak_of(command: &mut Command) -> u64 {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut highest = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.map_or(0, |line| {
            line.trim().trim_end_matches(" kB").parse().unwrap()
        });
        highest = highest.max(kib * 1024);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(highest > 0, "the run was over before it was looked at");
    highest
}

#[test]
fn a_disk_of_16_tib_with_little_data_needs_little_memory_and_room() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let clusters = 16 << 20;
    ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters(clusters)
        .store_all([clusters - 1, 0, clusters / 2, 5])
        .write(&image);
    let target = scratch.out().join("disk.qcow2");
    for options in [&[][..], &["--compress"], &["--cluster-size=2M", "--sparse"]] {
        let _guard = SourceGuard::new(&scratch.source());
        let mut command = Command::new(program::path());
        command
            .arg(&image)
            .arg("-o")
            .arg(&target)
            .arg("-f")
            .args(options);
        let peak = peak_of(&mut command);
        // The table of the image is 64 MiB, of which a few pages are in use.
        assert!(peak <= 64 * MIB, "{options:?}: {} MiB", peak / MIB);
        let meta = std::fs::metadata(&target).unwrap();
        assert!(
            meta.blocks() * 512 < 6 * MIB,
            "{options:?}: {} blocks",
            meta.blocks()
        );
        assert_clean(&target);
        let found: u64 = qemu_json("map", &target)
            .as_array()
            .unwrap()
            .iter()
            .filter(|extent| extent["present"] == true)
            .map(|extent| extent["length"].as_u64().unwrap())
            .sum();
        assert!((4 * MIB..=8 * MIB).contains(&found), "{options:?}: {found}");
    }
}

#[test]
fn any_number_of_threads_compresses_within_64_mib() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let built = ImageBuilder::v2().cluster_sectors(2048).clusters(64);
    let built = (0..64).fold(built, |image, k| image.fill(k, Fill::Byte(k as u8 | 1)));
    built.write(&image);
    let target = scratch.out().join("disk.qcow2");
    for size in ["4K", "64K", "2M"] {
        for how in ["--compress=zstd", "--compress=zlib"] {
            let _guard = SourceGuard::new(&scratch.source());
            let mut command = Command::new(program::path());
            command.arg(&image).arg("-o").arg(&target);
            command.args(["-f", "-j", "128", "--cluster-size", size, how]);
            let peak = peak_of(&mut command);
            assert!(peak <= 64 * MIB, "{size} {how}: {} MiB", peak / MIB);
        }
    }
}

#[test]
fn a_file_system_that_fills_up_is_left_as_it_was() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let clusters = ImageBuilder::v2().cluster_sectors(2048).clusters(4);
    clusters.store_all(0..4).write(&image);
    // 4 MiB of noise; what it takes at most is not known beforehand with these options.
    for (number, room) in ["40k", "2m", "4092k"].into_iter().enumerate() {
        for option in ["--sparse", "--compress=zstd", "--compress=zlib"] {
            let dir = scratch.path().join(format!("small-{number}{option}"));
            let small = Mounted::memory(room, &dir);
            let outcome = convert(&image, &small.dir.join("disk.qcow2"))
                .arg(option)
                .run();
            outcome.refused(1, &["disk.qcow2", "no space"]);
            assert_eq!(names_in(&small.dir), Vec::<String>::new());
        }
    }
}

#[test]
fn the_tables_need_room_too() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let clusters = ImageBuilder::v2().cluster_sectors(2048).clusters(16);
    clusters.store_all(0..16).write(&image);
    let small = Mounted::memory("16m", &scratch.path().join("small"));
    let target = small.dir.join("disk.qcow2");
    convert(&image, &target)
        .run()
        .refused(1, &["free", "needed"]);
    let report = convert(&image, &target).args(["--dry-run", "--json"]).run();
    let report = report.status(1).json();
    assert_eq!(report["fits"], false);
    assert_eq!(report["format"], "qcow2");
    assert_eq!(report["cluster_size"], 65536);
    assert!(
        report["needed_bytes"].as_u64().unwrap() > 16 * MIB,
        "{report}"
    );
    assert_eq!(names_in(&small.dir), Vec::<String>::new());
    drop(small);

    // What is said to be needed is enough.
    for size in SIZES {
        let target = scratch.out().join("disk.qcow2");
        let run = |option| to_qcow2(&image, &target, size, &[option, "--json"]).run();
        let needed = run("--dry-run").status(0).json()["needed_bytes"]
            .as_u64()
            .unwrap();
        run("--sparse=auto").status(0);
        let took = std::fs::metadata(&target).unwrap().blocks() * 512;
        assert!(
            took <= needed && needed < took + MIB / 2,
            "{size}: {took}, {needed}"
        );
    }
}
