//! What the tests rest on is right by itself: `qemu-img`, which shares no code with the builders
//! or with the program, reads what the model says, and the shared assertions do fail.

use crate::support::image::Version;
use crate::support::witness::qemu_convert;
use crate::support::{ChainBuilder, Fill, ImageBuilder, Scratch, assert_file_holds};

#[test]
fn qemu_reads_a_built_image_as_the_model_says() {
    for version in Version::BOTH {
        for cluster in [1, 63, 64, 504, 2048] {
            let scratch = Scratch::new();
            let path = scratch.source().join("disk.hds");
            let image = ImageBuilder::new(version)
                .cluster_sectors(cluster)
                .sectors(u64::from(cluster) * 6 + 1)
                .store_all([5, 0, 6])
                .gap(2)
                .store(2)
                .fill(3, Fill::FileHole)
                .write(&path);

            qemu_convert(&[(path, false)], &scratch.target());

            assert_file_holds(&scratch.target(), &image.model("disk.hds"));
            assert_eq!(
                std::fs::read(scratch.target()).unwrap(),
                image.model("disk.hds").content()
            );
        }
    }
}

#[test]
fn qemu_reads_a_built_chain_as_the_model_says() {
    let scratch = Scratch::new();
    let chain = ChainBuilder::base(&ImageBuilder::v2().seed(1).store_all([2, 0, 1]))
        .child(&ImageBuilder::v1().seed(2).clusters(6).store_all([5, 1]))
        .child(
            &ImageBuilder::v2()
                .seed(3)
                .clusters(6)
                .fill(0, Fill::FileHole)
                .store(4),
        )
        .branch(1, &ImageBuilder::v2().seed(4).clusters(7).store(6))
        .write(&scratch.source());

    for number in 0..4 {
        let target = scratch.out().join(format!("{number}.raw"));
        qemu_convert(&chain.files_of(number), &target);
        assert_file_holds(&target, &chain.model_of(number));
    }
}

#[test]
fn qemu_reads_a_chain_on_a_short_raw_base_as_the_model_says() {
    let scratch = Scratch::new();
    let raw = crate::support::image::pattern(9, 0, 3 * 512);
    let chain = ChainBuilder::raw_base(&raw, 64)
        .child(&ImageBuilder::v2().seed(2).store_all([3, 1]))
        .write(&scratch.source());

    qemu_convert(&chain.files_of(1), &scratch.target());

    assert_file_holds(&scratch.target(), &chain.model());
}
