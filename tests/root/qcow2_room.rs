//! qcow2 targets: the room that they take, the memory that they need, and what happens where there
//! is too little room.

use crate::support::qcow2::{
    SIZES, allocated, assert_clean, assert_holds, bytes_of, disks, qemu_img, qemu_json, text,
    to_qcow2,
};
use crate::support::system::Mounted;
use crate::support::{Fill, ImageBuilder, Scratch, SourceGuard, convert, names_in, program};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const MIB: u64 = 1 << 20;

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
        // All places that were planned, and the tables after them.
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
