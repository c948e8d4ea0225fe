//! What the tests rest on is right by itself: `qemu-img`, which shares no code with the builders
//! or with the program, reads what the model says, and the shared assertions do fail.

use crate::support::image::Version;
use crate::support::witness::qemu_convert;
use crate::support::{ChainBuilder, Fill, ImageBuilder, Scratch, SourceGuard, assert_file_holds};
use std::fs::{File, FileTimes};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::SystemTime;

#[test]
fn qemu_reads_a_built_image_as_the_model_says() {
    for version in Version::BOTH {
        for cluster in [1, 63, 64, 504, 2048] {
            let scratch = Scratch::new();
            let path = scratch.source().join("disk.hds");
            let image = ImageBuilder::new(version)
                .cluster_sectors(cluster)
                .sectors(u64::from(cluster) * 6 + 1)
                .store_all([5, 0, 6])
                .gap(2)
                .store(2)
                .fill(3, Fill::FileHole)
                .write(&path);

            qemu_convert(&[(path, false)], &scratch.target());

            assert_file_holds(&scratch.target(), &image.model("disk.hds"));
            assert_eq!(
                std::fs::read(scratch.target()).unwrap(),
                image.model("disk.hds").content()
            );
        }
    }
}

#[test]
fn qemu_reads_a_built_chain_as_the_model_says() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().seed(1).store_all([2, 0, 1]))
        .child(&ImageBuilder::v1().seed(2).clusters(6).store_all([5, 1]))
        .child(
            &ImageBuilder::v2()
                .seed(3)
                .clusters(6)
                .fill(0, Fill::FileHole)
                .store(4),
        )
        .branch(1, &ImageBuilder::v2().seed(4).clusters(7).store(6))
        .write(&scratch.source());

    for number in 0..4 {
        let target = scratch.out().join(format!("{number}.raw"));
        qemu_convert(&chain.files_of(number), &target);
        assert_file_holds(&target, &chain.model_of(number));
    }
}

#[test]
fn qemu_reads_a_chain_on_a_short_raw_base_as_the_model_says() {
    let scratch = Scratch::new();
    let raw = crate::support::image::pattern(9, 0, 3 * 512);
    let chain = ChainBuilder::raw_base(&raw, 64)
        .child(&ImageBuilder::v2().seed(2).store_all([3, 1]))
        .write(&scratch.source());

    qemu_convert(&chain.files_of(1), &scratch.target());

    assert_file_holds(&scratch.target(), &chain.model());
}

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
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(source.join("new"), "").unwrap();
        std::fs::remove_file(source.join("new")).unwrap();
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
