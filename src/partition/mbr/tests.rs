use crate::disk::{RawDisk, VirtualDisk};
use crate::partition::tests::reason;
use crate::partition::{PartitionError, PartitionLayout, TableError, TableKind, Warning, read};

const SECTORS: usize = 4000;

struct Disk(Vec<u8>);

impl Disk {
    fn new() -> Self {
        let mut disk = Self(vec![0; SECTORS * 512]);
        disk.sign(0);
        disk
    }

    fn sign(&mut self, sector: usize) -> &mut Self {
        self.0[sector * 512 + 510..][..2].copy_from_slice(&[0x55, 0xaa]);
        self
    }

    fn put(&mut self, sector: usize, slot: usize, kind: u8, start: u32, sectors: u32) -> &mut Self {
        let at = sector * 512 + 446 + 16 * slot;
        self.0[at + 4] = kind;
        self.0[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        self.0[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
        self.sign(sector)
    }

    /// Two primary partitions in the first and third slot, and three logical ones.
    fn usual() -> Self {
        let mut disk = Self::new();
        disk.put(0, 0, 0x83, 100, 100);
        disk.put(0, 1, 0x05, 1000, 2000);
        disk.put(0, 2, 0x82, 300, 10);
        disk.put(1000, 0, 0x83, 10, 90).put(1000, 1, 0x05, 500, 200);
        disk.put(1500, 0, 0x83, 1, 199).put(1500, 1, 0x05, 100, 100);
        // The chain may go back, as partitions that were made later do.
        disk.put(1100, 0, 0x8e, 2, 50);
        disk
    }

    fn read(&self) -> crate::Result<PartitionLayout> {
        let disk = RawDisk::over(std::sync::Arc::new(self.0.clone()), "memory".as_ref())?;
        let layout = read(&disk)?;
        for part in &layout.partitions {
            let slice = part.of(&disk)?;
            slice.read_at(&mut [0; 1], slice.size() - 1)?;
        }
        Ok(layout)
    }

    #[track_caller]
    fn refused(&self) -> TableError {
        reason(self.read().unwrap_err(), TableKind::Mbr)
    }
}

#[test]
fn slots_keep_their_numbers_and_logical_partitions_start_at_five() {
    let layout = Disk::usual().read().unwrap();
    let parts = layout.partitions.iter();
    let found: Vec<_> = parts
        .map(|part| (part.number, part.start / 512, part.len / 512))
        .collect();
    assert_eq!(
        found,
        [
            (1, 100, 100),
            (2, 1000, 2000),
            (3, 300, 10),
            (5, 1010, 90),
            (6, 1501, 199),
            (7, 1102, 50)
        ]
    );
    assert_eq!(layout.partitions[0].kind.to_string(), "0x83");
    assert_eq!(layout.warnings, []);
    let available = vec![1, 3, 5, 6, 7];
    let error = layout.partition(4).unwrap_err();
    let number = 4;
    assert_eq!(
        error.detail(),
        Some(&PartitionError::NoSuchPartition { number, available })
    );
    let error = layout.partition(2).unwrap_err();
    assert!(matches!(
        error.detail(),
        Some(PartitionError::Extended { .. })
    ));
}

#[test]
fn a_chain_that_comes_back_is_refused() {
    let mut disk = Disk::usual();
    disk.put(1100, 1, 0x05, 500, 10);
    assert_eq!(disk.refused(), TableError::ChainLoop { at: 1500 });
    let mut disk = Disk::usual();
    disk.put(1000, 1, 0x05, 0, 10);
    assert_eq!(disk.refused(), TableError::ChainLoop { at: 1000 });
}

#[test]
fn a_chain_that_leaves_its_partition_is_refused() {
    let mut disk = Disk::usual();
    disk.put(1100, 1, 0x05, 2000, 10);
    assert_eq!(disk.refused(), TableError::OutsideExtended { at: 3000 });
    let mut disk = Disk::usual();
    disk.put(1100, 1, 0x05, u32::MAX, u32::MAX);
    assert!(matches!(disk.refused(), TableError::OutsideExtended { .. }));
    let mut disk = Disk::usual();
    disk.put(1100, 0, 0x83, u32::MAX, u32::MAX);
    assert_eq!(disk.refused(), TableError::OutsideExtended { at: 1100 });
}

#[test]
fn a_chain_that_is_torn_is_refused_and_one_that_never_began_is_told() {
    let mut disk = Disk::usual();
    disk.0[1500 * 512 + 511] = 0;
    assert_eq!(disk.refused(), TableError::ChainBroken { at: 1500 });
    let mut disk = Disk::usual();
    disk.0[1000 * 512 + 511] = 0;
    let layout = disk.read().unwrap();
    assert_eq!(layout.partitions.len(), 3);
    assert_eq!(layout.warnings, [Warning::EmptyExtended(2)]);
}

#[test]
fn a_chain_without_end_is_cut_short() {
    let mut disk = Disk::new();
    disk.put(0, 0, 0x05, 100, 3800);
    for link in 0..1000 {
        let at = 100 + link;
        disk.put(at, 1, 0x05, u32::try_from(link).unwrap() + 1, 1);
    }
    assert_eq!(disk.refused(), TableError::TooManyLogical { max: 256 });
}

#[test]
fn partitions_that_share_bytes_or_leave_the_disk_are_refused() {
    let mut disk = Disk::usual();
    disk.put(0, 3, 0x83, 199, 10);
    assert_eq!(
        disk.refused(),
        TableError::Overlap {
            first: 1,
            second: 4
        }
    );
    let mut disk = Disk::usual();
    disk.put(0, 3, 0x83, 2999, 10);
    assert!(matches!(
        disk.refused(),
        TableError::Overlap { first: 2, .. }
    ));
    let mut disk = Disk::usual();
    disk.put(1100, 0, 0x83, 2, 405);
    assert_eq!(
        disk.refused(),
        TableError::Overlap {
            first: 7,
            second: 6
        }
    );
    for (start, sectors) in [(3999, 2), (4000, 1), (u32::MAX, u32::MAX), (3500, u32::MAX)] {
        let mut disk = Disk::usual();
        disk.put(0, 3, 0x83, start, sectors);
        assert!(matches!(
            disk.refused(),
            TableError::PastEnd { number: 4, .. }
        ));
    }
}

#[test]
fn boot_code_is_no_table() {
    let mut disk = Disk::usual();
    disk.0[446] = 0x33;
    let layout = disk.read().unwrap();
    assert_eq!((layout.table, layout.partitions.len()), (None, 0));
}

#[test]
fn any_byte_of_a_record_may_be_anything() {
    for sector in [0, 1000, 1500] {
        for at in 446..512 {
            for value in [0, 1, 5, 0x80, 0xee, 0xff] {
                let mut disk = Disk::usual();
                disk.0[sector * 512 + at] = value;
                if let Err(error) = disk.read() {
                    assert!(
                        matches!(error.detail(), Some(PartitionError::Table { .. })),
                        "{error:?}"
                    );
                }
            }
        }
    }
}
