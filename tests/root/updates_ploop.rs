//! A snapshot is converted while Debian's `ploop` takes, merges and switches others.

use crate::support::running::{signal, stopped_in_its_middle};
use crate::support::{Chain, ChainBuilder, Fill, ImageBuilder, Scratch, convert};
use crate::tools::tool;
use std::process::Command;

/// Snapshots 0 and 1, and a top. Version 1, which this `ploop` makes where no kernel helps.
fn chain(scratch: &Scratch) -> Chain {
    let image = |seed: u64| {
        ImageBuilder::v1()
            .cluster_sectors(64)
            .clusters(768)
            .seed(seed)
    };
    let base = (0..768).fold(image(1), |image, k| image.fill(k, Fill::Byte(k as u8 | 1)));
    let chain = ChainBuilder::base(&base)
        .child(&image(2).store_all([1, 500]))
        .child(&image(3).store_all([2, 500]));
    let text = chain.descriptor().xml();
    // It divides by the number.
    let text = text.replace("<Cylinders>0<", "<Cylinders>48<");
    chain.write_text(&scratch.source(), &text)
}

fn ploop(chain: &Chain, words: &[&str]) -> String {
    let mut command = Command::new("ploop");
    tool("ploop", command.args(words).arg(chain.descriptor()))
}

/// Converts snapshot `number`, and lets `ploop` do something in its middle: the exit status, and
/// what was said.
fn converted_while(
    chain: &Chain,
    scratch: &Scratch,
    number: usize,
    words: &[&str],
) -> (i32, String) {
    let snapshot = ["--snapshot", &chain.guids[number], "--verify"];
    let child = stopped_in_its_middle(&chain.dir, &scratch.target(), &snapshot);
    ploop(chain, words);
    signal(&child, "CONT");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), told)
}

#[test]
fn what_ploop_does_above_a_snapshot_is_nothing_to_it() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let delete = ["snapshot-delete", "-u", &chain.guids[1]];
    let switch = ["snapshot-switch", "-u", &chain.guids[0]];
    for words in [&["snapshot"][..], &delete, &["snapshot"], &switch] {
        let (status, told) = converted_while(&chain, &scratch, 0, words);
        assert_eq!(status, 0, "{words:?}: {told}");
        let found = std::fs::read(scratch.target()).unwrap();
        assert!(found == chain.model_of(0).content(), "{words:?}");
        std::fs::remove_file(scratch.target()).unwrap();
    }
}

#[test]
fn a_snapshot_that_ploop_merges_ends_its_conversion() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let words = ["snapshot-delete", "-u", &chain.guids[1]];
    let (status, told) = converted_while(&chain, &scratch, 1, &words);
    assert_eq!(status, 4, "{told}");
    assert!(!scratch.target().exists());
    // The one below it is merged with what is the top then.
    let words = ["snapshot-delete", "-u", &chain.guids[0]];
    let (status, told) = converted_while(&chain, &scratch, 0, &words);
    assert_eq!(status, 4, "{told}");
}

/// Rounds as a user does them, with snapshots that `ploop` takes.
#[test]
fn rounds_with_snapshots_of_ploop_end_with_the_disk() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let target = scratch.target();
    let first = ["--snapshot", &chain.guids[1]];
    convert(&chain.dir, &target).args(first).run().done();
    for _ in 0..3 {
        let said = ploop(&chain, &["snapshot"]);
        let guid = said.rsplit_once("ploop snapshot ").unwrap().1;
        let guid = guid.split_once(' ').unwrap().0.to_owned();
        let next = ["--snapshot", &guid, "--update", "--verify"];
        convert(&chain.dir, &target).args(next).run().done();
        assert!(std::fs::read(&target).unwrap() == chain.model().content());
    }
    convert(&chain.dir, &target)
        .args(["--update", "--verify"])
        .run()
        .done();
    assert!(std::fs::read(&target).unwrap() == chain.model().content());
}
