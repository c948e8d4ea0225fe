//! POSIX ACLs as text.

use std::fmt::Write as _;

use crate::util::bytes::{le_u16, le_u32};

/// The attribute with the ACL of a file, and the record that has it as text.
pub(super) const ACCESS: (&[u8], &[u8]) = (b"system.posix_acl_access", b"SCHILY.acl.access");
/// The attribute with the ACL that new files of a directory get, and its record.
pub(super) const DEFAULT: (&[u8], &[u8]) = (b"system.posix_acl_default", b"SCHILY.acl.default");

/// The ACL that an attribute holds, as GNU tar and bsdtar read it, with numbers for owners; `None`
/// where the bytes are no ACL. The layout is that of the kernel's `posix_acl_xattr.h`: a version
/// of 4 bytes, then entries of 8.
pub(super) fn text(value: &[u8]) -> Option<String> {
    const VERSION: u32 = 2;
    let (version, entries) = value.split_at_checked(4)?;
    let (entries, rest) = entries.as_chunks::<8>();
    if le_u32(version, 0) != VERSION || !rest.is_empty() || entries.is_empty() {
        return None;
    }
    let mut text = String::new();
    for entry in entries {
        let (tag, mode, id) = (le_u16(entry, 0), le_u16(entry, 2), le_u32(entry, 4));
        let (tag, has_id) = match tag {
            0x01 => ("user", false),
            0x02 => ("user", true),
            0x04 => ("group", false),
            0x08 => ("group", true),
            0x10 => ("mask", false),
            0x20 => ("other", false),
            _ => return None,
        };
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{tag}:");
        if has_id {
            let _ = write!(text, "{id}");
        }
        text.push(':');
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            text.push(if mode & bit == 0 { '-' } else { letter });
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, mode, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(mode.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn an_acl_is_text_with_numbers() {
        let none = u32::MAX;
        let all = acl(&[
            (0x01, 6, none),
            (0x02, 7, 4_294_967_294),
            (0x04, 4, none),
            (0x08, 1, 50),
            (0x10, 7, none),
            (0x20, 0, none),
        ]);
        let expected = "user::rw-,user:4294967294:rwx,group::r--,group:50:--x,mask::rwx,other::---";
        assert_eq!(text(&all).as_deref(), Some(expected));
    }

    #[test]
    fn other_bytes_are_no_acl() {
        let good = acl(&[(1, 6, 0)]);
        for wrong in [
            &[][..],
            &good[..4],
            &good[..11],
            &acl(&[(3, 6, 0)]),
            &[&[1][..], &good[1..]].concat(),
        ] {
            assert_eq!(text(wrong), None, "{wrong:?}");
        }
    }
}
