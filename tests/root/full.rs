//! Whether a target fits, by the dry run, and what is said when the room runs out all the
//! same: what is full, what is left behind and how much is needed, and nothing that only a
//! programmer can read.

use crate::support::loops::Loop;
use crate::support::system::Mounted;
use crate::support::{
    Fill, ImageBuilder, Outcome, Program, Scratch, SourceGuard, convert, names_in, program,
};
use crate::tools::tool;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MIB: u64 = 1 << 20;

/// A disk of 16 MiB of noise, none of which can be left out.
fn dense(scratch: &Scratch) -> PathBuf {
    let image = scratch.source().join("dense.hds");
    let built = ImageBuilder::v2().cluster_sectors(2048).clusters(16);
    built.store_all(0..16).write(&image);
    image
}

/// A disk of 16 MiB of zeros, all of which are stored.
fn zeros(scratch: &Scratch) -> PathBuf {
    let image = scratch.source().join("zeros.hds");
    let built = ImageBuilder::v2().cluster_sectors(2048).clusters(16);
    let built = (0..16).fold(built, |image, k| image.fill(k, Fill::Byte(0)));
    built.write(&image);
    image
}

/// What a dry run says of a conversion: the report, and the line about the room.
#[track_caller]
fn planned(image: &Path, target: &Path, options: &[&str], status: i32) -> (Value, String) {
    let run = convert(image, target).arg("--dry-run").args(options);
    let report = run.clone().arg("--json").run().status(status).json();
    let text = run.run().status(status).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("not known"), "{text}");
    let free = text.lines().find(|line| line.starts_with("free:"));
    (report, free.unwrap_or_default().to_owned())
}

#[test]
fn a_dry_run_knows_what_is_free_and_whether_it_fits_or_may_not() {
    let scratch = Scratch::new();
    let (dense, zeros) = (dense(&scratch), zeros(&scratch));
    let small = Mounted::memory("8m", &scratch.path().join("small"));
    let large = Mounted::memory("40m", &scratch.path().join("large"));
    for name in ["disk.raw", "disk.qcow2"] {
        let (small, large) = (small.dir.join(name), large.dir.join(name));
        // What may be left out shows only when it is read.
        for options in [
            &["--sparse"][..],
            &["--sparse", "--compress"],
            &["--compress"],
        ] {
            if options.contains(&"--compress") && name == "disk.raw" {
                continue;
            }
            for image in [&dense, &zeros] {
                let (report, line) = planned(image, &small, options, 0);
                assert_eq!(report["fits"], Value::Null, "{name} {options:?}");
                assert_eq!(report["free_bytes"], 8 * MIB, "{name} {options:?}");
                assert!(line.ends_with(": may not fit"), "{line}");
                let (report, line) = planned(image, &large, options, 0);
                assert_eq!(report["fits"], true, "{name} {options:?}");
                assert_eq!(report["free_bytes"], 40 * MIB);
                assert!(line.ends_with(": fits in any case"), "{line}");
            }
        }
        for options in [&[][..], &["--sparse=never"], &["--reflink=never"]] {
            let (report, line) = planned(&dense, &small, options, 1);
            assert_eq!(report["fits"], false, "{name} {options:?}");
            assert_eq!(report["free_bytes"], 8 * MIB);
            assert!(line.ends_with(": does not fit"), "{line}");
            let (report, _) = planned(&dense, &large, options, 0);
            assert_eq!(report["fits"], true, "{name} {options:?}");
        }
    }
}

/// What a dry run says holds: where it says that a disk fits, it fits into exactly that room.
#[test]
fn what_is_said_to_fit_in_any_case_fits() {
    let scratch = Scratch::new();
    let image = dense(&scratch);
    let backing = scratch.path().join("device");
    File::create(&backing).unwrap().set_len(64 * MIB).unwrap();
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.args(["-q", "-m", "0", "-O", "^has_journal"]);
    tool("e2fsprogs", mkfs.arg(&backing));
    let disk = Mounted::image(&backing, &scratch.path().join("disk"), "loop");
    let free = || {
        let free = nix::sys::statvfs::statvfs(&disk.dir).unwrap();
        free.blocks_available() * free.fragment_size()
    };
    let filler = File::create(disk.dir.join("filler")).unwrap();
    let mut verdicts = Vec::new();
    // From much too little to enough, in steps around what is needed.
    for room in [
        12 * MIB,
        16 * MIB - 4096,
        16 * MIB,
        16 * MIB + (128 << 10),
        17 * MIB,
    ] {
        filler.set_len(0).unwrap();
        let len = i64::try_from(free() - room).unwrap();
        nix::fcntl::fallocate(&filler, nix::fcntl::FallocateFlags::empty(), 0, len).unwrap();
        for name in ["disk.raw", "disk.qcow2"] {
            let target = disk.dir.join(name);
            let report = convert(&image, &target).args(["--dry-run", "--json"]).run();
            let outcome = convert(&image, &target).arg("--checksum").run();
            match report.json()["fits"].as_bool() {
                Some(true) => drop(outcome.done()),
                Some(false) => drop(outcome.refused(1, &["free", "needed"])),
                None => assert!(matches!(outcome.status, Some(0 | 1)), "{outcome:?}"),
            }
            verdicts.push(report.json()["fits"].clone());
            let _ = std::fs::remove_file(&target);
            let _ = std::fs::remove_file(disk.dir.join(format!("{name}.sha256")));
        }
    }
    assert!(verdicts.contains(&true.into()) && verdicts.contains(&false.into()));
}

#[test]
fn partitions_fit_together_or_not() {
    let scratch = Scratch::new();
    let container = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    for (size, options, status, fits) in [
        ("16m", &[][..], 0, Some(true)),
        ("256k", &[], 1, Some(false)),
        ("256k", &["--sparse"], 0, None),
    ] {
        let dir = scratch.path().join(format!("{size}{}", options.len()));
        let small = Mounted::memory(size, &dir);
        let target = small.dir.join("parts");
        let options = [options, &["--partitions"]].concat();
        let (report, line) = planned(&container, &target, &options, status);
        assert_eq!(report["fits"], serde_json::to_value(fits).unwrap());
        assert!(report["free_bytes"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(report["images"][0]["fits"], report["fits"]);
        let says = match fits {
            Some(true) => "fits in any case",
            Some(false) => "does not fit",
            None => "may not fit",
        };
        assert!(line.ends_with(says), "{line}");
        assert_eq!(names_in(&small.dir), Vec::<String>::new());
    }
}

/// btrfs compresses and shares: the room of a copy is unknown, and the free room is known.
#[test]
fn a_file_system_that_shares_blocks_tells_what_is_free() {
    let scratch = Scratch::new();
    let backing = scratch.path().join("device");
    File::create(&backing).unwrap().set_len(160 * MIB).unwrap();
    tool(
        "btrfs-progs",
        Command::new("mkfs.btrfs").arg("-q").arg(&backing),
    );
    let disk = Mounted::image(&backing, &scratch.path().join("disk"), "loop");
    let image = disk.dir.join("dense.hds");
    let built = ImageBuilder::v2().cluster_sectors(2048).clusters(120);
    built.store_all(0..60).write(&image);
    let target = disk.dir.join("disk.raw");
    let (report, line) = planned(&image, &target, &[], 0);
    assert!(report["free_bytes"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["needed_bytes"], 60 * MIB);
    let free = report["free_bytes"].as_u64().unwrap();
    let fits = if free < 60 * MIB {
        Value::Null
    } else {
        true.into()
    };
    assert_eq!(report["fits"], fits, "{line}");
    convert(&image, &target).run().done();
}

#[test]
fn a_device_fits_or_is_refused_and_a_stream_has_no_room() {
    let scratch = Scratch::new();
    let image = zeros(&scratch);
    let device = Loop::empty(&scratch, 16 * MIB);
    for options in [&["-f"][..], &["-f", "--sparse"]] {
        let (report, line) = planned(&image, &device.path, options, 0);
        assert_eq!(report["fits"], true, "{report}");
        assert_eq!(report["free_bytes"], 16 * MIB);
        assert!(line.ends_with("fits in any case"), "{line}");
    }
    let short = Loop::empty(&scratch, 15 * MIB);
    let run = convert(&image, &short.path)
        .args(["-f", "--dry-run", "--json"])
        .run();
    assert_eq!(
        run.refused(1, &["free", "needed"]).json()["code"],
        "no-room"
    );
    let (report, line) = planned(&image, Path::new("/dev/null"), &[], 0);
    assert_eq!(
        (&report["fits"], &report["free_bytes"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(line, "");
}

/// Nothing in it is for programmers.
#[track_caller]
fn for_people(outcome: &Outcome) {
    for word in ["os error", "offset", "0x"] {
        assert!(!outcome.stderr.contains(word), "{}", outcome.stderr);
    }
}

#[test]
fn a_file_system_that_fills_up_is_named_with_what_is_needed_and_left() {
    let scratch = Scratch::new();
    let image = dense(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let small = Mounted::memory("4m", &scratch.path().join("small"));
    std::fs::create_dir(small.dir.join("below")).unwrap();
    let place = format!("the file system {} is full", small.dir.display());
    for (name, needed) in [("disk.raw", "16 MiB"), ("disk.qcow2", "16.0 MiB")] {
        let target = small.dir.join("below").join(name);
        for option in ["--sparse", "--compress", "--checksum"] {
            if option == "--compress" && name == "disk.raw" {
                continue;
            }
            let run = convert(&image, &target).args(["--sparse", option, "--json"]);
            let run = if option == "--sparse" {
                convert(&image, &target).args(["--sparse", "--json"])
            } else {
                run
            };
            let needed = format!("nothing was left behind; at most {needed}");
            let says = [
                name,
                "No space left on device",
                &place,
                &needed,
                "4 MiB (4194304 bytes) were free",
            ];
            let outcome = run.run().refused(1, &says);
            for_people(&outcome);
            assert_eq!(outcome.json()["code"], "full");
            assert_eq!(names_in(&small.dir.join("below")), Vec::<String>::new());
        }
    }
    // Every image of a directory.
    let container = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    let tiny = Mounted::memory("256k", &scratch.path().join("tiny"));
    let target = tiny.dir.join("parts");
    let outcome = convert(&container, &target)
        .args(["--partitions", "--sparse"])
        .run();
    let place = format!("the file system {} is full", tiny.dir.display());
    let outcome = outcome.refused(1, &["p1.raw", &place, "nothing was left behind; at most"]);
    for_people(&outcome);
    assert_eq!(
        outcome.stderr.matches("p1.raw").count(),
        1,
        "{}",
        outcome.stderr
    );
    assert_eq!(names_in(&tiny.dir), Vec::<String>::new());
}

#[test]
fn a_list_or_a_checksum_that_has_no_room_is_told_like_a_target() {
    let scratch = Scratch::new();
    let small = scratch.source().join("small.hds");
    ImageBuilder::v2().store(0).write(&small);
    // Room for the disk, and none for another file.
    let full = Mounted::memory("16m,nr_inodes=2", &scratch.path().join("inodes"));
    for option in ["--checksum", "--salvage"] {
        let target = full.dir.join("disk.raw");
        let outcome = convert(&small, &target).arg(option).run();
        let outcome = outcome.refused(1, &["can hold no more files", "nothing was left behind"]);
        for_people(&outcome);
        assert_eq!(names_in(&full.dir), Vec::<String>::new(), "{option}");
    }
}

#[test]
fn a_stream_into_a_full_file_or_device_names_it() {
    let scratch = Scratch::new();
    let image = dense(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let small = Mounted::memory("4m", &scratch.path().join("small"));
    let stdout = File::create(small.dir.join("stream")).unwrap();
    let mut command = Command::new(program::path());
    command.arg(&image).args(["-o", "-"]).stdout(stdout);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let outcome = Outcome::new(output, "stdout".to_owned());
    let place = format!("the file system {} is full", small.dir.display());
    let says = [
        "writing stdout",
        &place,
        "what was sent is part of the disk",
        "16 MiB",
    ];
    for_people(&outcome.refused(1, &says));

    let outcome = convert(&image, Path::new("/dev/full")).run();
    let says = [
        "writing /dev/full",
        "No space left on device",
        "at most 16 MiB",
    ];
    for_people(&outcome.refused(1, &says));
}

#[test]
fn a_file_that_may_not_be_so_large_is_told_without_numbers_of_errors() {
    let scratch = Scratch::new();
    let image = dense(&scratch);
    for name in ["disk.raw", "disk.qcow2"] {
        let mut command = Command::new("sh");
        let _guard = SourceGuard::new(&scratch.source());
        command.args(["-c", "ulimit -f 2048; exec \"$0\" \"$@\""]);
        command.arg(program::path()).arg(&image).arg("-o");
        command.arg(scratch.out().join(name));
        let outcome = Outcome::new(command.output().unwrap(), "under a limit".to_owned());
        let says = [
            name,
            "File too large",
            "nothing was left behind",
            "ulimit -f",
        ];
        for_people(&outcome.refused(1, &says));
        scratch.assert_nothing_left();
    }
}

#[test]
fn a_target_that_was_there_is_as_it_was() {
    let scratch = Scratch::new();
    let image = dense(&scratch);
    let small = Mounted::memory("4m", &scratch.path().join("small"));
    let target = small.dir.join("disk.raw");
    std::fs::write(&target, "the only copy").unwrap();
    let outcome = Program::new([image.as_os_str(), "-o".as_ref(), target.as_os_str()]);
    let outcome = outcome.args(["-f", "--sparse"]).run();
    for_people(&outcome.refused(1, &["is full", "nothing was left behind"]));
    assert_eq!(std::fs::read(&target).unwrap(), b"the only copy");
    assert_eq!(names_in(&small.dir), ["disk.raw"]);
}
