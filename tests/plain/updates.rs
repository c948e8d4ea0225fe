//! `--update`: after it a target is what a conversion of the whole disk would make, whatever
//! happened between the two.

use crate::support::hints::IN_USE;
use crate::support::running::{signal, stopped_in_its_middle};
use crate::support::updates::{self, SMALL, kill_layers, large, layers};
use crate::support::{
    Chain, ChainBuilder, Fill, Outcome, Program, Scratch, SourceGuard, convert, names_in, program,
};
use serde_json::Value;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CLUSTER: u64 = SMALL;

pub(super) fn run(chain: &Chain, target: &Path, options: &[&str]) -> Outcome {
    convert(&chain.dir, target).args(options).run()
}

/// Converts snapshot `number`.
#[track_caller]
pub(super) fn first(chain: &Chain, number: usize, target: &Path, options: &[&str]) {
    let snapshot = ["--snapshot", &chain.guids[number]];
    convert(&chain.dir, target)
        .args(snapshot)
        .args(options)
        .run()
        .done();
    assert_holds(target, &chain.model_of(number).content());
}

#[track_caller]
pub(super) fn assert_holds(target: &Path, content: &[u8]) {
    let found = std::fs::read(target).unwrap();
    assert_eq!(found.len(), content.len());
    let place = found
        .iter()
        .zip(content)
        .position(|(one, other)| one != other);
    assert_eq!(place, None, "the first byte that differs");
}

pub(super) fn state_of(target: &Path) -> PathBuf {
    PathBuf::from(format!("{}.ploopconv", target.display()))
}

#[test]
fn a_target_is_what_a_whole_conversion_makes() {
    for options in [
        &[][..],
        &["--verify"],
        &["--sparse"],
        &["--reflink=never", "--checksum", "--verify"],
        &["-j", "1", "--checksum=blkhash"],
    ] {
        let scratch = Scratch::new();
        let chain = layers(false).write(&scratch.source());
        let _guard = SourceGuard::new(&scratch.source());
        let target = scratch.target();
        let sparse: Vec<_> = options.iter().filter(|word| **word == "--sparse").collect();
        let sparse: Vec<&str> = sparse.into_iter().copied().collect();
        first(&chain, 0, &target, &sparse);
        let update = [options, &["--update", "--json"]].concat();
        let report = run(&chain, &target, &update).done().json();
        assert_holds(&target, &chain.model().content());
        assert_eq!(report["from_snapshot"], chain.guids[0].as_str());
        // The first MiB, and what the layers store past it: 50, 41, 30, 60, 42, and the new end.
        let changed = (1 << 20) + 5 * CLUSTER + chain.model().size() - 80 * CLUSTER;
        assert_eq!(report["changed_bytes"], changed, "{report}");
        assert!(report["seconds"].is_f64() && report["verified"].is_boolean());
        if options.contains(&"--checksum") {
            Program::new([Path::new("verify"), &target]).run().done();
        }
        assert!(run(&chain, &target, &["-f"]).status == Some(0));
        assert_holds(&target, &chain.model().content());
    }
}

#[test]
fn several_rounds_end_with_the_disk() {
    for way in ["--reflink=auto", "--reflink=never"] {
        let scratch = Scratch::new();
        let chain = layers(false).write(&scratch.source());
        let target = scratch.target();
        first(&chain, 0, &target, &[]);
        for number in [1, 1, 2, 2] {
            let snapshot = ["--snapshot", &chain.guids[number], "--update", way];
            let options = if number == 2 {
                &["--update", way]
            } else {
                &snapshot[..]
            };
            run(&chain, &target, options).done();
            assert_holds(&target, &chain.model_of(number).content());
        }
        // The top is written to again, and even gives back what it stored.
        let top = std::fs::File::options()
            .write(true)
            .open(&chain.files[2])
            .unwrap();
        let entry = |cluster: u64| 64 + 4 * cluster;
        top.write_all_at(&[0; 4], entry(60)).unwrap();
        drop(top);
        let whole = scratch.out().join("whole.raw");
        run(&chain, &whole, &[]).done();
        run(&chain, &target, &["--update", way, "--verify"]).done();
        assert_holds(&target, &std::fs::read(&whole).unwrap());
        assert_ne!(std::fs::read(&whole).unwrap(), chain.model().content());
    }
}

/// A partition alone, whose ranges count from its own start.
#[test]
fn a_partition_is_brought_up_to_date_by_itself() {
    let scratch = Scratch::new();
    let chain = crate::support::samples::container(&scratch);
    let info = Program::new([Path::new("info"), &chain])
        .arg("--json")
        .run();
    let info = info.json();
    let snapshots = info["snapshots"].as_array().unwrap();
    let below = snapshots.iter().find(|one| one["top"] == false).unwrap();
    let guid = below["guid"].as_str().unwrap();
    let (target, whole) = (scratch.target(), scratch.out().join("whole.raw"));
    let of_part = ["--partition", "1"];
    let first = convert(&chain, &target).args(of_part);
    first.args(["--snapshot", guid]).run().done();
    convert(&chain, &target)
        .args(of_part)
        .args(["--update", "--verify"])
        .run()
        .done();
    convert(&chain, &whole).args(of_part).run().done();
    assert_holds(&target, &std::fs::read(&whole).unwrap());
}

#[test]
fn a_dry_run_says_how_much_would_be_copied_and_touches_nothing() {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let target = scratch.target();
    first(&chain, 0, &target, &[]);
    let _guard = SourceGuard::new(&scratch.out());
    run(&chain, &target, &["--update", "--dry-run"])
        .done()
        .prints("to copy: ")
        .prints(&chain.guids[0]);
    let report = run(&chain, &target, &["--update", "--dry-run", "--json"])
        .done()
        .json();
    assert!(report["changed_bytes"].as_u64() > report["data_bytes"].as_u64());
    assert_eq!(
        (&report["seconds"], &report["replaced"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn only_a_snapshot_leaves_a_state_and_only_where_it_is_wanted() {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let names = |options: &[&str], name: &str| {
        run(&chain, &scratch.out().join(name), options).done();
        let names = names_in(&scratch.out());
        for name in &names {
            std::fs::remove_file(scratch.out().join(name)).unwrap();
        }
        names
    };
    let snapshot = ["--snapshot", &chain.guids[1]];
    assert_eq!(names(&[], "a.raw"), ["a.raw"]);
    assert_eq!(names(&snapshot, "a.raw"), ["a.raw", "a.raw.ploopconv"]);
    assert_eq!(
        names(&snapshot, "a.qcow2"),
        ["a.qcow2", "a.qcow2.ploopconv"]
    );
    for without in ["--no-state", "--no-sync", "--dry-run"] {
        let options = [&snapshot[..], &[without]].concat();
        assert!(!names(&options, "a.raw").contains(&"a.raw.ploopconv".to_owned()));
    }
    // What an older target held says nothing about a new one.
    let target = scratch.out().join("a.raw");
    first(&chain, 1, &target, &[]);
    run(&chain, &target, &["-f"]).done();
    assert_eq!(names_in(&scratch.out()), ["a.raw"]);
    std::fs::remove_file(&target).unwrap();
    // The top is no closed layer, under whatever name.
    let top = ["--snapshot", &chain.guids[2]];
    assert_eq!(names(&top, "a.raw"), ["a.raw"]);
}

/// What the layers above a snapshot do while it is read is nothing to it.
#[test]
fn a_snapshot_of_a_running_container_is_read_while_the_layer_above_is_written() {
    let scratch = Scratch::new();
    let base = (0..24).fold(large(1), |image, k| image.fill(k, Fill::Byte(k as u8 | 1)));
    let chain = ChainBuilder::base(&base)
        .child(&large(2).fill(3, Fill::Byte(77)))
        .child(&large(3).fill(4, Fill::Byte(88)).in_use(IN_USE))
        .write(&scratch.source());
    let target = scratch.target();
    let mut top = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&chain.files[2])
        .unwrap();
    let snapshot = ["--snapshot", &chain.guids[1], "--verify"];
    let mut child = stopped_in_its_middle(&chain.dir, &target, &snapshot);
    // It is rewritten, its table changes, and it grows.
    top.write_all_at(&[99; 4096], 2 << 20).unwrap();
    top.write_all_at(&[1, 2, 3, 4], 68).unwrap();
    top.seek(SeekFrom::End(0)).unwrap();
    top.write_all(&vec![55; 3 << 20]).unwrap();
    signal(&child, "CONT");
    assert!(child.wait().unwrap().success());
    assert_holds(&target, &chain.model_of(1).content());
    assert!(state_of(&target).exists());
    // And from the first to the last of it, by another program that has it open.
    let stop = scratch.path().join("stop");
    let script = "exec 3>>\"$0\"; while [ ! -e \"$1\" ]; do echo line >>\"$0\"; \
                  printf x >&3; done";
    let mut writer = Command::new("sh")
        .args(["-c", script])
        .args([&chain.files[2], &stop])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..3 {
        let run = Command::new(program::path())
            .arg(&chain.dir)
            .arg("-o")
            .arg(&target)
            .args(snapshot)
            .arg("-f")
            .output();
        let run = Outcome::new(run.unwrap(), "a snapshot under a writer".to_owned());
        run.done();
        assert_holds(&target, &chain.model_of(1).content());
    }
    std::fs::write(&stop, "").unwrap();
    writer.wait().unwrap();
    // The state that is read now is the one that is in use.
    let update = run(&chain, &target, &["--update"]);
    assert!([Some(3), Some(4)].contains(&update.status), "{update:?}");
    assert_holds(&target, &chain.model_of(1).content());
}

/// Ended anywhere, an update is made right by the same command. How many times:
/// `PLOOPCONV_UPDATE_KILLS`.
#[test]
fn an_update_in_place_that_is_killed_is_made_right_by_the_same_command() {
    killed("--reflink=never");
}

/// Kills updates at random moments; `way` chooses how the target is changed.
pub(super) fn killed(way: &str) {
    let scratch = Scratch::new();
    let chain = kill_layers().write(&scratch.source());
    killed_in(&scratch, &chain, &scratch.target(), way);
}

fn killed_in(scratch: &Scratch, chain: &Chain, target: &Path, way: &str) {
    let _guard = SourceGuard::new(&scratch.source());
    let content = chain.model().content();
    let saved = scratch.path().join("saved.raw");
    first(chain, 0, &saved, &[]);
    let start = || {
        Command::new(program::path())
            .arg(&chain.dir)
            .arg("-o")
            .arg(target)
            .args(["--update", "-q", way])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let begin = || {
        // The conversion itself, for the times of the target.
        let again = ["--snapshot", &chain.guids[0], "-f", "-q"];
        run(chain, target, &again).done();
    };
    let torn = |what: &str| {
        // What is under way does not boot: it is whole, or it has no start.
        let found = std::fs::read(target).unwrap();
        let is_old = found == std::fs::read(&saved).unwrap();
        let has_no_start = found[..4096].iter().all(|&byte| byte == 0);
        assert!(is_old || has_no_start || found == content, "{what}");
    };
    let again = |_: &str| {
        run(chain, target, &["--update", way]).done();
        assert_holds(target, &content);
    };
    updates::killed(25, begin, start, torn, again);
}
