//! Images made by hand, one thing spoiled. What QEMU makes is read in
//! `tests/root/compare_qcow2.rs`.

use super::*;
use crate::error::ErrorKind;

const CLUSTER: usize = 512;
/// Clusters of the file: header, L1 table, L2 table, data.
const L1: usize = CLUSTER;
const L2: usize = 2 * CLUSTER;
const DATA: usize = 3 * CLUSTER;
/// 10 clusters and a bit.
const SIZE: u64 = 10 * 512 + 100;

/// A version 3 image: cluster 0 is stored, 1 is a hole, 2 says zeros and has room, 3 and 4 are
/// stored the other way round, 5 is compressed, and of the last one the file has only 100 bytes.
fn image() -> Vec<u8> {
    let mut file = vec![0; DATA + 4 * CLUSTER];
    file[..4].copy_from_slice(b"QFI\xfb");
    put(&mut file, 4, 3u32);
    put(&mut file, 20, 9u32);
    put_u64(&mut file, 24, SIZE);
    put(&mut file, 36, 1u32);
    put_u64(&mut file, 40, L1 as u64);
    put(&mut file, 100, 104u32);
    put_u64(&mut file, L1, 1 << 63 | L2 as u64);
    let places = [(0, 0), (3, 2), (4, 1), (10, 5)];
    for (cluster, place) in places {
        entry(
            &mut file,
            cluster,
            1 << 63 | (DATA + place * CLUSTER) as u64,
        );
    }
    entry(&mut file, 2, 1 << 63 | DATA as u64 | 1);
    for (place, byte) in [(0, 1), (1, 4), (2, 3)] {
        file[DATA + place * CLUSTER..][..CLUSTER].fill(byte);
    }
    // A stored block of deflate that ends in the next sector.
    let packed = [&[1, 0, 2, 0xff, 0xfd][..], &[5; 512]].concat();
    let at = DATA + 3 * CLUSTER + 9;
    file.resize(at + packed.len(), 0);
    file[at..].copy_from_slice(&packed);
    entry(&mut file, 5, 1 << 62 | 1 << 61 | at as u64);
    file.resize(DATA + 5 * CLUSTER, 0);
    file.extend([10; 100]);
    file
}

fn put(file: &mut [u8], at: usize, value: u32) {
    file[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn put_u64(file: &mut [u8], at: usize, value: u64) {
    file[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

fn entry(file: &mut [u8], cluster: usize, value: u64) {
    put_u64(file, L2 + cluster * 8, value);
}

fn content() -> Vec<u8> {
    let clusters = [1, 0, 0, 3, 4, 5, 0, 0, 0, 0, 10];
    let mut all: Vec<u8> = clusters.iter().flat_map(|&byte| [byte; 512]).collect();
    all.truncate(SIZE as usize);
    all
}

fn open(file: Vec<u8>) -> Result<Qcow2Disk> {
    let name = Path::new("memory");
    Qcow2Disk::over(RawDisk::over(std::sync::Arc::new(file), name)?, name)
}

fn read(disk: &Qcow2Disk) -> Result<Vec<u8>> {
    let mut all = vec![0xdb; usize::try_from(disk.size()).unwrap()];
    disk.read_at(&mut all, 0).map(|()| all)
}

fn reason(error: Error) -> ReadError {
    error.detail::<ReadError>().expect("of the image").clone()
}

#[test]
fn every_kind_of_cluster_is_read_at_every_edge() {
    let disk = open(image()).unwrap();
    let content = content();
    assert_eq!(read(&disk).unwrap(), content);
    for start in (0..=content.len()).step_by(37) {
        for len in [1, 36, 512, 513, 2000] {
            let mut buf = vec![0xdb; len];
            let result = disk.read_at(&mut buf, start as u64);
            match content.get(start..start + len) {
                Some(expected) => assert!(result.is_ok() && buf == expected, "{len} at {start}"),
                None => assert!(matches!(
                    result.unwrap_err().detail(),
                    Some(DiskError::OutOfRange { .. })
                )),
            }
        }
    }
    assert!(disk.read_at(&mut [0; 2], u64::MAX).is_err());
}

#[test]
fn extents_are_joined_where_the_file_continues_and_compressed_ones_are_no_data() {
    let disk = open(image()).unwrap();
    let extents: Vec<_> = disk.extents().map(Result::unwrap).collect();
    let data = |host_offset| ExtentKind::Data {
        store: StoreId::FIRST,
        host_offset,
    };
    let shown: Vec<_> = extents.iter().map(|e| (e.offset, e.len, e.kind)).collect();
    let compressed = ExtentKind::Compressed {
        store: StoreId::FIRST,
        host_offset: (DATA + 3 * CLUSTER + 9) as u64,
    };
    assert_eq!(
        shown,
        [
            (0, 512, data(1536)),
            (512, 1024, ExtentKind::Hole),
            (1536, 512, data(2560)),
            (2048, 512, data(2048)),
            (2560, 512, compressed),
            (3072, 2048, ExtentKind::Hole),
            (5120, 100, data(4096)),
        ]
    );
    let part: Vec<_> = disk.extents_in(2050..2570).map(Result::unwrap).collect();
    assert_eq!(part[0].kind, data(2050));
    assert_eq!((part[1].offset, part[1].len), (2560, 10));
    let inside = disk.extent_at(700).unwrap();
    assert_eq!((inside.offset, inside.len), (700, 1536 - 700));
    assert!(disk.extent_at(SIZE).is_err());
}

#[test]
fn an_entry_that_leads_out_of_the_file_is_damage() {
    let mut file = image();
    let end = file.len() as u64;
    for host_offset in [end.next_multiple_of(512), 1 << 55] {
        entry(&mut file, 0, host_offset);
        let error = read(&open(file.clone()).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let expected = ReadError::L2Entry {
            offset: 0,
            entry: host_offset,
            why: "points past the end of the file",
        };
        assert_eq!(reason(error), expected);
    }
    entry(&mut file, 0, 1 << 62 | end);
    let error = read(&open(file).unwrap()).unwrap_err();
    assert!(matches!(
        reason(error),
        ReadError::L2Entry { offset: 0, .. }
    ));

    let mut file = image();
    put_u64(&mut file, L1, end & !511);
    let error = open(file).unwrap_err();
    assert!(matches!(reason(error), ReadError::L1Entry { index: 0, .. }));
}

#[test]
fn a_compressed_cluster_that_cannot_be_unpacked_is_damage_and_not_zeros() {
    let mut file = image();
    file[DATA + 3 * CLUSTER + 9] = 7; // the kind of block that deflate does not have
    let disk = open(file).unwrap();
    assert_eq!(
        reason(read(&disk).unwrap_err()),
        ReadError::Unpack { offset: 2560 }
    );
    disk.read_at(&mut [0; 512], 2048).unwrap();
}

#[test]
fn l2_tables_that_share_their_room_are_refused() {
    let mut file = image();
    // An L1 table of 64 entries, all the same: each knows 32 KiB.
    put_u64(&mut file, 24, 64 * 64 * 512);
    put(&mut file, 36, 64);
    for entry in 0..64 {
        put_u64(&mut file, L1 + entry * 8, L2 as u64);
    }
    assert_eq!(reason(open(file).unwrap_err()), ReadError::L2Tables(64));
}

#[test]
fn no_byte_of_the_tables_can_make_the_reader_panic() {
    let sound = image();
    let tables = (0..112).chain(L1..L1 + 16).chain(L2..L2 + 12 * 8);
    for at in tables {
        for value in [0, 1, 0x40, 0x7f, 0x80, 0xff] {
            let mut file = sound.clone();
            file[at] = value;
            let Ok(disk) = open(file) else { continue };
            for extent in disk.extents() {
                if extent.is_err() {
                    break;
                }
            }
            let mut buf = [0; 6000];
            let len = usize::try_from(disk.size().min(6000)).unwrap();
            let _ = disk.read_at(&mut buf[..len], 0);
        }
    }
}

#[test]
fn a_file_that_ends_anywhere_gives_an_error_or_the_zeros_behind_its_last_cluster() {
    let sound = image();
    for len in 0..sound.len() {
        let Ok(disk) = open(sound[..len].to_vec()) else {
            assert!(len < DATA);
            continue;
        };
        if let Ok(content) = read(&disk) {
            assert!(len > DATA + 5 * CLUSTER);
            assert_eq!(content[..5120], self::content()[..5120]);
        }
    }
}
