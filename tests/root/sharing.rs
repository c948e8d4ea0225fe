//! Targets that share blocks with the image, on file systems that can, and copies on those that
//! cannot: the bytes are the same either way.

use crate::support::system::Mounted;
use crate::support::{
    Chain, ChainBuilder, Fill, ImageBuilder, Program, Scratch, SourceGuard, names_in,
};
use crate::tools::tool;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// A new file system of a kind, mounted; the options are for its mkfs.
pub(crate) fn file_system(scratch: &Scratch, kind: &str, options: &[&str]) -> Mounted {
    let backing = scratch.path().join(kind);
    File::create(&backing).unwrap().set_len(400 << 20).unwrap();
    let package = match kind {
        "xfs" => "xfsprogs",
        "btrfs" => "btrfs-progs",
        _ => "e2fsprogs",
    };
    let mut mkfs = Command::new(format!("mkfs.{kind}"));
    tool(package, mkfs.arg("-q").args(options).arg(&backing));
    Mounted::image(&backing, &scratch.path().join(format!("on-{kind}")), "loop")
}

/// Two layers of clusters of 1 MiB in disorder, with holes of every kind, and an end that is no
/// whole block.
fn chain(dir: &Path) -> Chain {
    std::fs::create_dir_all(dir).unwrap();
    let image = |seed| {
        ImageBuilder::v2()
            .cluster_sectors(2048)
            .sectors(2048 * 11 + 5)
            .seed(seed)
    };
    let base = image(1).store_all([7, 2, 3, 11, 0]);
    let top = image(2).store_all([3, 9]).fill(5, Fill::FileHole);
    let zeros = [vec![1; 65536], vec![0; 300_000], vec![2; 100_000]].concat();
    ChainBuilder::base(&base)
        .child(&top.fill(1, Fill::Bytes(zeros)))
        .write(dir)
}

/// How many extents of a file the file system says are shared.
fn shared_extents(file: &Path) -> usize {
    tool("coreutils", Command::new("sync").arg(file));
    let listed = tool("e2fsprogs", Command::new("filefrag").arg("-v").arg(file));
    listed
        .lines()
        .filter(|line| line.contains("shared"))
        .count()
}

fn run(chain: &Chain, target: &Path, options: &[&str]) -> Program {
    Program::new([chain.dir.as_path(), Path::new("-o"), target]).args(options)
}

fn assert_holds(target: &Path, content: &[u8], what: &str) {
    let back = if target.extension().is_some_and(|name| name == "qcow2") {
        tool(
            "qemu-utils",
            Command::new("qemu-img").args(["check", "-q"]).arg(target),
        );
        let back = target.with_extension("back");
        tool(
            "qemu-utils",
            Command::new("qemu-img")
                .args(["convert", "-f", "qcow2", "-O", "raw"])
                .args([target, &back]),
        );
        back
    } else {
        target.to_owned()
    };
    let found = std::fs::read(back).unwrap();
    // qcow2 counts in sectors, and so does the disk here.
    assert!(found == content, "{what}");
}

const SHARING: [&[&str]; 9] = [
    &["-j1"],
    &["-j7"],
    &["--reflink=always"],
    &["--reflink"],
    &["--sparse"],
    &["--sparse", "--checksum"],
    &["--checksum=blkhash", "-j3"],
    &["--sparse=never"],
    &["--verify", "--reflink=auto"],
];

#[test]
fn blocks_are_shared_where_the_file_system_can() {
    for kind in ["xfs", "btrfs"] {
        let scratch = Scratch::new();
        let mounted = file_system(&scratch, kind, &[]);
        let chain = chain(&mounted.dir.join("source"));
        let content = chain.model().content();
        let _guard = SourceGuard::new(&chain.dir);
        for (name, more) in [
            ("disk.raw", &[][..]),
            ("disk.qcow2", &[]),
            ("disk.qcow2", &["--cluster-size=4K"]),
            ("disk.qcow2", &["--cluster-size=2M"]),
        ] {
            for options in SHARING {
                let options = [options, more].concat();
                let what = format!("{kind} {name} {options:?}");
                let out = mounted.dir.join("out");
                std::fs::create_dir(&out).unwrap();
                let target = out.join(name);
                let report = run(&chain, &target, &options).arg("--json").run().status(0);
                let report = report.json();
                let shared = report["shared_bytes"].as_u64().unwrap();
                let written = report["written_bytes"].as_u64().unwrap();
                assert!(shared > 5 << 20, "{what}: {report}");
                assert!(written < 1 << 20, "{what}: {report}");
                assert!(shared_extents(&target) > 2, "{what}");
                assert_holds(&target, &content, &what);
                std::fs::remove_dir_all(out).unwrap();
            }
        }
        let target = mounted.dir.join("copy.raw");
        run(&chain, &target, &["--reflink=never"]).run().done();
        assert_eq!(shared_extents(&target), 0);
        assert_holds(&target, &content, kind);
    }
}

#[test]
fn what_cannot_be_shared_is_copied_or_refused() {
    let scratch = Scratch::new();
    let xfs = file_system(&scratch, "xfs", &[]);
    let ext4 = file_system(&scratch, "ext4", &[]);
    let elsewhere = file_system(&scratch, "btrfs", &[]);
    let plain = chain(&ext4.dir.join("source"));
    let content = plain.model().content();
    let _guard = SourceGuard::new(&plain.dir);
    for (target, name) in [
        (&ext4, "disk.raw"),
        (&ext4, "disk.qcow2"),
        (&xfs, "disk.raw"),
        (&elsewhere, "disk.raw"),
    ] {
        let target = target.dir.join(name);
        for options in SHARING.iter().filter(|o| !o[0].starts_with("--reflink")) {
            let report = run(&plain, &target, options).args(["--json", "-f"]).run();
            assert_eq!(report.status(0).json()["shared_bytes"], 0, "{options:?}");
            assert_holds(&target, &content, &format!("{options:?}"));
        }
        let dir = target.parent().unwrap();
        let before = names_in(dir);
        let new = dir.join("new.raw");
        run(&plain, &new, &["--reflink=always"])
            .run()
            .refused(1, &["new.raw", "sharing blocks"]);
        assert_eq!(names_in(dir), before);
    }

    // Clusters that do not begin where blocks do.
    let odd = xfs.dir.join("odd");
    std::fs::create_dir(&odd).unwrap();
    let image = ImageBuilder::v2().cluster_sectors(63).clusters(40);
    let model = image
        .store_all((0..40).rev())
        .write(&odd.join("disk.hds"))
        .model("");
    let convert = |how: &str| {
        Program::new([odd.join("disk.hds"), "-o".into(), xfs.dir.join("odd.raw")]).arg(how)
    };
    convert("--reflink=always")
        .run()
        .refused(1, &["whole blocks"]);
    convert("--reflink=auto").run().status(0);
    assert_holds(&xfs.dir.join("odd.raw"), &model.content(), "63 sectors");
}

#[test]
fn partitions_share_too() {
    let scratch = Scratch::new();
    let xfs = file_system(&scratch, "xfs", &[]);
    let source = xfs.dir.join("101");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    tool(
        "coreutils",
        Command::new("cp").arg("-a").arg(&fixture).arg(&source),
    );
    let _guard = SourceGuard::new(&source);
    let (shared, copied) = (xfs.dir.join("shared"), scratch.out().join("copied"));
    let convert = |target: &Path, options: &[&str]| {
        Program::new([source.as_path(), Path::new("-o"), target])
            .args(["--partitions", "--json"])
            .args(options)
            .run()
            .status(0)
            .json()
    };
    let report = convert(&shared, &["--reflink=auto"]);
    assert!(
        report["images"][0]["shared_bytes"].as_u64().unwrap() > 0,
        "{report}"
    );
    convert(&copied, &["--reflink=never"]);
    assert_eq!(names_in(&shared), names_in(&copied));
    for name in names_in(&shared) {
        let files = [shared.join(&name), copied.join(&name)];
        tool("diffutils", Command::new("cmp").args(files));
    }
}

#[test]
fn sharing_that_makes_no_sense_is_a_mistake() {
    let scratch = Scratch::new();
    let chain = chain(&scratch.source());
    let target = scratch.out().join("disk.qcow2");
    run(&chain, &target, &["--reflink=always", "--compress"])
        .run()
        .refused(2, &["--reflink=always", "--compress"]);
    run(&chain, Path::new("-"), &["--reflink"])
        .run()
        .refused(2, &["--reflink=always"]);
    scratch.assert_nothing_left();
}
