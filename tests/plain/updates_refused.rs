//! Updates that do not fit are refused, whatever `--force` says, and touch nothing; the command
//! that is proposed makes the right bytes.

use super::updates::{assert_holds, first, run, state_of};
use crate::support::hints::{proposed, quoted, shell};
use crate::support::updates::layers;
use crate::support::{Chain, Program, Scratch, SourceGuard};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

struct Made {
    scratch: Scratch,
    chain: Chain,
    target: PathBuf,
}

impl Made {
    fn new() -> Self {
        let scratch = Scratch::new();
        let chain = layers(false).write(&scratch.source().join("101"));
        let target = scratch.target();
        first(&chain, 1, &target, &[]);
        Self {
            scratch,
            chain,
            target,
        }
    }

    /// The update is refused with `code` and changes nothing, and the hint leads to the disk.
    #[track_caller]
    fn refused(&self, code: &str, options: &[&str]) {
        let before = SourceGuard::new(&self.scratch.out());
        for force in [&[][..], &["-f"]] {
            let words = [&["--update", "--json"], options, force].concat();
            let outcome = run(&self.chain, &self.target, &words).refused(1, &[]);
            let report = outcome.json();
            assert_eq!(report["code"], code, "{report}");
        }
        drop(before);
        let line = format!(
            "ploopconv {} -o {} --update {}",
            quoted(&self.chain.dir),
            quoted(&self.target),
            options.join(" ")
        );
        let refused = shell(&line).status(1);
        let commands = proposed(&refused, &line);
        let [command] = &commands[..] else {
            panic!("{commands:?}")
        };
        shell(command).done();
        assert_holds(&self.target, &self.chain.model().content());
    }

    fn change_state(&self, from: &str, to: &str) {
        let path = state_of(&self.target);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }
}

fn poke(path: &Path, offset: u64, byte: u8) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&[byte], offset).unwrap();
}

fn keep_times(path: &Path, change: impl FnOnce()) {
    let before = std::fs::metadata(path).unwrap().modified().unwrap();
    change();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(before).unwrap();
}

#[test]
fn a_state_that_is_missing_damaged_or_of_another_version_leads_to_a_whole_conversion() {
    let made = Made::new();
    std::fs::remove_file(state_of(&made.target)).unwrap();
    made.refused("no-state", &[]);
    for text in [
        "",
        "{",
        "[]",
        "{\"content\": 3}",
        "{\"content\": {\"version\": 1}}",
        "\0\0",
    ] {
        let made = Made::new();
        std::fs::write(state_of(&made.target), text).unwrap();
        made.refused("state", &[]);
    }
    let made = Made::new();
    made.change_state("\"version\": 1", "\"version\": 2");
    made.refused("state", &[]);
}

#[test]
fn a_target_that_was_started_meanwhile_leads_to_a_whole_conversion() {
    let size = |made: &Made| std::fs::metadata(&made.target).unwrap().len();
    // Written to, in the middle, where only the time shows it.
    let made = Made::new();
    poke(&made.target, 3 << 20, 1);
    made.refused("target-changed", &[]);
    // At the ends, with the time put back.
    for from_end in [false, true] {
        let made = Made::new();
        let at = if from_end { size(&made) - 4000 } else { 77 };
        keep_times(&made.target, || poke(&made.target, at, 0x33));
        made.refused("target-changed", &[]);
    }
    for len in [-1, 1] {
        let made = Made::new();
        let file = File::options().write(true).open(&made.target).unwrap();
        file.set_len(size(&made).wrapping_add_signed(len)).unwrap();
        made.refused("target-changed", &[]);
    }
    let made = Made::new();
    std::fs::remove_file(&made.target).unwrap();
    made.refused("target-changed", &[]);
}

#[test]
fn other_layers_lead_to_a_whole_conversion() {
    // Another container that is alike to the last byte.
    let mut made = Made::new();
    let other = made.scratch.source().join("102");
    let folder = made.chain.dir.clone();
    std::fs::rename(&folder, &other).unwrap();
    made.chain.dir = other;
    made.refused("other-layers", &[]);
    // A layer below was written to, or its table was, with the time put back.
    let made = Made::new();
    let layer = made.chain.files[0].clone();
    let file = File::options().write(true).open(&layer).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    drop(file);
    made.refused("other-layers", &[]);
    let made = Made::new();
    let layer = made.chain.files[1].clone();
    // The heads of its geometry, which decide nothing.
    keep_times(&layer, || poke(&layer, 20, 99));
    made.refused("other-layers", &[]);
    // A snapshot below that of the target.
    let made = Made::new();
    let snapshot = ["--snapshot", &made.chain.guids[0]];
    let words = [&["--update"][..], &snapshot].concat();
    run(&made.chain, &made.target, &words).refused(1, &["merged or deleted"]);
    // Merged: the descriptor knows it no longer.
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    first(&chain, 1, &scratch.target(), &[]);
    let merged = crate::support::ChainBuilder::base(&crate::support::ImageBuilder::v2())
        .child(&crate::support::ImageBuilder::v2());
    let text = merged.descriptor().xml();
    std::fs::write(chain.descriptor(), text).unwrap();
    run(&chain, &scratch.target(), &["--update"]).refused(1, &["merged or deleted"]);
}

/// An update that came to its end and did not write that down: its target is of newer layers than
/// its state says in front.
#[test]
fn the_layers_of_an_update_are_looked_at_whose_end_was_not_written_down() {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let target = scratch.target();
    let state = || -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(state_of(&target)).unwrap()).unwrap()
    };
    first(&chain, 0, &target, &[]);
    let mut before = state();
    let snapshot = ["--snapshot", &chain.guids[1], "--update"];
    run(&chain, &target, &snapshot).done();
    before["content"]["next"] = state()["content"].clone();
    std::fs::write(state_of(&target), before.to_string()).unwrap();
    let planned = run(&chain, &target, &["--update", "--dry-run", "--json"]);
    assert_eq!(planned.json()["from_snapshot"], chain.guids[1].as_str());
    // The snapshot is merged into the top.
    let merged = crate::support::ChainBuilder::base(&crate::support::ImageBuilder::v2())
        .child(&crate::support::ImageBuilder::v2());
    std::fs::write(chain.descriptor(), merged.descriptor().xml()).unwrap();
    run(&chain, &target, &["--update"]).refused(1, &["merged or deleted"]);
}

#[test]
fn other_options_lead_to_a_whole_conversion() {
    let made = Made::new();
    made.refused("other-options", &["--sparse"]);
}

#[test]
fn what_no_update_is_for_says_so() {
    let made = Made::new();
    let chain = &made.chain;
    let words = |options: &[&'static str]| [&["--update"], options].concat();
    for options in [
        &["--compact"][..],
        &["--salvage"],
        &["--no-sync"],
        &["-O", "tar"],
    ] {
        run(chain, &made.target, &words(options)).refused(2, &["--update"]);
    }
    for options in [
        &["-O", "qcow2"][..],
        &["--sparse=never"],
        &["--single-layer"],
    ] {
        let image = match options {
            ["--single-layer"] => &chain.files[0],
            _ => &chain.dir,
        };
        crate::support::convert(image, &made.target)
            .args(words(options))
            .run()
            .refused(1, &["to convert all of the disk again"]);
    }
    run(chain, Path::new("-"), &words(&[])).refused(2, &["--update"]);
    let folder = made.scratch.out();
    run(chain, &folder, &words(&[])).refused(2, &["is a directory"]);
    let target = made.scratch.out().join("101.qcow2");
    let compressed = ["--snapshot", &chain.guids[0], "--compress"];
    run(chain, &target, &compressed).done();
    run(chain, &target, &words(&["--compress"])).refused(1, &["a compressed file"]);
}

/// A digest of what a target held before is never left beside it without a word.
#[test]
fn a_checksum_of_the_older_content_does_not_stay() {
    for way in ["--reflink=auto", "--reflink=never"] {
        let made = Made::new();
        let (chain, target) = (&made.chain, &made.target);
        let snapshot = ["--snapshot", &chain.guids[1], "-f"];
        let sums = |kind: &str| PathBuf::from(format!("{}.{kind}", target.display()));
        for kind in ["--checksum", "--checksum=blkhash"] {
            run(chain, target, &[&snapshot[..], &[kind]].concat()).done();
        }
        let list = made.scratch.out().join("SHA256SUMS");
        let line = std::fs::read_to_string(sums("sha256")).unwrap();
        std::fs::write(
            &list,
            format!("{line}{}", line.replace("disk.raw", "b.raw")),
        )
        .unwrap();
        run(chain, target, &snapshot).done();
        let update = ["--update", way, "--checksum", "--json"];
        let done = run(chain, target, &update).status(0);
        assert!(!sums("blkhash").exists() && sums("sha256").exists());
        let told = done.json()["warnings"].to_string();
        assert!(told.contains("disk.raw.blkhash was removed"), "{told}");
        assert!(told.contains("SHA256SUMS still has the digest"), "{told}");
        assert!(told.contains("warning: "), "{told}");
        assert!(!told.contains("disk.raw.sha256"), "{told}");
        std::fs::remove_file(list).unwrap();
        Program::new([Path::new("verify"), target]).run().done();
        run(chain, target, &["--update", way]).done();
        assert!(!sums("sha256").exists());
        // One that is about another file, or about nothing, is somebody's.
        std::fs::write(sums("sha256"), line.replace("disk.raw", "b.raw")).unwrap();
        run(chain, target, &["--update", way]).done();
        assert!(sums("sha256").exists());
    }
}

/// What a power failure leaves of the mark at the start is made right, and nothing else is.
#[test]
fn a_mark_that_was_written_half_is_made_right() {
    let made = Made::new();
    let (chain, target) = (&made.chain, &made.target);
    let before = std::fs::read(target).unwrap();
    let after = chain.model().content();
    let old_state = std::fs::read_to_string(state_of(target)).unwrap();
    run(chain, target, &["--update", "--reflink=never"]).done();
    // As it is while an update is under way.
    let mut state: serde_json::Value = serde_json::from_str(&old_state).unwrap();
    let hex = before[..4096].iter().map(|byte| format!("{byte:02x}"));
    state["content"]["under_way"] = true.into();
    state["content"]["changed"] = serde_json::json!([[0, after.len()]]);
    let begin = serde_json::json!({"head": hex.collect::<String>(), "len": before.len()});
    state["content"]["before"] = begin;
    let state = state.to_string();
    let torn = |whole: &[u8], from: usize, to: usize| {
        let mut torn = whole.to_vec();
        torn[from..to].fill(0);
        torn
    };
    // The disk begins with zeros afterwards: a start that is made zeros is enough to show.
    for held in [
        torn(&before, 0, 512),
        torn(&before, 512, 4096),
        torn(&before, 1024, 2048),
    ] {
        std::fs::write(target, held).unwrap();
        std::fs::write(state_of(target), &state).unwrap();
        run(chain, target, &["--update", "--reflink=never"]).done();
        assert_holds(target, &after);
    }
    let mut other = torn(&before, 512, 4096);
    other[3] ^= 1;
    let mut further = torn(&before, 512, 4096);
    further[700_000] ^= 1;
    for held in [other, further] {
        std::fs::write(target, held).unwrap();
        std::fs::write(state_of(target), &state).unwrap();
        let outcome = run(chain, target, &["--update", "--reflink=never"]);
        outcome.refused(1, &["it has another start now"]);
    }
}
