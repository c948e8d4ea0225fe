//! Sources that several modules of tests start from.

use super::image::ImageBuilder;
use super::model::Model;
use super::{ChainBuilder, Program, Scratch, SourceGuard, convert, names_in, repository};
use std::path::{Path, PathBuf};

/// A chain of two layers; the top has one of the three clusters of the base.
pub fn two_layers() -> ChainBuilder {
    ChainBuilder::base(&ImageBuilder::v2().seed(1).store_all([0, 1, 2]))
        .child(&ImageBuilder::v2().seed(2).store(1))
}

/// Writes a disk of one layer to a folder, and gives what it holds.
pub fn disk(dir: &Path, seed: u64) -> Vec<u8> {
    let chain = ChainBuilder::base(&ImageBuilder::v2().seed(seed).store(0)).write(dir);
    chain.model().content()
}

/// An image in the scratch's source folder and what it holds.
pub fn image(scratch: &Scratch) -> (PathBuf, Model) {
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().store_all([2, 0]).write(&path);
    (path, image.model("disk.hds"))
}

/// A copy of the container of the fixtures: a chain of three.
pub fn container(scratch: &Scratch) -> PathBuf {
    let fixture = repository("fixtures/101/root.hdd");
    let disk = scratch.source().join("root.hdd");
    std::fs::create_dir(&disk).unwrap();
    for name in names_in(&fixture) {
        std::fs::copy(fixture.join(&name), disk.join(&name)).unwrap();
    }
    disk
}

/// Asserts that every reading command refuses this IMAGE.
#[track_caller]
pub fn assert_refused(scratch: &Scratch, image: &Path, parts: &[&str]) {
    let _guard = SourceGuard::new(&scratch.source());
    convert(image, &scratch.target())
        .within(20)
        .run()
        .refused(1, parts);
    for command in ["map", "info", "check"] {
        Program::new([command.as_ref(), image.as_os_str()])
            .within(20)
            .run()
            .refused(1, parts);
    }
    scratch.assert_nothing_left();
}
