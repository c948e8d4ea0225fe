//! The bytes of a file from its start to its end, with zeros for what is lost where that is wanted.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Node;
use crate::error::{Error, ErrorKind, Result};
use crate::util::bytes::{to_u64, to_usize};

/// How many bytes are read at a time.
const CHUNK: u64 = 1 << 20;

/// What is done where bytes of a file are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfLost {
    /// They are an error.
    Refuse,
    /// Zeros stand for them.
    Zeros,
}

/// Bytes of a file that are next to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These.
    Data(&'a [u8]),
    /// So many zeros that are stored nowhere.
    Hole(u64),
}

/// Hands the bytes of a regular file to `take`, in order and without a gap, and gives the ranges
/// for which zeros stand, in bytes of the file.
///
/// # Errors
///
/// As [`Node::read_at`], [`ErrorKind::Stopped`] once `stop` is set, and what `take` says.
pub fn contents<E: From<Error>>(
    node: &dyn Node,
    if_lost: IfLost,
    stop: &AtomicBool,
    mut take: impl FnMut(Piece<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<Vec<Range<u64>>, E> {
    let size = node.metadata().size;
    let mut buffer = vec![0; to_usize(size.min(CHUNK))];
    let mut lost: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < size {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::stopped().into());
        }
        let run = match node.run_at(at) {
            Ok(run) => run,
            // Where the file stores this is lost, and it may be terabytes: nothing of it is read.
            Err(error) if error.kind() == ErrorKind::Lost && if_lost == IfLost::Zeros => {
                let len = node.lost_at(at).clamp(1, size - at);
                join(&mut lost, at..at + len);
                take(Piece::Hole(len))?;
                at += len;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if !run.data {
            take(Piece::Hole(run.len))?;
            at += run.len;
            continue;
        }
        let len = run.len.min(CHUNK).min(size - at);
        let bytes = buffer.get_mut(..to_usize(len)).unwrap_or_default();
        match if_lost {
            IfLost::Refuse => node.read_at(bytes, at)?,
            IfLost::Zeros => {
                let found = read_over_losses(node, bytes, at)?;
                found.into_iter().for_each(|range| join(&mut lost, range));
            }
        }
        take(Piece::Data(bytes))?;
        at += len;
    }
    Ok(lost)
}

/// Adds a range that lies after the others.
fn join(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// The smallest piece that is lost or not: no sector is smaller, and no block. A piece of a
/// mebibyte that is lost as a whole takes some four thousand attempts, and no more.
const SECTOR: u64 = 512;

/// Fills `buf` with the bytes of a regular file from `offset`, with zeros for what is lost, and
/// gives the ranges that are, in bytes of the file: in order, joined, and none where nothing is.
///
/// # Errors
///
/// As [`Node::read_at`], for every reason but loss.
pub fn read_over_losses(node: &dyn Node, buf: &mut [u8], offset: u64) -> Result<Vec<Range<u64>>> {
    let mut lost: Vec<Range<u64>> = Vec::new();
    // Halves of what cannot be read are still to be read; the last one is the next.
    let mut todo = Vec::new();
    todo.push(0..buf.len());
    while let Some(piece) = todo.pop() {
        let Some(bytes) = buf.get_mut(piece.clone()).filter(|bytes| !bytes.is_empty()) else {
            continue;
        };
        let range = offset + to_u64(piece.start)..offset + to_u64(piece.end);
        match node.read_at(bytes, range.start) {
            Ok(()) => continue,
            Err(error) if error.kind() == ErrorKind::Lost => {}
            Err(error) => return Err(error),
        }
        let half = range.start + (range.end - range.start) / 2;
        let half = half.next_multiple_of(SECTOR);
        if half < range.end {
            let middle = to_usize(half - offset);
            todo.push(middle..piece.end);
            todo.push(piece.start..middle);
            continue;
        }
        bytes.fill(0);
        join(&mut lost, range);
    }
    Ok(lost)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range")]
mod tests {
    use super::*;
    use crate::tree::Tree;
    use crate::tree::testing::Memory;

    #[test]
    fn what_is_lost_is_zeros_and_every_other_byte_is_there() {
        let mut tree = Memory::new();
        let inode = tree.file("a", &[7; 50_000]);
        tree.at(inode).lost.extend([2, 3, 7]);
        let node = tree.node(inode).unwrap();
        let mut bytes = vec![9; 49_990];
        let lost = read_over_losses(&*node, &mut bytes, 10).unwrap();
        assert_eq!(lost, [8192..16_384, 28_672..32_768]);
        for (byte, at) in bytes.iter().zip(10u64..) {
            let is_lost = lost.iter().any(|range| range.contains(&at));
            assert_eq!(*byte, if is_lost { 0 } else { 7 }, "{at}");
        }
        let whole = read_over_losses(&*node, &mut [0; 100], 9000).unwrap();
        assert_eq!(whole, [9000..9100]);
        assert_eq!(read_over_losses(&*node, &mut [0; 100], 0).unwrap(), []);
        assert_eq!(read_over_losses(&*node, &mut [], 0).unwrap(), []);
        assert!(read_over_losses(&*node, &mut [0; 2], 49_999).is_err());
    }

    #[test]
    fn a_file_comes_in_order_with_its_holes_and_over_its_losses_only_if_asked_for() {
        let mut tree = Memory::new();
        let mut bytes = vec![0; 3 << 20];
        bytes[..5000].fill(1);
        bytes[(2 << 20) + 1..].fill(2);
        let inode = tree.file("a", &bytes);
        let read = |tree: &Memory, if_lost| {
            let (mut found, mut holes) = (Vec::new(), 0);
            let node = tree.node(inode).unwrap();
            let lost = contents::<Error>(&*node, if_lost, &AtomicBool::new(false), |piece| {
                match piece {
                    Piece::Data(data) => found.extend_from_slice(data),
                    Piece::Hole(len) => {
                        holes += len;
                        found.resize(found.len() + to_usize(len), 0);
                    }
                }
                Ok(())
            });
            (found, holes, lost)
        };
        let (found, holes, lost) = read(&tree, IfLost::Refuse);
        assert!(found == bytes && lost.unwrap().is_empty());
        assert_eq!(holes, (2 << 20) - 8192);
        tree.at(inode).lost.insert(1);
        assert_eq!(read(&tree, IfLost::Refuse).2.unwrap_err().code(), "lost");
        let (found, _, lost) = read(&tree, IfLost::Zeros);
        bytes[4096..8192].fill(0);
        assert!(found == bytes && lost.unwrap() == [4096..8192]);
        let stopped = contents::<Error>(
            &*tree.node(inode).unwrap(),
            IfLost::Zeros,
            &AtomicBool::new(true),
            |_| Ok(()),
        );
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Stopped);
    }
}
