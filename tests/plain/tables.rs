//! Tables of millions of entries, all of them in use: nothing in them is missed.

use crate::support::image::Version;
use crate::support::{ImageBuilder, ImageFile, Scratch, check, convert, field};

const CLUSTERS: u32 = 1_100_000;
const CLUSTER: u64 = 4096;

/// A disk whose every cluster is stored, the last one first; the file is one hole but for the
/// table. Answers the image and the entry of each cluster.
fn full(version: Version, data_off: Option<u32>) -> (ImageFile, Vec<u32>) {
    let image = ImageBuilder::new(version)
        .cluster_sectors(8)
        .clusters(CLUSTERS);
    let image = data_off.map_or(image.clone(), |sectors| image.data_off(sectors));
    let start = image.data_start();
    let unit = if version == Version::V1 { 512 } else { CLUSTER };
    let place = |slot: u32| (start + u64::from(slot) * CLUSTER) / unit;
    let entries: Vec<u32> = (0..CLUSTERS)
        .rev()
        .map(|slot| u32::try_from(place(slot)).unwrap())
        .collect();
    let mut file = image.build();
    let table: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    file.put(field::BAT, &table)
        .set_len(start + u64::from(CLUSTERS) * CLUSTER);
    (file, entries)
}

/// The layouts that a version may have.
fn layouts() -> [(Version, Option<u32>); 4] {
    let end = (64 + 4 * CLUSTERS).div_ceil(512);
    [
        (Version::V1, None),
        (Version::V2, None),
        (Version::V1, Some(0)),
        (Version::V1, Some(end + 1)),
    ]
}

#[test]
fn a_table_in_full_use_has_nothing_wrong() {
    for (version, data_off) in layouts() {
        let scratch = Scratch::new();
        let path = scratch.source().join("disk.hds");
        full(version, data_off).0.write(&path);
        let codes = check(&path).run().status(0).codes();
        assert!(
            codes.iter().all(|code| code == "cluster-size-unusual"),
            "{codes:?}"
        );
    }
}

#[test]
fn one_pair_in_a_table_in_full_use_is_found() {
    for (version, data_off) in layouts() {
        let scratch = Scratch::new();
        let path = scratch.source().join("disk.hds");
        let (image, entries) = full(version, data_off);
        for (copy, of) in [(0u32, CLUSTERS - 1), (16_384, 1_000_000)] {
            let mut image = image.clone();
            let entry = entries[usize::try_from(of).unwrap()];
            image
                .put_u32(field::entry(u64::from(copy)), entry)
                .write(&path);
            let both = [
                copy.to_string(),
                of.to_string(),
                "both stored at".to_owned(),
            ];
            let both: Vec<&str> = both.iter().map(String::as_str).collect();
            convert(&path, &scratch.target()).run().refused(3, &both);
            check(&path)
                .run()
                .status(3)
                .finds("entry-duplicate", "damage");
            scratch.assert_nothing_left();
        }
    }
}

#[test]
fn one_overlap_in_a_table_in_full_use_is_found() {
    for data_off in [None, Some(0)] {
        let scratch = Scratch::new();
        let path = scratch.source().join("disk.hds");
        let (mut image, entries) = full(Version::V1, data_off);
        image
            .put_u32(field::entry(700_000), entries[700_000] + 1)
            .write(&path);
        let outcome = check(&path)
            .run()
            .status(3)
            .finds("entry-misaligned", "damage");
        outcome.finds("entry-duplicate", "damage");
    }
}

#[test]
fn one_entry_past_the_end_in_a_table_in_full_use_is_found() {
    for (version, data_off) in layouts() {
        let scratch = Scratch::new();
        let path = scratch.source().join("disk.hds");
        let (mut image, _) = full(version, data_off);
        // Cluster 0 is stored last.
        image.set_len(image.len - CLUSTER).write(&path);
        convert(&path, &scratch.target())
            .run()
            .refused(3, &["entry 0 ", "beyond the end of the file"]);
        image.set_len(image.len + CLUSTER - 1).write(&path);
        convert(&path, &scratch.target())
            .run()
            .refused(3, &["end of the file"]);
        scratch.assert_nothing_left();
    }
}
