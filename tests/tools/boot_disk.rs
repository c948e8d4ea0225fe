//! A disk that boots, made of disks with every kind of partition table: other programs find nothing
//! wrong with it, and every partition has the bytes that it had.

use crate::support::Scratch;
use crate::support::divided::{MIB, Raw, ext4};
use crate::support::sparse::data_segments;
use crate::tools::tool;
use ploopconv::boot::{BootDisk, BootError, Grub, InitramfsPart, Payload, compose};
use ploopconv::convert::{ConvertOptions, Input, Resources, Target, plan};
use ploopconv::disk::{RawDisk, VirtualDisk};
use ploopconv::sink::Partials;
use ploopconv::{Workers, partition};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the boot partition is to hold: nothing that boots, but of lengths that fill clusters in
/// part, in full, and not at all.
fn payload() -> Payload {
    let part = |name: &str, len: usize| InitramfsPart {
        name: name.to_owned(),
        bytes: (0..len).map(|at| (at % 251) as u8).collect(),
    };
    let mut kernel = vec![7; 3 << 20];
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x236] = 1;
    Payload {
        kernel: kernel.into(),
        initramfs: vec![part("a", 5_000_001), part("b", 2048), part("c", 0)],
        command_line: "root=UUID=1 console=ttyS0,115200".to_owned(),
    }
}

fn opened(disk: &Path) -> Arc<dyn VirtualDisk> {
    Arc::new(RawDisk::open(disk).unwrap())
}

/// Writes a disk to a file by the library's conversion.
fn write(disk: &BootDisk, target: &Path) {
    let workers = Workers::new(2).unwrap();
    let stop = AtomicBool::new(false);
    let partials = Arc::new(Partials::default());
    let resources = Resources {
        workers: &workers,
        stop: &stop,
        partials: &partials,
        progress: &(),
    };
    let mut options = ConvertOptions::for_name(target);
    options.read_back = true;
    let input = Input::of(Arc::clone(&disk.disk), "disk");
    let target = Target::File(target.to_owned());
    plan(input, target, options, &resources)
        .unwrap()
        .run(&resources)
        .unwrap();
}

/// What of a GPT stays the same wherever its partitions lie.
fn identities(disk: &Path, number: u32) -> String {
    let args = [format!("--info={number}")];
    let told = tool("gdisk", Command::new("sgdisk").args(args).arg(disk));
    let of_itself = |line: &&str| !line.contains("sector") && !line.contains("size");
    told.lines()
        .filter(of_itself)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Everything that holds whatever the disk was.
#[track_caller]
fn assert_boot_disk(raw: &Path, out: &Path) -> BootDisk {
    let old = opened(raw);
    let made = compose(&old, &payload(), &Grub::default()).unwrap();
    write(&made, out);
    let again = compose(&old, &payload(), &Grub::default()).unwrap();
    let (mut one, mut other) = (vec![0; 2 << 20], vec![0; 2 << 20]);
    for at in [0, made.boot.start, made.disk.size() - (2 << 20)] {
        made.disk.read_at(&mut one, at).unwrap();
        again.disk.read_at(&mut other, at).unwrap();
        assert!(one == other, "another run makes other bytes at {at}");
    }

    let found = tool("gdisk", Command::new("sgdisk").arg("-v").arg(out));
    assert!(found.contains("No problems found"), "{found}");
    let sfdisk = Command::new("sfdisk").arg("--verify").arg(out).output();
    let sfdisk = String::from_utf8(sfdisk.unwrap().stdout).unwrap();
    assert!(sfdisk.contains("No errors detected"), "{sfdisk}");
    let mut parted = Command::new("parted");
    let table = tool(
        "parted",
        parted.args(["-ms"]).arg(out).args(["unit", "B", "print"]),
    );
    assert!(table.contains(":gpt:"), "{table}");

    // Every partition, and nothing else of the old disk.
    let layout = partition::read(&*old).unwrap();
    for (number, range) in &made.kept {
        let from = layout
            .partition(*number)
            .map_or(0..old.size(), |part| part.start..part.start + part.len);
        assert_same_bytes(raw, from.clone(), out, range.start);
        let line = format!("\n{number}:{}B:", range.start);
        assert!(table.contains(&line), "{table}");
        // In sectors, and of the same length in whole ones.
        let len = (from.end - from.start).div_ceil(512);
        let line = format!("{number} {} {len}", range.start / 512);
        let mut partx = Command::new("partx");
        partx.args(["--raw", "--noheadings", "--output", "NR,START,SECTORS"]);
        let listed = tool("util-linux", partx.arg(out));
        assert!(
            listed.lines().any(|known| known == line),
            "{line}: {listed}"
        );
    }
    assert_boot_partition(out, &made);
    made
}

/// The bytes of a range of a file are those of another from `start` on: read where either has some.
#[track_caller]
fn assert_same_bytes(raw: &Path, from: Range<u64>, out: &Path, start: u64) {
    let len = from.end - from.start;
    let files = [raw, out].map(|path| fs::File::open(path).unwrap());
    let begins = [from.start, start];
    let mut places = Vec::new();
    for (file, begin) in files.iter().zip(begins) {
        for (data, end) in data_segments(file, begin + len) {
            let (data, end) = (data.max(begin), end.min(begin + len));
            places.extend((data < end).then(|| data - begin..end - begin));
        }
    }
    for place in places {
        for at in (place.start..place.end).step_by(MIB as usize) {
            let mut pieces = [(); 2].map(|()| vec![0; (place.end - at).min(MIB) as usize]);
            for ((file, begin), piece) in files.iter().zip(begins).zip(&mut pieces) {
                file.read_exact_at(piece, begin + at).unwrap();
            }
            assert!(pieces[0] == pieces[1], "other bytes from {at} on");
        }
    }
}

#[track_caller]
fn assert_boot_partition(out: &Path, made: &BootDisk) {
    let file = RawDisk::open(out).unwrap();
    let mut bytes = vec![0; (made.boot.end - made.boot.start) as usize];
    file.read_at(&mut bytes, made.boot.start).unwrap();
    let fat = out.with_extension("fat");
    fs::write(&fat, bytes).unwrap();
    let found = tool("dosfstools", Command::new("fsck.vfat").arg("-n").arg(&fat));
    assert!(
        !found.contains("differ") && !found.contains("wrong"),
        "{found}"
    );
    let held = |path: &str| {
        let mut mtype = Command::new("mtype");
        let output = mtype.arg("-i").arg(&fat).arg(format!("::{path}")).output();
        output.unwrap().stdout
    };
    let payload = payload();
    assert!(held("/vmlinuz") == *payload.kernel);
    for (at, part) in payload.initramfs.iter().enumerate() {
        assert!(held(&format!("/initrd.{at}")) == *part.bytes, "{at}");
    }
    let config = String::from_utf8(held("/grub/grub.cfg")).unwrap();
    assert!(config.contains("linux /vmlinuz 'root=UUID=1' 'console=ttyS0,115200'"));
    assert!(held("/EFI/BOOT/BOOTX64.EFI").starts_with(b"MZ"));
    let mut mdir = Command::new("mdir");
    let list = tool("mtools", mdir.args(["-/", "-b", "-i"]).arg(&fat).arg("::"));
    let names: Vec<&str> = list.lines().collect();
    let expected = [
        "::/grub/",
        "::/grub/grub.cfg",
        "::/EFI/",
        "::/EFI/BOOT/",
        "::/EFI/BOOT/BOOTX64.EFI",
        "::/vmlinuz",
        "::/initrd.0",
        "::/initrd.1",
        "::/initrd.2",
    ];
    let mut names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let mut expected = expected.map(str::to_lowercase);
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    fs::remove_file(fat).unwrap();
}

fn out(scratch: &Scratch) -> std::path::PathBuf {
    scratch.out().join("disk.raw")
}

#[test]
fn a_containers_disk_keeps_its_table_and_grows_behind() {
    let scratch = Scratch::new();
    let raw = Raw::sgdisk(64 * MIB, &["--new=1:2048:0", "--change-name=1:root of 101"]);
    raw.fill(MIB, 60 * MIB, ext4("root"));
    let out = out(&scratch);
    let made = assert_boot_disk(&raw.path, &out);
    assert_eq!((made.moved, made.boot_number), (0, 3));
    assert_eq!(identities(&raw.path, 1), identities(&out, 1));
    let guid = |disk: &Path| {
        let told = tool("gdisk", Command::new("sgdisk").arg("-p").arg(disk));
        let line = told
            .lines()
            .find(|line| line.contains("GUID"))
            .map(str::to_owned);
        line.unwrap()
    };
    assert_eq!(guid(&raw.path), guid(&out));
    // A second time: what was added is replaced.
    let next = scratch.out().join("next.raw");
    let again = assert_boot_disk(&out, &next);
    assert_eq!((again.boot_number, again.boot.clone()), (3, made.boot));
    assert_eq!(identities(&raw.path, 1), identities(&next, 1));
}

#[test]
fn partitions_of_every_kind_keep_their_places_and_numbers() {
    let scratch = Scratch::new();
    // Gaps, numbers out of order, a partition to the last usable sector.
    let args = [
        "--new=5:2048:+8M",
        "--new=2:40960:+4M",
        "--new=9:65536:0",
        "--typecode=2:8200",
    ];
    let raw = Raw::sgdisk(64 * MIB, &args);
    raw.fill(MIB, 8 * MIB, ext4("five"));
    raw.write(&[0xa5; 4096], 65536 * 512);
    let made = assert_boot_disk(&raw.path, &out(&scratch));
    assert_eq!(made.moved, 0);
    let numbers: Vec<u32> = made.kept.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [5, 2, 9]);
    for number in [5, 2, 9] {
        let (old, new) = (
            identities(&raw.path, number),
            identities(&out(&scratch), number),
        );
        assert_eq!(old, new);
    }
}

#[test]
fn a_disk_without_a_table_becomes_a_partition() {
    let scratch = Scratch::new();
    let raw = Raw::new(16 * MIB);
    raw.fill(0, 16 * MIB, ext4("whole"));
    let made = assert_boot_disk(&raw.path, &out(&scratch));
    assert_eq!(made.moved, MIB);
    assert_eq!(made.kept, [(1, MIB..17 * MIB)]);
}

#[test]
fn primary_and_logical_partitions_become_those_of_a_gpt() {
    let scratch = Scratch::new();
    let raw = Raw::new(64 * MIB);
    // The first begins where it did before disks had larger sectors: no room for a boot loader.
    let table = "label: dos\n63,16321,83\n18432,16384,82\n40960,65536,5\n43008,8192,83\n";
    let mut sfdisk = Command::new("sh");
    sfdisk.args([
        "-c",
        "printf '%s' \"$1\" | sfdisk -q --force \"$2\"",
        "sh",
        table,
    ]);
    tool("fdisk", sfdisk.arg(&raw.path));
    raw.fill(63 * 512, 16320 * 512, ext4("first"));
    raw.write(&[0x5a; 4096], 43008 * 512);
    let made = assert_boot_disk(&raw.path, &out(&scratch));
    assert_eq!(made.moved, 0);
    let numbers: Vec<u32> = made.kept.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 5]);
}

#[test]
fn partitions_too_early_for_a_gpt_move_together() {
    let scratch = Scratch::new();
    let raw = Raw::new(32 * MIB);
    let mut sfdisk = Command::new("sh");
    let table = "label: dos\n1,40000,83\n";
    sfdisk.args([
        "-c",
        "printf '%s' \"$1\" | sfdisk -q --force \"$2\"",
        "sh",
        table,
    ]);
    tool("fdisk", sfdisk.arg(&raw.path));
    raw.fill(512, 39936 * 512, ext4("early"));
    let made = assert_boot_disk(&raw.path, &out(&scratch));
    assert_eq!(made.moved, MIB);
}

#[test]
fn a_table_in_larger_sectors_is_made_anew() {
    let scratch = Scratch::new();
    let raw = Raw::new(64 * MIB);
    let mut fdisk = Command::new("sh");
    let table = "g\nn\n1\n256\n+20M\nn\n3\n8192\n\nx\nn\n1\nroot of 101\nr\nw\n";
    let script = "printf '%s' \"$1\" | fdisk -b 4096 \"$2\"";
    tool(
        "fdisk",
        fdisk.args(["-c", script, "sh", table]).arg(&raw.path),
    );
    raw.fill(MIB, 20 * MIB, ext4("of 4096"));
    raw.write(&[0x5a; 4096], 8192 * 4096);
    let old = partition::read(&*opened(&raw.path)).unwrap();
    assert_eq!(old.table.unwrap().sector_size, 4096);
    let made = assert_boot_disk(&raw.path, &out(&scratch));
    assert_eq!(made.moved, 0);
    let numbers: Vec<u32> = made.kept.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 3]);
    // What names them stays: their GUIDs, types and names, and the GUID of the disk.
    let new = partition::read(&*opened(&out(&scratch))).unwrap();
    for part in &old.partitions {
        let same = new.partition(part.number).unwrap();
        assert_eq!(
            (same.guid, &same.kind, &same.name),
            (part.guid, &part.kind, &part.name)
        );
        assert_eq!((same.start, same.len), (part.start, part.len));
    }
    assert_eq!(new.partition(1).unwrap().name, "root of 101");
    assert_eq!(new.table.unwrap().guid, old.table.unwrap().guid);
}

#[test]
fn a_partition_to_the_last_sector_gets_the_table_behind_it() {
    let scratch = Scratch::new();
    let raw = Raw::new(32 * MIB);
    let mut sfdisk = Command::new("sh");
    let script = "printf '%s' \"$1\" | sfdisk -q --force \"$2\"";
    let table = "label: dos\n2048,63488,83\n";
    tool(
        "fdisk",
        sfdisk.args(["-c", script, "sh", table]).arg(&raw.path),
    );
    raw.fill(MIB, 31 * MIB, ext4("to the end"));
    raw.write(&[0xa5; 512], 32 * MIB - 512);
    let made = assert_boot_disk(&raw.path, &out(&scratch));
    assert_eq!((made.moved, made.kept), (0, vec![(1, MIB..32 * MIB)]));
    assert_eq!(made.boot.start, 32 * MIB);
}

const TIB: u64 = 1 << 40;

/// Where the boot record says that GRUB's core is, and the core that its next sectors are, in
/// sectors: fields of GRUB's own installer.
fn said_places(out: &Path) -> (u64, u64) {
    let file = RawDisk::open(out).unwrap();
    let number = |at: u64| {
        let mut bytes = [0; 8];
        file.read_at(&mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    };
    let core = number(0x5c);
    (core, number(core * 512 + 0x1f4))
}

#[test]
fn a_disk_beyond_two_tebibytes_boots_from_behind_them() {
    // With a gap in front for the boot loader, and without one.
    for (start, core_is_far) in [(2048, false), (34, true)] {
        let scratch = Scratch::new();
        let new = format!("--new=1:{start}:0");
        let raw = Raw::sgdisk(3 * TIB, &["--set-alignment=1", &new]);
        raw.fill(start * 512, 60 * MIB, ext4("large"));
        raw.write(&[0xa5; 4096], 3 * TIB - 2 * MIB);
        let out = out(&scratch);
        let made = assert_boot_disk(&raw.path, &out);
        assert_eq!(made.moved, 0);
        assert!(made.boot.start >= 3 * TIB);
        let (core, rest) = said_places(&out);
        assert_eq!(rest, core + 1);
        assert_eq!(core * 512 > 2 * TIB, core_is_far, "{core}");
        let bios = partition::read(&*opened(&out)).unwrap();
        let bios = bios.partition(made.boot_number - 1).unwrap();
        assert_eq!(
            (bios.start, &*bios.name),
            (core * 512, "ploopconv BIOS boot")
        );
    }
}

#[test]
fn a_disk_that_boots_nothing_is_refused() {
    let refused = |disk: &Path, payload: &Payload, grub: &Grub| {
        let error = compose(&opened(disk), payload, grub).unwrap_err();
        error.code()
    };
    let grub = Grub::default();
    let empty = Raw::new(4 * MIB);
    assert_eq!(refused(&empty.path, &payload(), &grub), "no-system");
    let table = Raw::sgdisk(4 * MIB, &[]);
    assert_eq!(refused(&table.path, &payload(), &grub), "no-system");
    let many = Raw::sgdisk(8 * MIB, &["--resize-table=256", "--new=200:4096:0"]);
    assert_eq!(refused(&many.path, &payload(), &grub), "partition-number");

    let good = Raw::new(4 * MIB);
    good.fill(0, 4 * MIB, ext4("good"));
    let mut quoted = payload();
    quoted.command_line = "root=UUID=1 a=\"b c\"".to_owned();
    assert_eq!(refused(&good.path, &quoted, &grub), "kernel-command-line");
    let mut none = grub.clone();
    none.programs = vec!["/nowhere/grub-mkimage".into()];
    assert_eq!(refused(&good.path, &payload(), &none), "no-grub");
    none = grub.clone();
    none.folders = vec!["/nowhere".into()];
    let error = compose(&opened(&good.path), &payload(), &none).unwrap_err();
    let of_bios = |error: &BootError| {
        matches!(
            error,
            BootError::NoPlatform {
                package: "grub-pc-bin",
                ..
            }
        )
    };
    assert!(error.detail().is_some_and(of_bios), "{error}");
    let mut wrong = grub;
    wrong.programs = vec!["false".into()];
    assert_eq!(refused(&good.path, &payload(), &wrong), "grub-failed");
}
