//! Checksum files: what other programs say of the same bytes.

use crate::support::{Fill, ImageBuilder, Program, Scratch, SourceGuard, convert, names_in};
use crate::tools::tool;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

/// Data, holes of every length, zeros that are stored, and an end inside a cluster.
fn image(scratch: &Scratch) -> PathBuf {
    let path = scratch.source().join("disk.hds");
    ImageBuilder::v2()
        .cluster_sectors(64)
        .sectors(64 * 90 + 7)
        .store_all((0..40).map(|k| k * 2))
        .fill(81, Fill::FileHole)
        .fill(83, Fill::Byte(0))
        .store_all([85, 90])
        .write(&path);
    path
}

fn sha256sum(scratch: &Scratch, name: &str) -> String {
    tool(
        "coreutils",
        Command::new("sha256sum")
            .args(["-c", "--strict", name])
            .current_dir(scratch.out()),
    )
}

#[test]
fn sha256sum_agrees_with_the_checksum_of_every_raw_target() {
    for sparse in ["auto", "always", "never"] {
        for name in ["disk.raw", "odd \\ name\n"] {
            let scratch = Scratch::new();
            let image = image(&scratch);
            convert(&image, &scratch.out().join(name))
                .args(["--checksum", "-j3"])
                .arg(format!("--sparse={sparse}"))
                .run()
                .done();
            assert!(sha256sum(&scratch, &format!("{name}.sha256")).contains("OK"));
        }
    }
}

#[test]
fn sha256sum_agrees_with_the_checksum_of_every_qcow2_target() {
    for options in [
        &["--cluster-size=4K", "-j1"][..],
        &["--cluster-size=4K", "--sparse", "-j3"],
        &["--cluster-size=64K", "--sparse=never"],
        &["--cluster-size=2M", "-j7"],
        &["--cluster-size=2M", "--sparse", "--verify"],
        &["--compress"],
        &["--compress=zlib", "--cluster-size=4K", "-j128", "--verify"],
    ] {
        let scratch = Scratch::new();
        let image = image(&scratch);
        let _guard = SourceGuard::new(&scratch.source());
        let target = scratch.out().join("disk.qcow2");
        convert(&image, &target)
            .arg("--checksum")
            .args(options)
            .run()
            .done();
        assert!(sha256sum(&scratch, "disk.qcow2.sha256").contains("OK"));
        let check = ["check", "-f", "qcow2"];
        tool(
            "qemu-utils",
            Command::new("qemu-img").args(check).arg(&target),
        );
        Program::new(["verify", "--against"])
            .arg(&image)
            .arg(&target)
            .run()
            .status(0);
    }
}

#[test]
fn one_file_has_the_sha256_of_every_partition_image() {
    for format in ["raw", "qcow2"] {
        let scratch = Scratch::new();
        let out = scratch.out().join("parts");
        Program::new(["fixtures/101", "--partitions", "--checksum", "-O", format])
            .arg("-o")
            .arg(&out)
            .run()
            .done();
        let names: Vec<_> = names_in(&out);
        let said = tool(
            "coreutils",
            Command::new("sha256sum")
                .args(["-c", "--strict", "SHA256SUMS"])
                .current_dir(&out),
        );
        assert_eq!(said.matches("OK").count(), names.len() - 1, "{said}");
    }
}

/// The definition of the digest, written down a second time and slowly.
fn blkhash(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let mut outer = Sha256::new();
    for block in bytes.chunks(65_536) {
        outer.update(Sha256::digest(block));
    }
    outer.update((bytes.len() as u64).to_le_bytes());
    outer
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn blkhash_is_that_of_the_content_for_raw_and_qcow2_alike() {
    let scratch = Scratch::new();
    let image = image(&scratch);
    let raw = scratch.out().join("a.raw");
    convert(&image, &raw).run().done();
    let content = std::fs::read(&raw).unwrap();
    let expected = blkhash(&content);
    for (name, options) in [
        ("b.raw", &["--sparse=auto"][..]),
        ("c.raw", &["--sparse"]),
        ("d.raw", &["--sparse=never"]),
        ("e.qcow2", &["--sparse", "-j1"]),
        ("f.qcow2", &["--cluster-size=2M", "-j5"]),
        ("g.qcow2", &["--compress"]),
        (
            "h.qcow2",
            &["--compress=zlib", "--cluster-size=2M", "-j128"],
        ),
    ] {
        let target = scratch.out().join(name);
        convert(&image, &target)
            .arg("--checksum=blkhash")
            .args(options)
            .run()
            .done();
        let line = std::fs::read_to_string(scratch.out().join(format!("{name}.blkhash"))).unwrap();
        assert_eq!(line, format!("{expected}  {name}\n"), "{options:?}");
        let back = scratch.path().join("back.raw");
        tool(
            "qemu-utils",
            Command::new("qemu-img")
                .args(["convert", "-O", "raw"])
                .arg(&target)
                .arg(&back),
        );
        assert!(
            std::fs::read(&back).unwrap()[..content.len()] == content,
            "{name}"
        );
    }
}

#[test]
fn a_conversion_that_fails_leaves_no_checksum_file() {
    let scratch = Scratch::new();
    let image = image(&scratch);
    // The target is there: refused before the copy.
    std::fs::write(scratch.target(), "old").unwrap();
    convert(&image, &scratch.target())
        .arg("--checksum")
        .run()
        .refused(1, &["exists"]);
    std::fs::remove_file(scratch.target()).unwrap();
    // The image changes at the end of the file: found before the copy.
    let damaged = std::fs::OpenOptions::new()
        .write(true)
        .open(&image)
        .unwrap();
    damaged
        .set_len(std::fs::metadata(&image).unwrap().len() - 40_000)
        .unwrap();
    convert(&image, &scratch.target())
        .arg("--checksum")
        .run()
        .refused(3, &["damaged"]);
    scratch.assert_nothing_left();
}

#[test]
fn a_checksum_file_that_is_there_is_kept_without_force() {
    let scratch = Scratch::new();
    let image = image(&scratch);
    let name = format!(
        "{}.sha256",
        scratch.target().file_name().unwrap().to_str().unwrap()
    );
    std::fs::write(scratch.out().join(&name), "old").unwrap();
    convert(&image, &scratch.target())
        .arg("--checksum")
        .run()
        .refused(1, &["exists", &name]);
    assert_eq!(names_in(&scratch.out()), [name.as_str()]);
    convert(&image, &scratch.target())
        .args(["--checksum", "-f"])
        .run()
        .done();
    assert!(sha256sum(&scratch, &name).contains("OK"));
}

/// `verify` called a right disk wrong, by the digest of what had been there before.
#[test]
fn a_digest_of_what_a_target_held_before_is_told() {
    let scratch = Scratch::new();
    let image = image(&scratch);
    let target = scratch.target();
    let sums = |kind: &str| scratch.out().join(format!("disk.raw.{kind}"));
    let again = |options: &[&str]| {
        let done = convert(&image, &target).args(options).arg("--json").run();
        done.status(0).json()["warnings"].to_string()
    };
    convert(&image, &target).arg("--checksum").run().done();
    let told = again(&["-f", "--checksum=blkhash"]);
    assert!(
        told.contains("disk.raw.sha256 still has the digest"),
        "{told}"
    );
    assert!(!told.contains("blkhash"), "{told}");
    // What is made anew is right.
    assert_eq!(
        again(&["-f", "--checksum=blkhash"])
            .matches("still")
            .count(),
        1
    );
    let said = convert(&image, &target).arg("-f").run().status(0);
    let warning = |kind: &str| format!("{} still has the digest", sums(kind).display());
    said.says([warning("sha256"), warning("blkhash")]);
    convert(&image, &target).args(["-f", "-q"]).run().done();
    // Nothing was there, or the list is about another file: nothing to tell.
    std::fs::remove_file(&target).unwrap();
    assert_eq!(again(&["-f"]), "[]");
    let line = std::fs::read_to_string(sums("sha256")).unwrap();
    std::fs::write(sums("sha256"), line.replace("disk.raw", "b.raw")).unwrap();
    std::fs::remove_file(sums("blkhash")).unwrap();
    assert_eq!(again(&["-f"]), "[]");
    // The list of all partitions.
    let parts = scratch.out().join("parts");
    let partitions = |options: &[&str]| {
        let program = Program::new(["fixtures/101", "--partitions", "-o"]);
        program.arg(&parts).args(options).run().status(0)
    };
    partitions(&["--checksum"]);
    partitions(&["-f"]).says(["SHA256SUMS still has the digest"]);
    let anew = partitions(&["-f", "--checksum"]);
    assert!(!anew.stderr.contains("SHA256SUMS"), "{}", anew.stderr);
}

/// A pipe in the place of a checksum file was waited for, and a folder there was an error.
#[test]
fn what_lies_in_the_place_of_a_checksum_file_and_is_none_stops_nothing() {
    let scratch = Scratch::new();
    let image = image(&scratch);
    let target = scratch.target();
    convert(&image, &target).run().done();
    let place = scratch.out().join("disk.raw.sha256");
    nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let verify = || Program::new(["verify"]).arg(&target).run();
    convert(&image, &target).arg("-f").run().done();
    verify().refused(1, &["--against"]);
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    convert(&image, &target).arg("-f").run().done();
    verify().refused(1, &["--against"]);
    std::fs::remove_dir(&place).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
    convert(&image, &target).arg("-f").run().done();
    verify().refused(1, &["--against"]);
}

#[test]
fn a_checksum_that_could_not_be_written_is_a_mistake_of_the_command_line() {
    let scratch = Scratch::new();
    let image = image(&scratch);
    convert(&image, std::path::Path::new("-"))
        .arg("--checksum")
        .run()
        .refused(2, &["--checksum"]);
    scratch.assert_nothing_left();
}

#[test]
fn verify_reads_the_checksum_file_and_finds_one_changed_byte() {
    for (name, how) in [
        ("disk.raw", "--checksum"),
        ("odd \\ name\n.raw", "--checksum"),
        ("disk.raw", "--checksum=blkhash"),
        ("disk.qcow2", "--checksum=blkhash"),
        ("disk.qcow2", "--checksum"),
    ] {
        let scratch = Scratch::new();
        let image = image(&scratch);
        let target = scratch.out().join(name);
        convert(&image, &target).arg(how).run().done();
        let verify = || Program::new(["verify"]).arg(&target);
        verify().run().status(0).prints("verified");
        assert_eq!(verify().arg("--json").run().status(0).json()["equal"], true);

        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&target)
            .unwrap();
        // In the last cluster that is stored, wherever that is.
        let len = file.metadata().unwrap().len();
        let at = if name.ends_with("qcow2") {
            0x50_000
        } else {
            len - 1
        };
        file.write_all_at(b"\xee", at).unwrap();
        verify()
            .run()
            .status(1)
            .prints("different")
            .says(["--against"]);
    }
}

#[test]
fn verify_without_anything_to_compare_with_says_what_to_type() {
    let scratch = Scratch::new();
    let image = image(&scratch);
    convert(&image, &scratch.target()).run().done();
    Program::new(["verify"])
        .arg(scratch.target())
        .run()
        .refused(1, &["checksum file", "--against"]);
}
