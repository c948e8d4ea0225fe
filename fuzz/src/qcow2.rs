//! A qcow2 image.

use std::path::Path;

use ploopconv::disk::RawDisk;
use ploopconv::format::qcow2::Qcow2Disk;

use crate::disk::assert_sound;
use crate::sparse::Sparse;

/// The longest hole: a table of 32 MiB that is one takes long to walk over, and teaches nothing.
const HOLE: u64 = 1 << 20;

/// Opens an image and reads what its tables name.
pub fn try_input(input: &[u8]) {
    let Some(mut file) = Sparse::of(input) else {
        return;
    };
    file.len = file.bytes.len() as u64 + (file.len - file.bytes.len() as u64) % HOLE;
    let name = Path::new("input");
    let file = RawDisk::over(std::sync::Arc::new(file), name).expect("it has a size");
    match Qcow2Disk::over(file, name) {
        Ok(disk) => assert_sound(&disk),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
