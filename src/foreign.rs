//! Names what a file is when it is no ploop image, so that a user learns what to do with it.

use std::fmt;
use std::path::Path;

use crate::source::Source;
use crate::util::bytes::to_usize;

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
    /// An older format of QEMU.
    Qed,
    /// An image of a CD or DVD.
    Iso,
    /// A disk image of macOS.
    Dmg,
    /// A Windows imaging file.
    Wim,
    /// A backup of Acronis's programs.
    Acronis,
    /// A virtual machine that Parallels Desktop packed into one file: told by its name.
    ParallelsPackage,
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
            Self::Qed => "it is a QED image",
            Self::Iso => "it is an ISO image of a CD or DVD",
            Self::Dmg => "it is a DMG image of macOS",
            Self::Wim => "it is a WIM file of Windows",
            Self::Acronis => "it is a backup made by Acronis",
            Self::ParallelsPackage => "by its name it is a packed virtual machine (.pvmp)",
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
    (0, b"QED\0", Foreign::Qed),
    (0, b"MSWIM\0\0\0", Foreign::Wim),
    (0, b"\xce\x24\xb9\xa2", Foreign::Acronis),
    (0, b"<<< ", Foreign::Vdi), // text before the signature, of every producer
    (0, b"conectix", Foreign::Vhd),
    (0, b"vhdxfile", Foreign::Vhdx),
    (0x40, b"\x7f\x10\xda\xbe", Foreign::Vdi),
    (0, b"LUKS\xba\xbe", Foreign::Luks),
    (0, b"\x1f\x8b", Foreign::Packed("gzip")),
    (0, b"\xfd7zXZ\0", Foreign::Packed("xz")),
    (0, b"\x28\xb5\x2f\xfd", Foreign::Packed("zstd")),
    (0, b"\x04\x22\x4d\x18", Foreign::Packed("lz4")),
    (0, b"\x02\x21\x4c\x18", Foreign::Packed("lz4")), // the older frames
    (0, b"BZh", Foreign::Packed("bzip2")),
    (0, b"\x89LZO\0\r\n", Foreign::Packed("lzop")),
    (0, b"7z\xbc\xaf\x27\x1c", Foreign::Packed("7z")),
    (0, b"Rar!\x1a\x07", Foreign::Packed("rar")),
    (0, b"070701", Foreign::Packed("cpio")),
    (0, b"PK\x03\x04", Foreign::Packed("zip")),
    (257, b"ustar", Foreign::Packed("tar")),
    (512, b"EFI PART", Foreign::Raw("it has a GPT")),
    (4096, b"EFI PART", Foreign::Raw("it has a GPT")),
    (0, b"XFSB", Foreign::Raw("it has an XFS file system")),
    (3, b"NTFS    ", Foreign::Raw("it has an NTFS file system")),
    (3, b"EXFAT   ", Foreign::Raw("it has an exFAT file system")),
    (0x20, b"NXSB", Foreign::Raw("it has an APFS container")),
    (
        0x400,
        b"H+\0\x04",
        Foreign::Raw("it has an HFS+ file system"),
    ),
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
    let held = to_usize(size).min(head.len());
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
        Some(Foreign::Raw(_)) | None if has_footer(source, size, b"conectix") => Foreign::Vhd,
        Some(Foreign::Raw(_)) | None if has_footer(source, size, b"koly") => Foreign::Dmg,
        // A hybrid image has a boot sector or a table besides.
        Some(Foreign::Raw(_)) | None if is_iso(source) => Foreign::Iso,
        None if is_vmdk_descriptor(head) => Foreign::Vmdk,
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

/// What a name promises of a file whose bytes are not known here.
pub(crate) fn by_name(path: &Path) -> Foreign {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("pvmp" | "macvmp") => Foreign::ParallelsPackage,
        Some("tib" | "tibx") => Foreign::Acronis,
        _ => Foreign::Unknown,
    }
}

/// A descriptor that an editor or another program has begun in its own way.
fn is_vmdk_descriptor(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let has_line = |wanted: &str| text.lines().any(|line| line.trim().starts_with(wanted));
    has_line("createType=") && (has_line("RW ") || has_line("RDONLY ") || has_line("version="))
}

fn is_iso(source: &dyn Source) -> bool {
    // The first volume descriptor, after 16 sectors of 2048 bytes.
    let mut id = [0; 5];
    source.read_exact_at(&mut id, 0x8001).is_ok() && &id == b"CD001"
}

/// A fixed VHD and a DMG have no header; their footer is the last sector.
fn has_footer(source: &dyn Source, size: u64, cookie: &[u8]) -> bool {
    let mut start = [0; 8];
    size.checked_sub(512)
        .is_some_and(|at| source.read_exact_at(&mut start, at).is_ok())
        && start.starts_with(cookie)
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
        disk[7680..7688].copy_from_slice(b"koly\0\0\0\x04");
        assert_eq!(recognise(&disk), Foreign::Dmg);
    }

    #[test]
    fn an_iso_is_told_from_the_disk_that_it_is_at_the_same_time() {
        let mut disk = vec![0; 0x9000];
        disk[510..512].copy_from_slice(b"\x55\xaa");
        disk[0x8001..0x8006].copy_from_slice(b"CD001");
        assert_eq!(recognise(&disk), Foreign::Iso);
    }

    #[test]
    fn a_vmdk_descriptor_is_known_without_its_first_comment() {
        let text =
            b"version=1\ncreateType=\"twoGbMaxExtentSparse\"\nRW 4192256 SPARSE \"a-s001.vmdk\"\n";
        assert_eq!(recognise(&text.to_vec()), Foreign::Vmdk);
    }

    #[test]
    fn names_tell_only_what_bytes_cannot() {
        assert_eq!(by_name(Path::new("Win 10.PVMP")), Foreign::ParallelsPackage);
        assert_eq!(by_name(Path::new("a.tib")), Foreign::Acronis);
        assert_eq!(by_name(Path::new("a.hds")), Foreign::Unknown);
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
