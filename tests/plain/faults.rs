//! A source that fails or changes while it is read.

use crate::support::running::{big, signal, stopped_in_its_middle};
use crate::support::{ChainBuilder, ImageBuilder, Outcome, Scratch, program};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

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
