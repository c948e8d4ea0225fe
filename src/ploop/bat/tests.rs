use super::*;

const CLUSTER: u64 = 1024;

/// An image with 1 KiB clusters and data from 1024 on; `entries` as they stand in the file.
fn image(version: Version, clusters: u32, entries: &[u32], file_clusters: usize) -> Vec<u8> {
    let mut bytes = vec![0; file_clusters * 1024];
    bytes[..16].copy_from_slice(version.signature());
    let fields = [
        (16, 2),
        (28, 2),
        (32, entries.len() as u32),
        (36, clusters * 2),
        (48, 2),
    ];
    let table = (64..).step_by(4).zip(entries.iter().copied());
    for (at, value) in fields.into_iter().chain(table) {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn read(image: &Vec<u8>) -> (Bat, BatFindings) {
    let len = image.len() as u64;
    let header = Header::parse(image.first_chunk().unwrap(), len).unwrap();
    Bat::read(image, &header, len, IfUnreadable::Fail).unwrap()
}

#[test]
fn version_1_counts_sectors_and_version_2_clusters() {
    for (version, entry) in [(Version::V1, 4), (Version::V2, 2)] {
        let (bat, findings) = read(&image(version, 2, &[0, entry], 3));
        assert_eq!(
            findings,
            BatFindings {
                allocated: 1,
                ..BatFindings::default()
            }
        );
        assert_eq!(bat.lookup(0, 4096), Slot::Absent { len: CLUSTER });
        let stored = Slot::Stored {
            host_offset: 2048 + 5,
            len: CLUSTER - 5,
        };
        assert_eq!(bat.lookup(CLUSTER + 5, 4096), stored);
    }
}

#[test]
fn clusters_that_continue_each_other_are_one_run_and_absence_is_not_an_offset() {
    let (bat, _) = read(&image(Version::V2, 6, &[1, 2, 3, 0, 0, 4], 5));
    assert_eq!(
        bat.lookup(0, u64::MAX),
        Slot::Stored {
            host_offset: 1024,
            len: 3 * CLUSTER
        }
    );
    assert_eq!(
        bat.lookup(0, 1500),
        Slot::Stored {
            host_offset: 1024,
            len: 1500
        }
    );
    assert_eq!(
        bat.lookup(3 * CLUSTER, u64::MAX),
        Slot::Absent { len: 2 * CLUSTER }
    );
    assert_eq!(bat.lookup(3 * CLUSTER, 7), Slot::Absent { len: 7 });
    let last = Slot::Stored {
        host_offset: 4096,
        len: CLUSTER,
    };
    assert_eq!(bat.lookup(5 * CLUSTER, u64::MAX), last);
}

#[test]
fn each_rule_names_its_entry() {
    let (bat, findings) = read(&image(Version::V2, 4, &[9, 0, 2, 0xffff_ffff], 3));
    assert_eq!(findings.past_end.count, 2);
    assert_eq!(findings.past_end.first[0].index, 0);
    assert_eq!(findings.past_end.first[0].host_offset, 9 * CLUSTER);
    assert_eq!(bat.lookup(0, u64::MAX), Slot::Lost { len: CLUSTER });

    let mut roomy = image(Version::V2, 2, &[1, 2], 4);
    roomy[48] = 4; // data starts at cluster 2
    let (bat, findings) = read(&roomy);
    assert_eq!(findings.in_table.first[0].index, 0);
    assert_eq!(bat.lookup(0, 10), Slot::Lost { len: 10 });

    let (_, findings) = read(&image(Version::V1, 2, &[2, 5], 5));
    assert_eq!(findings.misaligned.first[0].index, 1);
    assert_eq!(findings.duplicate.count, 0);
    let (_, findings) = read(&image(Version::V1, 2, &[2, 3], 5));
    assert_eq!(findings.duplicate.first[0].other, Some(0));
}

#[test]
fn a_cut_cluster_is_stored_as_far_as_the_file_goes_and_lost_from_there() {
    let mut cut = image(Version::V2, 2, &[1, 2], 3);
    cut.truncate(2048 + 100);
    let (bat, findings) = read(&cut);
    assert_eq!(findings.truncated.first[0].index, 1);
    assert_eq!(
        bat.lookup(0, u64::MAX),
        Slot::Stored {
            host_offset: 1024,
            len: CLUSTER
        }
    );
    assert_eq!(
        bat.lookup(CLUSTER, u64::MAX),
        Slot::Stored {
            host_offset: 2048,
            len: 100
        }
    );
    assert_eq!(
        bat.lookup(CLUSTER + 100, u64::MAX),
        Slot::Lost { len: CLUSTER - 100 }
    );
}

#[test]
fn a_last_cluster_may_end_early_only_where_the_disk_does() {
    let mut short = image(Version::V2, 2, &[1, 2], 3);
    short[36] = 3; // sectors: the last cluster is half used
    short.truncate(2048 + 512);
    let (bat, findings) = read(&short);
    assert_eq!(findings.truncated.count, 0);
    assert_eq!(findings.last_short.count, 1);
    assert_eq!(
        bat.lookup(0, u64::MAX),
        Slot::Stored {
            host_offset: 1024,
            len: 1536
        }
    );
}

#[test]
fn words_behind_the_disk_and_behind_the_table_are_counted_and_never_looked_up() {
    let mut image = image(Version::V2, 1, &[1, 5], 2);
    image[72] = 1; // the third word, after both entries
    let (bat, findings) = read(&image);
    assert_eq!((findings.beyond_disk, findings.beyond_table), (1, 1));
    assert_eq!(findings.allocated, 1);
    assert_eq!(
        bat.lookup(0, u64::MAX),
        Slot::Stored {
            host_offset: 1024,
            len: CLUSTER
        }
    );
}

/// A table too large to sort: `clusters` entries that count up, with `spoil` applied.
fn large(clusters: u32, spoil: impl Fn(&mut Vec<u32>)) -> BatFindings {
    let first = (64 + u64::from(clusters) * 4).div_ceil(512) as u32;
    let mut entries: Vec<u32> = (first..first + clusters).collect();
    spoil(&mut entries);
    let mut bytes = vec![0; 64];
    bytes[..16].copy_from_slice(Version::V2.signature());
    for (at, value) in [
        (16, 2),
        (28, 1),
        (32, clusters),
        (36, clusters),
        (48, first),
    ] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    let len = u64::from(first + clusters) * 512;
    let header = Header::parse(bytes.first_chunk().unwrap(), len).unwrap();
    Bat::read(
        &bytes_padded(bytes, u64::from(first) * 512),
        &header,
        len,
        IfUnreadable::Fail,
    )
    .unwrap()
    .1
}

fn bytes_padded(mut bytes: Vec<u8>, len: u64) -> Vec<u8> {
    bytes.resize(len as usize, 0);
    bytes
}

#[test]
fn pairs_are_found_in_a_table_too_large_to_sort() {
    let clusters = (1 << 20) + 5; // one more than are sorted, and some
    assert_eq!(large(clusters, |_| ()).duplicate.count, 0);
    let findings = large(clusters, |entries| entries[1_000_000] = entries[17]);
    assert_eq!(findings.duplicate.count, 1);
    assert_eq!(findings.duplicate.first[0].index, 1_000_000);
    assert_eq!(findings.duplicate.first[0].other, Some(17));
}

/// Entries of `clusters` clusters in runs, holes and in no order, each in a place of its own;
/// `step` is what they count up by.
fn scattered(clusters: usize, first: u32, step: u32, random: &mut impl FnMut() -> u32) -> Vec<u32> {
    let mut entries = Vec::new();
    while entries.len() < clusters {
        let next = first + step * entries.len() as u32;
        let len = [1, 7, 1024, 3000][random() as usize % 4];
        let part: Vec<u32> = match random() % 3 {
            0 => vec![0; len as usize],
            1 => (0..len).map(|at| next + step * at).collect(),
            _ => (0..len).rev().map(|at| next + step * at).collect(),
        };
        entries.extend(part);
    }
    entries.truncate(clusters);
    entries
}

/// Numbers that depend on `state` alone.
fn numbers(mut state: u64) -> impl FnMut() -> u32 {
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u32
    }
}

#[test]
fn runs_of_pages_are_looked_up_like_entry_by_entry() {
    let mut random = numbers(1);
    for round in 0..40 {
        let clusters = [1024, 4096, 4097, 9000][round % 4];
        let (version, step) = [(Version::V2, 1), (Version::V1, 2)][round / 4 % 2];
        let start = (64 + clusters as u32 * 4).div_ceil(1024);
        let entries = scattered(clusters, start * step, step, &mut random);
        // Some disks end inside their last cluster.
        let size = clusters as u64 * CLUSTER - u64::from(random() % 2) * 512;
        let file_clusters = start as usize + clusters + 3000;
        let mut bytes = image(version, clusters as u32, &entries, file_clusters);
        bytes[36..40].copy_from_slice(&((size / 512) as u32).to_le_bytes());
        bytes[48..52].copy_from_slice(&(start * 2).to_le_bytes());
        let (bat, findings) = read(&bytes);
        let used = entries.iter().filter(|&&entry| entry != 0).count() as u64;
        let expected = BatFindings {
            allocated: used,
            ..BatFindings::default()
        };
        assert_eq!(findings, expected, "round {round}");
        let indexes = (0..).zip(entries.iter().copied());
        let listed: Vec<(u64, u32)> = indexes.filter(|&(_, entry)| entry != 0).collect();
        assert!(bat.pages.used_entries().eq(listed), "round {round}");
        let place = |index: u64| match entries[index as usize] {
            0 => None,
            entry => Some(u64::from(entry / step) * CLUSTER),
        };
        let mut cursor = bat.cursor();
        for _ in 0..200 {
            let offset = (u64::from(random()) << 10 | u64::from(random() % 1024)) % size;
            let max = 1 + u64::from(random()) % [10, 5000, 4 << 20][random() as usize % 3];
            let (index, within) = (offset / CLUSTER, offset % CLUSTER);
            let mut clusters = 1;
            while index + clusters < entries.len() as u64
                && place(index + clusters) == place(index).map(|at| at + clusters * CLUSTER)
            {
                clusters += 1;
            }
            let len = ((index + clusters) * CLUSTER).min(size) - offset;
            let expected = match place(index) {
                None => Slot::Absent { len: len.min(max) },
                Some(at) => Slot::Stored {
                    host_offset: at + within,
                    len: len.min(max),
                },
            };
            assert_eq!(bat.lookup(offset, max), expected, "round {round}, {offset}");
            assert_eq!(cursor.lookup(offset, max), expected, "{round}, {offset}");
        }
    }
}

#[test]
fn a_cursor_says_of_wrong_entries_what_a_lookup_says() {
    let mut random = numbers(7);
    for round in 0..40 {
        let (version, step) = [(Version::V2, 1), (Version::V1, 2)][round % 2];
        let clusters = [1023, 1024, 1025, 3000][round / 2 % 4];
        let start = (64 + clusters * 4u32).div_ceil(1024);
        let file_clusters = start + 500;
        // Before the data, among it, at the end of the file and past it, and nowhere.
        let entries: Vec<u32> = (0..clusters)
            .map(|at| match random() % 8 {
                0 => 0,
                1 => random() % (start * step),
                2 => (file_clusters - random() % 3) * step,
                3 => u32::MAX - random() % 2,
                4 => (start + at % 500) * step,
                _ => start * step + random() % (500 * step),
            })
            .collect();
        let mut bytes = image(version, clusters, &entries, file_clusters as usize);
        bytes[36..40].copy_from_slice(&(clusters * 2 - random() % 2).to_le_bytes());
        bytes[48..52].copy_from_slice(&(start * 2).to_le_bytes());
        bytes.truncate(bytes.len() - [0, 512, 100][round % 3]);
        let (bat, _) = read(&bytes);
        let (mut cursor, mut at) = (bat.cursor(), 0);
        while at < bat.rules.virtual_size {
            let left = bat.rules.virtual_size - at;
            let slot = bat.lookup(at, left);
            assert_eq!(cursor.lookup(at, left), slot, "round {round}, {at}");
            let some = 1 + u64::from(random()) % left;
            assert_eq!(cursor.lookup(at, some), bat.lookup(at, some), "{at}");
            at += slot.len();
        }
    }
}
