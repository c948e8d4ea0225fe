//! Whole disks: a table that is right, one thing spoiled, one error or warning expected.

use super::*;
use crate::ErrorKind;
use crate::disk::RawDisk;

/// A GPT on a small disk, put together again after every change.
#[derive(Clone)]
pub(super) struct Gpt {
    pub(super) sector: usize,
    pub(super) sectors: u64,
    /// Entries that the table has room for.
    pub(super) room: usize,
    /// Number, first and last sector.
    pub(super) parts: Vec<(usize, u64, u64)>,
    pub(super) protective: bool,
}

impl Gpt {
    pub(super) fn new(sector: usize) -> Self {
        Self {
            sector,
            sectors: 400,
            room: 128,
            parts: vec![(1, 64, 99), (3, 100, 130)],
            protective: true,
        }
    }

    fn entries_sectors(&self) -> u64 {
        (self.room * 128).div_ceil(self.sector) as u64
    }

    pub(super) fn header(&self, backup: bool) -> usize {
        let lba = if backup { self.sectors - 1 } else { 1 };
        usize::try_from(lba).unwrap() * self.sector
    }

    pub(super) fn entries(&self, backup: bool) -> usize {
        let lba = if backup {
            self.sectors - 1 - self.entries_sectors()
        } else {
            2
        };
        usize::try_from(lba).unwrap() * self.sector
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let mut disk = vec![0; self.sector * usize::try_from(self.sectors).unwrap()];
        self.build_into(&mut disk);
        disk
    }

    pub(super) fn build_into(&self, disk: &mut [u8]) {
        if self.protective {
            disk[446 + 4] = 0xee;
            put32(disk, 446 + 8, 1);
            put32(disk, 446 + 12, u32::MAX);
            disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        }
        for backup in [false, true] {
            let at = self.entries(backup);
            for &(number, first, last) in &self.parts {
                let at = at + (number - 1) * 128;
                disk[at..at + 16].fill(0x11);
                disk[at + 16..at + 32].fill(u8::try_from(number).unwrap());
                put64(disk, at + 32, first);
                put64(disk, at + 40, last);
                for (unit, c) in "größe".encode_utf16().enumerate() {
                    disk[at + 56 + 2 * unit..][..2].copy_from_slice(&c.to_le_bytes());
                }
            }
            let header = self.header(backup);
            disk[header..header + 8].copy_from_slice(b"EFI PART");
            put32(disk, header + 8, 0x10000);
            put32(disk, header + 12, 92);
            let (here, there) = if backup { (399, 1) } else { (1, 399) };
            put64(disk, header + 24, here);
            put64(disk, header + 32, there);
            put64(disk, header + 40, 2 + self.entries_sectors());
            put64(disk, header + 48, self.sectors - 2 - self.entries_sectors());
            put64(disk, header + 72, (at / self.sector) as u64);
            put32(disk, header + 80, u32::try_from(self.room).unwrap());
            put32(disk, header + 84, 128);
            let crc = gpt::crc32(&disk[at..at + self.room * 128]);
            put32(disk, header + 88, crc);
            self.seal(disk, backup);
        }
    }

    /// Makes the checksum of a header right again.
    pub(super) fn seal(&self, disk: &mut [u8], backup: bool) {
        let at = self.header(backup);
        put32(disk, at + 16, 0);
        let crc = gpt::crc32(&disk[at..at + 92]);
        put32(disk, at + 16, crc);
    }
}

pub(super) fn put32(disk: &mut [u8], at: usize, value: u32) {
    disk[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn put64(disk: &mut [u8], at: usize, value: u64) {
    disk[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn read_bytes(disk: &[u8]) -> Result<PartitionLayout> {
    let disk = RawDisk::over(std::sync::Arc::new(disk.to_vec()), "memory".as_ref())?;
    let layout = read(&disk)?;
    // Whatever is believed can be read.
    for partition in &layout.partitions {
        let slice = partition.of(&disk)?;
        slice.read_at(&mut [0; 1], slice.size() - 1)?;
    }
    Ok(layout)
}

#[track_caller]
pub(super) fn reason(error: Error, of: TableKind) -> TableError {
    match error.detail() {
        Some(PartitionError::Table { kind, source }) if *kind == of => {
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            source.clone()
        }
        _ => panic!("{error:?}"),
    }
}

#[track_caller]
pub(super) fn refused(disk: &[u8]) -> TableError {
    reason(read_bytes(disk).unwrap_err(), TableKind::Gpt)
}

fn numbers(layout: &PartitionLayout) -> Vec<(u32, u64, u64)> {
    let parts = layout.partitions.iter();
    parts
        .map(|part| (part.number, part.start, part.len))
        .collect()
}

/// A superblock that says ext4, with a dirty journal.
fn put_ext(disk: &mut [u8], at: usize) {
    let sb = at + 1024;
    put32(disk, sb + 4, 100);
    disk[sb + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
    disk[sb + 0x3a] = 1;
    put32(disk, sb + 0x4c, 1);
    put32(disk, sb + 0x5c, 0x4);
    put32(disk, sb + 0x60, 0x2 | 0x4 | 0x40);
}

#[test]
fn a_gpt_of_every_sector_size_is_read_in_bytes() {
    for sector in [512, 1024, 2048, 4096] {
        let layout = read_bytes(&Gpt::new(sector).build()).unwrap();
        let size = sector as u64;
        let table = layout.table.unwrap();
        assert_eq!((table.kind, table.sector_size), (TableKind::Gpt, size));
        assert_eq!(
            numbers(&layout),
            [(1, 64 * size, 36 * size), (3, 100 * size, 31 * size)]
        );
        assert_eq!(layout.partitions[0].name, "größe");
        let warnings: &[_] = if sector == 512 {
            &[]
        } else {
            &[Warning::SectorSize(size)]
        };
        assert_eq!(layout.warnings, warnings);
    }
}

#[test]
fn a_copy_with_anything_wrong_is_not_believed_and_the_other_is() {
    for sector in [512, 4096] {
        let gpt = Gpt::new(sector);
        let good = gpt.build();
        let expected = numbers(&read_bytes(&good).unwrap());
        for (backup, at) in [
            (false, gpt.header(false) + 20),
            (false, gpt.header(false) + 88),
            (false, gpt.entries(false) + 127),
            (false, gpt.entries(false) + 128 * 128 - 1),
            (true, gpt.header(true)),
            (true, gpt.header(true) + 40),
            (true, gpt.entries(true) + 128 * 127),
        ] {
            let mut disk = good.clone();
            disk[at] ^= 0x40;
            let layout = read_bytes(&disk).unwrap();
            assert_eq!(numbers(&layout), expected, "byte {at}");
            let said = layout.warnings.iter().any(|warning| match warning {
                Warning::BackupUsed(_) => !backup,
                Warning::BackupDamaged(_) => backup,
                _ => false,
            });
            assert!(said, "{:?}", layout.warnings);
        }
    }
}

#[test]
fn a_backup_is_found_in_the_last_sector_when_nothing_else_is_left() {
    for sector in [512, 1024, 2048, 4096] {
        let gpt = Gpt::new(sector);
        let mut disk = gpt.build();
        let expected = numbers(&read_bytes(&disk).unwrap());
        disk[512..gpt.entries(false) + 128 * 128].fill(0);
        let layout = read_bytes(&disk).unwrap();
        assert_eq!(numbers(&layout), expected);
        assert!(
            layout
                .warnings
                .contains(&Warning::BackupUsed(GptError::Signature { lba: 1 }))
        );
    }
}

#[test]
fn two_copies_that_are_both_damaged_are_an_error() {
    let gpt = Gpt::new(512);
    let mut disk = gpt.build();
    disk[gpt.header(false) + 30] ^= 1;
    disk[gpt.entries(true)] ^= 1;
    assert!(matches!(
        refused(&disk),
        TableError::Gpt {
            sector_size: 512,
            primary: GptError::HeaderCrc { .. },
            backup: GptError::EntriesCrc { .. },
        }
    ));
}

#[test]
fn a_disk_that_was_cut_off_or_has_grown_is_told() {
    let gpt = Gpt::new(512);
    let mut disk = gpt.build();
    disk.extend([0; 4096]);
    let layout = read_bytes(&disk).unwrap();
    assert_eq!(layout.warnings, [Warning::BackupNotLast]);
    disk.truncate(300 * 512);
    let layout = read_bytes(&disk).unwrap();
    assert_eq!(
        layout.warnings,
        [Warning::BackupDamaged(GptError::Outside { lba: 399 })]
    );
    disk.truncate(120 * 512);
    assert!(matches!(
        refused(&disk),
        TableError::PastEnd { number: 3, .. }
    ));
}

#[test]
fn an_interrupted_rewrite_is_named_and_the_backup_is_read() {
    let gpt = Gpt::new(4096);
    let mut disk = gpt.build();
    disk[4096..4099].copy_from_slice(b"XXX");
    let layout = read_bytes(&disk).unwrap();
    assert!(layout.warnings.contains(&Warning::InterruptedRewrite));
    assert_eq!(layout.table.unwrap().sector_size, 4096);

    disk[gpt.header(true)] = 0;
    assert_eq!(
        refused(&disk),
        TableError::InterruptedRewrite { offset: 4096 }
    );
    // The mark may be for another sector size than the copy that is left.
    let mut disk = Gpt::new(4096).build();
    disk[4096..4104].fill(0);
    disk[512..520].copy_from_slice(b"XXX PART");
    let layout = read_bytes(&disk).unwrap();
    assert!(layout.warnings.contains(&Warning::InterruptedRewrite));
    assert_eq!(layout.table.unwrap().sector_size, 4096);
}

#[test]
fn valid_tables_for_two_sector_sizes_are_an_error() {
    // The entries of the small sectors begin where a header of large ones has room after them.
    let mut large = Gpt::new(4096);
    large.parts = vec![(1, 64, 99)];
    let mut disk = large.build();
    let mut small = vec![0; disk.len()];
    let gpt = Gpt {
        sectors: 3200,
        ..Gpt::new(512)
    };
    gpt.build_into(&mut small);
    disk[512..1024].copy_from_slice(&small[512..1024]);
    // Its entries go where the large table leaves room, in both senses.
    let at = 4096 * 20;
    disk[at..at + 128 * 128].copy_from_slice(&small[1024..1024 + 128 * 128]);
    put64(&mut disk, 512 + 72, (at / 512) as u64);
    gpt.seal(&mut disk, false);
    assert_eq!(
        refused(&disk),
        TableError::SeveralSectorSizes {
            first: 512,
            second: 4096
        }
    );
    // A stale one whose entries are gone does not count.
    disk[at] ^= 1;
    let layout = read_bytes(&disk).unwrap();
    assert_eq!(layout.table.unwrap().sector_size, 4096);
    assert!(layout.warnings.contains(&Warning::OtherGpt(512)));
}

#[test]
fn partitions_that_make_no_sense_are_errors() {
    let with = |parts: &[(usize, u64, u64)]| {
        let mut gpt = Gpt::new(512);
        gpt.parts = parts.to_vec();
        refused(&gpt.build())
    };
    assert_eq!(
        with(&[(1, 90, 89)]),
        TableError::Backwards {
            number: 1,
            first: 90,
            last: 89
        }
    );
    assert_eq!(
        with(&[(1, 64, 99), (2, 50, 64)]),
        TableError::Overlap {
            first: 2,
            second: 1
        }
    );
    assert_eq!(
        with(&[(7, 64, 64), (9, 64, 64)]),
        TableError::Overlap {
            first: 7,
            second: 9
        }
    );
    for (first, last) in [
        (64, 400),
        (400, 400),
        (64, u64::MAX),
        (u64::MAX, u64::MAX),
        (1 << 55, 1 << 55),
        (u64::MAX / 512, u64::MAX / 512 + 1),
        (0, (1 << 55) - 1),
    ] {
        let error = with(&[(1, first, last)]);
        assert!(
            matches!(error, TableError::PastEnd { number: 1, .. }),
            "{first}..={last}: {error:?}"
        );
    }
}

#[test]
fn the_whole_disk_may_be_a_partition_but_not_without_a_word() {
    let mut gpt = Gpt::new(512);
    gpt.parts = vec![(2, 0, 399)];
    let layout = read_bytes(&gpt.build()).unwrap();
    assert_eq!(numbers(&layout), [(2, 0, 400 * 512)]);
    assert!(layout.warnings.contains(&Warning::OutsideUsable(2)));
}

#[test]
fn absurd_headers_are_refused_before_anything_is_allocated() {
    let gpt = Gpt::new(512);
    let spoil = |at: usize, value: u32| {
        let mut disk = gpt.build();
        for backup in [false, true] {
            put32(&mut disk, gpt.header(backup) + at, value);
            gpt.seal(&mut disk, backup);
        }
        match refused(&disk) {
            TableError::Gpt { primary, .. } => primary,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(spoil(80, 0), GptError::EntryCount(0));
    assert_eq!(spoil(80, u32::MAX), GptError::EntryCount(u32::MAX));
    assert_eq!(spoil(80, 8193), GptError::EntryCount(8193));
    assert_eq!(spoil(80, 8192), GptError::EntriesOutside(2));
    for size in [0, 64, 127, 129, 384, 8192, u32::MAX] {
        assert_eq!(spoil(84, size), GptError::EntrySize(size));
    }
    assert_eq!(spoil(72, 399), GptError::EntriesOutside(399));
    assert!(matches!(spoil(76, u32::MAX), GptError::EntriesOutside(_)));
    assert!(matches!(
        spoil(24, 7),
        GptError::Place { stated: 7, lba: 1 }
    ));
    for size in [0, 91, 513, u32::MAX] {
        assert_eq!(spoil(12, size), GptError::HeaderSize(size));
    }
    assert!(matches!(spoil(12, 512), GptError::HeaderCrc { .. }));
}

#[test]
fn a_disk_too_small_for_anything_is_empty() {
    for len in [0, 1, 511, 512, 513, 1023, 1024, 4096, 8191] {
        let layout = read_bytes(&vec![0; len]).unwrap();
        assert_eq!(layout, PartitionLayout::nothing());
        let mut disk = Gpt::new(512).build();
        disk.truncate(len);
        let _ = read_bytes(&disk);
    }
}

#[test]
fn a_file_system_on_the_whole_disk_is_found_behind_leftovers() {
    let mut disk = vec![0; 400 * 512];
    put_ext(&mut disk, 0);
    let layout = read_bytes(&disk).unwrap();
    let whole = layout.whole.as_ref().unwrap();
    assert_eq!(whole.kind, FileSystem::Ext4);
    assert_eq!(whole.journal_dirty, Some(true));
    let whole = Some(FileSystem::Ext4);
    let error = layout.partition(1).unwrap_err();
    assert_eq!(error.detail(), Some(&PartitionError::NoTable { whole }));
    assert_eq!(error.kind(), ErrorKind::NotThisFormat);

    // A backup that no header announces is left over.
    let gpt = Gpt {
        protective: false,
        ..Gpt::new(512)
    };
    let mut with_backup = gpt.build();
    with_backup[..gpt.entries(false) + 128 * 128].fill(0);
    assert_eq!(read_bytes(&with_backup).unwrap().partitions.len(), 2);
    put_ext(&mut with_backup, 0);
    let layout = read_bytes(&with_backup).unwrap();
    assert_eq!(layout.partitions.len(), 0);
    assert_eq!(layout.warnings, [Warning::TableIgnored]);
}

#[test]
fn luks_on_the_whole_disk_is_explained() {
    let mut disk = vec![0; 1 << 20];
    disk[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    disk[168..172].copy_from_slice(b"abcd");
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let layout = read_bytes(&disk).unwrap();
    assert_eq!(layout.warnings, [Warning::WholeDiskLuks]);
    let whole = Some(FileSystem::Luks);
    let error = layout.partition(1).unwrap_err();
    assert_eq!(error.detail(), Some(&PartitionError::NoTable { whole }));
    assert_eq!(error.kind(), ErrorKind::NotThisFormat);
}

#[test]
fn an_announced_gpt_that_is_nowhere_is_an_error() {
    let mut disk = Gpt::new(512).build();
    disk[512..].fill(0);
    assert_eq!(refused(&disk), TableError::NoGpt);
}

#[test]
fn an_mbr_that_does_not_know_of_the_gpt_was_written_later() {
    let mut disk = Gpt::new(512).build();
    disk[446 + 4] = 0x83;
    put32(&mut disk, 446 + 8, 70);
    put32(&mut disk, 446 + 12, 10);
    let layout = read_bytes(&disk).unwrap();
    assert_eq!(layout.table.unwrap().kind, TableKind::Mbr);
    assert_eq!(numbers(&layout), [(1, 70 * 512, 10 * 512)]);
    assert_eq!(layout.warnings, [Warning::GptIgnored]);
    // Beside an entry that announces it, as hybrid tables have, the GPT counts.
    disk[462 + 4] = 0xee;
    put32(&mut disk, 462 + 12, 1);
    let layout = read_bytes(&disk).unwrap();
    assert_eq!(layout.table.unwrap().kind, TableKind::Gpt);
}

#[test]
fn an_mbr_of_large_sectors_is_told_by_what_lies_there() {
    let mut disk = vec![0; 100 * 4096];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[446 + 4] = 0x83;
    put32(&mut disk, 446 + 8, 40);
    put32(&mut disk, 446 + 12, 60);
    assert_eq!(read_bytes(&disk).unwrap().table.unwrap().sector_size, 512);
    put_ext(&mut disk, 40 * 4096);
    let layout = read_bytes(&disk).unwrap();
    assert_eq!(layout.table.unwrap().sector_size, 4096);
    assert_eq!(numbers(&layout), [(1, 40 * 4096, 60 * 4096)]);
    put_ext(&mut disk, 40 * 512);
    assert_eq!(read_bytes(&disk).unwrap().table.unwrap().sector_size, 512);
}

#[test]
fn any_byte_may_be_anything() {
    let gpt = Gpt {
        room: 8,
        ..Gpt::new(512)
    };
    let good = gpt.build();
    let mut places: Vec<_> = (446..512).collect();
    for backup in [false, true] {
        places.extend((0..92).map(|at| gpt.header(backup) + at));
        places.extend((0..128).map(|at| gpt.entries(backup) + at));
    }
    for at in places {
        for value in [0, 1, 0x7f, 0xff] {
            for sealed in [false, true] {
                let mut disk = good.clone();
                disk[at] = value;
                if sealed {
                    for backup in [false, true] {
                        let (entries, header) = (gpt.entries(backup), gpt.header(backup));
                        let crc = gpt::crc32(&disk[entries..entries + 8 * 128]);
                        put32(&mut disk, header + 88, crc);
                        gpt.seal(&mut disk, backup);
                    }
                }
                if let Err(error) = read_bytes(&disk) {
                    assert!(
                        matches!(error.detail(), Some(PartitionError::Table { .. })),
                        "{error:?}"
                    );
                }
            }
        }
    }
}
