//! What every readable disk owes, whatever it is read from.

use std::ops::ControlFlow;

use ploopconv::disk::DiskError;
use ploopconv::disk::{ExtentKind, VirtualDisk};

/// The most extents that are walked: bounds an execution, not the disk.
const EXTENTS: usize = 512;
/// The most of those that have to be unpacked, 2 MiB each at most.
const PACKED: usize = 4;
/// The most bytes that are read of an extent.
const PIECE: u64 = 8192;

/// Asserts that extents follow each other without gap or overlap, that asking for one gives the
/// same, that a hole reads as zeros, that what is lost is an error, and that a read over the edge
/// between two extents is what the two give.
pub(crate) fn assert_sound(disk: &dyn VirtualDisk) {
    let size = disk.size();
    let mut expected = 0;
    let mut last: Option<(u64, Vec<u8>)> = None;
    let mut whole = true;
    let mut packed = 0;
    for (number, extent) in disk.extents().enumerate() {
        // A table that is read on the way may prove to be wrong.
        let Ok(extent) = extent else { return };
        packed += usize::from(matches!(extent.kind, ExtentKind::Compressed { .. }));
        if number == EXTENTS || packed > PACKED {
            whole = false;
            break;
        }
        assert_eq!(extent.offset, expected, "extents follow each other");
        assert!(extent.len > 0 && extent.end() <= size);
        expected = extent.end();
        if let Ok(asked) = disk.extent_at(extent.offset) {
            assert_eq!((asked.offset, asked.kind), (extent.offset, extent.kind));
            assert!(asked.len > 0 && asked.len <= extent.len);
        }
        let head = read(disk, extent.offset, extent.len.min(PIECE));
        match (&head, extent.kind) {
            (Ok(bytes), ExtentKind::Hole) => assert!(bytes.iter().all(|&byte| byte == 0)),
            (Ok(_), ExtentKind::Lost { .. }) => panic!("what is lost was read"),
            (Err(error), ExtentKind::Hole) => panic!("a hole cannot be read: {error}"),
            (Err(error), ExtentKind::Lost { .. }) => {
                assert!(
                    matches!(error.detail(), Some(DiskError::Lost { .. })),
                    "{error}"
                );
            }
            _ => {}
        }
        if let (Some((at, before)), Ok(bytes)) = (&last, &head) {
            let both = read(disk, *at, (before.len() + bytes.len()) as u64);
            let both = both.expect("both halves could be read");
            assert!(both == [&before[..], bytes].concat(), "over an edge");
        }
        let tail = extent.len.min(PIECE);
        let at = extent.end() - tail;
        last = read(disk, at, tail).ok().map(|bytes| (at, bytes));
    }
    assert!(!whole || expected == size, "extents cover the disk");
    if whole {
        let mut walk = disk.extents().filter_map(Result::ok);
        let same = &mut |extent| {
            assert_eq!(Some(extent), walk.next(), "each walk has the same extents");
            ControlFlow::Continue(())
        };
        let walked = disk.each_extent_in(0..size, same);
        assert!(walked.is_ok() && walk.next().is_none());
    }
    for offset in [size, size.saturating_add(1), u64::MAX] {
        assert!(disk.extent_at(offset).is_err());
        assert!(disk.read_at(&mut [0], offset).is_err());
    }
}

fn read(disk: &dyn VirtualDisk, offset: u64, len: u64) -> ploopconv::Result<Vec<u8>> {
    let mut bytes = vec![0xA5; usize::try_from(len).expect("a piece is small")];
    disk.read_at(&mut bytes, offset)?;
    Ok(bytes)
}
