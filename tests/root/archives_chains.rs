//! `-O tar` of chains: three layers under a disk with two partitions. Every snapshot is unpacked to
//! what the kernel showed of the disk when it was taken.

use crate::archives::{GNU, Place, assert_same, list, make};
use crate::support::debian::fill;
use crate::support::divided::{MIB, Raw};
use crate::support::system::Mounted;
use crate::support::{ChainBuilder, ImageBuilder, SourceGuard, convert};
use crate::tools::tool;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const SIZE: u64 = 64 * MIB;
const PARTITIONS: [(u32, u64); 2] = [(1, MIB), (2, 31 * MIB)];

/// Mounts a partition of a raw disk.
fn mounted(raw: &Path, dir: &Path, offset: u64, more: &str) -> Mounted {
    let place = format!("loop,offset={offset},sizelimit={}{more}", 30 * MIB);
    Mounted::image(raw, dir, &place)
}

/// What happens on both partitions before the snapshot numbered so.
fn change(folder: &Path, number: usize) {
    let script = match number {
        0 => {
            "mkdir -p etc/a var; echo first >etc/a/file; ln etc/a/file var/link; \
             head -c 3M /dev/urandom >var/data; truncate -s 5M var/sparse; \
             head -c 2M /dev/urandom >var/gone; chown 7:8 var/data; setfacl -m u:9:r etc/a/file"
        }
        1 => {
            "rm var/gone; echo second >>etc/a/file; head -c 2M /dev/urandom >var/second; \
             mv etc/a etc/b; setcap cap_net_raw+ep var/data; \
             printf x | dd of=var/sparse bs=1 seek=4000000 conv=notrunc status=none"
        }
        _ => {
            "rm var/link; ln -s ../etc/b var/link; head -c 1M /dev/urandom >>var/data; \
             chmod 4755 var/second; setfattr -n user.note -v third var; : >etc/b/file"
        }
    };
    let mut shell = Command::new("sh");
    tool(
        "acl attr libcap2-bin",
        shell.args(["-ec", script]).current_dir(folder),
    );
}

/// The disk as it was at each snapshot and is now.
fn states(raw: &Raw) -> Vec<PathBuf> {
    for (_, offset) in PARTITIONS {
        raw.fill(offset, 30 * MIB, |file| make(file, &["-t", "ext4"], |_| {}));
    }
    let state = |number: usize| {
        for (partition, offset) in PARTITIONS {
            let dir = raw.scratch.path().join("change");
            let disk = mounted(&raw.path, &dir, offset, "");
            change(&disk.dir, number);
            fs::write(disk.dir.join("partition"), format!("{partition}\n")).unwrap();
            disk.end();
        }
        let kept = raw.scratch.path().join(format!("{number}.raw"));
        fs::copy(&raw.path, &kept).unwrap();
        kept
    };
    (0..3).map(state).collect()
}

#[test]
fn every_snapshot_of_a_chain_has_the_files_of_its_time() {
    let raw = Raw::sgdisk(SIZE, &["--new=1:2048:+30M", "--new=2:0:+30M"]);
    let states = states(&raw);
    let empty = || {
        ImageBuilder::v2()
            .cluster_sectors(2048)
            .clusters(64)
            .data_off(2048)
    };
    let chain = ChainBuilder::base(&empty()).child(&empty()).child(&empty());
    let chain = chain.write(&raw.scratch.source().join("root.hdd"));
    let zeros = raw.scratch.path().join("zeros");
    File::create(&zeros).unwrap().set_len(SIZE).unwrap();
    let mut before = &zeros;
    for (file, after) in chain.files.iter().zip(&states) {
        let filled = fill(file, before, after);
        assert!(filled.written > 2, "{filled:?}");
        before = after;
    }
    let _guard = SourceGuard::new(&raw.scratch.source());
    let place = Place::new();
    for (number, state) in states.iter().enumerate() {
        for (partition, offset) in PARTITIONS {
            let what = format!("snapshot {number}, partition {partition}");
            let dir = raw
                .scratch
                .path()
                .join(format!("kernel-{number}-{partition}"));
            let expected = list(&mounted(state, &dir, offset, ",ro").dir);
            let target = raw
                .scratch
                .out()
                .join(format!("{number}-{partition}.tar.zst"));
            let partition = partition.to_string();
            let run = convert(&chain.dir, &target)
                .args([
                    "--partition",
                    &partition,
                    "--snapshot",
                    &chain.guids[number],
                ])
                .arg("--verify");
            run.run().done();
            let found = place.unpacked(&target, "tar", &GNU);
            assert_same(&found, &expected, &what);
            fs::remove_dir_all(place.folder().join("tar")).unwrap();
        }
    }
    // The top is the disk as it is now, and has the bytes of the last one.
    let target = raw.scratch.out().join("now.tar.zst");
    let run = convert(&chain.dir, &target)
        .args(["--partition", "2"])
        .run();
    run.done();
    let last = raw.scratch.out().join("2-2.tar.zst");
    assert!(fs::read(target).unwrap() == fs::read(last).unwrap());
}
