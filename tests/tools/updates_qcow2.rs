//! `--update` of qcow2 targets: QEMU finds the disk, and nothing wrong with its tables.

use crate::support::qcow2::{allocated, assert_clean, assert_holds, qemu_img};
use crate::support::updates::{self, kill_layers, layers};
use crate::support::{
    Chain, ChainBuilder, Fill, ImageBuilder, Outcome, Program, Scratch, SourceGuard, compared,
    convert, program,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn run(chain: &Chain, target: &Path, options: &[&str]) -> Outcome {
    convert(&chain.dir, target).args(options).run()
}

#[track_caller]
fn first(chain: &Chain, number: usize, target: &Path, options: &[&str]) {
    let snapshot = ["--snapshot", &chain.guids[number]];
    run(chain, target, &[&snapshot[..], options].concat()).done();
}

#[track_caller]
fn holds(chain: &Chain, number: usize, target: &Path, what: &str) {
    let mut sectors = chain.model_of(number).content();
    sectors.resize(sectors.len().next_multiple_of(512), 0);
    assert_holds(target, &sectors, what);
}

fn target_in(scratch: &Scratch) -> PathBuf {
    scratch.out().join("disk.qcow2")
}

#[test]
fn rounds_of_updates_end_with_the_disk_in_every_size_of_clusters() {
    for size in ["4K", "16K", "64K", "256K", "2M"] {
        let scratch = Scratch::new();
        let chain = layers(false).write(&scratch.source());
        let _guard = SourceGuard::new(&scratch.source());
        let target = target_in(&scratch);
        let size = ["--cluster-size", size];
        first(&chain, 0, &target, &size);
        for number in [1, 1, 2, 2] {
            let snapshot = ["--snapshot", &chain.guids[number]];
            let snapshot = if number == 2 { &[][..] } else { &snapshot };
            let options = ["--update", "--reflink=never", "--verify"];
            let options = [&options[..], &size, snapshot].concat();
            run(&chain, &target, &options).done();
            holds(&chain, number, &target, size[1]);
        }
        let whole = scratch.out().join("whole.qcow2");
        run(&chain, &whole, &size).done();
        qemu_img([Path::new("compare"), &target, &whole]);
    }
}

#[test]
fn checksums_and_json_are_those_of_the_target() {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let target = target_in(&scratch);
    for kind in ["--checksum", "--checksum=blkhash"] {
        first(&chain, 0, &target, &["-f"]);
        let update = ["--update", "--reflink=never", kind, "--verify", "--json"];
        let report = run(&chain, &target, &update).done().json();
        // 50, 41, 30, 60, 42, 0, 1, 2 and the new end: no first MiB is written for its own sake.
        let end = chain.model().size() - 80 * (64 << 10);
        assert_eq!(report["changed_bytes"], 8 * (64 << 10) + end, "{report}");
        assert_eq!(report["verified"], true);
        Program::new([Path::new("verify"), &target]).run().done();
        let before = std::fs::read(&target).unwrap();
        holds(&chain, 2, &target, kind);
        run(&chain, &target, &["--update", "--reflink=never", kind]).done();
        Program::new([Path::new("verify"), &target]).run().done();
        assert!(std::fs::read(&target).unwrap() == before, "nothing is new");
    }
}

/// Tables and clusters that came late: a disk that grows past what one L2 table knows, clusters
/// between those that were there, tables where there was none.
#[test]
fn tables_that_were_not_there_come_to_be() {
    const CLUSTER: u64 = 4096;
    let scratch = Scratch::new();
    let image = |seed: u64, clusters: u32| {
        ImageBuilder::v2()
            .cluster_sectors(8)
            .clusters(clusters)
            .seed(seed)
    };
    // An L2 table of 4 KiB knows 512 clusters.
    let base = image(1, 2000).store_all([3, 700, 701, 1999]);
    let middle = image(2, 2000).store_all([2, 4, 702, 1200, 1201, 1203]);
    let top = image(3, 5000).store_all([3, 1202, 2000, 4999]);
    let top = top.fill(700, Fill::FileHole).fill(1201, Fill::Byte(0));
    let chain = ChainBuilder::base(&base).child(&middle).child(&top);
    let chain = chain.write(&scratch.source());
    let target = target_in(&scratch);
    let size = ["--cluster-size", "4K"];
    // ploop makes no clusters of 4 KiB, which is said.
    let snapshot = ["--snapshot", &chain.guids[0]];
    run(&chain, &target, &[&size[..], &snapshot].concat()).status(0);
    let mut lengths = Vec::new();
    for number in [1, 2, 2, 2] {
        let snapshot = ["--snapshot", &chain.guids[number]];
        let snapshot = if number == 2 { &[][..] } else { &snapshot };
        let options = [&["--update", "--reflink=never"], &size[..], snapshot].concat();
        run(&chain, &target, &options).status(0);
        holds(&chain, number, &target, "grown");
        lengths.push(std::fs::metadata(&target).unwrap().len());
    }
    assert_eq!(
        lengths[1], lengths[2],
        "no table is written again for nothing"
    );
    let stored = allocated(&target, 5000 * CLUSTER as usize, CLUSTER as usize);
    let stored: Vec<_> = (0..5000).filter(|&cluster| stored[cluster]).collect();
    assert_eq!(
        stored,
        [
            2, 3, 4, 700, 701, 702, 1200, 1201, 1202, 1203, 1999, 2000, 4999
        ]
    );
}

/// What another program did to the target is seen, and what it does to it afterwards works.
#[test]
fn a_target_that_qemu_wrote_to_is_refused_and_one_that_is_complete_is_written_by_it() {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let target = target_in(&scratch);
    let write = |at: &str| {
        let command = format!("write -P 7 {at} 64k");
        compared::qemu_io("qcow2", &target, &[command]);
    };
    let update = ["--update", "--reflink=never"];
    for touched in ["0", "1500k", "4m"] {
        first(&chain, 0, &target, &["-f"]);
        write(touched);
        run(&chain, &target, &update).refused(1, &["was changed"]);
    }
    first(&chain, 0, &target, &["-f"]);
    run(&chain, &target, &update).done();
    // Free places of old tables are taken by what QEMU writes.
    for at in ["3m", "3500k", "4m", "4500k"] {
        write(at);
        assert_eq!(compared::byte_of(&chain.dir.join("root.hds"), 0), b'W');
        let report = crate::support::qcow2::qemu_json("check", &target);
        assert!(report["corruptions"].is_null() && report["leaks"].is_null());
    }
    let other = ["--update", "--cluster-size", "4K"];
    first(&chain, 0, &target, &["-f"]);
    run(&chain, &target, &other).refused(1, &["other options"]);
}

/// Ended anywhere, an update is made right by the same command, and no program opens a mixture. How
/// many times: `PLOOPCONV_UPDATE_KILLS`.
#[test]
fn a_qcow2_update_that_is_killed_is_made_right_by_the_same_command() {
    let scratch = Scratch::new();
    let chain = kill_layers().write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    let (target, saved) = (target_in(&scratch), scratch.path().join("saved.qcow2"));
    let content = chain.model().content();
    first(&chain, 0, &saved, &[]);
    let saved = std::fs::read(saved).unwrap();
    let start = || {
        Command::new(program::path())
            .arg(&chain.dir)
            .arg("-o")
            .arg(&target)
            .args(["--update", "-q", "--reflink=never"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    first(&chain, 0, &target, &[]);
    assert!(start().wait().unwrap().success());
    let whole = std::fs::read(&target).unwrap();
    let torn = |what: &str| {
        let mut found = std::fs::read(&target).unwrap();
        updates::forget_token(&mut found[..4096]);
        let has_no_header = found[..4096].iter().all(|&byte| byte == 0);
        assert!(found == saved || has_no_header || found == whole, "{what}");
    };
    let again = |what: &str| {
        run(&chain, &target, &["--update", "--reflink=never"]).done();
        assert_holds(&target, &content, what);
        assert_clean(&target);
    };
    let begin = || first(&chain, 0, &target, &["-f", "-q"]);
    updates::killed(25, begin, start, torn, again);
}
