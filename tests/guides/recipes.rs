//! `docs/recipes.md`, run on a container with a file system that has deleted data.

use crate::support::Scratch;
use crate::support::divided::{MIB, Raw, ext4};
use crate::support::guide::{Guide, Place};
use crate::support::image::ImageBuilder;
use crate::tools::tool;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

const CONFIG: &str = "ONBOOT=\"yes\"
HOSTNAME=\"www.example.org\"
IP_ADDRESS=\"203.0.113.5 2001:db8::5\"
NAMESERVER=\"192.0.2.53 192.0.2.54\"
PHYSPAGES=\"0:262144\"
SWAPPAGES=\"0:131072\"
CPUS=\"2\"
DISKSPACE=\"2097152:2306867\"
";

/// In the order of the page.
const BLOCKS: [&str; 10] = [
    "recipes-configuration",
    "recipes-numbers",
    "recipes-copy",
    "recipes-debian",
    "recipes-centos",
    "recipes-networkd",
    "recipes-fstrim",
    "recipes-larger",
    "recipes-file",
    "recipes-many",
];

/// A container whose file system had a file of 40 MiB that is deleted.
fn container(raw: &Raw, area: &Path) {
    raw.fill(MIB, 126 * MIB, ext4("root"));
    let script = "set -e
        mount -o loop,offset=1M \"$1\" /mnt
        mkdir -p /mnt/etc/network && echo www >/mnt/etc/hostname
        head -c 40M /dev/urandom >/mnt/gone && sync && rm /mnt/gone
        umount /mnt";
    let mut unshare = Command::new("unshare");
    unshare
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(&raw.path);
    tool("mount", &mut unshare);
    fs::create_dir_all(area.join("root.hdd")).unwrap();
    let mut qemu = Command::new("qemu-img");
    qemu.args(["convert", "-f", "raw", "-O", "parallels"]);
    tool(
        "qemu-utils",
        qemu.arg(&raw.path).arg(area.join("root.hdd/root.hds")),
    );
    let sectors = 128 * MIB / 512;
    let text = format!(
        "<Parallels_disk_image><Disk_Parameters><Disk_size>{sectors}</Disk_size></Disk_Parameters>\
         <StorageData><Storage><Start>0</Start><End>{sectors}</End><Image>\
         <GUID>{{5fbaabe3-6958-40ff-92a7-860e329aab41}}</GUID><Type>Compressed</Type>\
         <File>root.hds</File></Image></Storage></StorageData></Parallels_disk_image>"
    );
    fs::write(area.join("root.hdd/DiskDescriptor.xml"), text).unwrap();
    fs::write(area.join("ve.conf"), CONFIG).unwrap();
}

#[test]
fn every_recipe_does_what_it_says() {
    let raw = Raw::sgdisk(128 * MIB, &["--new=1:2048:0"]);
    let backup = raw.scratch.source();
    container(&raw, &backup.join("101"));
    // A second one is whole, a third is damaged.
    for (id, cut) in [("102", 0), ("103", 1)] {
        let disk = backup.join(id).join("root.hdd");
        let image = ImageBuilder::v2().store(0);
        let chain = crate::support::ChainBuilder::base(&image).write(&disk);
        let file = fs::File::options()
            .write(true)
            .open(&chain.files[0])
            .unwrap();
        file.set_len(file.metadata().unwrap().len() - cut).unwrap();
    }
    let scratch = Scratch::new();
    let home = scratch.out();
    Place::new(&scratch.path().join("place"))
        .with(&backup, "/backup")
        .with(&home, "/root")
        .run(&Guide::read("docs/recipes.md").blocks(&BLOCKS));

    // The deleted file is no longer in the copy, and the file system fills the larger disk.
    let copy = home.join("101.raw");
    let room = copy.metadata().unwrap().blocks() * 512;
    assert!(room < 30 * MIB, "{room}");
    let mut superblock = [0; 1024];
    let file = fs::File::open(&copy).unwrap();
    file.read_exact_at(&mut superblock, MIB + 1024).unwrap();
    let word = |at: usize| u32::from_le_bytes(superblock[at..at + 4].try_into().unwrap());
    let size = u64::from(word(4)) * (1024 << word(24)); // s_blocks_count, s_log_block_size
    assert!(size > 630 * MIB, "{size}");
}
