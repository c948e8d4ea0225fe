//! `--update` on file systems that share blocks, on block devices, and where there is no room.

use crate::sharing::file_system;
use crate::support::divided::{Maker, Raw, ext4, make};
use crate::support::loops::Loop;
use crate::support::system::Mounted;
use crate::support::updates::{self, large};
use crate::support::{Chain, ChainBuilder, Fill, ImageBuilder, Outcome, Scratch, SourceGuard};
use crate::support::{convert, names_in, program};
use crate::tools::tool;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const MIB: u64 = 1 << 20;

/// 24 clusters of 1 MiB; the layers above the first store some of them.
fn chain(dir: &Path) -> Chain {
    let top = large(3).fill(20, Fill::Byte(0)).store_all([0, 2, 7, 23]);
    ChainBuilder::base(&large(1).store_all(0..24))
        .child(&large(2).store_all([1, 5]))
        .child(&top)
        .write(dir)
}

fn run(chain: &Chain, target: &Path, options: &[&str]) -> Outcome {
    convert(&chain.dir, target).args(options).run()
}

#[track_caller]
fn first(chain: &Chain, target: &Path, options: &[&str]) {
    let snapshot = ["--snapshot", &chain.guids[0]];
    run(chain, target, &[&snapshot[..], options].concat()).done();
}

#[track_caller]
fn assert_holds(target: &Path, content: &[u8]) {
    let found = std::fs::read(target).unwrap();
    let found = found.get(..content.len()).unwrap();
    let place = found
        .iter()
        .zip(content)
        .position(|(one, other)| one != other);
    assert_eq!(place, None, "the first byte that differs");
}

/// Ends updates at random moments, each followed by one that is left alone.
#[track_caller]
fn killed(chain: &Chain, target: &Path, directory: &Path, options: &[&str], begin: impl Fn()) {
    let _guard = SourceGuard::new(&chain.dir);
    let content = chain.model().content();
    let start = || {
        Command::new(program::path())
            .current_dir(directory)
            .arg(&chain.dir)
            .arg("-o")
            .arg(target)
            .args(["--update", "-q"])
            .args(options)
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let again = |what: &str| {
        assert!(start().wait().unwrap().success(), "{what}");
        assert_holds(target, &content);
    };
    updates::killed(25, begin, start, |_| {}, again);
}

#[test]
fn a_new_file_shares_what_stayed_and_takes_the_place_of_the_old_one() {
    for kind in ["xfs", "btrfs"] {
        let scratch = Scratch::new();
        let mounted = file_system(&scratch, kind, &[]);
        let chain = chain(&scratch.source());
        let _guard = SourceGuard::new(&scratch.source());
        let target = mounted.dir.join("disk.raw");
        first(&chain, &target, &[]);
        let before = std::fs::metadata(&target).unwrap().ino();
        let old = mounted.dir.join("old");
        std::fs::hard_link(&target, &old).unwrap();
        let snapshot = ["--snapshot", &chain.guids[1], "--update", "--json"];
        let report = run(&chain, &target, &snapshot).done().json();
        assert_eq!(report["replaced"], true);
        assert_holds(&target, &chain.model_of(1).content());
        assert_holds(&old, &chain.model_of(0).content());
        assert_ne!(std::fs::metadata(&target).unwrap().ino(), before);
        let options = ["--update", "--verify", "--checksum", "--json"];
        let report = run(&chain, &target, &options).done().json();
        assert_eq!(report["written_bytes"], 5 * MIB, "{report}");
        assert_holds(&target, &chain.model().content());
        tool(
            "coreutils",
            Command::new("sync").arg("-f").arg(&mounted.dir),
        );
        let listed = tool("e2fsprogs", Command::new("filefrag").arg("-v").arg(&target));
        assert!(listed.contains("shared"), "{listed}");
        let names = names_in(&mounted.dir);
        assert!(
            names.iter().all(|name| !name.contains(".part-")),
            "{names:?}"
        );
    }
}

#[test]
fn an_update_that_replaces_the_target_and_is_killed_is_made_right_by_the_same_command() {
    let scratch = Scratch::new();
    let mounted = file_system(&scratch, "xfs", &[]);
    let chain = chain(&scratch.source());
    let target = mounted.dir.join("disk.raw");
    killed(&chain, &target, Path::new("/"), &[], || {
        first(&chain, &target, &["-f", "-q"]);
    });
}

#[test]
fn a_device_is_brought_up_to_date_after_any_kill() {
    let scratch = Scratch::new();
    let chain = chain(&scratch.source());
    let device = Loop::noisy(&scratch, 26 * MIB, &[]);
    let here = scratch.out();
    let begin = || {
        convert(&chain.dir, &device.path)
            .directory(&here)
            .args(["--snapshot", &chain.guids[0], "-f", "-q"])
            .run()
            .done();
    };
    begin();
    let name = device.path.file_name().unwrap().to_str().unwrap();
    assert_eq!(names_in(&here), [format!("{name}.ploopconv")]);
    let update = convert(&chain.dir, &device.path).directory(&here);
    let options = ["--update", "--verify", "-f", "--json"];
    let report = update.args(options).run().done().json();
    assert_eq!(report["changed_bytes"], 7 * MIB, "{report}");
    assert_holds(&device.path, &chain.model().content());
    // What lies past the disk is not the conversion's.
    let all = std::fs::read(&device.path).unwrap();
    assert!(all[24 * MIB as usize..].iter().all(|&byte| byte == 0xdb));
    killed(&chain, &device.path, &here, &["-f"], begin);
    // Started meanwhile.
    std::fs::write(scratch.path().join("noise"), [7; 4096]).unwrap();
    let mut dd = Command::new("dd");
    dd.args(["conv=notrunc,fsync", "status=none"])
        .arg(format!("if={}", scratch.path().join("noise").display()))
        .arg(format!("of={}", device.path.display()));
    tool("coreutils", &mut dd);
    let again = convert(&chain.dir, &device.path).directory(&here);
    again
        .args(["--update", "-f"])
        .run()
        .refused(1, &["was changed"]);
}

#[test]
fn where_the_room_ends_the_same_command_goes_on_once_there_is_some() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&large(1).store_all([0, 3]))
        .child(&large(2).store_all(4..16))
        .write(&scratch.source());
    let small = Mounted::memory("20m", &scratch.path().join("small"));
    let target = small.dir.join("disk.raw");
    first(&chain, &target, &[]);
    let filler = small.dir.join("filler");
    std::fs::write(&filler, vec![1; 12 * MIB as usize]).unwrap();
    let update = ["--update", "--reflink=never"];
    run(&chain, &target, &update).refused(1, &["the same command again makes it right"]);
    let mut head = vec![1; MIB as usize];
    std::io::Read::read_exact(&mut File::open(&target).unwrap(), &mut head).unwrap();
    assert!(updates::is_incomplete(&head));
    std::fs::remove_file(&filler).unwrap();
    run(&chain, &target, &update).done();
    assert_holds(&target, &chain.model().content());
}

/// I/O errors of the target, one system call after the other.
#[test]
fn after_an_error_of_the_target_the_same_command_makes_it_right() {
    let scratch = Scratch::new();
    let chain = chain(&scratch.source());
    let _guard = SourceGuard::new(&chain.dir);
    let target = scratch.target();
    let calls = [
        ("pwrite64", [1, 4, 9]),
        ("fsync", [1, 3, 6]),
        ("fallocate", [1, 2, 3]),
        ("ftruncate", [1, 1, 1]),
        ("rename,renameat,renameat2", [1, 2, 2]),
    ];
    for (call, times) in calls {
        for time in times {
            first(&chain, &target, &["-f", "-q"]);
            let mut strace = Command::new("strace");
            strace
                .args(["-f", "-qq", "-o", "/dev/null", "-e"])
                .arg(format!("trace={call}"))
                .arg("-e")
                .arg(format!("inject={call}:error=EIO:when={time}"))
                .arg(program::path())
                .arg(&chain.dir)
                .arg("-o")
                .arg(&target)
                .args(["--update", "--reflink=never", "-j", "1"]);
            let output = strace.output().unwrap();
            let what = format!("{call} {time}: {output:?}");
            if output.status.success() {
                assert_holds(&target, &chain.model().content());
            }
            let again = run(&chain, &target, &["--update", "--reflink=never"]);
            assert_eq!(again.status, Some(0), "{what}\n{}", again.stderr);
            assert_holds(&target, &chain.model().content());
        }
    }
}

/// A disk of 24 MiB with a partition that somebody filled, and a layer over it.
fn with_partition(scratch: &Scratch, maker: Maker) -> Chain {
    let raw = Raw::sgdisk(24 * MIB, &["--new=1:2048:0"]);
    raw.fill(MIB, 22 * MIB, maker);
    let mut base = ImageBuilder::v2().cluster_sectors(2048).clusters(24);
    for cluster in 0..24 {
        let bytes = raw.read(u64::from(cluster) * MIB, MIB);
        base = base.fill(cluster, Fill::Bytes(bytes));
    }
    let top = ImageBuilder::v2().cluster_sectors(2048).clusters(24);
    ChainBuilder::base(&base)
        .child(&top.seed(3).store_all([20]))
        .write(&scratch.source())
}

#[test]
fn that_no_update_can_follow_on_a_device_is_told_by_the_first_conversion() {
    let scratch = Scratch::new();
    let chain = with_partition(&scratch, make("dosfstools", "mkfs.vfat", &[]));
    let device = Loop::noisy(&scratch, 26 * MIB, &[]);
    let here = scratch.out();
    let snapshot = ["--snapshot", &chain.guids[0], "-f"];
    let convert_to = |target: &Path, options: &[&str]| {
        convert(&chain.dir, target)
            .directory(&here)
            .args(options)
            .run()
    };
    let no_update = "vfat, and nothing at its start tells that it was mounted";
    let first = convert_to(&device.path, &snapshot).status(0).stderr;
    assert!(first.contains(no_update), "{first}");
    convert_to(&device.path, &["--update", "-f"]).refused(1, &[no_update]);
    let target = scratch.target();
    for line in [
        convert_to(&device.path, &[&snapshot[..], &["--no-state"]].concat()),
        convert_to(&target, &snapshot),
        convert_to(&target, &["--update"]),
    ] {
        assert!(!line.done().stderr.contains("was mounted"));
    }
}

/// A mount changes neither the start nor the end of a device with partitions, and the file system
/// all the same.
#[test]
fn a_device_whose_file_system_was_mounted_meanwhile_is_told() {
    let scratch = Scratch::new();
    let chain = with_partition(&scratch, ext4("mounted"));
    let device = Loop::noisy(&scratch, 26 * MIB, &[]);
    let here = scratch.out();
    let to_device = || convert(&chain.dir, &device.path).directory(&here);
    let snapshot = ["--snapshot", &chain.guids[0], "-f", "-q"];
    to_device().args(snapshot).run().done();
    {
        let folder = scratch.path().join("mnt");
        let mounted = Mounted::image(&device.path, &folder, "loop,offset=1048576");
        std::fs::write(mounted.dir.join("new"), "x").unwrap();
    }
    let update = to_device().args(["--update", "-f", "--json"]).run();
    let report = update.refused(1, &["was changed"]).json();
    assert_eq!(report["code"], "target-changed", "{report}");
}
