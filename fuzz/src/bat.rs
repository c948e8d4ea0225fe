//! The header and the table of one image.

use ploopconv::ploop::{Bat, Header, IfUnreadable, Slot, Version};
use ploopconv::source::Source;

use crate::sparse::Sparse;

/// The most runs that are asked for: bounds an execution, not the disk.
const RUNS: usize = 512;

/// Parses header and table, and compares every answer of the table with the entry itself.
pub fn try_input(input: &[u8]) {
    crate::alone();
    let Some(file) = Sparse::of(input) else {
        return;
    };
    let mut head = [0; Header::SIZE];
    if file.read_exact_at(&mut head, 0).is_err() {
        return;
    }
    let Ok(header) = Header::parse(&head, file.len) else {
        return;
    };
    for if_unreadable in [IfUnreadable::Fail, IfUnreadable::Salvage] {
        compare(&file, &header, if_unreadable);
    }
}

/// Compares every answer of the table with the entry itself.
fn compare(file: &Sparse, header: &Header, if_unreadable: IfUnreadable) {
    let read = Bat::read(file, header, file.len, if_unreadable);
    let (bat, findings) = read.expect("nothing fails to be read");
    let cluster = header.cluster_size().bytes();
    let unit = match header.version() {
        Version::V1 => 512,
        Version::V2 => cluster,
    };
    let mut offset = 0;
    let mut stored = 0;
    for _ in 0..RUNS {
        let left = header.virtual_size() - offset;
        if left == 0 {
            break;
        }
        let slot = bat.lookup(offset, left);
        assert!(slot.len() > 0 && slot.len() <= left);
        let index = offset / cluster;
        let mut entry = [0; 4];
        file.read_exact_at(&mut entry, 64 + 4 * index)
            .expect("the file holds the table");
        let entry = u64::from(u32::from_le_bytes(entry));
        match slot {
            Slot::Absent { .. } => assert_eq!(entry, 0, "entry {index}"),
            Slot::Stored { host_offset, len } => {
                stored += 1;
                assert_eq!(
                    host_offset,
                    entry * unit + offset % cluster,
                    "entry {index}"
                );
                assert!(entry > 0 && host_offset >= header.data_start());
                assert!(host_offset + len <= file.len, "inside the file");
            }
            Slot::Lost { .. } => assert!(entry > 0, "entry {index}"),
        }
        offset += slot.len();
    }
    assert!(stored <= findings.allocated);
}
