//! Names what a file is when it is no ploop image, so that a user learns what to do with it.

use std::fmt;

use crate::source::Source;

/// What a file that is no ploop image seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// No bytes at all.
    Empty,
    /// A qcow2 (or older qcow) image: also what Virtuozzo 9 keeps in `root.hdd`.
    Qcow,
    /// A VMware disk or its descriptor.
    Vmdk,
    /// A Virtual PC or Hyper-V disk.
    Vhd,
    /// A Hyper-V disk of the newer format.
    Vhdx,
    /// A VirtualBox disk.
    Vdi,
    /// An encrypted volume.
    Luks,
    /// XML that is no disk descriptor.
    Xml,
    /// A compressed file or an archive, with its name.
    Packed(&'static str),
    /// A raw disk, told by its partition table or file system.
    Raw(&'static str),
    /// Nothing that is known here.
    Unknown,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the file is empty",
            Self::Qcow => "it is a qcow2 image already",
            Self::Vmdk => "it is a VMDK image",
            Self::Vhd => "it is a VHD image",
            Self::Vhdx => "it is a VHDX image",
            Self::Vdi => "it is a VDI image",
            Self::Luks => "it is a LUKS volume",
            Self::Xml => "it is an XML file, but not a disk descriptor",
            Self::Packed(name) => return write!(f, "it is packed ({name})"),
            Self::Raw(sign) => return write!(f, "it is a raw disk ({sign})"),
            Self::Unknown => "the signature of a ploop image is missing",
        })
    }
}

/// Signatures at fixed offsets, the surest first.
const SIGNATURES: &[(usize, &[u8], Foreign)] = &[
    (0, b"QFI\xfb", Foreign::Qcow),
    (0, b"KDMV", Foreign::Vmdk),
    (0, b"COWD", Foreign::Vmdk),
    (0, b"# Disk DescriptorFile", Foreign::Vmdk),
    (0, b"conectix", Foreign::Vhd),
    (0, b"vhdxfile", Foreign::Vhdx),
    (0x40, b"\x7f\x10\xda\xbe", Foreign::Vdi),
    (0, b"LUKS\xba\xbe", Foreign::Luks),
    (0, b"\x1f\x8b", Foreign::Packed("gzip")),
    (0, b"\xfd7zXZ\0", Foreign::Packed("xz")),
    (0, b"\x28\xb5\x2f\xfd", Foreign::Packed("zstd")),
    (0, b"\x04\x22\x4d\x18", Foreign::Packed("lz4")),
    (0, b"BZh", Foreign::Packed("bzip2")),
    (0, b"PK\x03\x04", Foreign::Packed("zip")),
    (257, b"ustar", Foreign::Packed("tar")),
    (512, b"EFI PART", Foreign::Raw("it has a GPT")),
    (4096, b"EFI PART", Foreign::Raw("it has a GPT")),
    (0, b"XFSB", Foreign::Raw("it has an XFS file system")),
    (
        0x438,
        b"\x53\xef",
        Foreign::Raw("it has an ext file system"),
    ),
    (510, b"\x55\xaa", Foreign::Raw("it has a boot sector")),
];

/// Looks at the first bytes of a file (and, for VHD, at its last sector).
///
/// Never fails: what cannot be read is not recognised.
pub(crate) fn recognise(source: &dyn Source) -> Foreign {
    let Ok(size) = source.size() else {
        return Foreign::Unknown;
    };
    let mut head = [0; 4104];
    let held = usize::try_from(size).map_or(head.len(), |size| size.min(head.len()));
    let head = &mut head[..held];
    if source.read_exact_at(head, 0).is_err() {
        return Foreign::Unknown;
    }
    if head.is_empty() {
        return Foreign::Empty;
    }
    if is_xml(head) {
        return Foreign::Xml;
    }
    let found = SIGNATURES
        .iter()
        .find(|(at, signature, _)| {
            head.get(*at..)
                .is_some_and(|rest| rest.starts_with(signature))
        })
        .map(|&(_, _, foreign)| foreign);
    match found {
        Some(Foreign::Raw(_)) | None if has_vhd_footer(source, size) => Foreign::Vhd,
        Some(foreign) => foreign,
        None => Foreign::Unknown,
    }
}

/// Whether text begins like XML, after a byte order mark and white space, in UTF-8 or UTF-16.
pub(crate) fn is_xml(head: &[u8]) -> bool {
    let wide = |unit: usize| head.iter().skip(unit).step_by(2).copied().take(64);
    let narrowed: Vec<u8>;
    let head = match head {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest,
        [0xff, 0xfe, ..] | [b'<', 0, ..] => {
            narrowed = wide(0).filter(|&byte| byte != 0xff).collect();
            &narrowed
        }
        [0xfe, 0xff, ..] | [0, b'<', ..] => {
            narrowed = wide(1).filter(|&byte| byte != 0xff).collect();
            &narrowed
        }
        _ => head,
    };
    let text = head.trim_ascii_start();
    text.starts_with(b"<?xml")
        || (text.starts_with(b"<") && text.get(1).is_some_and(u8::is_ascii_alphabetic))
}

/// A fixed VHD has no header; its footer is the last sector.
fn has_vhd_footer(source: &dyn Source, size: u64) -> bool {
    let mut cookie = [0; 8];
    size.checked_sub(512)
        .is_some_and(|at| source.read_exact_at(&mut cookie, at).is_ok())
        && &cookie == b"conectix"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_vhd_is_told_from_a_raw_disk_by_its_footer() {
        let mut disk = vec![0; 8192];
        disk[510..512].copy_from_slice(b"\x55\xaa");
        assert_eq!(recognise(&disk), Foreign::Raw("it has a boot sector"));
        disk[7680..7688].copy_from_slice(b"conectix");
        assert_eq!(recognise(&disk), Foreign::Vhd);
    }

    #[test]
    fn short_files_are_recognised_too() {
        assert_eq!(recognise(&Vec::new()), Foreign::Empty);
        assert_eq!(recognise(&b"QFI\xfb".to_vec()), Foreign::Qcow);
        assert_eq!(
            recognise(&b"  <?xml version='1.0'?>".to_vec()),
            Foreign::Xml
        );
        assert_eq!(
            recognise(&b"\xff\xfe<\0?\0x\0m\0l\0".to_vec()),
            Foreign::Xml
        );
        assert_eq!(recognise(&b"\0<\0a\0>".to_vec()), Foreign::Xml);
        assert_eq!(recognise(&b"hello".to_vec()), Foreign::Unknown);
    }
}
