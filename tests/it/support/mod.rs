//! What the tests share: builders of images and chains, a model of what they hold, a runner of
//! the built program and the assertion that a source was left alone.
//!
//! Nothing here uses the code under test. The builders follow the byte tables of the format's
//! description and are themselves compared with `qemu-img` (see `builders.rs`).

pub(crate) mod bad_sectors;
pub(crate) mod chain;
pub(crate) mod compared;
pub(crate) mod console;
pub(crate) mod descriptor;
pub(crate) mod divided;
pub(crate) mod guard;
pub(crate) mod guide;
pub(crate) mod hints;
pub(crate) mod image;
pub(crate) mod mapfile;
pub(crate) mod model;
pub(crate) mod nbd;
pub(crate) mod program;
pub(crate) mod qcow2;
pub(crate) mod reads;
pub(crate) mod running;
pub(crate) mod served;
pub(crate) mod sparse;
pub(crate) mod spoiled;
pub(crate) mod system;
pub(crate) mod vm;
pub(crate) mod witness;

pub(crate) use chain::{Chain, ChainBuilder};
pub(crate) use descriptor::{Descriptor, NO_PARENT, Shot, Storage, TOP, guid};
pub(crate) use guard::SourceGuard;
pub(crate) use image::{Fill, ImageBuilder, ImageFile, field};
pub(crate) use model::{Model, assert_file_holds, assert_map_matches};
pub(crate) use program::{Outcome, Program, check, convert, convert_to, info, map};
pub(crate) use reads::{assert_giant_reads, assert_reads, assert_reads_with};
pub(crate) use sparse::md5_hex;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A directory of a test's own, with a `source` folder that a [`SourceGuard`] can watch and room
/// for targets beside it.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("ploopconv-it-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(dir.path().join("source")).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir }
    }

    /// Where a test puts the images.
    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    /// Where a test lets the program write; nothing else is ever put there by the suite.
    pub(crate) fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A target that does not exist yet.
    pub(crate) fn target(&self) -> PathBuf {
        self.out().join("disk.raw")
    }

    /// The program as a user who may read this directory, may write nowhere in it and is not
    /// root. Only root can become someone else, so the suite runs as root.
    pub(crate) fn as_nobody(&self) -> Command {
        const NOBODY: u32 = 65534;
        let copy = self.path().join("ploopconv");
        if !copy.exists() {
            // Not by this process: a descriptor open for writing here could be inherited by a
            // child of another test, and the copy would be "busy".
            let done = Command::new("cp")
                .arg(program::path())
                .arg(&copy)
                .status()
                .unwrap();
            assert!(done.success(), "copying the program");
        }
        std::fs::set_permissions(self.path(), Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(copy);
        command.uid(NOBODY).gid(NOBODY);
        command
    }

    /// Asserts that a failed run left neither target nor partial file.
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(
            names_in(&self.out()),
            Vec::<String>::new(),
            "a failed run left files behind"
        );
    }
}

/// The names in a directory, sorted.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
