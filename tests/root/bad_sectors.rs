//! Sectors that a device does not give: read around with `--salvage`, an error without.

use crate::support::bad_sectors::BadSectors;
use crate::support::image::SECTOR;
use crate::support::mapfile::{assert_covers, blocks};
use crate::support::{
    ChainBuilder, ImageBuilder, Outcome, Program, Scratch, SourceGuard, convert, names_in,
};
use crate::tools::tool;
use std::path::Path;

/// Runs our program where sectors are bad.
fn run(bad: &BadSectors, args: &[&str], paths: &[&Path]) -> Outcome {
    bad.met_by(Program::new(paths).args(args)).run()
}

#[test]
fn only_the_bad_sectors_are_lost_and_an_error_without_the_option() {
    let scratch = Scratch::new();
    let image = ImageBuilder::v2().cluster_sectors(512).clusters(8);
    let image = image.seed(3).store_all([5, 0, 1, 7]).build();
    let path = scratch.source().join("disk.hds");
    image.write(&path);
    let _guard = SourceGuard::new(&scratch.source());
    // Cluster 0 of the disk is the third of the file: the table, 5, 0, 1, 7.
    let first = 2 * 512;
    let lost = [0, 1, 7, 8, 100, 511];
    let host: Vec<u64> = lost.iter().map(|sector| first + sector).collect();
    let bad = BadSectors::of(scratch.path(), "disk.hds", &host);
    let target = scratch.target();
    let paths = [path.as_path(), Path::new("-o"), &target];

    run(&bad, &[], &paths).refused(1, &["disk.hds", "offset", "--salvage"]);
    scratch.assert_nothing_left();
    for options in [
        &["-f"][..],
        &["-f", "-j", "1"],
        &["-f", "--checksum", "--verify"],
    ] {
        let salvage = [options, &["--salvage", "--json"]].concat();
        let report = run(&bad, &salvage, &paths).status(5).json();
        assert_eq!(report["salvage"]["lost_bytes"], lost.len() as u64 * SECTOR);
        let mut expected = image.model("").content();
        for sector in lost {
            let at = (sector * SECTOR) as usize;
            expected[at..at + 512].fill(0);
        }
        assert!(std::fs::read(&target).unwrap() == expected);
        let list = scratch.out().join("disk.raw.lost");
        assert_covers(&list, expected.len() as u64);
        assert_eq!(blocks(&list, "-", SECTOR), lost);
    }
    let streamed = convert(&path, Path::new("-")).arg("--salvage");
    let streamed = bad.met_by(streamed.directory(scratch.out())).run();
    let streamed = streamed.status(5);
    assert!(streamed.stdout == std::fs::read(&target).unwrap());
}

#[test]
fn ddrescue_loses_the_same_sectors() {
    let scratch = Scratch::new();
    let bytes = crate::support::image::pattern(9, 0, (1 << 20) + 1000 * 512);
    let path = scratch.source().join("base.raw");
    std::fs::write(&path, &bytes).unwrap();
    // The last one is half of the last page.
    let lost = [0, 9, 10, 11, 2047, 2048, 3047];
    let bad = BadSectors::of(scratch.path(), "base.raw", &lost);
    let (theirs, mapfile) = (scratch.path().join("theirs"), scratch.path().join("map"));
    let mut ddrescue = bad.command("ddrescue");
    ddrescue.args(["--idirect", "--quiet"]);
    tool("gddrescue", ddrescue.arg(&path).args([&theirs, &mapfile]));

    let target = scratch.target();
    let source = scratch.source();
    let paths = [source.as_path(), Path::new("-o"), &target];
    let outcome = run(&bad, &["--layers", "raw:base.raw", "--salvage"], &paths);
    outcome.status(5);
    let list = scratch.out().join("disk.raw.lost");
    assert_eq!(blocks(&list, "-", SECTOR), blocks(&mapfile, "-", SECTOR));
    assert_eq!(blocks(&list, "-", SECTOR), lost);
    let (ours, mut theirs) = (
        std::fs::read(&target).unwrap(),
        std::fs::read(&theirs).unwrap(),
    );
    theirs.resize(bytes.len(), 0);
    assert!(ours == theirs);
}

#[test]
fn entries_in_bad_sectors_are_lost_and_never_absent() {
    let scratch = Scratch::new();
    // Entry 112 is the first of the second sector.
    let base = ImageBuilder::v2()
        .clusters(300)
        .seed(1)
        .store_all([0, 111, 112, 200, 250]);
    let top = ImageBuilder::v2()
        .clusters(300)
        .seed(2)
        .store_all([1, 112, 239, 240]);
    let chain = ChainBuilder::base(&base)
        .child(&top)
        .write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    let name = chain.files[1].file_name().unwrap().to_str().unwrap();
    let bad = BadSectors::of(scratch.path(), name, &[1]);
    let target = scratch.target();
    let paths = [chain.dir.as_path(), Path::new("-o"), &target];
    run(&bad, &[], &paths).refused(1, &[name]);
    scratch.assert_nothing_left();

    let report = run(&bad, &["--salvage", "--json"], &paths).status(5).json();
    // 128 entries of four bytes fit a sector; 16 words are the header's.
    let lost: Vec<u64> = (112..240).collect();
    assert_eq!(report["salvage"]["lost_bytes"], lost.len() as u64 * 32768);
    assert_eq!(
        blocks(&scratch.out().join("disk.raw.lost"), "-", 32768),
        lost
    );
    let mut expected = chain.model().content();
    expected[112 * 32768..240 * 32768].fill(0);
    assert!(std::fs::read(&target).unwrap() == expected);
    assert_eq!(names_in(&scratch.out()), ["disk.raw", "disk.raw.lost"]);
}

#[test]
fn a_device_that_was_cut_off_gives_what_is_left_of_it() {
    // No stand-in: a file system on a loop device whose end is gone.
    let scratch = Scratch::new();
    let image = ImageBuilder::v2().cluster_sectors(512).clusters(9).seed(1);
    let image = image.store_all(0..7).build();
    image.write(&scratch.source().join("disk.hds"));
    let lost = crate::support::image::pattern(1_000_003 + 6, 0, 4096);
    let mounted = crate::faults::on_a_broken_device(&scratch, &lost);
    let path = mounted.dir.join("disk.hds");
    let target = scratch.target();
    let _guard = crate::support::SourceGuard::new(&scratch.source());
    convert(&path, &target).arg("--salvage").run().status(5);
    // The device was cut at a page, which may begin in front of the cluster.
    let list = scratch.out().join("disk.raw.lost");
    let lost = blocks(&list, "-", SECTOR);
    let cluster = 6 * 512..7 * 512;
    assert!(cluster.clone().all(|sector| lost.contains(&sector)));
    let bounds = cluster.start - 8..cluster.end;
    assert!(
        lost.iter().all(|sector| bounds.contains(sector)),
        "{lost:?}"
    );
    let mut expected = image.model("").content();
    for sector in lost {
        let at = (sector * SECTOR) as usize;
        expected[at..at + 512].fill(0);
    }
    assert!(std::fs::read(&target).unwrap() == expected);
}
