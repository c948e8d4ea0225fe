//! A qcow2 image.

use std::path::Path;

use ploopconv::disk::RawDisk;
use ploopconv::qcow2::Qcow2Disk;

use crate::disk::assert_sound;
use crate::sparse::Sparse;

/// Opens an image and reads what its tables name.
pub fn try_input(input: &[u8]) {
    let Some(file) = Sparse::of(input) else {
        return;
    };
    let name = Path::new("input");
    let file = RawDisk::over(Box::new(file), name).expect("it has a size");
    match Qcow2Disk::over(file, name) {
        Ok(disk) => assert_sound(&disk),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
