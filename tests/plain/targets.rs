//! Where a disk is written to: complete or absent, never over something that was not offered.

use crate::support::samples::{image, two_layers};
use crate::support::sparse::data_segments;
use crate::support::{
    Chain, Fill, ImageBuilder, Model, Outcome, Program, Scratch, SourceGuard, assert_file_holds,
    convert, convert_to, names_in, program,
};
use nix::sys::stat::Mode;
use std::fs::File;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;

fn chain(scratch: &Scratch) -> Chain {
    two_layers().write(&scratch.source())
}

#[test]
fn an_existing_target_is_not_touched_without_force() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    std::fs::write(scratch.target(), "the only copy").unwrap();
    let _guards = [
        SourceGuard::new(&scratch.source()),
        SourceGuard::new(&scratch.out()),
    ];
    convert(&image, &scratch.target())
        .run()
        .refused(1, &["disk.raw", "-f"]);
}

#[test]
fn an_existing_target_is_replaced_with_force_and_never_written_into() {
    for force in ["-f", "--force"] {
        let scratch = Scratch::new();
        let (image, model) = image(&scratch);
        std::fs::write(scratch.target(), "the old disk").unwrap();
        let other_name = scratch.path().join("other-name");
        std::fs::hard_link(scratch.target(), &other_name).unwrap();
        convert(&image, &scratch.target()).arg(force).run().done();
        assert_file_holds(&scratch.target(), &model);
        assert_eq!(std::fs::read(other_name).unwrap(), b"the old disk");
        assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
    }
}

#[test]
fn force_without_anything_to_replace_is_no_mistake() {
    let scratch = Scratch::new();
    let (image, model) = image(&scratch);
    convert(&image, &scratch.target()).arg("-f").run().done();
    assert_file_holds(&scratch.target(), &model);
}

#[test]
fn a_folder_is_no_target() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    for force in [&[][..], &["-f"]] {
        convert(&image, &scratch.out())
            .args(force)
            .run()
            .refused(1, &["out", "directory"]);
        convert(&image, Path::new("/"))
            .args(force)
            .run()
            .refused(1, &["directory"]);
    }
    let with_slash = format!("{}/", scratch.target().display());
    let outcome = convert(&image, Path::new(&with_slash)).run();
    assert!(matches!(outcome.status, Some(1 | 2)), "{outcome:?}");
    scratch.assert_nothing_left();
}

#[test]
fn a_target_in_a_folder_that_does_not_exist_is_refused() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    convert(&image, &scratch.out().join("no/disk.raw"))
        .run()
        .refused(1, &["no", "no such file"]);
    convert(&image, &image.join("disk.raw"))
        .run()
        .refused(1, &["not a directory"]);
    scratch.assert_nothing_left();
}

#[test]
fn a_target_in_the_current_directory_needs_no_folder_in_its_name() {
    let scratch = Scratch::new();
    let (image, model) = image(&scratch);
    convert(&image, Path::new("disk.raw"))
        .directory(scratch.out())
        .run()
        .done();
    assert_file_holds(&scratch.target(), &model);
}

#[test]
fn a_target_with_the_longest_name_a_folder_takes_is_written() {
    let scratch = Scratch::new();
    let (image, model) = image(&scratch);
    let target = scratch.out().join("d".repeat(255));
    convert_to(&image, &target);
    assert_file_holds(&target, &model);
    assert_eq!(names_in(&scratch.out()).len(), 1);
}

#[test]
fn a_target_with_a_dash_in_front_is_a_name() {
    let scratch = Scratch::new();
    let (image, model) = image(&scratch);
    convert(&image, Path::new("./-disk.raw"))
        .directory(scratch.out())
        .run()
        .done();
    assert_file_holds(&scratch.out().join("-disk.raw"), &model);
}

#[test]
fn a_layer_of_the_source_is_never_a_target() {
    for number in [0, 1] {
        let scratch = Scratch::new();
        let chain = chain(&scratch);
        let _guard = SourceGuard::new(&scratch.source());
        let layer = &chain.files[number];
        let link = scratch.out().join("link");
        symlink(layer, &link).unwrap();
        for target in [layer, &link] {
            convert(&chain.dir, target)
                .run()
                .refused(1, &["being read"]);
            convert(&chain.dir, target)
                .arg("-f")
                .run()
                .refused(1, &["being read"]);
        }
        assert_eq!(names_in(&scratch.out()), ["link"]);
    }
}

#[test]
fn another_name_of_a_layer_is_never_a_target() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let hard = scratch.out().join("hard");
    std::fs::hard_link(&chain.files[0], &hard).unwrap();
    let _guard = SourceGuard::new(&scratch.source());
    convert(&chain.dir, &hard)
        .arg("-f")
        .run()
        .refused(1, &["being read"]);
    assert_eq!(names_in(&scratch.out()), ["hard"]);
}

#[test]
fn the_descriptor_is_never_a_target() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    convert(&chain.dir, &chain.descriptor())
        .arg("-f")
        .run()
        .refused(1, &["being read"]);
}

#[test]
fn a_single_image_is_never_its_own_target() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    convert(&image, &image).run().refused(1, &["disk.hds"]);
    convert(&image, &image)
        .arg("-f")
        .run()
        .refused(1, &["being read"]);
    let roundabout = scratch.source().join("../source/./disk.hds");
    convert(&image, &roundabout)
        .arg("-f")
        .run()
        .refused(1, &["being read"]);
}

#[test]
fn a_symbolic_link_is_followed_to_the_file_that_is_meant() {
    let scratch = Scratch::new();
    let (image, model) = image(&scratch);
    let elsewhere = scratch.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("real.raw"), "the old disk").unwrap();
    symlink("../elsewhere/real.raw", scratch.target()).unwrap();

    convert(&image, &scratch.target()).run().refused(1, &["-f"]);
    assert_eq!(
        std::fs::read(elsewhere.join("real.raw")).unwrap(),
        b"the old disk"
    );

    convert(&image, &scratch.target()).arg("-f").run().done();
    assert_file_holds(&scratch.target(), &model);
    assert!(
        scratch.target().is_symlink(),
        "the link was replaced by the disk"
    );
    assert_eq!(names_in(&elsewhere), ["real.raw"]);
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
}

#[test]
fn a_symbolic_link_to_nothing_is_refused_and_kept() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    symlink("gone.raw", scratch.target()).unwrap();
    convert(&image, &scratch.target())
        .run()
        .refused(1, &["disk.raw"]);
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
    assert!(scratch.target().is_symlink());
}

#[test]
fn a_fifo_is_written_to_and_kept() {
    let scratch = Scratch::new();
    let (image, model) = image(&scratch);
    nix::unistd::mkfifo(&scratch.target(), Mode::S_IRWXU).unwrap();
    let fifo = scratch.target();
    let reader = std::thread::spawn(move || std::fs::read(fifo).unwrap());
    convert(&image, &scratch.target()).within(20).run().done();
    assert!(reader.join().unwrap() == model.content());
    assert!(scratch.target().metadata().unwrap().file_type().is_fifo());
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
}

#[test]
fn the_targets_mode_is_what_the_umask_leaves() {
    for (umask, mode) in [
        ("022", 0o644),
        ("027", 0o640),
        ("077", 0o600),
        ("000", 0o666),
    ] {
        let scratch = Scratch::new();
        let (image, _) = image(&scratch);
        let mut command = Command::new("sh");
        let _guard = SourceGuard::new(&scratch.source());
        command
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(program::path());
        command.arg(image).arg("-o").arg(scratch.target());
        Outcome::new(command.output().unwrap(), umask.to_owned()).done();
        assert_eq!(
            scratch.target().metadata().unwrap().mode() & 0o7777,
            mode,
            "umask {umask}"
        );
    }
}

/// A disk of 64 MiB: a megabyte of data, one that is half zeros, one of zeros only, one in a hole
/// of the image file; the rest stored nowhere.
fn mostly_nothing(scratch: &Scratch) -> (PathBuf, Model) {
    let path = scratch.source().join("disk.hds");
    let mut half = vec![0x11; 1 << 19];
    half.resize(1 << 20, 0);
    let image = ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters(64)
        .store(5)
        .fill(20, Fill::Bytes(half))
        .fill(30, Fill::Byte(0))
        .fill(40, Fill::FileHole)
        .write(&path);
    (path, image.model("disk.hds"))
}

fn stored(path: &Path) -> u64 {
    path.metadata().unwrap().blocks() * 512
}

#[test]
fn holes_stay_holes_by_default() {
    for args in [&[][..], &["--sparse=auto"]] {
        let scratch = Scratch::new();
        let (image, model) = mostly_nothing(&scratch);
        convert(&image, &scratch.target()).args(args).run().done();
        assert_file_holds(&scratch.target(), &model);
        assert!(
            stored(&scratch.target()) <= 5 * MIB,
            "{} bytes stored",
            stored(&scratch.target())
        );
        let file = File::open(scratch.target()).unwrap();
        let first = data_segments(&file, 64 * MIB)[0];
        assert_eq!(first.0, 5 * MIB);
    }
}

#[test]
fn zeros_inside_clusters_become_holes_when_that_is_asked_for() {
    for args in [&["--sparse"][..], &["--sparse=always"]] {
        let scratch = Scratch::new();
        let (image, model) = mostly_nothing(&scratch);
        convert(&image, &scratch.target()).args(args).run().done();
        assert_file_holds(&scratch.target(), &model);
        assert!(
            stored(&scratch.target()) <= MIB + MIB / 2 + 65536,
            "{} bytes stored",
            stored(&scratch.target())
        );
    }
}

#[test]
fn a_bare_sparse_takes_no_argument() {
    let scratch = Scratch::new();
    let (image, model) = mostly_nothing(&scratch);
    Program::new([
        "--sparse".as_ref(),
        image.as_os_str(),
        "-o".as_ref(),
        scratch.target().as_os_str(),
    ])
    .run()
    .done();
    assert_file_holds(&scratch.target(), &model);
}

#[test]
fn every_byte_is_stored_when_that_is_asked_for() {
    let scratch = Scratch::new();
    let (image, model) = mostly_nothing(&scratch);
    convert(&image, &scratch.target())
        .arg("--sparse=never")
        .run()
        .done();
    assert_file_holds(&scratch.target(), &model);
    assert!(
        stored(&scratch.target()) >= 64 * MIB,
        "{} bytes stored",
        stored(&scratch.target())
    );
}

#[test]
fn a_size_that_is_no_multiple_of_a_block_is_kept_in_every_mode() {
    for mode in ["auto", "always", "never"] {
        for last in [true, false] {
            let scratch = Scratch::new();
            let path = scratch.source().join("disk.hds");
            let mut image = ImageBuilder::v1().sectors(64 * 5 + 3).store_all([0, 2]);
            if last {
                image = image.fill(5, Fill::Byte(0));
            }
            let image = image.write(&path);
            convert(&path, &scratch.target())
                .arg(format!("--sparse={mode}"))
                .run()
                .done();
            assert_eq!(
                std::fs::read(scratch.target()).unwrap(),
                image.model("").content()
            );
        }
    }
}

#[test]
fn a_dry_run_opens_no_target() {
    let scratch = Scratch::new();
    let (image, model) = mostly_nothing(&scratch);
    let _guards = [
        SourceGuard::new(&scratch.source()),
        SourceGuard::new(&scratch.out()),
    ];
    let dry = |args: &[&str]| {
        convert(&image, &scratch.target())
            .arg("--dry-run")
            .args(args)
            .run()
    };
    dry(&[]).status(0);
    let report = dry(&["--json"]).status(0).json();
    assert_eq!(report["dry_run"], true);
    assert_eq!(report["virtual_size"], model.size());
    // What lies in a hole of the image file need not be read.
    assert_eq!(report["data_bytes"], model.data_bytes() - MIB);
    scratch.assert_nothing_left();
}

#[test]
fn a_dry_run_of_a_damaged_image_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.source().join("disk.hds");
    ImageBuilder::v2()
        .store(0)
        .build()
        .put_u32(crate::support::field::entry(1), 99)
        .write(&path);
    convert(&path, &scratch.target())
        .arg("--dry-run")
        .run()
        .refused(3, &["disk.hds"]);
    scratch.assert_nothing_left();
}

#[test]
fn a_report_says_what_was_done() {
    let scratch = Scratch::new();
    let (image, model) = mostly_nothing(&scratch);
    let report = convert(&image, &scratch.target())
        .arg("--json")
        .run()
        .status(0)
        .json();
    assert_eq!(
        (&report["format"], &report["dry_run"]),
        (&"raw".into(), &false.into())
    );
    assert_eq!(report["virtual_size"], 64 * MIB);
    assert_eq!(report["data_bytes"], 3 * MIB);
    assert!(report["target"].as_str().unwrap().ends_with("disk.raw"));
    assert_file_holds(&scratch.target(), &model);
}

#[test]
fn no_option_about_speed_or_talk_changes_a_byte() {
    for args in [
        &["-j", "1"][..],
        &["-j", "64"],
        &["--threads", "3"],
        &["--no-sync"],
        &["-q"],
        &["-v"],
        &["--progress", "always"],
        &["--progress", "never"],
        &["--progress=auto", "-j2", "-O", "raw"],
    ] {
        let scratch = Scratch::new();
        let (image, model) = mostly_nothing(&scratch);
        let outcome = convert(&image, &scratch.target())
            .args(args)
            .run()
            .status(0);
        assert_eq!(outcome.stdout, b"", "{args:?}");
        // Plain lines: this stderr is no terminal.
        assert!(
            !outcome.stderr.contains(['\u{1b}', '\r']),
            "{args:?}: {:?}",
            outcome.stderr
        );
        if args == ["-q"] {
            assert_eq!(outcome.stderr, "");
        }
        assert_file_holds(&scratch.target(), &model);
        let streamed = convert(&image, Path::new("-")).args(args).run().status(0);
        assert!(streamed.stdout == model.content(), "{args:?} on stdout");
    }
}
