//! What the tests rest on is right by itself: `qemu-img`, which shares no code with the builders
//! or with the program, reads what the model says, and the shared assertions do fail.

use crate::support::{ImageBuilder, Scratch, SourceGuard, assert_file_holds};
use std::fs::{File, FileTimes};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::SystemTime;

/// A guarded change has to be noticed.
#[track_caller]
fn assert_noticed(change: impl FnOnce(&Path)) {
    let scratch = Scratch::new();
    let source = scratch.source();
    std::fs::write(source.join("disk.hds"), [7; 10_000]).unwrap();
    let guard = SourceGuard::new(&source);
    change(&source);
    std::panic::catch_unwind(AssertUnwindSafe(|| drop(guard))).unwrap_err();
}

#[test]
fn the_guard_notices_whatever_is_done_to_a_source() {
    let set_time = |path: &Path, time: SystemTime| {
        let file = File::options().write(true).open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    };
    assert_noticed(|source| std::fs::write(source.join("new"), "").unwrap());
    assert_noticed(|source| std::fs::remove_file(source.join("disk.hds")).unwrap());
    assert_noticed(|source| std::fs::write(source.join("disk.hds"), [7; 10_001]).unwrap());
    assert_noticed(|source| set_time(&source.join("disk.hds"), SystemTime::UNIX_EPOCH));
    // A byte changed and the time set back.
    assert_noticed(|source| {
        let path = source.join("disk.hds");
        let time = path.metadata().unwrap().modified().unwrap();
        let mut bytes = [7; 10_000];
        bytes[9_999] = 8;
        std::fs::write(&path, bytes).unwrap();
        set_time(&path, time);
    });
    // A file that came and went.
    assert_noticed(|source| {
        let changed = |folder: &Path| folder.metadata().unwrap().modified().unwrap();
        let before = changed(source);
        // The clock of a file system has ticks.
        while changed(source) == before {
            std::fs::write(source.join("new"), "").unwrap();
            std::fs::remove_file(source.join("new")).unwrap();
        }
    });
    assert_noticed(|source| {
        std::fs::hard_link(source.join("disk.hds"), source.join("../out/link")).unwrap();
    });
}

#[test]
fn a_guard_over_an_untouched_source_is_content() {
    let scratch = Scratch::new();
    let source = scratch.source();
    std::fs::write(source.join("disk.hds"), [7; 10_000]).unwrap();
    let _guard = SourceGuard::new(&source);
    std::fs::read(source.join("disk.hds")).unwrap();
}

#[test]
fn the_comparison_with_the_model_notices_one_wrong_byte_and_a_wrong_size() {
    let scratch = Scratch::new();
    let target = scratch.target();
    let model = ImageBuilder::v2().store_all([2, 0]).build().model("");
    let right = model.content();
    let fails = |bytes: &[u8]| {
        std::fs::write(&target, bytes).unwrap();
        std::panic::catch_unwind(|| assert_file_holds(&target, &model)).unwrap_err();
    };
    std::fs::write(&target, &right).unwrap();
    assert_file_holds(&target, &model);
    for at in [0, 32767, 32768, 65535, 65536, 4 * 32768 - 1] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        fails(&wrong);
    }
    fails(&right[..right.len() - 1]);
    fails(&[right, vec![0]].concat());
}
