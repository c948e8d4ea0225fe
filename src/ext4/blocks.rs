//! What a file system is read from: bytes at positions, some of which may be lost.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::disk::{Holes, Piece, Pieces, VirtualDisk};
use crate::error::Result;

/// The bytes of a file system. The reader knows nothing else: that bytes can be lost, or that
/// reading has a limit, is up to what it reads from.
pub(crate) trait Blocks: Debug + Send + Sync {
    /// The size in bytes; never changes.
    fn size(&self) -> u64;

    /// Fills all of `buf` with the bytes from `offset`, or says that they are lost. Where they are
    /// lost, the contents of `buf` are unspecified.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`](crate::disk::DiskError::OutOfRange) where the range does not lie
    /// inside, and what the disk says when it is read.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<Reading>;

    /// Says what of a range, in bytes, is stored, in its order and without gap or overlap: pieces
    /// that are no data read as zeros. Reads no data.
    fn pieces_in(&self, range: Range<u64>) -> BlockPieces<'_>;
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Reading {
    /// The buffer has the bytes.
    Whole,
    /// One of the bytes is lost, or more.
    Lost,
}

/// The pieces of a part of a file system.
pub(crate) type BlockPieces<'a> = Box<dyn Iterator<Item = Result<Piece>> + Send + 'a>;

/// A disk as it is read: nothing of it is lost.
#[derive(Debug)]
pub(crate) struct DiskBlocks<'a> {
    disk: &'a dyn VirtualDisk,
    holes: Arc<Holes>,
}

impl<'a> DiskBlocks<'a> {
    /// Takes the disk that the file system fills.
    pub(crate) fn new(disk: &'a dyn VirtualDisk) -> Self {
        Self {
            disk,
            holes: Arc::default(),
        }
    }
}

impl Blocks for DiskBlocks<'_> {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<Reading> {
        self.disk.read_at(buf, offset).map(|()| Reading::Whole)
    }

    fn pieces_in(&self, range: Range<u64>) -> BlockPieces<'_> {
        let mut pieces = Pieces::within(self.disk, range, Arc::clone(&self.holes));
        Box::new(std::iter::from_fn(move || pieces.next_piece().transpose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskError;
    use crate::disk::{Concat, RawDisk};
    use crate::source::Source;

    /// Two blocks of 4 bytes that are stored, in a file whose other blocks are holes.
    #[derive(Debug)]
    struct Sparse;

    impl Source for Sparse {
        fn size(&self) -> std::io::Result<u64> {
            Ok(16)
        }
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            for (at, byte) in (offset..).zip(buf) {
                *byte = u8::from((4..8).contains(&at) || (12..16).contains(&at));
            }
            Ok(())
        }
        fn next_data(&self, offset: u64) -> std::io::Result<Option<Range<u64>>> {
            let runs = [4..8, 12..16];
            let run = runs.into_iter().find(|run| offset < run.end);
            Ok(run.map(|run| run.start.max(offset)..run.end))
        }
    }

    fn stored(blocks: &dyn Blocks, range: Range<u64>) -> Vec<Range<u64>> {
        let pieces = blocks.pieces_in(range).map(Result::unwrap);
        let stored = pieces.filter(|piece| piece.data);
        stored.map(|piece| piece.offset..piece.end()).collect()
    }

    #[test]
    fn a_disk_gives_its_bytes_and_loses_none() {
        let disk = RawDisk::over(Arc::new(vec![1, 2, 3, 4]), "memory".as_ref()).unwrap();
        let blocks = DiskBlocks::new(&disk);
        let mut buf = [0; 2];

        assert_eq!(blocks.read_at(&mut buf, 1).unwrap(), Reading::Whole);

        assert_eq!((blocks.size(), buf), (4, [2, 3]));
        let error = blocks.read_at(&mut buf, 3).unwrap_err();
        assert!(matches!(
            error.detail(),
            Some(DiskError::OutOfRange { offset: 3, .. })
        ));
    }

    #[test]
    fn holes_of_the_disk_and_of_the_file_are_not_stored() {
        let disk = RawDisk::over(Arc::new(Sparse), "sparse".as_ref()).unwrap();
        assert_eq!(stored(&DiskBlocks::new(&disk), 0..16), [4..8, 12..16]);
        assert_eq!(stored(&DiskBlocks::new(&disk), 5..13), [5..8, 12..13]);

        let mut disk = Concat::default();
        disk.zeros(8).unwrap();
        disk.bytes("sevens", vec![7; 8]).unwrap();
        assert_eq!(stored(&DiskBlocks::new(&disk), 0..16), [8..16]);
    }
}
