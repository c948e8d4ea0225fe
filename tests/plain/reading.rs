//! Single images: everything that is ordinary reads to the byte, in both versions.

mod header;

use crate::support::image::{SECTOR, Version};
use crate::support::spoiled::written;
use crate::support::{
    Fill, ImageBuilder, ImageFile, Scratch, assert_giant_reads, assert_reads, check, convert,
    field, info,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Writes the image and asserts that it reads as its model.
#[track_caller]
fn assert_ordinary(image: &ImageFile) {
    let scratch = Scratch::new();
    assert_reads(&written(&scratch, image), &image.model("disk.hds"));
}

/// The same for a disk or file that is huge and almost empty.
#[track_caller]
fn assert_ordinary_giant(image: &ImageFile) {
    let scratch = Scratch::new();
    assert_giant_reads(&written(&scratch, image), &image.model("disk.hds"));
}

#[test]
fn clusters_of_every_size_read_in_both_versions() {
    for version in Version::BOTH {
        for sectors in [1, 7, 8, 63, 64, 504, 512, 2048] {
            let image = ImageBuilder::new(version)
                .cluster_sectors(sectors)
                .clusters(5);
            assert_ordinary(&image.store_all([3, 0, 1]).build());
        }
    }
}

#[test]
fn a_cluster_size_that_libploop_would_not_take_is_a_warning() {
    for sectors in [1, 63, 504, 2047] {
        let scratch = Scratch::new();
        let image = ImageBuilder::v2()
            .cluster_sectors(sectors)
            .store_all([0, 2]);
        let path = written(&scratch, &image.build());
        check(&path)
            .run()
            .status(0)
            .finds("cluster-size-unusual", "warning");
    }
}

#[test]
fn clusters_of_64_mib_read() {
    for version in Version::BOTH {
        let image = ImageBuilder::new(version)
            .cluster_sectors(131_072)
            .clusters(3);
        let image = image
            .fill(2, Fill::Bytes(vec![0xEE; 5000]))
            .fill(0, Fill::Bytes(vec![0xDD; 70_001]));
        assert_ordinary_giant(&image.build());
    }
}

#[test]
fn the_largest_cluster_size_allowed_reads() {
    // 4,186,127 sectors, about 2 GiB: a buffer of that size would be noticed.
    for version in Version::BOTH {
        let image = ImageBuilder::new(version)
            .cluster_sectors(4_186_127)
            .clusters(2);
        assert_ordinary_giant(&image.fill(1, Fill::Bytes(vec![0xEE; 5000])).build());
    }
}

#[test]
fn clusters_stored_in_reverse_read_in_virtual_order() {
    for version in Version::BOTH {
        assert_ordinary(
            &ImageBuilder::new(version)
                .clusters(20)
                .store_all((0..20).rev())
                .build(),
        );
    }
}

#[test]
fn a_hole_whose_length_equals_the_next_clusters_host_offset_is_not_merged_with_it() {
    // Cluster 0 absent, cluster 1 in file cluster 1: a public reader takes both for one hole.
    for version in Version::BOTH {
        assert_ordinary(&ImageBuilder::new(version).store(1).build());
    }
}

#[test]
fn neighbouring_clusters_that_continue_each_other_are_one_extent() {
    for version in Version::BOTH {
        let image = ImageBuilder::new(version)
            .clusters(8)
            .store_all([1, 2, 3, 0, 5, 6])
            .gap(1);
        assert_ordinary(&image.store(7).build());
    }
}

#[test]
fn an_image_that_stores_nothing_reads_as_zeros() {
    for version in Version::BOTH {
        assert_ordinary(&ImageBuilder::new(version).build());
    }
}

#[test]
fn an_image_of_one_sector_reads() {
    for version in Version::BOTH {
        assert_ordinary(&ImageBuilder::new(version).sectors(1).store(0).build());
        assert_ordinary(
            &ImageBuilder::new(version)
                .cluster_sectors(1)
                .sectors(1)
                .store(0)
                .build(),
        );
    }
}

#[test]
fn a_table_of_two_clusters_reads() {
    for version in Version::BOTH {
        // 32 KiB clusters: 8,176 entries fill the first table cluster.
        for clusters in [8176, 8177, 8200] {
            let image = ImageBuilder::new(version).clusters(clusters);
            assert_ordinary_giant(&image.store_all([clusters - 1, 0, 8174, 17]).build());
        }
        // 1 MiB clusters: 262,129 entries need a second one.
        let image = ImageBuilder::new(version)
            .cluster_sectors(2048)
            .clusters(262_129);
        assert_eq!(image.data_start(), 2 * MIB);
        assert_ordinary_giant(&image.store_all([262_128, 0, 100_000]).build());
    }
}

#[test]
fn a_table_of_five_clusters_reads() {
    for version in Version::BOTH {
        let image = ImageBuilder::new(version)
            .cluster_sectors(2048)
            .clusters(1_228_800);
        assert_eq!(image.data_start(), 5 * MIB);
        assert_ordinary_giant(&image.store_all([1_228_799, 0, 262_128, 1_000_000]).build());
    }
}

#[test]
fn a_cluster_beyond_4_gib_of_the_file_reads() {
    for version in Version::BOTH {
        let image = ImageBuilder::new(version).cluster_sectors(2048);
        // Offset 5 GiB modulo 4 GiB is where another cluster is stored.
        let image = image
            .store_far(0, GIB)
            .store_far(1, 5 * GIB)
            .store_far(2, 4 * GIB);
        assert_ordinary(&image.build());
    }
}

#[test]
fn a_cluster_beyond_2_tib_of_the_file_reads() {
    let v2 = ImageBuilder::v2().cluster_sectors(2048);
    assert_ordinary(
        &v2.store_far(0, 2 * TIB)
            .store_far(3, 9 * TIB + MIB)
            .store_far(1, MIB)
            .build(),
    );
    // The last places that an entry in sectors can name.
    let v1 = ImageBuilder::v1().cluster_sectors(2048);
    assert_ordinary(
        &v1.store_far(0, TIB)
            .store_far(3, 2 * TIB - MIB)
            .store_far(1, 2 * TIB - 2 * MIB)
            .build(),
    );
}

#[test]
fn a_disk_of_15_tib_with_little_data_opens_checks_and_converts_in_a_moment() {
    let image = ImageBuilder::v2().cluster_sectors(2048).clusters(15 << 20);
    let image = image.store_all([0, (15 << 20) - 1, 7_000_000, 3]).build();
    let scratch = Scratch::new();
    let path = written(&scratch, &image);
    // An optimised build takes about a second; the limit is for an unoptimised one on a busy
    // machine.
    check(&path).within(20).run().status(0);
    convert(&path, &scratch.target()).within(20).run().status(0);
    crate::support::assert_file_holds(&scratch.target(), &image.model("disk.hds"));
}

#[test]
fn a_v1_disk_just_under_2_tib_reads() {
    let image = ImageBuilder::v1()
        .cluster_sectors(2048)
        .sectors(u64::from(u32::MAX));
    assert_ordinary_giant(&image.store_all([(2 << 20) - 1, 0]).build());
}

#[test]
fn a_data_start_further_out_than_needed_reads() {
    for version in Version::BOTH {
        for clusters in [2, 3, 17] {
            let image = ImageBuilder::new(version)
                .data_off(64 * clusters)
                .store_all([2, 0]);
            assert_ordinary(&image.build());
        }
    }
}

#[test]
fn a_v1_data_start_of_zero_means_the_tables_end() {
    assert_ordinary(&ImageBuilder::v1().data_off(0).store_all([2, 0]).build());
    assert_ordinary(
        &ImageBuilder::v1()
            .cluster_sectors(63)
            .data_off(0)
            .store_all([2, 0, 3])
            .build(),
    );
    // A table that ends inside its second sector.
    let image = ImageBuilder::v1()
        .clusters(200)
        .data_off(0)
        .store_all([150, 0]);
    assert_eq!(image.data_start(), 2 * SECTOR);
    assert_ordinary(&image.build());
}

#[test]
fn a_v1_data_start_at_any_sector_reads() {
    for data_off in [1, 2, 63, 65, 100] {
        assert_ordinary(
            &ImageBuilder::v1()
                .data_off(data_off)
                .store_all([2, 0, 3])
                .build(),
        );
    }
}

#[test]
fn a_size_that_is_no_multiple_of_the_cluster_is_kept_to_the_sector() {
    for version in Version::BOTH {
        for sectors in [1, 63, 65, 130, 191, 193] {
            let last = u32::try_from((sectors - 1) / 64).unwrap();
            assert_ordinary(
                &ImageBuilder::new(version)
                    .sectors(sectors)
                    .store(last)
                    .build(),
            );
            assert_ordinary(&ImageBuilder::new(version).sectors(sectors).build());
        }
        assert_ordinary(
            &ImageBuilder::new(version)
                .sectors(130)
                .store_all([2, 1, 0])
                .build(),
        );
    }
}

#[test]
fn a_last_cluster_cut_off_behind_the_virtual_end_is_tolerated_with_a_warning() {
    for version in Version::BOTH {
        let mut image = ImageBuilder::new(version)
            .sectors(130)
            .store_all([0, 2])
            .build();
        image.set_len(image.len - 62 * SECTOR); // the last cluster has two sectors of the disk
        assert_ordinary(&image);
        let scratch = Scratch::new();
        let path = written(&scratch, &image);
        check(&path)
            .run()
            .status(0)
            .finds("last-cluster-short", "warning");
    }
}

#[test]
fn a_table_longer_than_the_disk_reads() {
    for version in Version::BOTH {
        assert_ordinary(
            &ImageBuilder::new(version)
                .entries(900)
                .store_all([2, 0])
                .build(),
        );
    }
}

#[test]
fn entries_beyond_the_disk_are_a_warning_and_never_read() {
    for version in Version::BOTH {
        let unit = if version == Version::V1 { 64 } else { 1 };
        let mut image = ImageBuilder::new(version)
            .entries(10)
            .store_all([2, 0])
            .build();
        image.put_u32(field::entry(7), 2 * unit);
        assert_ordinary(&image);
        // Even one that points nowhere.
        image.put_u32(field::entry(8), u32::MAX);
        assert_ordinary(&image);
        let scratch = Scratch::new();
        check(&written(&scratch, &image))
            .run()
            .status(0)
            .finds("entry-beyond-disk", "warning");
    }
}

#[test]
fn slots_behind_the_table_are_a_warning_and_never_read() {
    for version in Version::BOTH {
        let mut image = ImageBuilder::new(version).store_all([2, 0]).build();
        image
            .put_u32(field::entry(4), 1)
            .put_u32(field::entry(8175), 0xFFFF_FFFF);
        assert_ordinary(&image);
        let scratch = Scratch::new();
        check(&written(&scratch, &image))
            .run()
            .status(0)
            .finds("entry-beyond-table", "warning");
    }
}

#[test]
fn a_cluster_further_out_than_a_full_image_needs_reads() {
    for version in Version::BOTH {
        assert_ordinary(
            &ImageBuilder::new(version)
                .gap(40)
                .store(3)
                .gap(11)
                .store(0)
                .build(),
        );
    }
}

#[test]
fn clusters_nobody_refers_to_are_worth_a_note() {
    for version in Version::BOTH {
        let image = ImageBuilder::new(version).store(0).gap(3).store(2).build();
        assert_ordinary(&image);
        let scratch = Scratch::new();
        let outcome = check(&written(&scratch, &image))
            .run()
            .status(0)
            .finds("unreferenced", "info");
        assert_eq!(outcome.json()["unreferenced_bytes"], 3 * 32768);
    }
}

#[test]
fn junk_behind_the_last_cluster_is_a_warning() {
    for version in Version::BOTH {
        let mut image = ImageBuilder::new(version).store_all([2, 0]).build();
        image.put(image.len, &[0x77; 1000]);
        assert_ordinary(&image);
        let scratch = Scratch::new();
        check(&written(&scratch, &image))
            .run()
            .status(0)
            .finds("file-length", "warning");
    }
}

#[test]
fn the_unused_room_that_dm_ploop_leaves_at_the_end_is_no_damage() {
    let mut image = ImageBuilder::v2()
        .cluster_sectors(2048)
        .store_all([2, 0])
        .build();
    image.set_len(128 * MIB);
    assert_ordinary(&image);
}

#[test]
fn holes_of_the_file_under_clusters_and_table_read_as_zeros() {
    for version in Version::BOTH {
        let image = ImageBuilder::new(version)
            .clusters(9000)
            .fill(8990, Fill::FileHole)
            .store(3);
        assert_ordinary_giant(&image.fill(2, Fill::FileHole).build());
    }
}

#[test]
fn zeros_at_the_end_of_a_stored_cluster_read_as_zeros() {
    for version in Version::BOTH {
        let image = ImageBuilder::new(version).cluster_sectors(2048);
        assert_ordinary(
            &image
                .fill(1, Fill::Bytes(vec![7; 4097]))
                .fill(0, Fill::Byte(0))
                .build(),
        );
    }
}

#[test]
fn a_preallocated_image_reads() {
    for version in Version::BOTH {
        let image = (0..50).fold(ImageBuilder::new(version).clusters(50), |image, k| {
            if k % 7 == 3 {
                image.store(k)
            } else {
                image.fill(k, Fill::FileHole)
            }
        });
        assert_ordinary(&image.build());
    }
}

#[test]
fn what_the_disk_holds_is_not_looked_at() {
    // A guest may write anything: other formats' magics, a ploop header, 4 KiB partition tables.
    let mut gpt = vec![0; 4096];
    gpt.extend_from_slice(b"EFI PART");
    let nested = ImageBuilder::v2().store(0).build().bytes();
    let guests = [
        b"QFI\xfb".to_vec(),
        b"LUKS\xba\xbe\0\x02".to_vec(),
        b"XFSB".to_vec(),
        gpt,
        nested,
    ];
    for first in guests {
        let image = ImageBuilder::v2()
            .cluster_sectors(512)
            .fill(0, Fill::Bytes(first));
        assert_ordinary(&image.build());
    }
}

#[test]
fn the_real_parallels_desktop_header_is_understood() {
    // v1, 2048 sectors, 410 entries, 839,680 sectors, 1640 cylinders, closed as "pd22".
    let image = ImageBuilder::v1().cluster_sectors(2048).clusters(410);
    let mut image = image
        .in_use(u32::from_le_bytes(*b"pd22"))
        .store_all([409, 0])
        .build();
    image.put_u32(24, 1640);
    assert_eq!((image.sectors, image.len), (839_680, 3 * MIB));
    assert_ordinary_giant(&image);
}

#[test]
fn info_says_what_an_image_is() {
    let scratch = Scratch::new();
    let image = ImageBuilder::v1()
        .cluster_sectors(504)
        .sectors(504 * 3 + 1)
        .store_all([3, 0])
        .build();
    let report = info(&written(&scratch, &image)).run().status(0).json();
    assert_eq!(report["virtual_size"], (504 * 3 + 1) * 512);
    assert_eq!(report["data_bytes"], 505 * 512);
    assert_eq!(
        (&report["in_use"], &report["damaged"]),
        (&false.into(), &false.into())
    );
    assert_eq!(report["descriptor"], serde_json::Value::Null);
    let layer = &report["layers"][0];
    assert_eq!(
        (&layer["format"], &layer["layer"]),
        (&"ploop1".into(), &0.into())
    );
    assert_eq!(
        (&layer["cluster_size"], &layer["bat_entries"]),
        (&(504 * 512).into(), &4.into())
    );
    assert_eq!(
        (&layer["allocated_clusters"], &layer["file_size"]),
        (&2.into(), &image.len.into())
    );
}
