//! Bytes of files that are lost: zeros stand for them, and the files are listed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::error::shown;
use super::summary::ZeroedFile;
use super::walk::{Contents, file_error};
use crate::error::{ErrorKind, Result};
use crate::util::bytes::{to_u64, to_usize};
use crate::util::sync::{into_inner, lock};

/// The most files that are listed: memory is bounded.
const MOST_LISTED: usize = 1000;
/// What is lost is found out in steps: pages, then sectors of a disk.
const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// Files that had bytes that are lost.
#[derive(Debug, Default)]
pub(super) struct Zeroed(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// The lost bytes of each file, by its path.
    files: BTreeMap<Vec<u8>, u64>,
    /// Lost bytes of files that are not listed any more.
    more: u64,
}

impl Zeroed {
    /// Fills `buffer` with the bytes of a file from `offset`, and with zeros where they are lost.
    pub(super) fn read(&self, file: &Contents<'_>, buffer: &mut [u8], offset: u64) -> Result<()> {
        let zeros = read(file, buffer, offset, PAGE)?;
        if zeros == 0 {
            return Ok(());
        }
        let mut found = lock(&self.0);
        if let Some(lost) = found.files.get_mut(&file.path) {
            *lost += zeros;
        } else if found.files.len() < MOST_LISTED {
            found.files.insert(file.path.clone(), zeros);
        } else {
            found.more += zeros;
        }
        Ok(())
    }

    /// The files, in the order of their paths, and the lost bytes of those that are not listed.
    pub(super) fn finish(self) -> (Vec<ZeroedFile>, u64) {
        let found = into_inner(self.0);
        let files = found.files.into_iter().map(|(path, bytes)| ZeroedFile {
            path: shown(&path),
            bytes,
        });
        (files.collect(), found.more)
    }
}

/// Reads in steps of so many bytes, and in smaller ones what is lost in a step. Gives how many
/// bytes are lost.
fn read(file: &Contents<'_>, buffer: &mut [u8], offset: u64, step: usize) -> Result<u64> {
    let mut zeros = 0;
    let mut at = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let next = (at + 1).next_multiple_of(to_u64(step));
        let len = rest.len().min(to_usize(next - at));
        let (now, later) = rest.split_at_mut(len);
        match file.node.read_at(now, at) {
            Ok(()) => {}
            Err(error) if error.kind() != ErrorKind::Lost => {
                return Err(file_error(&file.path, error));
            }
            Err(_) if step > SECTOR => zeros += read(file, now, at, SECTOR)?,
            Err(_) => {
                now.fill(0);
                zeros += to_u64(len);
            }
        }
        at += to_u64(len);
        rest = later;
    }
    Ok(zeros)
}
