//! Disks of several layers: which file hides which, and what a layer's place in the chain means.

use crate::support::image::{Version, divided, pattern};
use crate::support::samples::two_layers;
use crate::support::{
    Chain, ChainBuilder, Fill, ImageBuilder, Outcome, Scratch, SourceGuard, assert_reads,
    assert_reads_with, check, convert, field, guid, info,
};

/// The chain reads as its model, named by its folder and by its descriptor.
#[track_caller]
fn assert_chain(chain: &Chain) -> Outcome {
    assert_reads(&chain.descriptor(), &chain.model());
    assert_reads(&chain.dir, &chain.model())
}

#[track_caller]
fn assert_snapshot(chain: &Chain, number: usize) -> Outcome {
    let args = ["--snapshot", &chain.guids[number]];
    assert_reads_with(&chain.dir, &args, &chain.model_of(number))
}

/// A conversion of the chain is refused; nothing is left and nothing was changed.
#[track_caller]
fn assert_refused(chain: &Chain, status: i32, parts: &[&str]) -> Outcome {
    let scratch = Scratch::new();
    let _guard = SourceGuard::new(&chain.dir);
    let outcome = convert(&chain.dir, &scratch.target())
        .within(20)
        .run()
        .refused(status, parts);
    scratch.assert_nothing_left();
    outcome
}

#[test]
fn a_child_hides_its_parent_where_it_stores_a_cluster_and_nowhere_else() {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        let chain = ChainBuilder::base(&ImageBuilder::new(version).seed(1).store_all([2, 0, 1]))
            .child(&ImageBuilder::new(version).seed(2).store(1))
            .write(&scratch.source());
        assert_chain(&chain);
        assert_snapshot(&chain, 0);
    }
}

#[test]
fn three_layers_read_top_down() {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        let image = || ImageBuilder::new(version).clusters(9);
        let chain = ChainBuilder::base(&image().seed(1).store_all([0, 1, 2, 3, 4]))
            .child(&image().seed(2).store_all([5, 3, 2]))
            .child(&image().seed(3).store_all([7, 2, 0]))
            .write(&scratch.source());
        assert_chain(&chain);
        for number in 0..3 {
            assert_snapshot(&chain, number);
        }
    }
}

#[test]
fn a_hole_in_the_childs_file_is_zeros_and_hides_the_parent() {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        let chain = ChainBuilder::base(&ImageBuilder::new(version).seed(1).store_all([0, 1, 2, 3]))
            .child(
                &ImageBuilder::new(version)
                    .seed(2)
                    .fill(1, Fill::FileHole)
                    .fill(3, Fill::Bytes(vec![5; 600])),
            )
            .write(&scratch.source());
        assert_chain(&chain);
    }
}

#[test]
fn a_chain_of_256_layers_reads() {
    let scratch = Scratch::new();
    let base = ImageBuilder::v2()
        .cluster_sectors(8)
        .clusters(300)
        .seed(0)
        .store_all(0..300);
    let chain = (1..256).fold(ChainBuilder::base(&base), |chain, layer| {
        chain.child(
            &ImageBuilder::v2()
                .cluster_sectors(8)
                .clusters(300)
                .seed(u64::from(layer))
                .store(layer),
        )
    });
    assert_chain(&chain.write(&scratch.source()));
}

#[test]
fn a_chain_of_257_layers_is_refused() {
    let scratch = Scratch::new();
    let image = ImageBuilder::v2().cluster_sectors(8);
    let chain = (1..257).fold(ChainBuilder::base(&image), |chain, _| chain.child(&image));
    assert_refused(&chain.write(&scratch.source()), 3, &["256"]);
}

#[test]
fn every_branch_reads_through_its_own_parents() {
    let scratch = Scratch::new();
    let image = |seed| ImageBuilder::v2().clusters(6).seed(seed);
    let chain = ChainBuilder::base(&image(1).store_all([0, 1, 2]))
        .child(&image(2).store_all([1, 3]))
        .branch(0, &image(3).store_all([2, 4]))
        .branch(1, &image(4).store_all([0, 5]))
        .top(2)
        .write(&scratch.source());
    assert_chain(&chain);
    for number in 0..4 {
        assert_snapshot(&chain, number);
    }
}

#[test]
fn damage_on_another_branch_does_not_matter() {
    let scratch = Scratch::new();
    let chain = two_layers()
        .branch(0, &ImageBuilder::v2().seed(3).store(2))
        .top(1)
        .write(&scratch.source());
    std::fs::write(&chain.files[2], b"nothing of a ploop image").unwrap();
    assert_chain(&chain);
}

#[test]
fn a_snapshot_may_be_spelled_with_or_without_braces_in_any_case() {
    let scratch = Scratch::new();
    let chain = two_layers().write_with(&scratch.source(), |descriptor| {
        descriptor.rename(&guid(0), "{0f0fABCD-1111-4222-8333-44444444ffff}");
    });
    for spelling in [
        "{0f0fabcd-1111-4222-8333-44444444ffff}",
        "0f0fabcd-1111-4222-8333-44444444ffff",
        "0F0FABCD-1111-4222-8333-44444444FFFF",
        "{0F0FABCD-1111-4222-8333-44444444ffff}",
    ] {
        assert_reads_with(&chain.dir, &["--snapshot", spelling], &chain.model_of(0));
    }
}

#[test]
fn a_snapshot_that_the_descriptor_does_not_have_is_refused() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    let unknown = guid(77);
    let target = scratch.target();
    convert(&chain.dir, &target)
        .args(["--snapshot", &unknown])
        .run()
        .refused(1, &[&unknown]);
    convert(&chain.dir, &target)
        .args(["--snapshot", "yesterday"])
        .run()
        .refused(1, &["yesterday", "--snapshot"]);
    scratch.assert_nothing_left();
}

#[test]
fn a_child_that_was_grown_reads_zeros_past_its_parents_end() {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        let chain = ChainBuilder::base(&ImageBuilder::new(version).seed(1).store_all([2, 0, 3]))
            .child(
                &ImageBuilder::new(version)
                    .clusters(9)
                    .seed(2)
                    .store_all([8, 1]),
            )
            .child(
                &ImageBuilder::new(version)
                    .sectors(64 * 20 + 5)
                    .seed(3)
                    .store_all([20, 4]),
            )
            .write(&scratch.source());
        assert_chain(&chain);
        assert_snapshot(&chain, 1);
    }
}

#[test]
fn a_parent_that_ends_inside_a_cluster_reads_zeros_behind_its_end() {
    for version in Version::BOTH {
        let scratch = Scratch::new();
        // The bytes of the parent's last cluster past its end are there, and belong to no disk.
        let chain = ChainBuilder::base(
            &ImageBuilder::new(version)
                .sectors(130)
                .seed(1)
                .store_all([2, 0]),
        )
        .child(&ImageBuilder::new(version).clusters(5).seed(2).store(1))
        .write(&scratch.source());
        assert_chain(&chain);
    }
}

#[test]
fn entries_of_a_parent_behind_its_own_end_are_not_read_by_a_grown_child() {
    let scratch = Scratch::new();
    let mut base = ImageBuilder::v2()
        .entries(9)
        .seed(1)
        .store_all([0, 1, 2])
        .build();
    base.put_u32(field::entry(5), 2);
    let chain =
        ChainBuilder::base_file(base).child(&ImageBuilder::v2().clusters(9).seed(2).store(8));
    assert_chain(&chain.write(&scratch.source()));
}

#[test]
fn a_child_smaller_than_its_parent_is_refused() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().clusters(5).seed(1).store_all([0, 4]))
        .child(&ImageBuilder::v2().clusters(4).seed(2).store(1))
        .write(&scratch.source());
    assert_refused(&chain, 3, &["smaller"]);
    check(&chain.dir)
        .run()
        .status(3)
        .finds("layer-smaller", "damage");
}

#[test]
fn a_raw_base_of_the_disks_size_reads() {
    let scratch = Scratch::new();
    let raw = pattern(7, 0, 4 * 32768);
    let chain = ChainBuilder::raw_base(&raw, 64)
        .child(&ImageBuilder::v2().seed(2).store_all([3, 1]))
        .child(&ImageBuilder::v2().seed(3).store(0))
        .write(&scratch.source());
    assert_chain(&chain);
    assert_snapshot(&chain, 0);
    assert_snapshot(&chain, 1);
}

#[test]
fn a_raw_base_that_the_disk_outgrew_reads_zeros_past_its_end() {
    for len in [1024, 32768, 40_448, 3 * 32768 + 4096] {
        let scratch = Scratch::new();
        let chain = ChainBuilder::raw_base(&divided(pattern(7, 0, len)), 64)
            .child(&ImageBuilder::v2().seed(2).store(2))
            .write(&scratch.source());
        assert_chain(&chain);
    }
}

#[test]
fn a_raw_base_alone_is_the_disk() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::raw_base(&pattern(7, 0, 100 * 512), 64).write(&scratch.source());
    assert_chain(&chain);
}

#[test]
fn a_raw_base_is_never_taken_for_an_image_though_the_guest_wrote_a_header_there() {
    let scratch = Scratch::new();
    let mut raw = ImageBuilder::v2().store_all([2, 0]).build().bytes();
    raw.resize(4 * 32768, 0x55);
    let chain = ChainBuilder::raw_base(&raw, 64).child(&ImageBuilder::v2().seed(2).store(3));
    assert_chain(&chain.write(&scratch.source()));
}

#[test]
fn a_raw_base_longer_than_its_child_is_refused() {
    let scratch = Scratch::new();
    let chain =
        ChainBuilder::raw_base(&pattern(7, 0, 5 * 32768), 64).child(&ImageBuilder::v2().store(0));
    assert_refused(&chain.write(&scratch.source()), 3, &["smaller"]);
}

#[test]
fn a_child_labelled_plain_over_an_expandable_base_reads_by_its_place() {
    let scratch = Scratch::new();
    let chain = two_layers().write_with(&scratch.source(), |descriptor| {
        "Plain".clone_into(&mut descriptor.images()[1].kind);
    });
    assert_chain(&chain);
}

#[test]
fn a_child_without_a_magic_is_refused_whatever_its_label() {
    for kind in ["Compressed", "Plain"] {
        let scratch = Scratch::new();
        let chain = two_layers().write_with(&scratch.source(), |descriptor| {
            kind.clone_into(&mut descriptor.images()[1].kind);
        });
        std::fs::write(&chain.files[1], vec![0x11; 4 * 32768]).unwrap();
        assert_refused(&chain, 3, &["root.hds.{00000001"]);
        check(&chain.dir)
            .run()
            .status(3)
            .finds("not-ploop", "damage");
    }
}

#[test]
fn a_base_without_a_magic_that_is_not_called_plain_is_refused() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    std::fs::write(&chain.files[0], vec![0x11; 4 * 32768]).unwrap();
    assert_refused(&chain, 3, &["root.hds"]);
}

#[test]
fn a_label_that_is_neither_plain_nor_compressed_is_refused() {
    let scratch = Scratch::new();
    let chain = two_layers().write_with(&scratch.source(), |descriptor| {
        "Sparkling".clone_into(&mut descriptor.images()[0].kind);
    });
    assert_refused(&chain, 3, &["Sparkling"]);
}

#[test]
fn layers_of_both_versions_mix_with_a_warning() {
    for (below, above) in [(Version::V1, Version::V2), (Version::V2, Version::V1)] {
        let scratch = Scratch::new();
        let chain = ChainBuilder::base(&ImageBuilder::new(below).seed(1).store_all([2, 0, 1]))
            .child(&ImageBuilder::new(above).seed(2).store_all([3, 1]))
            .write(&scratch.source());
        assert_chain(&chain);
        check(&chain.dir)
            .run()
            .status(0)
            .finds("mixed-versions", "warning");
    }
}

#[test]
fn layers_of_different_cluster_sizes_mix_with_a_warning() {
    for (below, above) in [(32, 64), (64, 32), (63, 64), (64, 1), (2048, 504)] {
        let scratch = Scratch::new();
        let sectors = 64 * 63;
        let image = |cluster| ImageBuilder::v2().cluster_sectors(cluster).sectors(sectors);
        let chain = ChainBuilder::base(&image(below).seed(1).store_all([1, 0]))
            .child(&image(above).seed(2).store_all([3, 1]))
            .child(&image(below).seed(3).store(1))
            .write(&scratch.source());
        assert_chain(&chain);
        check(&chain.dir)
            .run()
            .status(0)
            .finds("mixed-cluster-sizes", "warning");
    }
}

#[test]
fn info_shows_the_chain() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    let report = info(&chain.dir).run().status(0).json();
    assert_eq!(report["virtual_size"], chain.model().size());
    assert_eq!(report["data_bytes"], chain.model().data_bytes());
    let guids: Vec<&str> = report["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["guid"].as_str().unwrap())
        .collect();
    assert_eq!(guids, chain.guids);
    let snapshots = report["snapshots"].as_array().unwrap();
    assert_eq!(snapshots.len(), 2);
    let top = snapshots
        .iter()
        .find(|shot| shot["guid"] == chain.guids[1].as_str())
        .unwrap();
    assert_eq!(
        (&top["top"], &top["parent"]),
        (&true.into(), &chain.guids[0].as_str().into())
    );
}
