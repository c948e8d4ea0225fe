//! A source that fails or changes while it is read.

use crate::support::image::pattern;
use crate::support::system::Mounted;
use crate::support::{ImageBuilder, Scratch, check, convert, names_in};
use crate::tools::tool;
use std::fs::File;
use std::io::Read as _;
use std::process::Command;

/// Puts the files of `source` onto a file system of their own and cuts its device off where the
/// bytes `lost` are stored: reading them is an I/O error from then on.
pub(crate) fn on_a_broken_device(scratch: &Scratch, lost: &[u8]) -> Mounted {
    let backing = scratch.path().join("device");
    let dir = scratch.path().join("mounted");
    File::create(&backing).unwrap().set_len(16 << 20).unwrap();
    tool(
        "e2fsprogs",
        Command::new("mkfs.ext4").arg("-q").arg(&backing),
    );
    {
        let _mounted = Mounted::image(&backing, &dir, "loop");
        for name in names_in(&scratch.source()) {
            std::fs::copy(scratch.source().join(&name), dir.join(&name)).unwrap();
        }
        tool("coreutils", Command::new("sync").arg("-f").arg(&dir));
    }
    let bytes = std::fs::read(&backing).unwrap();
    let at = bytes
        .windows(lost.len())
        .position(|found| found == lost)
        .expect("the cluster is on the device");
    let mounted = Mounted::image(&backing, &dir, "loop,ro");
    File::options()
        .write(true)
        .open(&backing)
        .unwrap()
        .set_len(at as u64 / 4096 * 4096)
        .unwrap();
    let mut header = [0; 64];
    let image = dir.join("disk.hds");
    File::open(&image)
        .unwrap()
        .read_exact(&mut header)
        .expect("the header is stored in front of what was cut off");
    std::fs::read(&image).expect_err("the device fails past its new end");
    mounted
}

#[test]
fn a_read_error_in_the_data_stops_the_conversion_and_leaves_nothing() {
    let scratch = Scratch::new();
    // The file is 2 MiB, which ext4 stores in one piece; its last cluster is lost.
    let image = ImageBuilder::v2()
        .cluster_sectors(512)
        .clusters(9)
        .seed(1)
        .store_all(0..7)
        .build();
    assert_eq!(image.len, 2 << 20);
    image.write(&scratch.source().join("disk.hds"));
    let mounted = on_a_broken_device(&scratch, &pattern(1_000_003 + 6, 0, 4096));
    let path = mounted.dir.join("disk.hds");

    convert(&path, &scratch.target())
        .run()
        .refused(1, &["disk.hds", "error"]);

    scratch.assert_nothing_left();
}

#[test]
fn a_read_error_in_a_table_stops_before_anything_is_written() {
    let scratch = Scratch::new();
    // A table of 1.5 MiB; its end and the clusters after it are lost.
    let mut image = ImageBuilder::v2()
        .clusters(390_000)
        .seed(1)
        .store_all(0..10)
        .build();
    let marks: Vec<u8> = (0x00AB_CDE0u32..0x00AB_CDE8)
        .flat_map(u32::to_le_bytes)
        .collect();
    image.put(1_500_000 / 4096 * 4096, &marks).set_len(2 << 20);
    image.write(&scratch.source().join("disk.hds"));
    let mounted = on_a_broken_device(&scratch, &marks);
    let path = mounted.dir.join("disk.hds");

    convert(&path, &scratch.target())
        .run()
        .refused(1, &["disk.hds"]);
    scratch.assert_nothing_left();
    check(&path).run().status(3).finds("read-error", "damage");
}
