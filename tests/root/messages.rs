//! What the program says, as a person would say it: once, in plain words, with what can be done.

use crate::support::samples::image;
use crate::support::{Outcome, Scratch, SourceGuard, convert};
use std::path::Path;

#[test]
fn a_folder_that_is_missing_or_closed_is_told_in_plain_words() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    let missing = scratch.out().join("no");
    for options in [&[][..], &["--dry-run"], &["--partitions"]] {
        let outcome = convert(&image, &missing.join("deep/disk.raw"))
            .args(options)
            .run();
        if options.contains(&"--partitions") {
            // It has no partitions, which shows first.
            outcome.status(1);
            continue;
        }
        let folder = format!("there is no folder {}", missing.join("deep").display());
        outcome.refused(1, &["cannot create", &folder]);
    }
    let container = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    let outcome = convert(&container, &missing.join("deep/parts"))
        .arg("--partitions")
        .run();
    let folder = format!("there is no folder {}", missing.join("deep").display());
    outcome.refused(1, &["cannot create", &folder]);
    let outcome = convert(&image, &image.join("disk.raw")).run();
    outcome.refused(1, &["disk.hds is not a folder"]);

    let _guard = SourceGuard::new(&scratch.source());
    let mut command = scratch.as_nobody();
    command.arg(&image).arg("-o").arg(scratch.target());
    let outcome = Outcome::new(command.output().unwrap(), "as another user".to_owned());
    let folder = format!(
        "the folder {} may not be written to",
        scratch.out().display()
    );
    let outcome = outcome.refused(1, &["cannot create", &folder, "Permission denied"]);
    assert!(!outcome.stderr.contains("beside"), "{}", outcome.stderr);
    scratch.assert_nothing_left();
}
