//! A snapshot is converted while others are taken, merged or switched to: that is nothing to it, as
//! long as its own layers stay what they are.

use super::updates::{assert_holds, run};
use crate::support::running::{signal, stopped_in_its_middle};
use crate::support::updates::large;
use crate::support::{Chain, ChainBuilder, Fill, Scratch, TOP, names_in};
use std::path::Path;
use std::process::Child;

/// Layers that take a moment to read, `number` of them.
fn big(number: u64) -> ChainBuilder {
    let base = (0..24).fold(large(1), |image, k| image.fill(k, Fill::Byte(k as u8 | 1)));
    (1..number).fold(ChainBuilder::base(&base), |chain, layer| {
        chain.child(&large(layer + 1).fill(layer as u32, Fill::Byte(77)))
    })
}

/// Puts another descriptor in the place of the chain's, as ploop does.
fn replace(chain: &Chain, text: &str) {
    let new = chain.dir.join("DiskDescriptor.xml.tmp");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, chain.descriptor()).unwrap();
}

fn let_go_on(child: Child) -> (Option<i32>, String) {
    signal(&child, "CONT");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), told)
}

#[test]
fn further_snapshots_are_taken_while_one_is_converted() {
    let scratch = Scratch::new();
    let chain = big(3).write(&scratch.source());
    let later = big(5).write(&scratch.path().join("later"));
    let target = scratch.target();
    let snapshot = ["--snapshot", &chain.guids[1], "--verify"];
    let child = stopped_in_its_middle(&chain.dir, &target, &snapshot);
    for (layer, file) in later.files.iter().enumerate().skip(3) {
        let new = chain.dir.join(later.files[layer].file_name().unwrap());
        std::fs::copy(file, new).unwrap();
    }
    // What was the top has the name of a snapshot now.
    replace(
        &chain,
        &std::fs::read_to_string(later.descriptor()).unwrap(),
    );
    let (status, told) = let_go_on(child);
    assert_eq!(status, Some(0), "{told}");
    assert_holds(&target, &chain.model_of(1).content());
    // All of them are brought over afterwards.
    let next = ["--snapshot", &later.guids[3], "--update", "--verify"];
    run(&chain, &target, &next).done();
    assert_holds(&target, &later.model_of(3).content());
    run(&chain, &target, &["--update", "--verify"]).done();
    assert_holds(&target, &later.model().content());
}

/// A change of the descriptor that says something else about the snapshot, whatever it is.
#[test]
fn what_touches_the_layers_of_a_snapshot_ends_its_conversion() {
    type Change = fn(&Chain, &str) -> Option<String>;
    let changes: [(&str, Change); 6] = [
        ("deleted", |chain, text| {
            // Merged into the layer above, as libploop writes it: the snapshot's name is gone.
            let merged = text.replace(&chain.guids[1], "{0a0a0a0a-1111-4222-8333-444444444444}");
            Some(merged)
        }),
        ("another file", |chain, text| {
            let name = |layer: usize| chain.files[layer].file_name().unwrap().to_str().unwrap();
            let other = text.replacen(name(1), "other", 1);
            Some(
                other
                    .replacen(name(2), name(1), 1)
                    .replacen("other", name(2), 1),
            )
        }),
        ("marked", |chain, text| {
            let parent = format!("<ParentGUID>{}</ParentGUID>", chain.guids[0]);
            Some(text.replacen(&parent, &format!("{parent}<Temporary/>"), 1))
        }),
        ("the top", |chain, text| {
            let top = |guid: &str| format!("<TopGUID>{guid}</TopGUID>");
            Some(text.replacen(&top(TOP), &top(&chain.guids[1]), 1))
        }),
        ("no XML", |_, _| Some("<Parallels_disk_image>".to_owned())),
        ("gone", |_, _| None),
    ];
    for (what, change) in changes {
        let scratch = Scratch::new();
        let chain = big(3).write(&scratch.source());
        let target = scratch.target();
        let text = std::fs::read_to_string(chain.descriptor()).unwrap();
        assert!(text.contains("<TopGUID>"), "{text}");
        let snapshot = ["--snapshot", &chain.guids[1]];
        let child = stopped_in_its_middle(&chain.dir, &target, &snapshot);
        match change(&chain, &text) {
            Some(changed) => {
                assert_ne!(changed, text, "{what}");
                replace(&chain, &changed);
            }
            None => std::fs::remove_file(chain.descriptor()).unwrap(),
        }
        assert_changed(let_go_on(child), &target, what);
    }
}

#[track_caller]
fn assert_changed((status, told): (Option<i32>, String), target: &Path, what: &str) {
    assert_eq!(status, Some(4), "{what}: {told}");
    assert!(told.contains("DiskDescriptor.xml"), "{what}: {told}");
    let left = names_in(target.parent().unwrap());
    assert!(left.is_empty(), "{what}: {left:?}, {told}");
}

/// The current state is another one after a snapshot: what is written next is not in its layers.
#[test]
fn a_snapshot_that_is_taken_ends_the_conversion_of_the_current_state() {
    // With the constant for a name, and with a name of its own that stays.
    for name in [TOP, "{0b0b0b0b-1111-4222-8333-444444444444}"] {
        let scratch = Scratch::new();
        let text = |chain: &ChainBuilder| chain.descriptor().xml().replace(TOP, name);
        let chain = big(3).write_text(&scratch.source(), &text(&big(3)));
        let target = scratch.target();
        let child = stopped_in_its_middle(&chain.dir, &target, &[]);
        let later = big(4).write(&scratch.path().join("later"));
        let new = chain.dir.join(later.files[3].file_name().unwrap());
        std::fs::copy(&later.files[3], new).unwrap();
        let mut after = big(4).descriptor().xml();
        if name != TOP {
            after = after.replace(&later.guids[2], name);
        }
        replace(&chain, &after);
        assert_changed(let_go_on(child), &target, name);
    }
}
