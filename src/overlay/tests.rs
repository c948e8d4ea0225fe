use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::disk::{RawDisk, StoreId};

/// Not a multiple of a block.
const SIZE: usize = 10 * 4096 + 1234;

fn disk_of(bytes: &[u8]) -> Arc<dyn VirtualDisk> {
    Arc::new(RawDisk::over(std::sync::Arc::new(bytes.to_vec()), Path::new("memory")).unwrap())
}

fn overlay_over(bytes: &[u8]) -> Overlay<Arc<dyn VirtualDisk>> {
    let file = tempfile::tempfile().unwrap();
    Overlay::new(disk_of(bytes), file, Path::new("layer")).unwrap()
}

fn bytes_of(disk: &dyn VirtualDisk) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(disk.size()).unwrap()];
    disk.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn pattern() -> Vec<u8> {
    (0..SIZE).map(|at| (at % 251) as u8 | 1).collect()
}

/// Something that is done to a disk.
#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize, u8),
    Zero(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let range = (0..SIZE, 0..3 * 4096_usize).prop_map(|(at, len)| (at, len.min(SIZE - at)));
    let step = (range, any::<Option<u8>>()).prop_map(|((at, len), byte)| match byte {
        Some(byte) => Step::Write(at, len, byte),
        None => Step::Zero(at, len),
    });
    prop::collection::vec(step, 1..20)
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_what_is_below_stays(steps in steps()) {
        let below = pattern();
        let overlay = overlay_over(&below);
        let mut model = below.clone();
        for step in steps {
            match step {
                Step::Write(at, len, byte) => {
                    overlay.write_at(&vec![byte; len], at as u64).unwrap();
                    model[at..at + len].fill(byte);
                }
                Step::Zero(at, len) => {
                    overlay.zero_at(at as u64, len as u64).unwrap();
                    model[at..at + len].fill(0);
                }
            }
            prop_assert!(bytes_of(&overlay) == model);
        }
        prop_assert!(bytes_of(overlay.below.as_ref()) == below);
        // The extents say where each byte is, without gap or overlap.
        let mut end = 0;
        for extent in overlay.extents() {
            let extent = extent.unwrap();
            prop_assert_eq!(extent.offset, end);
            end = extent.end();
            let range = extent.offset as usize..extent.end() as usize;
            let own = StoreId::at(1);
            let private = matches!(extent.kind, ExtentKind::Data { store, .. } if store == own);
            let mut stored = vec![0; range.len()];
            match extent.kind {
                ExtentKind::Data { store, host_offset } if store == StoreId::at(1) => {
                    overlay.file.read_exact_at(&mut stored, host_offset).unwrap();
                }
                _ => stored.copy_from_slice(&below[range.clone()]),
            }
            prop_assert!(stored == model[range.clone()], "{range:?}, private: {private}");
            prop_assert_eq!(overlay.extent_at(extent.offset).unwrap().kind, extent.kind);
        }
        prop_assert_eq!(end, SIZE as u64);
    }
}

#[test]
fn writes_past_the_end_are_refused_and_change_nothing() {
    let overlay = overlay_over(&pattern());
    for (offset, len) in [(SIZE as u64, 1), (SIZE as u64 - 1, 2), (u64::MAX, 2)] {
        let error = overlay.write_at(&vec![9; len], offset).unwrap_err();
        assert!(
            matches!(error.detail(), Some(DiskError::OutOfRange { .. })),
            "{error}"
        );
        assert!(overlay.zero_at(offset, len as u64).is_err());
    }
    overlay.write_at(&[], SIZE as u64).unwrap();
    assert!(bytes_of(&overlay) == pattern());
}

#[test]
fn writers_of_one_block_do_not_lose_each_others_bytes() {
    for _ in 0..50 {
        let overlay = overlay_over(&pattern());
        std::thread::scope(|scope| {
            for part in 0..8_u8 {
                let overlay = &overlay;
                scope.spawn(move || {
                    let at = 4096 + u64::from(part) * 512;
                    overlay.write_at(&[part; 512], at).unwrap();
                });
            }
        });
        let bytes = bytes_of(&overlay);
        for (part, sector) in bytes[4096..8192].chunks(512).enumerate() {
            assert!(
                sector.iter().all(|&byte| usize::from(byte) == part),
                "sector {part}"
            );
        }
    }
}

#[test]
fn a_write_that_fails_leaves_the_disk_as_it_was() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let writable = file.reopen().unwrap();
    writable.set_len(SIZE as u64).unwrap();
    // Every write to it fails, and so does punching holes.
    let only_readable = File::open(file.path()).unwrap();
    let overlay = Overlay {
        below: disk_of(&pattern()),
        file: only_readable.into(),
        path: "layer".into(),
        stores: Vec::new(),
        written: RwLock::new(Bitmap::new(SIZE as u64)),
        first_write: Mutex::new(()),
    };
    assert!(overlay.write_at(&[1; 5000], 100).is_err());
    assert!(overlay.zero_at(0, 8192).is_err());
    assert!(bytes_of(&overlay) == pattern());
}

#[test]
fn the_map_of_a_huge_disk_takes_memory_where_something_was_written_only() {
    let size: u64 = 16 << 40;
    let mut map = Bitmap::new(size);
    let blocks = size / BLOCK;
    assert_eq!(map.run(0, blocks), (0..blocks, false));
    map.set(PAGE_BLOCKS * 7 - 1..PAGE_BLOCKS * 7 + 1);
    assert_eq!(map.run(0, blocks), (0..PAGE_BLOCKS * 7 - 1, false));
    let written = PAGE_BLOCKS * 7 - 1..PAGE_BLOCKS * 7 + 1;
    assert_eq!(map.run(written.start, blocks), (written, true));
    assert_eq!(
        map.run(PAGE_BLOCKS * 7 + 1, blocks),
        (PAGE_BLOCKS * 7 + 1..blocks, false)
    );
    assert_eq!(map.pages.iter().flatten().count(), 2);
}
