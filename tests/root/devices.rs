//! Block devices as targets: loop devices full of noise.

use crate::support::loops::Loop;
use crate::support::system::Mounted;
use crate::support::{ChainBuilder, Fill, ImageBuilder, Scratch, SourceGuard, convert};
use crate::tools::tool;
use ploopconv::sink::{BlockSink, Durability, Sink as _};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

const MIB: u64 = 1 << 20;

/// A disk of 4 MiB and a bit with holes and zeros at every kind of place.
fn chain() -> ChainBuilder {
    let image = |seed| {
        ImageBuilder::v2()
            .cluster_sectors(63)
            .sectors(8200)
            .seed(seed)
    };
    ChainBuilder::base(
        &image(1)
            .store_all([0, 1, 40, 3, 130])
            .fill(60, Fill::Byte(0)),
    )
    .child(&image(2).store_all([40, 9, 77]).fill(1, Fill::FileHole))
}

#[test]
fn a_device_holds_the_disk_and_real_zeros_and_keeps_what_is_behind() {
    for options in [&[][..], &["--sector-size", "4096"]] {
        for sparse in ["auto", "always", "never"] {
            let scratch = Scratch::new();
            let chain = chain().write(&scratch.source());
            let _guard = SourceGuard::new(&scratch.source());
            let content = chain.model().content();
            let device = Loop::noisy(&scratch, 6 * MIB, options);

            convert(&chain.dir, &device.path)
                .args(["-f", "-j3"])
                .arg(format!("--sparse={sparse}"))
                .run()
                .status(0);

            let bytes = device.bytes();
            assert!(bytes[..content.len()] == content, "{options:?} {sparse}");
            assert!(bytes[content.len()..].iter().all(|&byte| byte == 0xdb));
        }
    }
}

/// What a second pass does: some bytes change, some become zeros, and the rest stays.
#[test]
fn an_updated_device_keeps_its_first_mib_until_the_end_and_gets_real_zeros() {
    for options in [&[][..], &["--sector-size", "4096"]] {
        let scratch = Scratch::new();
        let device = Loop::noisy(&scratch, 4 * MIB, options);
        let size = 3 * MIB + 512;
        let sink = BlockSink::update(&device.path, size, Durability::Synced).unwrap();
        let mut expected = vec![0xdb; 4 * MIB as usize];
        // Across the end of the first MiB, inside it, behind it, and the last sector of the disk.
        let writes = [(MIB - 512, 1024), (4096, 4096), (2 * MIB + 512, 512)];
        let zeros = [(8192, 4096), (MIB + 4096, MIB - 8192), (size - 512, 512)];
        for (offset, len) in writes {
            sink.write_at(&vec![0x11; len], offset).unwrap();
            expected[offset as usize..offset as usize + len].fill(0x11);
        }
        for (offset, len) in zeros {
            sink.zero_at(offset, len).unwrap();
            expected[offset as usize..(offset + len) as usize].fill(0);
        }
        let before = device.bytes();
        assert!(before[..MIB as usize].iter().all(|&byte| byte == 0xdb));

        sink.complete().unwrap();
        Box::new(sink).finish().unwrap();
        assert!(device.bytes() == expected, "{options:?}");
    }
}

#[test]
fn a_device_needs_force_and_enough_room_and_nobody_who_uses_it() {
    let scratch = Scratch::new();
    let chain = chain().write(&scratch.source());
    let device = Loop::noisy(&scratch, 6 * MIB, &[]);
    convert(&chain.dir, &device.path).run().refused(1, &["-f"]);
    assert!(device.bytes().iter().all(|&byte| byte == 0xdb));
    drop(device);

    let small = Loop::noisy(&scratch, 2 * MIB, &[]);
    convert(&chain.dir, &small.path)
        .arg("-f")
        .run()
        .refused(1, &["free", "needed"]);
    assert!(small.bytes().iter().all(|&byte| byte == 0xdb));
    drop(small);

    let backing = scratch.path().join("filesystem");
    File::create(&backing).unwrap().set_len(16 * MIB).unwrap();
    tool(
        "e2fsprogs",
        Command::new("mkfs.ext4").arg("-q").arg(&backing),
    );
    let device = Loop::new(&backing);
    let _mounted = Mounted::image(&device.path, &scratch.path().join("mounted"), "ro");
    convert(&chain.dir, &device.path)
        .arg("-f")
        .run()
        .refused(1, &["in use", "mounted"]);
}

/// Swap that is turned off when it goes out of scope.
struct Swap<'a>(&'a Loop);

impl Drop for Swap<'_> {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0.path).status();
    }
}

#[test]
fn a_device_that_is_swap_or_part_of_another_one_is_refused() {
    let scratch = Scratch::new();
    let chain = chain().write(&scratch.source());
    let refused = |device: &Loop| {
        convert(&chain.dir, &device.path)
            .arg("-f")
            .run()
            .refused(1, &["in use", "swap", "another device"]);
    };

    let backing = scratch.path().join("swap");
    std::fs::write(&backing, vec![0; 6 << 20]).unwrap();
    tool("util-linux", Command::new("mkswap").arg(&backing));
    let device = Loop::new(&backing);
    tool("mount", Command::new("swapon").arg(&device.path));
    let swap = Swap(&device);
    refused(&device);
    drop(swap);

    // A loop device over a partition or a device does not claim it, but a mount of its content
    // through it does: the upper one is in use.
    let upper = Loop::new(&device.path);
    tool(
        "e2fsprogs",
        Command::new("mkfs.ext4").arg("-q").arg(&upper.path),
    );
    let _mounted = Mounted::image(&upper.path, &scratch.path().join("mounted"), "ro");
    refused(&upper);
}

#[test]
fn a_thin_device_that_runs_full_is_an_error() {
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hds");
    let full = ImageBuilder::v2().cluster_sectors(2048).clusters(5);
    full.store_all(0..5).write(&image);
    let small = Mounted::memory("3M", &scratch.path().join("small"));
    let backing = small.dir.join("thin");
    File::create(&backing).unwrap().set_len(6 * MIB).unwrap();
    let device = Loop::new(&backing);
    for options in [&[][..], &["--sparse=never"], &["--verify"]] {
        convert(&image, &device.path)
            .arg("-f")
            .args(options)
            .run()
            .refused(1, &["/dev/loop"]);
    }
}

#[test]
fn a_loop_device_over_a_layer_is_the_layer() {
    let scratch = Scratch::new();
    let chain = chain().write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    let layer = chain.files.first().unwrap().clone();
    let device = Loop::new(&layer);
    convert(&chain.dir, &device.path)
        .arg("-f")
        .run()
        .refused(4, &["loop device"]);
    convert(&chain.dir, &device.path)
        .args(["-f", "--allow-dirty"])
        .run()
        .refused(1, &["of the image"]);
}

#[test]
fn a_copy_that_was_cut_short_leaves_a_device_that_does_not_look_like_a_disk() {
    let scratch = Scratch::new();
    let chain = chain().write(&scratch.source());
    let device = Loop::noisy(&scratch, 6 * MIB, &[]);
    // The device ends before it says so.
    File::options()
        .write(true)
        .open(&device.backing)
        .unwrap()
        .set_len(2 * MIB)
        .unwrap();

    convert(&chain.dir, &device.path)
        .arg("-f")
        .run()
        .refused(1, &["/dev/loop", "offset"]);

    let mut head = vec![1; MIB as usize];
    File::open(&device.backing)
        .unwrap()
        .read_exact_at(&mut head, 0)
        .unwrap();
    assert!(
        head.iter().all(|&byte| byte == 0),
        "the first MiB is written last"
    );
}
