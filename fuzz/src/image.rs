//! One image file, opened and read as the program does it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ploopconv::ploop::{IfInUse, OpenOptions, examine};

use crate::disk::assert_sound;
use crate::sparse::Sparse;

/// A directory of this process; `fuzz/run` lets it be in memory, and removes it.
pub(crate) static SCRATCH: LazyLock<PathBuf> = LazyLock::new(|| {
    let name = format!("ploopconv-fuzz-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).expect("the directory for temporary files can be written");
    dir
});

/// The longest file: what a file system in memory takes.
const LONGEST: u64 = 1 << 42;

pub(crate) fn write(path: &Path, file: &Sparse) {
    let made = File::create(path).expect("the directory can be written");
    made.write_all_at(&file.bytes, 0).expect("there is room");
    made.set_len(file.len.min(LONGEST))
        .expect("a hole takes no room");
}

/// Opens and reads what lies at `path`.
pub(crate) fn read(path: &Path, options: &OpenOptions) {
    crate::alone();
    let Ok(examined) = examine(path, options) else {
        return;
    };
    for finding in &examined.findings {
        assert!(!finding.to_string().is_empty());
    }
    if let Some(disk) = examined.disk() {
        assert_sound(disk);
    }
    let damaged = examined.is_damaged() && !options.salvage;
    match examined.into_disk(IfInUse::Read) {
        Ok(disk) => {
            assert!(!damaged);
            assert_sound(&disk);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Reads a file by itself.
pub fn try_input(input: &[u8]) {
    let Some(file) = Sparse::of(input) else {
        return;
    };
    let path = SCRATCH.join("image.hds");
    write(&path, &file);
    let options = OpenOptions {
        single_layer: true,
        host: None,
        ..OpenOptions::default()
    };
    read(&path, &options);
    let salvage = OpenOptions {
        salvage: true,
        ..options
    };
    read(&path, &salvage);
}
