//! Input made to break a reader: whatever it holds, the commands end in time with one of their own
//! statuses, agree with each other, and leave nothing behind when they refuse.

use crate::support::image::Version;
use crate::support::samples::two_layers;
use crate::support::{
    ImageBuilder, Scratch, SourceGuard, check, convert, field, info, map, names_in,
};
use std::path::Path;

/// Runs every command and asserts what they owe whatever the image holds.
#[track_caller]
fn assert_orderly(image: &Path, what: &str) {
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("disk.raw");
    let found = check(image).within(30).run();
    let done = convert(image, &target)
        .args(["-j", "2", "--no-sync"])
        .within(30)
        .run();
    let mapped = map(image).within(30).run();
    let shown = info(image).within(30).run();
    for outcome in [&found, &done, &mapped, &shown] {
        assert!(
            matches!(outcome.status, Some(0 | 1 | 3 | 4)),
            "{what}: {outcome:?}"
        );
        assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome:?}");
    }
    assert_eq!(
        done.status, mapped.status,
        "{what}: convert and map disagree"
    );
    assert_eq!(
        found.status, done.status,
        "{what}: check and convert disagree: {done:?}"
    );
    let left = if done.status == Some(0) {
        vec!["disk.raw"]
    } else {
        vec![]
    };
    assert_eq!(names_in(out.path()), left, "{what}");
    if done.status == Some(0) {
        let size = mapped.json()["size"].as_u64().unwrap();
        assert_eq!(target.metadata().unwrap().len(), size, "{what}");
    }
}

const WORDS: [u32; 9] = [0, 1, 2, 63, 64, 65, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];

/// Puts each of the words to each of the places, one at a time.
#[track_caller]
fn assert_words_are_answered(places: &[u64], words: &[u32]) {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        let path = scratch.source().join("disk.hds");
        let good = ImageBuilder::new(version).store_all([2, 0]).build();
        for &at in places {
            for &word in words {
                let mut image = good.clone();
                image.put_u32(at, word).write(&path);
                assert_orderly(&path, &format!("{version:?}: {word:#x} at {at}"));
            }
        }
    }
}

#[test]
fn any_word_in_the_place_of_any_header_field_is_answered_in_order() {
    let places: Vec<_> = (0..64).step_by(4).collect();
    assert_words_are_answered(&places, &WORDS);
}

#[test]
fn any_word_in_the_place_of_an_entry_is_answered_in_order() {
    let more = [3, 4, 5, 127, 128, 129, 191, 192, 256, 0x2_0002, 0x80_0080];
    let places = [0, 1, 3, 4, 8175].map(field::entry);
    assert_words_are_answered(&places, &[&WORDS[..], &more].concat());
}

#[test]
fn a_file_cut_off_anywhere_is_answered_in_order() {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        let path = scratch.source().join("disk.hds");
        let good = ImageBuilder::new(version)
            .sectors(130)
            .store_all([2, 0])
            .build();
        let near = |at: u64| [at.saturating_sub(1), at, at + 1];
        for len in [1, 16, 64, 76, 512, 4096, 32768, 33792, 65536, 98304]
            .into_iter()
            .flat_map(near)
        {
            let mut image = good.clone();
            image.set_len(len).write(&path);
            assert_orderly(&path, &format!("{version:?}: cut off at {len}"));
        }
    }
}

#[test]
fn a_descriptor_without_any_one_of_its_lines_is_answered_in_order() {
    let builder = two_layers();
    let text = builder.descriptor().xml();
    let lines: Vec<&str> = text.lines().collect();
    let scratch = Scratch::new();
    let chain = builder.write(&scratch.source());
    for without in 0..lines.len() {
        let mut rest = lines.clone();
        let gone = rest.remove(without);
        std::fs::write(chain.descriptor(), rest.join("\n")).unwrap();
        let _guard = SourceGuard::new(&chain.dir);
        assert_orderly(&chain.dir, &format!("without {gone:?}"));
    }
}

#[test]
fn a_descriptor_with_any_one_of_its_lines_twice_is_answered_in_order() {
    let builder = two_layers();
    let text = builder.descriptor().xml();
    let lines: Vec<&str> = text.lines().collect();
    let scratch = Scratch::new();
    let chain = builder.write(&scratch.source());
    for twice in 0..lines.len() {
        let mut more = lines.clone();
        more.insert(twice, lines[twice]);
        std::fs::write(chain.descriptor(), more.join("\n")).unwrap();
        assert_orderly(&chain.dir, &format!("twice {:?}", lines[twice]));
    }
}
