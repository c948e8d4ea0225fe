//! What is wrong with the files of a disk.

use super::{Cases, disk_with, path};
use crate::support::{Fill, ImageBuilder, Program};
use crate::tools::tool;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is wrong with free blocks that are to be left out.
pub(super) fn free_blocks(cases: &mut Cases) {
    for (code, status, script) in [
        ("not-unmounted", 1, "debugfs -w -R 'feature needs_recovery'"),
        ("free-blocks", 3, "debugfs -w -R 'ssv free_blocks_count 5'"),
        (
            "ambiguous-disk",
            1,
            "echo 2048,4096,83 | sfdisk -q --wipe never --label dos",
        ),
    ] {
        let raw = cases.scratch.path().join(format!("{code}.raw"));
        File::create(&raw).unwrap().set_len(32 << 20).unwrap();
        let mut mke2fs = Command::new("mke2fs");
        tool(
            "e2fsprogs",
            mke2fs.args(["-q", "-F", "-t", "ext4"]).arg(&raw),
        );
        let mut sh = Command::new("sh");
        let script = format!("{script} \"$1\"");
        tool("e2fsprogs", sh.args(["-c", &script, "sh"]).arg(&raw));
        let image = as_ploop(cases, &raw);
        cases.converts(code, status, &image, &["--compact"]);
    }
}

/// What is wrong with files that are to be packed.
pub(super) fn packed_files(cases: &mut Cases) {
    let noise = cases.image.clone();
    cases.converts("no-file-system", 1, &noise, &["-O", "tar"]);
    let no_text = ["-O", "tar", "--for", "lxc", "--config", "/proc/self/exe"];
    cases.converts("no-container-configuration", 1, &noise, &no_text);
    let luks = disk_with(cases, "luks.hds", b"LUKS\xba\xbe\0\x01");
    cases.converts("other-file-system", 1, &luks, &["-O", "tar"]);
    let raw = cases.scratch.path().join("several.raw");
    File::create(&raw).unwrap().set_len(64 << 20).unwrap();
    let mut sgdisk = Command::new("sgdisk");
    tool(
        "gdisk",
        sgdisk.args(["-n1:2048:+20M", "-n2:0:+20M"]).arg(&raw),
    );
    for offset in [1 << 20, 21 << 20] {
        let offset = format!("offset={offset}");
        let mut mke2fs = Command::new("mke2fs");
        tool(
            "e2fsprogs",
            mke2fs
                .args(["-q", "-F", "-E", &offset])
                .arg(&raw)
                .arg("20M"),
        );
    }
    let several = as_ploop(cases, &raw);
    cases.converts("several-file-systems", 1, &several, &["-O", "tar"]);
    // One thing spoiled in a file system that is good otherwise.
    for (code, status, options, request) in [
        ("file-system", 3, "^metadata_csum", "sif /f mode 0"),
        (
            "file-system-feature",
            1,
            "^metadata_csum",
            "ssv feature_incompat 0x8000000",
        ),
        (
            "journal",
            3,
            "^metadata_csum,needs_recovery",
            "ssv journal_inum 0",
        ),
        ("encrypted", 1, "encrypt", "sif /f flags 0x80800"),
    ] {
        let raw = cases.scratch.path().join(format!("{code}.raw"));
        File::create(&raw).unwrap().set_len(32 << 20).unwrap();
        let content = cases.scratch.path().join("content");
        std::fs::create_dir_all(&content).unwrap();
        std::fs::write(content.join("f"), [7; 5000]).unwrap();
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-F", "-t", "ext4", "-O"]);
        mke2fs.arg(options.trim_end_matches(",needs_recovery"));
        tool("e2fsprogs", mke2fs.arg("-d").arg(&content).arg(&raw));
        let mut requests = vec![request];
        if options.ends_with(",needs_recovery") {
            requests.insert(0, "feature needs_recovery");
        }
        for request in requests {
            let mut debugfs = Command::new("debugfs");
            tool("e2fsprogs", debugfs.args(["-w", "-R", request]).arg(&raw));
        }
        let image = as_ploop(cases, &raw);
        cases.converts(code, status, &image, &["-O", "tar"]);
    }
}

/// A raw disk in an image of its own.
pub(super) fn as_ploop(cases: &Cases, raw: &Path) -> PathBuf {
    let name = raw.file_name().unwrap();
    let image = cases.scratch.source().join(name).with_extension("hds");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", "raw", "-O", "parallels"]);
    tool("qemu-utils", convert.arg(raw).arg(&image));
    image
}

/// A disk that begins with these bytes, in whole clusters.
fn disk_of(cases: &Cases, name: &str, bytes: &[u8]) -> PathBuf {
    let path = cases.scratch.source().join(name);
    let mut built = ImageBuilder::v2().cluster_sectors(64).clusters(512);
    for (index, piece) in (0u32..).zip(bytes.chunks(64 * 512)) {
        if piece.iter().any(|byte| *byte != 0) {
            built = built.fill(index, Fill::Bytes(piece.to_vec()));
        }
    }
    built.write(&path);
    path
}

/// What is wrong with files that are to be listed.
pub(super) fn listed_files(cases: &mut Cases) {
    let tree = cases.folder("tree");
    std::fs::write(tree.join("file"), "").unwrap();
    std::os::unix::fs::symlink("loop", tree.join("loop")).unwrap();
    let raw = cases.folder("fs").join("fs.raw");
    let make = |options: &[&str]| {
        std::fs::write(&raw, vec![0; 4 << 20]).unwrap();
        let mut mke2fs = Command::new("mke2fs");
        mke2fs.args(["-q", "-F", "-t", "ext4"]).args(options);
        tool("e2fsprogs", mke2fs.arg("-d").args([&tree, &raw]));
    };
    let image = |cases: &Cases, name: &str| {
        let bytes = std::fs::read(&raw).unwrap();
        disk_of(cases, name, &bytes)
    };
    make(&[]);
    let sound = image(cases, "sound.hds");
    for (code, name) in [
        ("no-such-path", "nope"),
        ("not-a-directory", "file/"),
        ("too-many-links", "loop/"),
    ] {
        let args = [path("ls"), &sound, path(name), path("--json")];
        let report = Program::new(args).run().status(1).json();
        assert_eq!(report["problems"][0]["code"], code, "{report}");
        assert_eq!(report["code"], "incomplete");
        cases.found.insert(code.to_owned());
    }
    cases.found.insert("incomplete".to_owned());
    let empty = disk_of(cases, "empty.hds", &[0; 512]);
    cases.fails("no-file-system", 1, &[path("ls"), &empty]);
    cases.fails("not-ext4", 1, &[path("ls"), &empty, path("--salvage")]);
    // The place of s_feature_incompat in the superblock, and what later versions may mean by it.
    make(&["-O", "^metadata_csum"]);
    let mut bytes = std::fs::read(&raw).unwrap();
    bytes[1024 + 0x63] |= 0x40;
    let unknown = disk_of(cases, "unknown.hds", &bytes);
    cases.fails("file-system-feature", 1, &[path("ls"), &unknown]);
    // Recovery is needed, and the journal's own superblock is gone.
    let mut bytes = std::fs::read(&raw).unwrap();
    bytes[1024 + 0x60] |= 4;
    let magic = [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4];
    let at = bytes.windows(8).position(|bytes| bytes == magic).unwrap();
    bytes[at..at + 8].fill(0);
    let journal = disk_of(cases, "journal.hds", &bytes);
    cases.fails("journal", 3, &[path("ls"), &journal]);
    make(&[]);
    let mut debugfs = Command::new("debugfs");
    debugfs.args(["-w", "-R", "set_inode_field / mode 0"]);
    tool("e2fsprogs", debugfs.arg(&raw));
    let damaged = image(cases, "damaged.hds");
    let args = [path("ls"), &damaged, path("--json")];
    let report = Program::new(args).run().status(3).json();
    assert_eq!(report["problems"][0]["code"], "file-system", "{report}");
    cases.found.insert("file-system".to_owned());
    listed_file_systems(cases, &std::fs::read(&raw).unwrap());
}

/// Several file systems, and others.
fn listed_file_systems(cases: &mut Cases, ext4: &[u8]) {
    let mut bytes = vec![0; 9 << 20];
    for (at, start) in [(446, 2048u32), (462, 10_240)] {
        bytes[at + 4] = 0x83;
        bytes[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&8192u32.to_le_bytes());
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    bytes[1 << 20..5 << 20].copy_from_slice(ext4);
    bytes[5 << 20..9 << 20].copy_from_slice(ext4);
    let several = disk_of(cases, "several.hds", &bytes);
    cases.fails("several-file-systems", 1, &[path("ls"), &several]);
    let mut swap = vec![0; 8192];
    swap[4086..4096].copy_from_slice(b"SWAPSPACE2");
    swap[1024] = 1;
    let swap = disk_of(cases, "swap.hds", &swap);
    cases.fails("other-file-system", 1, &[path("ls"), &swap]);
}
