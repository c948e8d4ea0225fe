//! Every promise of a conversion, by the library alone: the command line adds none.

use crate::fake::FakeDisk;
use crate::support::divided::Raw;
use crate::support::hints::two;
use crate::support::{Chain, Program, Scratch, SourceGuard, field, names_in};
use ploopconv::convert::{ConvertOptions, Done, Input, Resources, Target, plan};
use ploopconv::disk::{Concat, DiskError, RawDisk};
use ploopconv::hash::Algorithm;
use ploopconv::ploop::{IfInUse, OpenOptions, examine};
use ploopconv::sink::IfExists;
use ploopconv::{Result, Workers};
use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn input(chain: &Chain, salvage: bool) -> Input {
    let options = OpenOptions {
        salvage,
        host: None,
        ..OpenOptions::default()
    };
    let examined = examine(&chain.dir, &options).unwrap();
    Input::examined(examined, IfInUse::Refuse, "chain").unwrap()
}

fn run(input: Input, target: Target, options: ConvertOptions, stop: bool) -> Result<Done> {
    let (workers, partials) = (Workers::new(2)?, Arc::default());
    let stop = AtomicBool::new(stop);
    let resources = Resources {
        workers: &workers,
        stop: &stop,
        partials: &partials,
        progress: &(),
    };
    let plan = plan(input, target, options, &resources)?;
    plan.run(&resources).map_err(|failed| failed.error)
}

fn to_file(input: Input, path: &Path, options: ConvertOptions) -> Result<Done> {
    let target = Target::at(path, options.if_exists)?;
    run(input, target, options, false)
}

fn replacing(path: &Path) -> ConvertOptions {
    ConvertOptions {
        if_exists: IfExists::Replace,
        ..ConvertOptions::for_name(path)
    }
}

#[test]
fn no_file_of_the_source_is_written_under_any_name() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let link = scratch.out().join("link");
    symlink(&chain.files[0], &link).unwrap();
    for path in [&chain.files[0], &chain.files[1], &chain.descriptor(), &link] {
        let refused = to_file(input(&chain, false), path, replacing(path)).unwrap_err();
        assert_eq!(refused.code(), "target-is-source", "{}", path.display());
    }
}

/// The checksum file has a name of its own, beside a target or within a directory of targets.
#[test]
fn no_file_of_the_source_is_replaced_by_a_checksum_file() {
    let raw = Raw::sgdisk(8 << 20, &["--new=1:2048:+1M"]);
    for (target, checksum) in [("disk", "disk.sha256"), ("", "SHA256SUMS")] {
        let scratch = Scratch::new();
        let image = scratch.out().join(checksum);
        fs::copy(raw.image(), &image).unwrap();
        let source = scratch.source().join("image.hds");
        fs::copy(&image, &source).unwrap();
        let before = fs::read(&image).unwrap();
        for link in [false, true] {
            if link {
                fs::remove_file(&image).unwrap();
                symlink(&source, &image).unwrap();
            }
            let _guard = SourceGuard::new(&scratch.source());
            let mut command = Program::new(["convert"]).arg(&image).arg("-o");
            command = command.arg(scratch.out().join(target));
            command = command.args(["--checksum", "-f"]);
            if target.is_empty() {
                command = command.args(["--partitions"]);
            }
            command
                .run()
                .refused(1, &[checksum, "of the image that is being read"]);
            assert!(fs::read(&image).unwrap() == before, "{checksum}");
            assert_eq!(names_in(&scratch.out()), [checksum]);
        }
    }
}

#[test]
fn what_is_there_stays_unless_it_is_to_be_replaced_and_is_replaced_only_by_a_whole_target() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    let path = scratch.out().join("disk.raw");
    fs::write(&path, "before").unwrap();
    let refused = to_file(input(&chain, false), &path, ConvertOptions::for_name(&path));
    assert_eq!(refused.unwrap_err().code(), "target-exists");
    let target = Target::at(&path, IfExists::Replace).unwrap();
    let stopped = run(input(&chain, false), target, replacing(&path), true);
    assert_eq!(stopped.unwrap_err().code(), "interrupted");
    assert_eq!(fs::read(&path).unwrap(), b"before");
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
    to_file(input(&chain, false), &path, replacing(&path)).unwrap();
    assert!(fs::read(&path).unwrap() == chain.model().content());
    assert_eq!(names_in(&scratch.out()), ["disk.raw"]);
}

/// A disk that cannot be read from some offset on, and gives other bytes the second time.
fn failing(bytes: usize, from: u64) -> Input {
    let memory = RawDisk::over(Arc::new(vec![0x55; bytes]), "memory".as_ref()).unwrap();
    let again = AtomicBool::new(false);
    let disk = FakeDisk::reading(Arc::new(memory), move |buf, offset| {
        let len = buf.len() as u64;
        if offset + len > from {
            return Err(DiskError::Lost { offset, len }.into());
        }
        if again.swap(true, Ordering::SeqCst) {
            buf[0] ^= 1;
        }
        Ok(())
    });
    Input::of(Arc::new(disk), "failing")
}

#[test]
fn a_target_is_complete_or_absent() {
    for name in ["disk.raw", "disk.qcow2"] {
        for checksum in [None, Some(Algorithm::Sha256)] {
            let scratch = Scratch::new();
            let path = scratch.out().join(name);
            let options = ConvertOptions {
                checksum,
                ..ConvertOptions::for_name(&path)
            };
            let failed = to_file(failing(4 << 20, 3 << 20), &path, options).unwrap_err();
            assert_eq!(failed.code(), "lost");
            assert!(names_in(&scratch.out()).is_empty());
        }
    }
}

#[test]
fn a_target_that_is_wrong_is_found_out_when_it_is_read_back() {
    let scratch = Scratch::new();
    let path = scratch.out().join("disk.raw");
    let options = ConvertOptions {
        read_back: true,
        ..ConvertOptions::for_name(&path)
    };
    let wrong = to_file(failing(64 << 10, u64::MAX), &path, options).unwrap_err();
    assert_eq!(wrong.code(), "different");
    assert!(names_in(&scratch.out()).is_empty());
}

#[test]
fn the_checksum_file_is_what_sha256sum_reads() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    for name in ["disk.raw", "disk.qcow2"] {
        let path = scratch.out().join(name);
        let options = ConvertOptions {
            checksum: Some(Algorithm::Sha256),
            ..ConvertOptions::for_name(&path)
        };
        to_file(input(&chain, false), &path, options).unwrap();
        let mut check = Command::new("sha256sum");
        let file = format!("{name}.sha256");
        let checked = check.arg("-c").arg(file).current_dir(scratch.out());
        assert!(checked.output().unwrap().status.success(), "{name}");
    }
}

#[test]
fn what_is_lost_is_listed_beside_the_target() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    let file = fs::File::options().write(true).open(&chain.files[0]);
    let entry = 9999u32.to_le_bytes();
    file.unwrap().write_all_at(&entry, field::entry(2)).unwrap();
    let path = scratch.out().join("disk.raw");
    let options = ConvertOptions::for_name(&path);
    let done = to_file(input(&chain, true), &path, options).unwrap();
    assert!(done.images[0].is_incomplete());
    let account = done.images[0].account.as_ref().unwrap();
    assert_eq!(account.lost.zeros, 32768);
    let list = fs::read_to_string(scratch.out().join("disk.raw.lost")).unwrap();
    assert!(list.contains("0x0000010000"), "{list}");
}

#[test]
fn several_images_are_made_all_or_none() {
    let raw = Raw::sgdisk(8 << 20, &["--new=1:2048:+1M", "--new=2:6144:+1M"]);
    raw.write(&[1; 512], 1 << 20);
    raw.write(&[2; 512], 3 << 20);
    let whole = || Input::of(Arc::new(RawDisk::open(&raw.path).unwrap()), "raw");
    let scratch = Scratch::new();
    let dir = scratch.out().join("parts");
    let options = || ConvertOptions::for_name("p.raw".as_ref());
    let done = run(whole(), Target::Directory(dir.clone()), options(), false).unwrap();
    assert_eq!(done.images.len(), 2);
    assert_eq!(names_in(&dir), ["p1.raw", "p2.raw"]);

    // The second one is there: neither is made anew, and the first stays as it is.
    fs::remove_file(dir.join("p1.raw")).unwrap();
    let refused = run(whole(), Target::Directory(dir.clone()), options(), false);
    assert_eq!(refused.unwrap_err().code(), "target-exists");
    assert_eq!(names_in(&dir), ["p2.raw"]);

    // A directory that was made for nothing goes again.
    let other = scratch.out().join("others");
    let stopped = run(whole(), Target::Directory(other.clone()), options(), true);
    assert_eq!(stopped.unwrap_err().code(), "interrupted");
    assert!(!other.exists());
}

#[test]
fn a_target_that_cannot_fit_is_refused_before_a_byte_is_written() {
    let mut huge = Concat::default();
    huge.zeros(1 << 50).unwrap();
    let scratch = Scratch::new();
    let path = scratch.out().join("disk.raw");
    let options = ConvertOptions {
        sparse: ploopconv::convert::Sparse::Never,
        ..ConvertOptions::for_name(&path)
    };
    let refused = to_file(Input::of(Arc::new(huge), "huge"), &path, options).unwrap_err();
    assert_eq!(refused.code(), "no-room");
    assert!(names_in(&scratch.out()).is_empty());
}

#[test]
fn the_example_of_the_library_does_what_the_command_does() {
    let scratch = Scratch::new();
    let chain = two(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let target = scratch.out().join("disk.qcow2");
    let program = crate::support::program::path();
    let example = program.with_file_name("examples").join("convert");
    assert!(example.is_file(), "`cargo build --examples` makes it");
    let mut example = Command::new(example);
    let made = example.arg(&chain.dir).arg(&target).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let raw = scratch.out().join("disk.raw");
    let mut convert = Command::new("qemu-img");
    convert
        .args(["convert", "-O", "raw"])
        .arg(&target)
        .arg(&raw);
    crate::tools::tool("qemu-utils", &mut convert);
    assert!(fs::read(&raw).unwrap() == chain.model().content());
}
