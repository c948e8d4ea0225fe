//! The worked examples of the format's description (section 7), with the digests it states.

use crate::support::descriptor::{NO_PARENT, TOP};
use crate::support::{
    ChainBuilder, Fill, ImageBuilder, Scratch, SourceGuard, convert_to, map, md5_hex,
};
use serde_json::{Value, json};
use std::path::Path;

const SNAPSHOT: &str = "{0f0f0f0f-1111-4222-8333-444444444444}";

fn words(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Example 7.1 or, with the other magic and table, 7.2: written out by hand.
fn three_clusters(magic: &[u8; 16], bat: [u32; 3]) -> Vec<u8> {
    let mut file = magic.to_vec();
    file.extend(words(&[2, 16, 0, 64, 3, 192, 0, 0, 64, 0, 0, 0]));
    file.extend(words(&bat));
    file.resize(0x8000, 0);
    file.resize(0x10000, 0xA2);
    file.resize(0x18000, 0xA0);
    file
}

/// Example 7.3, written out by hand.
fn old_parallels() -> Vec<u8> {
    let mut file = b"WithoutFreeSpace".to_vec();
    file.extend(words(&[2, 16, 0, 63, 3, 179, 0, 0, 1, 0, 0, 0]));
    file.extend(words(&[64, 0, 1]));
    file.resize(512, 0);
    file.resize(512 + 32256, 0xA2);
    file.resize(512 + 2 * 32256, 0xA0);
    file
}

fn assert_converts_to(image: &Path, digest: &str) {
    let scratch = Scratch::new();
    let _guard = SourceGuard::new(image.parent().unwrap());
    convert_to(image, &scratch.target());
    assert_eq!(md5_hex(&std::fs::read(scratch.target()).unwrap()), digest);
    let streamed = crate::support::convert(image, Path::new("-")).run().done();
    assert_eq!(md5_hex(&streamed.stdout), digest);
}

fn extents(image: &Path) -> Value {
    let mut extents = map(image).run().status(0).json()["extents"].clone();
    for extent in extents.as_array_mut().unwrap() {
        extent.as_object_mut().unwrap().remove("file");
    }
    extents
}

/// Writes the three clusters under this name: the disk, and the places that its bytes come from.
#[track_caller]
fn assert_a_hole_and_swapped_clusters(bytes: &[u8], name: &str) {
    let scratch = Scratch::new();
    let image = scratch.source().join(name);
    std::fs::write(&image, bytes).unwrap();

    assert_converts_to(&image, "916d99b4803cc312eba5fcd5fcfd0ce1");

    let expected = json!([
        {"offset": 0, "length": 32768, "kind": "data", "layer": 0, "host_offset": 65536},
        {"offset": 32768, "length": 32768, "kind": "hole"},
        {"offset": 65536, "length": 32768, "kind": "data", "layer": 0, "host_offset": 32768},
    ]);
    assert_eq!(extents(&image), expected);
}

#[test]
fn the_v1_example_with_a_hole_and_swapped_clusters() {
    let bytes = three_clusters(b"WithoutFreeSpace", [128, 0, 64]);
    assert_eq!(
        (bytes.len(), md5_hex(&bytes).as_str()),
        (98_304, "592b4cc487864e13cddec101fdaedf79")
    );
    assert_a_hole_and_swapped_clusters(&bytes, "disk.hdd");
}

#[test]
fn the_same_example_in_v2() {
    let bytes = three_clusters(b"WithouFreSpacExt", [2, 0, 1]);
    assert_eq!(md5_hex(&bytes), "785f2da74032363695856ca1fc03fb1c");
    assert_a_hole_and_swapped_clusters(&bytes, "disk.hds");
}

#[test]
fn the_old_parallels_example_of_63_sectors_that_ends_inside_a_cluster() {
    let bytes = old_parallels();
    assert_eq!(
        (bytes.len(), md5_hex(&bytes).as_str()),
        (65_024, "0149a103942a26a6b933af94b296dd73")
    );
    let scratch = Scratch::new();
    let image = scratch.source().join("disk.hdd");
    std::fs::write(&image, bytes).unwrap();

    // 63 sectors is nothing libploop would accept, which is worth a warning and no more.
    let target = scratch.target();
    crate::support::convert(&image, &target).run().status(0);
    let content = std::fs::read(target).unwrap();
    assert_eq!(
        (content.len(), md5_hex(&content).as_str()),
        (91_648, "b7d3172357ab124671f2fce6ae879ed3")
    );

    let report = map(&image).run().status(0).json();
    assert_eq!(report["size"], 91_648);
    let expected = json!([
        {"offset": 0, "length": 32256, "kind": "data", "layer": 0, "host_offset": 32768},
        {"offset": 32256, "length": 32256, "kind": "hole"},
        {"offset": 64512, "length": 27136, "kind": "data", "layer": 0, "host_offset": 512},
    ]);
    assert_eq!(extents(&image), expected);
}

fn example_base() -> ImageBuilder {
    (0..3).fold(ImageBuilder::v2(), |image, k| {
        image.fill(k, Fill::Byte(0xA0 + k as u8))
    })
}

#[test]
fn the_two_layer_example_reads_as_its_top_and_as_its_snapshot() {
    let scratch = Scratch::new();
    let child = ImageBuilder::v2().fill(1, Fill::Byte(0xB1));
    let chain = ChainBuilder::base(&example_base())
        .child(&child)
        .write_with(&scratch.source(), |descriptor| {
            let base = descriptor.images()[0].guid.clone();
            descriptor.rename(&base, SNAPSHOT);
            let file = "root.hds.{9a9a9a9a-5555-4666-8777-888888888888}";
            descriptor.images()[1].file = file.to_owned();
            assert_eq!(descriptor.shots[0].parent, NO_PARENT);
            assert_eq!(descriptor.shots[1].guid, TOP);
        });
    let second = scratch
        .source()
        .join("root.hds.{9a9a9a9a-5555-4666-8777-888888888888}");
    std::fs::rename(&chain.files[1], second).unwrap();

    assert_converts_to(&scratch.source(), "71d7d3f30307936f557621b08b01eda5");

    let target = scratch.target();
    let snapshot =
        crate::support::convert(&scratch.source(), &target).args(["--snapshot", SNAPSHOT]);
    snapshot.run().done();
    assert_eq!(
        md5_hex(&std::fs::read(target).unwrap()),
        "933128244eba2fc25c620ef63c3c788d"
    );
}

#[test]
fn the_grown_example_reads_zeros_past_the_end_of_its_base() {
    let scratch = Scratch::new();
    let child = ImageBuilder::v2()
        .clusters(6)
        .fill(5, Fill::Byte(0xB5))
        .fill(1, Fill::Byte(0xB1));
    ChainBuilder::base(&example_base())
        .child(&child)
        .write(&scratch.source());

    assert_converts_to(&scratch.source(), "51ffef6831872ac6bd6c8044e9411aaf");
}
