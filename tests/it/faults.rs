//! A source that fails or changes while it is read.

use crate::support::image::pattern;
use crate::support::running::{big, signal, stopped_in_its_middle};
use crate::support::system::Mounted;
use crate::support::{
    ChainBuilder, ImageBuilder, Outcome, Scratch, check, convert, names_in, program,
};
use crate::tools::tool;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

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
    std::fs::read(&image).expect_err("the device fails behind its new end");
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
    // A table of 1.5 MiB; its end and the clusters behind it are lost.
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

/// Starts a conversion to a pipe that is full long before the disk's end, lets `change` happen,
/// reads the rest and answers the status.
fn status_after(image: &Path, change: impl FnOnce()) -> (Option<i32>, String) {
    let mut child = Command::new(program::path())
        .arg(image)
        .args(["-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 1];
    stdout.read_exact(&mut first).unwrap();
    change();
    std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn eight_mib(scratch: &Scratch) -> ChainBuilder {
    assert!(scratch.source().is_dir());
    ChainBuilder::base(
        &ImageBuilder::v2()
            .cluster_sectors(2048)
            .clusters(8)
            .seed(1)
            .store_all(0..8),
    )
    .child(
        &ImageBuilder::v2()
            .cluster_sectors(2048)
            .clusters(8)
            .seed(2)
            .store(3),
    )
}

#[test]
fn a_layer_written_to_while_it_is_read_ends_with_status_4() {
    for number in [0, 1] {
        let scratch = Scratch::new();
        let chain = eight_mib(&scratch).write(&scratch.source());
        let (status, stderr) = status_after(&chain.dir, || {
            let file = File::options()
                .write(true)
                .open(&chain.files[number])
                .unwrap();
            file.write_all_at(b"!", (1 << 20) + 5).unwrap();
        });
        assert_eq!(status, Some(4), "{stderr}");
        assert!(
            stderr.contains("root.hds") && stderr.contains("changed"),
            "{stderr}"
        );
    }
}

#[test]
fn a_layer_that_grows_while_it_is_read_ends_with_status_4() {
    let scratch = Scratch::new();
    let chain = eight_mib(&scratch).write(&scratch.source());
    let (status, stderr) = status_after(&chain.dir, || {
        File::options()
            .write(true)
            .open(&chain.files[1])
            .unwrap()
            .set_len(64 << 20)
            .unwrap();
    });
    assert_eq!(status, Some(4), "{stderr}");
}

#[test]
fn a_layer_cut_off_while_it_is_read_never_ends_with_status_0() {
    let scratch = Scratch::new();
    let chain = eight_mib(&scratch).write(&scratch.source());
    let (status, stderr) = status_after(&chain.dir, || {
        File::options()
            .write(true)
            .open(&chain.files[0])
            .unwrap()
            .set_len(4096)
            .unwrap();
    });
    assert!(matches!(status, Some(1 | 3 | 4)), "{status:?} {stderr}");
}

#[test]
fn an_undisturbed_conversion_to_a_pipe_ends_with_status_0() {
    let scratch = Scratch::new();
    let chain = eight_mib(&scratch).write(&scratch.source());
    let (status, stderr) = status_after(&chain.dir, || {});
    assert_eq!(status, Some(0), "{stderr}");
}

#[test]
fn a_descriptor_that_is_rewritten_meanwhile_ends_with_status_4() {
    let scratch = Scratch::new();
    let chain = eight_mib(&scratch).write(&scratch.source());
    let (status, stderr) = status_after(&chain.dir, || {
        let text = std::fs::read_to_string(chain.descriptor()).unwrap();
        std::fs::write(chain.descriptor(), text + "\n").unwrap();
    });
    assert_eq!(status, Some(4), "{stderr}");
}

#[test]
fn a_descriptor_that_is_replaced_meanwhile_ends_with_status_4() {
    // As libploop does: a new file takes the place of the old one.
    let scratch = Scratch::new();
    let chain = eight_mib(&scratch).write(&scratch.source());
    let (status, stderr) = status_after(&chain.dir, || {
        let new = chain.dir.join("DiskDescriptor.xml.tmp");
        std::fs::copy(chain.descriptor(), &new).unwrap();
        std::fs::rename(new, chain.descriptor()).unwrap();
    });
    assert_eq!(status, Some(4), "{stderr}");
    assert!(stderr.contains("DiskDescriptor.xml changed"), "{stderr}");
}

#[test]
fn a_layer_that_is_replaced_meanwhile_ends_with_status_4() {
    for number in [0, 1] {
        let scratch = Scratch::new();
        let chain = eight_mib(&scratch).write(&scratch.source());
        let (status, stderr) = status_after(&chain.dir, || {
            let new = chain.dir.join("new");
            std::fs::copy(&chain.files[number], &new).unwrap();
            std::fs::rename(new, &chain.files[number]).unwrap();
        });
        assert_eq!(status, Some(4), "{stderr}");
    }
}

#[test]
fn a_layer_written_to_meanwhile_whose_time_is_set_back_ends_with_status_4() {
    for number in [0, 1] {
        let scratch = Scratch::new();
        let chain = eight_mib(&scratch).write(&scratch.source());
        let (status, stderr) = status_after(&chain.dir, || {
            let path = &chain.files[number];
            let before = path.metadata().unwrap().modified().unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.write_all_at(b"!", (1 << 20) + 5).unwrap();
            file.set_modified(before).unwrap();
            assert_eq!(path.metadata().unwrap().modified().unwrap(), before);
        });
        assert_eq!(status, Some(4), "{stderr}");
    }
}

#[test]
fn an_image_changed_meanwhile_leaves_no_target() {
    let scratch = Scratch::new();
    let image = big(&scratch, 192);
    let child = stopped_in_its_middle(&image, &scratch.target(), &[]);
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"!", (190 << 20) + 5).unwrap();
    signal(&child, "CONT");
    let outcome = Outcome::new(
        child.wait_with_output().unwrap(),
        "a changed image".to_owned(),
    );
    outcome.refused(4, &["disk.hds", "changed"]);
    scratch.assert_nothing_left();
}
