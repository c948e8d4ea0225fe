//! "This image reads as that model", asked in every way the program offers.

use super::guard::SourceGuard;
use super::model::{Model, assert_file_holds, assert_map_matches};
use super::program::{Outcome, Program, convert, map};
use super::sparse::md5_hex;
use std::path::Path;

/// Asserts that `IMAGE ARGS…` reads as the model through `map`, a file and stdout, and that its
/// directory is left alone. Answers what the conversion to a file said.
#[track_caller]
pub fn assert_reads_with(image: &Path, args: &[&str], model: &Model) -> Outcome {
    let outcome = assert_giant_reads_with(image, args, model);
    let streamed = convert(image, Path::new("-")).args(args).run().status(0);
    assert!(
        md5_hex(&streamed.stdout) == md5_hex(&model.content()),
        "{} on stdout differs from the model",
        image.display()
    );
    outcome
}

/// The same for a disk too big for a stream.
#[track_caller]
pub fn assert_giant_reads_with(image: &Path, args: &[&str], model: &Model) -> Outcome {
    let _guard = SourceGuard::new(folder(image));
    let out = tempfile::Builder::new()
        .prefix("ploopconv-out-")
        .tempdir()
        .unwrap();
    let target = out.path().join("disk.raw");

    assert_map_matches(&map(image).args(args).run().status(0).json(), model);
    let outcome = convert(image, &target).args(args).run().status(0);
    assert_file_holds(&target, model);
    let mut names = super::names_in(out.path());
    // A snapshot leaves what a later update begins with.
    let is_snapshot = args.contains(&"--snapshot");
    names.retain(|name| !is_snapshot || name != "disk.raw.ploopconv");
    assert_eq!(names, ["disk.raw"]);
    outcome
}

/// Reads with no options, and `check` finds no damage.
#[track_caller]
pub fn assert_reads(image: &Path, model: &Model) -> Outcome {
    let _guard = SourceGuard::new(folder(image));
    Program::new(["check".as_ref(), image.as_os_str()])
        .run()
        .status(0);
    assert_reads_with(image, &[], model)
}

#[track_caller]
pub fn assert_giant_reads(image: &Path, model: &Model) -> Outcome {
    let _guard = SourceGuard::new(folder(image));
    Program::new(["check".as_ref(), image.as_os_str()])
        .run()
        .status(0);
    assert_giant_reads_with(image, &[], model)
}

fn folder(image: &Path) -> &Path {
    if image.is_dir() {
        image
    } else {
        image.parent().unwrap()
    }
}
