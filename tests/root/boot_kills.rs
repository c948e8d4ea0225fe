//! A machine that is killed at any moment of its first boot: the next boot reaches the login, with
//! every change made. `tests/boot` runs this test.

#![allow(
    clippy::print_stderr,
    reason = "the command shows where each kill came"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ploopconv::disk::{RawDisk, Slice};
use ploopconv::ext4::Files;
use ploopconv::guest::{Change, Config, Kind, Receiver, RootFileSystem, What, changes};

use crate::boots::{Container, RootPartition, Row, converted, machine};
use crate::support::system::Mounted;
use crate::tools::tool;

/// What the script says first, and the guest's own init.
const BEGINS: &str = "ploopconv: the first boot as a machine";
const ENDS: &str = "the container starts";
const PATIENCE: Duration = Duration::from_secs(900);

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().unwrap())
}

/// A number that depends on these two alone.
fn chance(seed: u64, number: u64) -> u64 {
    let mut x = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(number);
    for _ in 0..3 {
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 27;
    }
    x
}

/// A disk over another one, which stays as it is. A kill loses a part of what the machine wrote and
/// did not flush: QEMU keeps in its memory where new clusters are, until a flush.
fn over(base: &Path, name: &str) -> PathBuf {
    let disk = base.with_file_name(name).with_extension("qcow2");
    let mut create = Command::new("qemu-img");
    create.args(["create", "-q", "-f", "qcow2", "-F", "qcow2"]);
    create.args(["-o", "cluster_size=4096", "-b"]);
    tool("qemu-utils", create.arg(base).arg(&disk));
    disk
}

/// Every file with what it is, and the contents of those in folders that are changed; without what
/// a running system writes.
fn listed(disk: &Path) -> Vec<String> {
    let part = RootPartition::of(disk);
    part.assert_sound();
    let dir = disk.with_extension("mnt");
    let options = format!("loop,ro,offset={}", part.start);
    let root = Mounted::image(&part.raw, &dir, &options);
    let script = "cd \"$1\"; find . \\( -path './var/l*' -o -path ./run -o -path ./tmp \
        -o -path ./etc/resolv.conf -o -path ./etc/network/run \\) -prune -o \
        -not -type d -printf '%p %y %m %U:%G %s %l\\n' -o -printf '%p %y %m %U:%G\\n'
        find etc root lib/modules/ -type f -not -path etc/resolv.conf -exec sha256sum {} +";
    let mut sh = Command::new("sh");
    let list = tool("findutils", sh.args(["-c", script, "sh"]).arg(&root.dir));
    root.end();
    let mut list: Vec<String> = list.lines().map(str::to_owned).collect();
    list.sort();
    list
}

/// That every change of the library's list is in a list of files.
fn assert_made(list: &[String], changes: &[Change]) {
    for change in changes {
        let path = String::from_utf8_lossy(&change.path);
        let found = list.iter().find_map(|line| {
            let rest = line.strip_prefix("./")?.strip_prefix(&*path)?;
            rest.strip_prefix(' ')
        });
        let is_made = match &change.what {
            What::Remove => found.is_none(),
            What::Write { contents, mode, .. } => {
                let wanted = format!("f {mode:o} 0:0 {} ", contents.len());
                found.is_some_and(|found| found == wanted)
            }
            What::Link { target } => {
                let target = String::from_utf8_lossy(target);
                found.is_some_and(|found| found.starts_with('l') && found.ends_with(&*target))
            }
            _ => true,
        };
        assert!(is_made, "{change:?}: {found:?}");
    }
}

/// Logs in on a disk, and turns the machine off.
#[track_caller]
fn boot_to_the_end(disk: &Path, memory: &str) {
    let mut console = machine(disk, memory, "bios", "virtio");
    console.log_in("root", "ploop", PATIENCE);
    console.power_off(Duration::from_secs(180));
}

#[test]
#[ignore = "takes half an hour: tests/boot"]
fn a_machine_that_is_killed_at_any_moment_of_its_first_boot_is_whole_after_the_next() {
    let kills = from_environment("PLOOPCONV_BOOT_KILLS", 40);
    let seed = from_environment("PLOOPCONV_BOOT_SEED", 1);
    let row = Row::parse("bookworm busybox amd64 clean small bios bios qcow2 virtio");
    let container = Container::new(&row);
    let base = container.scratch.out().join("base.qcow2");
    // With all modules of a kernel, nearly every kill would meet their copying.
    let memory = converted(&row, &container, &base);

    // The first one runs to its end: what it leaves is what the library says.
    let whole = over(&base, "whole");
    let mut console = machine(&whole, &memory, "bios", "virtio");
    console.wait_for(BEGINS, PATIENCE);
    let start = Instant::now();
    console.wait_for(ENDS, PATIENCE);
    let takes = start.elapsed();
    console.log_in("root", "ploop", PATIENCE);
    console.power_off(Duration::from_secs(180));
    let expected = listed(&whole);
    let changes = planned(&container);
    assert!(changes.len() > 10, "{changes:?}");
    assert_made(&expected, &changes);

    let in_the_middle = AtomicUsize::new(0);
    let kill = |number: u64| {
        let disk = over(&base, &number.to_string());
        let mut console = machine(&disk, &memory, "bios", "virtio");
        console.wait_for(BEGINS, PATIENCE);
        let per_mille = u32::try_from(chance(seed, number) % 1000).unwrap();
        std::thread::sleep(takes * per_mille / 1000);
        let said = console.kill();
        let told = said.matches("ploopconv: ").count();
        let ended = said.contains(ENDS);
        if !ended {
            in_the_middle.fetch_add(1, Ordering::Relaxed);
        }
        let what = format!("kill {number} of seed {seed}, after {per_mille}/1000 of {takes:?}");
        eprintln!(
            "{what}: {told} lines, {}",
            if ended { "at the end" } else { "in the middle" }
        );
        boot_to_the_end(&disk, &memory);
        let found = listed(&disk);
        let lost: Vec<_> = expected
            .iter()
            .filter(|line| !found.contains(line))
            .collect();
        let new: Vec<_> = found
            .iter()
            .filter(|line| !expected.contains(line))
            .collect();
        assert!(
            lost.is_empty() && new.is_empty(),
            "{what}: {lost:#?} became {new:#?}\n{said}"
        );
        fs::remove_file(disk).unwrap();
    };
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let kill = &kill;
            scope.spawn(move || (worker..kills).step_by(2).for_each(kill));
        }
    });
    let in_the_middle = in_the_middle.into_inner();
    assert!(
        in_the_middle as u64 * 2 >= kills,
        "{in_the_middle} of {kills} were in time"
    );
}

/// What the library says of the container.
fn planned(container: &Container) -> Vec<Change> {
    let part = RootPartition::of(&container.before);
    let mut blkid = Command::new("blkid");
    blkid.args(["--probe", "--output", "value", "--match-tag", "UUID"]);
    blkid.args(["--offset", &part.start.to_string()]);
    let uuid = tool("util-linux", blkid.arg(&part.raw));
    let disk = Arc::new(RawDisk::open(&part.raw).unwrap());
    let slice = Slice::new(disk, part.start, part.len).unwrap();
    let files = Files::open(Arc::new(slice)).unwrap();
    let receiver = Receiver {
        root: Some(RootFileSystem {
            uuid: uuid.trim().to_owned(),
            kind: "ext4".to_owned(),
        }),
        ..Kind::Kvm.into()
    };
    changes(&files, &Config::default(), receiver).unwrap()
}
