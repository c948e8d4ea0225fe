//! Access control lists, from the form of the disk to that of programs.

use crate::util::bytes::{le_u16, le_u32};

/// Whether an attribute of this name space is a list.
pub(super) fn is_acl(index: u8) -> bool {
    matches!(index, 2 | 3)
}

/// The list as the kernel gives it to programs (version 2, entries of 8 bytes); `None` where it is
/// none. On disk it has version 1, and entries without an ID have 4 bytes.
pub(super) fn for_programs(stored: &[u8]) -> Option<Vec<u8>> {
    const ON_DISK: u32 = 1;
    const FOR_PROGRAMS: u32 = 2;
    const NO_ID: u32 = u32::MAX;
    let (version, mut rest) = stored.split_at_checked(4)?;
    if le_u32(version, 0) != ON_DISK {
        return None;
    }
    let mut list = FOR_PROGRAMS.to_le_bytes().to_vec();
    while !rest.is_empty() {
        let (entry, after) = rest.split_at_checked(4)?;
        let tag = le_u16(entry, 0);
        // A user or a group that is named.
        let (id, after) = match tag {
            0x02 | 0x08 => (le_u32(after.get(..4)?, 0), after.get(4..)?),
            0x01 | 0x04 | 0x10 | 0x20 => (NO_ID, after),
            _ => return None,
        };
        list.extend_from_slice(entry);
        list.extend(id.to_le_bytes());
        rest = after;
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_and_without_an_id_get_eight_bytes() {
        let stored = [
            &1u32.to_le_bytes()[..],
            &[1, 0, 6, 0],
            &[2, 0, 4, 0, 0xe8, 3, 0, 0],
            &[4, 0, 4, 0],
        ];
        let expected = [
            &2u32.to_le_bytes()[..],
            &[1, 0, 6, 0, 255, 255, 255, 255],
            &[2, 0, 4, 0, 0xe8, 3, 0, 0],
            &[4, 0, 4, 0, 255, 255, 255, 255],
        ];
        assert_eq!(for_programs(&stored.concat()), Some(expected.concat()));
    }

    #[test]
    fn what_is_cut_or_of_another_version_is_no_list() {
        for stored in [
            &[][..],
            &[2, 0, 0, 0],
            &[1, 0, 0, 0, 1, 0],
            &[1, 0, 0, 0, 2, 0, 4, 0],
            &[1, 0, 0, 0, 3, 0, 4, 0],
        ] {
            assert_eq!(for_programs(stored), None, "{stored:?}");
        }
    }
}
