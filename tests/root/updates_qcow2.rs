//! `--update` of qcow2 targets where blocks are shared, where there is no room, and where system
//! calls fail or are the last ones.

use crate::sharing::file_system;
use crate::support::qcow2::{assert_clean, assert_holds};
use crate::support::system::Mounted;
use crate::support::updates::{self, large, layers};
use crate::support::{Chain, ChainBuilder, Outcome, Scratch, SourceGuard, convert, program};
use std::path::Path;
use std::process::{Command, Output};

const MIB: u64 = 1 << 20;

fn run(chain: &Chain, target: &Path, options: &[&str]) -> Outcome {
    convert(&chain.dir, target).args(options).run()
}

#[track_caller]
fn first(chain: &Chain, target: &Path) {
    let snapshot = ["--snapshot", &chain.guids[0], "-f", "-q"];
    run(chain, target, &snapshot).done();
}

#[track_caller]
fn holds(chain: &Chain, number: usize, target: &Path, what: &str) {
    let mut sectors = chain.model_of(number).content();
    sectors.resize(sectors.len().next_multiple_of(512), 0);
    assert_holds(target, &sectors, what);
}

#[test]
fn a_new_file_shares_what_stayed_and_the_old_one_stays_what_it_was() {
    for kind in ["xfs", "btrfs"] {
        let scratch = Scratch::new();
        let mounted = file_system(&scratch, kind, &[]);
        let chain = layers(false).write(&scratch.source());
        let _guard = SourceGuard::new(&scratch.source());
        let target = mounted.dir.join("disk.qcow2");
        first(&chain, &target);
        let old = mounted.dir.join("old.qcow2");
        std::fs::hard_link(&target, &old).unwrap();
        for number in [1, 2, 2] {
            let snapshot = ["--snapshot", &chain.guids[number]];
            let snapshot = if number == 2 { &[][..] } else { &snapshot };
            let options = ["--update", "--json", "--verify", "--checksum"];
            let options = [&options[..], snapshot].concat();
            let report = run(&chain, &target, &options).done().json();
            assert_eq!(report["replaced"], true, "{report}");
            holds(&chain, number, &target, kind);
            holds(&chain, 0, &old, kind);
        }
    }
}

#[test]
fn where_the_room_ends_a_qcow2_update_goes_on_once_there_is_some() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&large(1).store_all([0, 3]))
        .child(&large(2).store_all(4..16))
        .write(&scratch.source());
    let small = Mounted::memory("20m", &scratch.path().join("small"));
    let target = small.dir.join("disk.qcow2");
    first(&chain, &target);
    let filler = small.dir.join("filler");
    std::fs::write(&filler, vec![1; 12 * MIB as usize]).unwrap();
    run(&chain, &target, &["--update"]).refused(1, &["the same command again makes it right"]);
    let found = std::fs::read(&target).unwrap();
    assert!(updates::is_incomplete(&found[..4096]));
    std::fs::remove_file(&filler).unwrap();
    run(&chain, &target, &["--update"]).done();
    assert_clean(&target);
    let back = scratch.out().join("back.raw");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", "qcow2", "-O", "raw"]);
    crate::tools::tool("qemu-utils", convert.arg(&target).arg(&back));
    assert!(std::fs::read(&back).unwrap() == chain.model().content());
}

/// An update whose system call number `time` of the kind `call` ends in `what`.
fn update_with(chain: &Chain, target: &Path, call: &str, what: &str, time: u32) -> Output {
    let _guard = SourceGuard::new(&chain.dir);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:{what}:when={time}"))
        .arg(program::path())
        .arg(&chain.dir)
        .arg("-o")
        .arg(target)
        .args(["--update", "--reflink=never", "-j", "1"]);
    strace.output().unwrap()
}

/// Each system call that changes something fails, and then is the last one before the program is
/// killed: one after the other, up to an update in which there is no such call.
#[test]
fn after_each_system_call_the_same_command_makes_a_qcow2_target_right() {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let target = scratch.out().join("disk.qcow2");
    first(&chain, &target);
    let saved = std::fs::read(&target).unwrap();
    let mut ended = 0;
    for call in [
        "pwrite64",
        "fsync",
        "fallocate",
        "ftruncate",
        "rename,renameat,renameat2",
    ] {
        for what in ["error=EIO", "signal=KILL"] {
            for time in 1..100 {
                first(&chain, &target);
                let output = update_with(&chain, &target, call, what, time);
                let told = format!("{call} {what} {time}: {output:?}");
                let mut found = std::fs::read(&target).unwrap();
                updates::forget_token(&mut found[..4096]);
                let has_no_header = found[..4096].iter().all(|&byte| byte == 0);
                if !has_no_header && found != saved {
                    holds(&chain, 2, &target, &told);
                }
                let again = run(&chain, &target, &["--update", "--reflink=never"]);
                assert_eq!(again.status, Some(0), "{told}\n{}", again.stderr);
                holds(&chain, 2, &target, &told);
                if output.status.success() {
                    break;
                }
                ended += 1;
            }
        }
    }
    assert!(ended > 30, "{ended}");
}
