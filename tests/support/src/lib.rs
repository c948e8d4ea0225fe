//! What the test binaries share: builders of images and chains, a model of what they hold, a runner
//! of the built program and the assertion that a source was left alone.
//!
//! Nothing here uses the code under test. The builders follow the byte tables of the format's
//! description and are themselves compared with `qemu-img` (see `tests/tools/builders.rs`).

pub mod bad_sectors;
pub mod chain;
pub mod chance;
pub mod compared;
pub mod console;
pub mod crashes;
pub mod debian;
pub mod descriptor;
pub mod divided;
pub mod ext4_kinds;
pub mod fixtures;
pub mod free_blocks;
pub mod guard;
pub mod guide;
pub mod hard_attributes;
pub mod hard_data;
pub mod hard_files;
pub mod hard_names;
pub mod hints;
pub mod holder;
pub mod image;
pub mod imports;
pub mod kernels;
pub mod listing;
pub mod loops;
pub mod machines;
pub mod mapfile;
pub mod model;
pub mod mutated;
pub mod nbd;
pub mod program;
pub mod qcow2;
pub mod reads;
pub mod running;
pub mod samples;
pub mod served;
pub mod shown;
pub mod sparse;
pub mod split;
pub mod spoiled;
pub mod system;
pub mod systems;
pub mod tools;
pub mod unlike;
pub mod updates;
pub mod vm;
pub mod witness;
pub mod workload;

pub use chain::{Chain, ChainBuilder};
pub use descriptor::{Descriptor, NO_PARENT, Shot, Storage, TOP, guid};
pub use guard::SourceGuard;
pub use image::{Fill, ImageBuilder, ImageFile, field};
pub use model::{Model, assert_file_holds, assert_map_matches};
pub use program::{Outcome, Program, check, convert, convert_to, info, map};
pub use reads::{assert_giant_reads, assert_reads, assert_reads_with};
pub use sparse::md5_hex;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use tempfile::TempDir;

/// A file or folder of the repository, by its path in it.
pub fn repository(path: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    tests.unwrap().parent().unwrap().join(path)
}

/// The binaries of tests, by the names of their folders in `tests/`.
pub const BINARIES: [&str; 4] = ["plain", "tools", "root", "guides"];

/// The files with the tests, without what they share.
pub fn files_of_tests() -> Vec<PathBuf> {
    let folders = BINARIES.map(|name| repository("tests").join(name));
    sorted(
        folders
            .iter()
            .flat_map(|folder| imports::rust_files(folder)),
    )
}

/// The files with what the tests share.
pub fn files_of_support() -> Vec<PathBuf> {
    sorted(imports::rust_files(&repository("tests/support/src")))
}

fn sorted(files: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort();
    files
}

/// A name that no other folder has. It has digits alone, because chance must not spell what a test
/// looks for in a message: `0x`, say.
fn folder_name() -> String {
    static FOLDERS: AtomicUsize = AtomicUsize::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let process = std::process::id();
    format!("ploopconv-it-{}-{process}-{number}", since.as_micros())
}

/// A directory of a test's own, with a `source` folder that a [`SourceGuard`] can watch and room
/// for targets beside it.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix(&folder_name())
            .rand_bytes(0)
            .tempdir()
            .unwrap();
        std::fs::create_dir(dir.path().join("source")).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir }
    }

    /// Where a test puts the images.
    pub fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    /// Where a test lets the program write; nothing else is ever put there by the suite.
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A target that does not exist yet.
    pub fn target(&self) -> PathBuf {
        self.out().join("disk.raw")
    }

    /// The program as a user who may read this directory, may write nowhere in it and is not
    /// root. Only root can become someone else: the tests that do so are in `tests/root`.
    pub fn as_nobody(&self) -> Command {
        const UNPRIVILEGED: u32 = 65534;
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
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        command
    }

    /// Asserts that a failed run left neither target nor partial file.
    pub fn assert_nothing_left(&self) {
        assert_eq!(
            names_in(&self.out()),
            Vec::<String>::new(),
            "a failed run left files behind"
        );
    }
}

/// The names in a directory, sorted.
pub fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
