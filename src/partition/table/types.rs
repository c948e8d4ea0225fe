//! Names of the types that partitions commonly have. Those of a GPT are the UEFI specification's,
//! the Discoverable Partitions Specification's and their vendors'; those of an MBR are `sfdisk`'s.

use uuid::{Uuid, uuid};

const GUIDS: &[(Uuid, &str)] = &[
    (
        uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"),
        "Linux filesystem",
    ),
    (uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), "EFI System"),
    (uuid!("21686148-6449-6e6f-744e-656564454649"), "BIOS boot"),
    (uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), "Linux swap"),
    (uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"), "Linux LVM"),
    (uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e"), "Linux RAID"),
    (uuid!("ca7d7ccb-63ed-4c53-861c-1742536059cc"), "Linux LUKS"),
    (
        uuid!("8da63339-0007-60c0-c436-083ac8230908"),
        "Linux reserved",
    ),
    (
        uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
        "Linux root (x86-64)",
    ),
    (
        uuid!("44479540-f297-41b2-9af7-d131d5f0458a"),
        "Linux root (x86)",
    ),
    (
        uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
        "Linux root (ARM-64)",
    ),
    (uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915"), "Linux home"),
    (
        uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8"),
        "Linux server data",
    ),
    (
        uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d"),
        "Linux variable data",
    ),
    (
        uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"),
        "Linux extended boot",
    ),
    (
        uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),
        "Microsoft basic data",
    ),
    (
        uuid!("e3c9e316-0b5c-4db8-817d-f92df00215ae"),
        "Microsoft reserved",
    ),
    (
        uuid!("de94bba4-06d1-4d40-a16a-bfd50179d6ac"),
        "Windows recovery environment",
    ),
    (
        uuid!("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"),
        "Microsoft LDM metadata",
    ),
    (
        uuid!("af9b60a0-1431-4f62-bc68-3311714a69ad"),
        "Microsoft LDM data",
    ),
    (
        uuid!("e75caf8f-f680-4cee-afa3-b001e56efc2d"),
        "Microsoft Storage Spaces",
    ),
    (
        uuid!("48465300-0000-11aa-aa11-00306543ecac"),
        "Apple HFS/HFS+",
    ),
    (uuid!("7c3457ef-0000-11aa-aa11-00306543ecac"), "Apple APFS"),
    (uuid!("426f6f74-0000-11aa-aa11-00306543ecac"), "Apple boot"),
    (
        uuid!("53746f72-6167-11aa-aa11-00306543ecac"),
        "Apple Core storage",
    ),
    (
        uuid!("6a898cc3-1dd2-11b2-99a6-080020736631"),
        "Solaris /usr & Apple ZFS",
    ),
    (
        uuid!("6a945a3b-1dd2-11b2-99a6-080020736631"),
        "Solaris reserved 1",
    ),
    (
        uuid!("516e7cb4-6ecf-11d6-8ff8-00022d09712b"),
        "FreeBSD data",
    ),
    (
        uuid!("83bd6b9d-7f41-11dc-be0b-001560b84f0f"),
        "FreeBSD boot",
    ),
    (
        uuid!("516e7cb5-6ecf-11d6-8ff8-00022d09712b"),
        "FreeBSD swap",
    ),
    (uuid!("516e7cb6-6ecf-11d6-8ff8-00022d09712b"), "FreeBSD UFS"),
    (uuid!("516e7cba-6ecf-11d6-8ff8-00022d09712b"), "FreeBSD ZFS"),
];

const IDS: &[(u8, &str)] = &[
    (0x01, "FAT12"),
    (0x04, "FAT16 <32M"),
    (0x05, "Extended"),
    (0x06, "FAT16"),
    (0x07, "HPFS/NTFS/exFAT"),
    (0x0b, "W95 FAT32"),
    (0x0c, "W95 FAT32 (LBA)"),
    (0x0e, "W95 FAT16 (LBA)"),
    (0x0f, "W95 Ext'd (LBA)"),
    (0x11, "Hidden FAT12"),
    (0x14, "Hidden FAT16 <32M"),
    (0x16, "Hidden FAT16"),
    (0x17, "Hidden HPFS/NTFS"),
    (0x1b, "Hidden W95 FAT32"),
    (0x1c, "Hidden W95 FAT32 (LBA)"),
    (0x27, "Hidden NTFS WinRE"),
    (0x42, "SFS"),
    (0x82, "Linux swap / Solaris"),
    (0x83, "Linux"),
    (0x85, "Linux extended"),
    (0x8e, "Linux LVM"),
    (0xa5, "FreeBSD"),
    (0xa6, "OpenBSD"),
    (0xa9, "NetBSD"),
    (0xaf, "HFS / HFS+"),
    (0xee, "GPT"),
    (0xef, "EFI (FAT-12/16/32)"),
    (0xfd, "Linux raid autodetect"),
];

pub(super) fn of_guid(guid: Uuid) -> Option<&'static str> {
    let known = GUIDS.iter().find(|(known, _)| *known == guid);
    known.map(|(_, name)| *name)
}

pub(super) fn of_id(id: u8) -> Option<&'static str> {
    let known = IDS.iter().find(|(known, _)| *known == id);
    known.map(|(_, name)| *name)
}
