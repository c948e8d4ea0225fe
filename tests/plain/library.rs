//! The library's disk, read in pieces: every length across every kind of boundary.

use crate::support::image::{Version, divided, pattern};
use crate::support::{Chain, ChainBuilder, Fill, ImageBuilder, Scratch};
use ploopconv::disk::VirtualDisk;
use ploopconv::ploop::{IfInUse, OpenOptions, PloopDisk, examine};

const CLUSTER: u64 = 63 * 512;

fn open(chain: &Chain) -> PloopDisk {
    examine(&chain.dir, &OpenOptions::default())
        .unwrap()
        .into_disk(IfInUse::Refuse)
        .unwrap()
}

/// Clusters beside clusters that are stored elsewhere, beside holes, beside those of other layers,
/// and a disk that ends inside one.
fn varied(version: Version) -> ChainBuilder {
    let image = |sectors| {
        ImageBuilder::new(version)
            .cluster_sectors(63)
            .sectors(sectors)
    };
    ChainBuilder::base(&image(63 * 9).seed(1).store_all([8, 0, 1, 3, 4, 6]))
        .child(
            &image(63 * 11 + 5)
                .seed(2)
                .store_all([4, 10])
                .fill(6, Fill::FileHole),
        )
        .child(&image(63 * 12 + 7).seed(3).store_all([12, 2, 9]))
}

#[test]
fn reads_of_every_length_across_every_boundary_are_right() {
    let raw = ChainBuilder::raw_base(&divided(pattern(5, 0, 70_144)), 63).child(
        &ImageBuilder::v2()
            .cluster_sectors(63)
            .sectors(63 * 4 + 9)
            .seed(2)
            .store_all([3, 1]),
    );
    for builder in [varied(Version::V1), varied(Version::V2), raw] {
        let scratch = Scratch::new();
        let chain = builder.write(&scratch.source());
        let content = chain.model().content();
        let disk = open(&chain);
        let size = disk.size();
        assert_eq!(size, content.len() as u64);
        let ends = (0..=size / CLUSTER)
            .map(|number| number * CLUSTER)
            .chain([70_144, size]);
        for end in ends {
            for len in [
                1,
                2,
                511,
                512,
                513,
                4096,
                CLUSTER,
                CLUSTER + 1,
                2 * CLUSTER + 2,
            ] {
                for start in [
                    end,
                    end.saturating_sub(1),
                    end.saturating_sub(len / 2),
                    end.saturating_sub(len),
                ] {
                    let mut buf = vec![0xDB; usize::try_from(len).unwrap()];
                    let read = disk.read_at(&mut buf, start);
                    if start + len > size {
                        read.expect_err("a read past the end of the disk");
                    } else {
                        read.unwrap();
                        let from = usize::try_from(start).unwrap();
                        assert!(
                            buf == content[from..from + buf.len()],
                            "{len} bytes at {start}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn an_extent_may_be_asked_for_at_any_offset() {
    let scratch = Scratch::new();
    let chain = varied(Version::V2).write(&scratch.source());
    let disk = open(&chain);
    for extent in chain.model().extents() {
        for offset in [
            extent.offset,
            extent.offset + 1,
            extent.offset + extent.len / 2,
            extent.offset + extent.len - 1,
        ] {
            let told = disk.extent_at(offset).unwrap();
            assert_eq!(told.offset, offset);
            assert!(
                told.len >= 1 && told.end() <= extent.offset + extent.len,
                "{told:?} in {extent:?}"
            );
        }
    }
    disk.extent_at(disk.size()).unwrap_err();
    disk.extent_at(u64::MAX).unwrap_err();
    disk.read_at(&mut [0; 2], u64::MAX).unwrap_err();
    disk.read_at(&mut [], disk.size()).unwrap();
}

#[test]
fn the_walk_over_extents_has_no_gap_and_no_overlap() {
    let scratch = Scratch::new();
    let chain = varied(Version::V1).write(&scratch.source());
    let disk = open(&chain);
    let mut at = 0;
    for extent in disk.extents() {
        let extent = extent.unwrap();
        assert_eq!(extent.offset, at);
        assert!(extent.len > 0);
        at = extent.end();
    }
    assert_eq!(at, disk.size());
}
