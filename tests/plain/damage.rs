//! Damaged images: something valid, one thing spoiled. Every row of the format's damage table
//! that an image file alone can show; descriptors are in `descriptors.rs`, missing layers in
//! `names.rs`, small children in `chains.rs`.

use crate::support::image::{SECTOR, Version};
use crate::support::spoiled::{good, written};
use crate::support::{
    ChainBuilder, Fill, ImageBuilder, ImageFile, Scratch, SourceGuard, assert_file_holds, check,
    convert, field, info, map, program,
};
use std::path::Path;
use std::process::Command;

/// Every command refuses this image with status 3 and these words, `check` names the damage, and
/// neither a target nor a byte on stdout comes to be; a target that was there stays.
#[track_caller]
fn assert_damaged(image: &ImageFile, code: &str, parts: &[&str]) {
    let scratch = Scratch::new();
    let path = written(&scratch, image);
    let _guard = SourceGuard::new(&scratch.source());

    convert(&path, &scratch.target())
        .within(30)
        .run()
        .refused(3, parts)
        .says(["disk.hds"]);
    scratch.assert_nothing_left();
    convert(&path, Path::new("-")).run().refused(3, parts);
    map(&path).run().refused(3, parts);
    check(&path)
        .within(30)
        .run()
        .status(3)
        .finds(code, "damage");
    assert_eq!(info(&path).run().status(3).json()["damaged"], true);
    // What is marked in use and damaged is damaged.
    convert(&path, &scratch.target())
        .arg("--allow-dirty")
        .run()
        .refused(3, parts);
    scratch.assert_nothing_left();

    std::fs::write(scratch.target(), "the only copy").unwrap();
    convert(&path, &scratch.target())
        .arg("-f")
        .run()
        .refused(3, parts);
    assert_eq!(std::fs::read(scratch.target()).unwrap(), b"the only copy");
    assert_eq!(crate::support::names_in(&scratch.out()), ["disk.raw"]);
}

#[test]
fn a_file_shorter_than_its_header_is_damaged() {
    for version in Version::BOTH {
        for len in [16, 40, 63] {
            let mut image = good(version).build();
            assert_damaged(image.set_len(len), "truncated-header", &["header"]);
        }
    }
}

#[test]
fn a_file_that_ends_inside_its_table_is_damaged() {
    for version in Version::BOTH {
        for missing in [1, 4, 12] {
            let mut image = good(version).build();
            assert_damaged(
                image.set_len(64 + 12 + 4 - missing),
                "truncated-bat",
                &["BAT"],
            );
        }
    }
}

#[test]
fn a_table_that_claims_more_than_the_file_is_refused_without_room_for_it() {
    for version in Version::BOTH {
        let mut image = good(version).build();
        image
            .put_u32(field::ENTRIES, u32::MAX)
            .put_u32(field::DATA_OFF, u32::MAX / 128 * 64);
        assert_damaged(&image, "truncated-bat", &["BAT"]);
    }
}

#[test]
fn a_table_of_16_gib_in_a_hole_of_the_file_costs_no_memory() {
    // Everything about it is right but that no machine would hold it.
    let image = ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters(u32::MAX)
        .build();
    let scratch = Scratch::new();
    let path = written(&scratch, &image);
    let limited = "ulimit -v 4000000; exec \"$0\" check \"$1\"";
    let mut command = Command::new("sh");
    let _guard = SourceGuard::new(&scratch.source());
    command.args(["-c", limited]).arg(program::path()).arg(path);
    let outcome = crate::support::Outcome::new(command.output().unwrap(), limited.to_owned());
    assert!(matches!(outcome.status, Some(0 | 1)), "{outcome:?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
}

#[test]
fn a_file_with_another_magic_is_no_ploop_image() {
    for version in Version::BOTH {
        for at in [0, 7, 15] {
            let mut image = good(version).build();
            image.put(field::MAGIC + at, b"?");
            let scratch = Scratch::new();
            let path = written(&scratch, &image);
            convert(&path, &scratch.target())
                .run()
                .refused(1, &["disk.hds", "ploop"]);
            scratch.assert_nothing_left();
        }
    }
}

#[test]
fn an_image_of_another_type_is_damaged() {
    for version in Version::BOTH {
        for kind in [0, 1, 3, u32::MAX] {
            let mut image = good(version).build();
            assert_damaged(image.put_u32(field::TYPE, kind), "image-type", &["type"]);
        }
    }
}

#[test]
fn a_cluster_size_of_zero_or_beyond_the_bound_is_damaged() {
    for version in Version::BOTH {
        for sectors in [0, 4_186_128, 0x8000_0000, u32::MAX] {
            let mut image = good(version).build();
            assert_damaged(
                image.put_u32(field::CLUSTER_SECTORS, sectors),
                "cluster-size",
                &["cluster size"],
            );
        }
    }
}

#[test]
fn a_disk_of_no_size_is_damaged() {
    for version in Version::BOTH {
        let mut image = good(version).build();
        assert_damaged(image.put_u32(field::SECTORS, 0), "virtual-size", &["size"]);
    }
    // The other half of the field means nothing in v1.
    let mut image = good(Version::V1).build();
    image
        .put_u32(field::SECTORS, 0)
        .put_u32(field::SECTORS_HIGH, 1);
    assert_damaged(&image, "virtual-size", &["size"]);
}

#[test]
fn a_table_of_no_entries_is_damaged() {
    for version in Version::BOTH {
        let mut image = good(version).build();
        assert_damaged(
            image.put_u32(field::ENTRIES, 0),
            "virtual-size",
            &["entries"],
        );
    }
}

#[test]
fn a_disk_beyond_what_offsets_can_count_is_damaged() {
    for sectors in [u64::MAX, 1 << 55, 1 << 54] {
        let mut image = good(Version::V2).build();
        assert_damaged(
            image.put_u64(field::SECTORS, sectors),
            "virtual-size",
            &["size"],
        );
    }
}

#[test]
fn a_data_start_inside_the_table_is_damaged() {
    // 200 entries end in the second sector.
    let mut image = ImageBuilder::v1().clusters(200).store_all([150, 0]).build();
    assert_damaged(image.put_u32(field::DATA_OFF, 1), "data-offset", &["data"]);
    let mut image = ImageBuilder::v2()
        .clusters(9000)
        .store_all([150, 0])
        .build();
    assert_damaged(image.put_u32(field::DATA_OFF, 64), "data-offset", &["data"]);
}

#[test]
fn a_v2_data_start_of_zero_or_inside_a_cluster_is_damaged() {
    for data_off in [0, 1, 63, 65] {
        let mut image = good(Version::V2).build();
        assert_damaged(
            image.put_u32(field::DATA_OFF, data_off),
            "data-offset",
            &["data"],
        );
    }
}

#[test]
fn a_data_start_behind_the_clusters_puts_them_into_the_table() {
    for version in Version::BOTH {
        let mut image = good(version).build();
        assert_damaged(
            image.put_u32(field::DATA_OFF, 128),
            "entry-in-table",
            &["BAT"],
        );
    }
}

#[test]
fn an_image_marked_in_use_is_refused_unless_that_is_allowed() {
    for version in Version::BOTH {
        let image = good(version).in_use(field::DIRTY).build();
        let scratch = Scratch::new();
        let path = written(&scratch, &image);
        let _guard = SourceGuard::new(&scratch.source());
        for program in [
            convert(&path, &scratch.target()),
            convert(&path, Path::new("-")),
            map(&path),
        ] {
            program.run().refused(4, &["in use", "--allow-dirty"]);
        }
        scratch.assert_nothing_left();
        let report = check(&path)
            .run()
            .status(4)
            .finds("in-use", "in-use")
            .json();
        assert_eq!(report["verdict"], "in-use");
        check(&path).arg("--allow-dirty").run().status(0);
        assert_eq!(info(&path).run().status(0).json()["in_use"], true);

        convert(&path, &scratch.target())
            .arg("--allow-dirty")
            .run()
            .status(0)
            .says(["in use"]);
        assert_file_holds(&scratch.target(), &image.model(""));
    }
}

#[test]
fn an_image_marked_in_use_is_validated_in_full() {
    for version in Version::BOTH {
        let mut image = good(version).in_use(field::DIRTY).build();
        image.put_u32(field::entry(3), 9999 * 64);
        let scratch = Scratch::new();
        let path = written(&scratch, &image);
        convert(&path, &scratch.target())
            .arg("--allow-dirty")
            .run()
            .refused(3, &["disk.hds"]);
        check(&path)
            .run()
            .status(3)
            .finds("in-use", "in-use")
            .finds("entry-past-end", "damage");
        scratch.assert_nothing_left();
    }
}

#[test]
fn a_version_conversion_that_was_cut_short_is_damaged() {
    for version in Version::BOTH {
        for word in [0, 1, field::DIRTY] {
            let image = good(version).flags(2).in_use(word).build();
            assert_damaged(&image, "version-conversion", &["conversion"]);
        }
        assert_damaged(
            &good(version).flags(3).build(),
            "version-conversion",
            &["conversion"],
        );
    }
}

#[test]
fn an_entry_past_the_end_of_the_file_is_damaged() {
    for (version, unit) in [(Version::V1, 64), (Version::V2, 1)] {
        // The file has clusters 0 (the table) to 3.
        for cluster in [4, 5, 1000, u32::MAX / 64 / unit * unit] {
            let mut image = good(version).build();
            image.put_u32(field::entry(3), cluster * unit);
            assert_damaged(
                &image,
                "entry-past-end",
                &["BAT", "beyond the end of the file"],
            );
        }
    }
}

#[test]
fn an_entry_of_all_ones_is_past_the_end() {
    let mut image = good(Version::V2).build();
    assert_damaged(
        image.put_u32(field::entry(3), u32::MAX),
        "entry-past-end",
        &["beyond the end of the file"],
    );
}

#[test]
fn an_entry_whose_offset_wraps_in_32_bits_is_past_the_end() {
    // Times 32 KiB and cut to 32 bits this is cluster 3.
    let mut image = good(Version::V2).build();
    assert_damaged(
        image.put_u32(field::entry(1), 0x2_0003),
        "entry-past-end",
        &["beyond the end of the file"],
    );
    let mut image = good(Version::V1).build();
    assert_damaged(
        image.put_u32(field::entry(1), 0x80_00C0),
        "entry-past-end",
        &["beyond the end of the file"],
    );
}

#[test]
fn damage_in_the_last_entry_is_found_before_a_byte_is_written() {
    for (version, unit) in [(Version::V1, 64), (Version::V2, 1)] {
        let mut image = ImageBuilder::new(version)
            .clusters(9000)
            .store_all([0, 1, 2])
            .build();
        image.put_u32(field::entry(8999), 500 * unit);
        assert_damaged(&image, "entry-past-end", &["8999"]);
    }
}

#[test]
fn a_cluster_cut_off_by_the_end_of_the_file_is_damaged() {
    for version in Version::BOTH {
        for missing in [1, 512, 16384, 32767] {
            let mut image = good(version).build();
            image.set_len(image.len - missing);
            assert_damaged(&image, "cluster-truncated", &["end of the file"]);
        }
    }
}

#[test]
fn a_last_cluster_that_lacks_bytes_of_the_disk_is_damaged() {
    for version in Version::BOTH {
        // Two sectors of the last cluster belong to the disk.
        let mut image = ImageBuilder::new(version)
            .sectors(130)
            .store_all([0, 2])
            .build();
        image.set_len(image.len - 62 * SECTOR - 1);
        assert_damaged(&image, "cluster-truncated", &["end of the file"]);
    }
}

#[test]
fn a_short_cluster_that_is_not_the_disks_last_is_damaged() {
    for version in Version::BOTH {
        let mut image = ImageBuilder::new(version)
            .sectors(130)
            .store_all([2, 0])
            .build();
        image.set_len(image.len - SECTOR);
        assert_damaged(&image, "cluster-truncated", &["end of the file"]);
    }
}

#[test]
fn an_entry_inside_the_header_or_the_table_is_damaged() {
    // v1: the header's second sector, and the table of the first cluster.
    for sector in [1, 63] {
        let mut image = good(Version::V1).build();
        assert_damaged(
            image.put_u32(field::entry(1), sector),
            "entry-in-table",
            &["BAT"],
        );
    }
    let mut image = ImageBuilder::v1().clusters(9000).store_all([2, 0]).build();
    assert_damaged(
        image.put_u32(field::entry(1), 64),
        "entry-in-table",
        &["BAT"],
    );
    let mut image = ImageBuilder::v2().clusters(9000).store_all([2, 0]).build();
    assert_damaged(
        image.put_u32(field::entry(1), 1),
        "entry-in-table",
        &["BAT"],
    );
}

#[test]
fn a_v1_entry_that_is_no_cluster_boundary_is_damaged() {
    for sector in [65, 129, 127] {
        let mut image = ImageBuilder::v1().store_all([2]).gap(2).store(0).build();
        assert_damaged(
            image.put_u32(field::entry(1), sector),
            "entry-misaligned",
            &["BAT"],
        );
    }
    // Boundaries count from the data start.
    let mut image = ImageBuilder::v1()
        .data_off(1)
        .store(2)
        .gap(2)
        .store(0)
        .build();
    assert_damaged(
        image.put_u32(field::entry(1), 128),
        "entry-misaligned",
        &["BAT"],
    );
}

#[test]
fn two_entries_of_one_place_are_damaged() {
    for (version, unit) in [(Version::V1, 64), (Version::V2, 1)] {
        let mut image = good(version).build();
        assert_damaged(
            image.put_u32(field::entry(3), 2 * unit),
            "entry-duplicate",
            &["both stored at"],
        );
        // Far apart in a table of several pages.
        let mut image = ImageBuilder::new(version)
            .clusters(9000)
            .store_all([0, 1, 2])
            .build();
        assert_damaged(
            image.put_u32(field::entry(8999), 2 * unit),
            "entry-duplicate",
            &["both stored at"],
        );
    }
    let mut image = ImageBuilder::v1().data_off(0).store_all([2, 0]).build();
    assert_damaged(
        image.put_u32(field::entry(1), 1),
        "entry-duplicate",
        &["both stored at"],
    );
}

#[test]
fn a_preallocated_disk_whose_entries_wrapped_at_2_tib_is_damaged() {
    // libploop counts in 32 bits: slot 2,097,152 of 1 MiB clusters gets the entry of slot 0.
    let mut image = ImageBuilder::v1()
        .cluster_sectors(2048)
        .clusters(2_097_151)
        .fill(0, Fill::FileHole)
        .build();
    let first = u32::try_from(image.layer.runs[0].host_offset / SECTOR).unwrap();
    assert_damaged(
        image.put_u32(field::entry(2_097_150), first),
        "entry-duplicate",
        &["both stored at"],
    );
}

#[test]
fn a_table_too_small_for_the_disk_is_damaged() {
    for version in Version::BOTH {
        for entries in [1, 3] {
            let mut image = good(version).build();
            assert_damaged(
                image.put_u32(field::ENTRIES, entries),
                "table-too-small",
                &["entries"],
            );
        }
        // The rounded-down count of a disk that ends inside a cluster.
        let mut image = ImageBuilder::new(version).sectors(130).store(0).build();
        assert_damaged(
            image.put_u32(field::ENTRIES, 2),
            "table-too-small",
            &["entries"],
        );
    }
}

#[test]
fn check_names_everything_that_is_wrong() {
    let mut image = ImageBuilder::v1()
        .clusters(9000)
        .flags(8)
        .store_all([0, 1, 2, 3])
        .build();
    image.put_u32(field::entry(10), 1 << 20); // past the end
    image.put_u32(field::entry(11), 64); // inside the table
    image.put_u32(field::entry(12), 129); // no boundary
    image.put_u32(field::entry(13), 128); // cluster 0's place
    image.put_u32(field::SECTORS_HIGH, 1);
    image.put(image.len, b"junk");
    let scratch = Scratch::new();
    let outcome = check(&written(&scratch, &image)).run().status(3);
    assert_eq!(outcome.json()["verdict"], "damaged");
    let expected = [
        "entry-duplicate",
        "entry-in-table",
        "entry-misaligned",
        "entry-past-end",
        "file-length",
        "size-high-word",
        "unknown-flags",
    ];
    let found = outcome.codes();
    for code in expected {
        assert!(
            found.iter().any(|found| found == code),
            "{code} is missing in {found:?}"
        );
    }
}

#[test]
fn check_counts_what_is_wrong_many_times_once() {
    let mut image = ImageBuilder::v2().clusters(8000).store(0).build();
    for index in 1..8000 {
        image.put_u32(
            field::entry(index),
            1_000_000 + u32::try_from(index).unwrap(),
        );
    }
    let scratch = Scratch::new();
    let outcome = check(&written(&scratch, &image))
        .run()
        .status(3)
        .finds("entry-past-end", "damage");
    let report = outcome.json();
    let past_end: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["code"] == "entry-past-end")
        .collect();
    assert_eq!(
        past_end
            .iter()
            .map(|found| found["count"].as_u64().unwrap())
            .sum::<u64>(),
        7999
    );
    assert!(past_end.len() < 100, "one line an entry");
}

#[test]
fn damage_in_any_layer_of_a_chain_names_the_layer() {
    for number in 0..3 {
        let scratch = Scratch::new();
        let mut images: Vec<ImageFile> = (1..4)
            .map(|seed| ImageBuilder::v2().seed(seed).store_all([0, 2]).build())
            .collect();
        images[number].put_u32(field::entry(3), 77);
        let mut images = images.into_iter();
        let chain = ChainBuilder::base_file(images.next().unwrap())
            .child_file(images.next().unwrap())
            .child_file(images.next().unwrap())
            .write(&scratch.source());
        let name = chain.files[number]
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        convert(&chain.dir, &scratch.target())
            .run()
            .refused(3, &[&name, "beyond the end of the file"]);
        scratch.assert_nothing_left();
        let report = check(&chain.dir)
            .run()
            .status(3)
            .finds("entry-past-end", "damage")
            .json();
        let finding = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["class"] == "damage")
            .unwrap();
        assert_eq!(finding["layer"], number);
        assert!(finding["file"].as_str().unwrap().ends_with(&name));
    }
}
