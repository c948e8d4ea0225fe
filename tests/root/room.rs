//! Targets that do not fit, and writes that fail: status 1, and nothing left.

use crate::support::image::Version;
use crate::support::system::Mounted;
use crate::support::{
    Fill, ImageBuilder, ImageFile, Outcome, Scratch, SourceGuard, assert_file_holds, convert,
    names_in, program,
};
use crate::tools::tool;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

/// An image with this many megabytes of data.
fn megabytes(scratch: &Scratch, count: u32) -> (PathBuf, ImageFile) {
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters(count.max(64))
        .store_all(0..count)
        .write(&path);
    (path, image)
}

#[test]
fn a_disk_that_does_not_fit_is_refused_before_the_copy() {
    let scratch = Scratch::new();
    let (image, _) = megabytes(&scratch, 8);
    let _guard = SourceGuard::new(&scratch.source());
    let small = Mounted::memory("4m", &scratch.path().join("small"));
    convert(&image, &small.dir.join("disk.raw"))
        .run()
        .refused(1, &["small", "free", "needed"]);
    assert_eq!(names_in(&small.dir), Vec::<String>::new());

    std::fs::write(small.dir.join("disk.raw"), "the only copy").unwrap();
    convert(&image, &small.dir.join("disk.raw"))
        .arg("-f")
        .run()
        .refused(1, &["free", "needed"]);
    assert_eq!(
        std::fs::read(small.dir.join("disk.raw")).unwrap(),
        b"the only copy"
    );
    assert_eq!(names_in(&small.dir), ["disk.raw"]);
}

#[test]
fn a_dry_run_tells_that_a_disk_does_not_fit() {
    let scratch = Scratch::new();
    let (image, _) = megabytes(&scratch, 8);
    let small = Mounted::memory("4m", &scratch.path().join("small"));
    let outcome = convert(&image, &small.dir.join("disk.raw"))
        .args(["--dry-run", "--json"])
        .run();
    assert!(matches!(outcome.status, Some(0 | 1)), "{outcome:?}");
    assert!(
        outcome.stderr.contains("needed") || outcome.json()["fits"] == false,
        "{outcome:?}"
    );
    assert_eq!(names_in(&small.dir), Vec::<String>::new());
}

#[test]
fn only_what_is_stored_needs_room() {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        let path = scratch.source().join("disk.hds");
        // A disk of 64 GiB with a megabyte in it.
        let image = ImageBuilder::new(version)
            .cluster_sectors(2048)
            .clusters(65536)
            .store(65535)
            .write(&path);
        let small = Mounted::memory("4m", &scratch.path().join("small"));
        let target = small.dir.join("disk.raw");
        convert(&path, &target).run().done();
        assert_file_holds(&target, &image.model(""));
        std::fs::remove_file(&target).unwrap();
        convert(&path, &target)
            .arg("--sparse=never")
            .run()
            .refused(1, &["free", "needed"]);
        assert_eq!(names_in(&small.dir), Vec::<String>::new());
    }
}

#[test]
fn zeros_that_are_stored_need_no_room_when_they_become_holes() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    let image = (0..64).fold(
        ImageBuilder::v2().cluster_sectors(2048).clusters(64),
        |image, k| image.fill(k, Fill::FileHole),
    );
    let image = image.write(&path);
    let small = Mounted::memory("4m", &scratch.path().join("small"));
    let target = small.dir.join("disk.raw");
    convert(&path, &target).arg("--sparse=always").run().done();
    assert_file_holds(&target, &image.model(""));
}

#[test]
fn a_file_size_limit_ends_the_conversion_with_status_1_and_leaves_nothing() {
    for sparse in ["auto", "never"] {
        let scratch = Scratch::new();
        let (image, _) = megabytes(&scratch, 8);
        let mut command = Command::new("sh");
        let _guard = SourceGuard::new(&scratch.source());
        command
            .args(["-c", "ulimit -f 2048; exec \"$0\" \"$@\""])
            .arg(program::path());
        command
            .arg(image)
            .arg("-o")
            .arg(scratch.target())
            .arg(format!("--sparse={sparse}"));
        let outcome = Outcome::new(command.output().unwrap(), "under a limit".to_owned());
        outcome.refused(1, &["disk.raw", "too large"]);
        scratch.assert_nothing_left();
    }
}

#[test]
fn a_write_that_fails_only_when_it_is_synced_is_no_success() {
    // A file system that believes in 64 MiB on a device that can keep 2 of them.
    let scratch = Scratch::new();
    let (image, _) = megabytes(&scratch, 16);
    let small = Mounted::memory("2m", &scratch.path().join("small"));
    let backing = small.dir.join("device");
    File::create(&backing).unwrap().set_len(64 << 20).unwrap();
    let options = [
        "-q",
        "-O",
        "^has_journal",
        "-E",
        "lazy_itable_init=1,nodiscard",
    ];
    tool(
        "e2fsprogs",
        Command::new("mkfs.ext4").args(options).arg(&backing),
    );
    let thin = Mounted::image(&backing, &scratch.path().join("thin"), "loop");
    let target = thin.dir.join("disk.raw");

    convert(&image, &target).run().refused(1, &["disk.raw"]);

    assert_eq!(names_in(&thin.dir), ["lost+found"]);
}

#[test]
fn a_target_that_fills_up_during_the_copy_is_removed() {
    // With --sparse the number of zeros in stored clusters is not known beforehand.
    for threads in ["-j1", "-j4"] {
        let scratch = Scratch::new();
        let (image, _) = megabytes(&scratch, 16);
        let _guard = SourceGuard::new(&scratch.source());
        let small = Mounted::memory("4m", &scratch.path().join("small"));

        convert(&image, &small.dir.join("disk.raw"))
            .args(["--sparse", threads])
            .run()
            .refused(1, &["disk.raw", "No space left", "nothing was left behind"]);

        assert_eq!(names_in(&small.dir), Vec::<String>::new());
    }
}

/// A disk whose data neither packs nor is zeros, 32 MiB of it.
fn dense(scratch: &Scratch) -> PathBuf {
    let (image, _) = megabytes(scratch, 32);
    image
}

#[test]
fn a_file_system_that_fills_up_after_1_50_and_99_percent_is_left_as_it_was() {
    let scratch = Scratch::new();
    let image = dense(&scratch);
    let backing = scratch.path().join("device");
    File::create(&backing).unwrap().set_len(64 << 20).unwrap();
    let options = ["-q", "-m", "0", "-O", "^has_journal"];
    tool(
        "e2fsprogs",
        Command::new("mkfs.ext4").args(options).arg(&backing),
    );
    let small = Mounted::image(&backing, &scratch.path().join("small"), "loop");
    let filler = small.dir.join("filler");
    for percent in [1, 50, 99] {
        let room = (32 << 20) * percent / 100 / 4096 * 4096;
        let free = nix::sys::statvfs::statvfs(&small.dir).unwrap();
        let free = free.blocks_available() * free.fragment_size();
        let fill = File::create(&filler).unwrap();
        nix::fcntl::fallocate(
            &fill,
            nix::fcntl::FallocateFlags::empty(),
            0,
            i64::try_from(free - room).unwrap(),
        )
        .unwrap();
        for (name, options) in [
            ("disk.raw", &[][..]),
            ("disk.raw", &["--checksum"]),
            ("disk.qcow2", &[]),
            ("disk.qcow2", &["--compress"]),
        ] {
            // With --sparse the room that is needed is not known beforehand.
            let target = small.dir.join(name);
            let outcome = convert(&image, &target).arg("--sparse").args(options).run();
            outcome.refused(1, &[name, "No space left"]);
            assert_eq!(
                names_in(&small.dir),
                ["filler", "lost+found"],
                "{percent} %"
            );
            // And with a target that is to be replaced.
            std::fs::write(&target, "").unwrap();
            let again = convert(&image, &target).args(["--sparse", "-f"]);
            again
                .args(options)
                .run()
                .refused(1, &[name, "No space left"]);
            assert_eq!(names_in(&small.dir), [name, "filler", "lost+found"]);
            assert_eq!(target.metadata().unwrap().len(), 0);
            std::fs::remove_file(&target).unwrap();
        }
        std::fs::remove_file(&filler).unwrap();
    }
}

#[test]
fn a_quota_that_is_used_up_ends_the_conversion_and_leaves_nothing() {
    let scratch = Scratch::new();
    let image = dense(&scratch);
    let backing = scratch.path().join("device");
    File::create(&backing).unwrap().set_len(160 << 20).unwrap();
    tool(
        "btrfs-progs",
        Command::new("mkfs.btrfs").arg("-q").arg(&backing),
    );
    let limited = Mounted::image(&backing, &scratch.path().join("limited"), "loop");
    let btrfs = |args: &[&str]| {
        tool(
            "btrfs-progs",
            Command::new("btrfs").args(args).arg(&limited.dir),
        )
    };
    btrfs(&["quota", "enable"]);
    btrfs(&["qgroup", "limit", "8M"]);
    for (name, options) in [
        ("disk.raw", &[][..]),
        ("disk.raw", &["--sparse=never"]),
        ("disk.qcow2", &[]),
        ("disk.qcow2", &["--compress"]),
    ] {
        convert(&image, &limited.dir.join(name))
            .args(options)
            .run()
            .refused(1, &[name, "quota exceeded"]);
        assert_eq!(names_in(&limited.dir), Vec::<String>::new());
        tool(
            "coreutils",
            Command::new("sync").arg("-f").arg(&limited.dir),
        );
    }
}
