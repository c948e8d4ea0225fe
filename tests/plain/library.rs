//! The library's disk, read in pieces: every length across every kind of boundary.

use std::ops::{ControlFlow, Range};

use crate::support::image::{ImageFile, Version, divided, field, pattern};
use crate::support::{Chain, ChainBuilder, Fill, ImageBuilder, Scratch};
use ploopconv::disk::{Extent, ExtentKind, VirtualDisk};
use ploopconv::ploop::{IfInUse, OpenOptions, PloopDisk, examine};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestRunner};

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

/// What a disk says of each place, joined: the walk that cannot be wrong because it is slow.
fn one_by_one(disk: &dyn VirtualDisk, range: Range<u64>) -> Vec<Extent> {
    let mut walk: Vec<Extent> = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let extent = disk.extent_at(at).unwrap().within(&range).unwrap();
        at = extent.end();
        match walk.last_mut() {
            Some(last) if goes_on(last, &extent) => last.len += extent.len,
            _ => walk.push(extent),
        }
    }
    walk
}

/// Whether one extent continues another.
fn goes_on(last: &Extent, next: &Extent) -> bool {
    use ExtentKind::{Data, Hole, Lost};
    match (last.kind, next.kind) {
        (Hole, Hole) => true,
        (Lost { store }, Lost { store: other }) => store == other,
        (
            Data { store, host_offset },
            Data {
                store: other,
                host_offset: next,
            },
        ) => store == other && host_offset + last.len == next,
        _ => false,
    }
}

/// A part of a table.
#[derive(Debug, Clone)]
enum Part {
    Absent(u32),
    Run(u32),
    /// Clusters that lie in the file from the last to the first.
    Backwards(u32),
}

/// A table of several pages, entries that point elsewhere, and how much of the file is left.
#[derive(Debug, Clone)]
struct Table {
    version: Version,
    parts: Vec<Part>,
    /// The sector of its last cluster in which the disk ends.
    end: u64,
    elsewhere: Vec<(Index, u32)>,
    cut: Option<Index>,
}

impl Table {
    fn any() -> impl Strategy<Value = Self> {
        let len = prop_oneof![3 => 1..6_u32, 1 => 1..1500_u32];
        let part = (0..3, len).prop_map(|(kind, len)| match kind {
            0 => Part::Absent(len),
            1 => Part::Run(len),
            _ => Part::Backwards(len),
        });
        let parts = proptest::collection::vec(part, 1..40);
        let elsewhere = proptest::collection::vec((any::<Index>(), 1..5000_u32), 0..4);
        let version = prop_oneof![Just(Version::V1), Just(Version::V2)];
        let cut = proptest::option::of(any::<Index>());
        (version, parts, 1..=2_u64, elsewhere, cut).prop_map(
            |(version, parts, end, elsewhere, cut)| Self {
                version,
                parts,
                end,
                elsewhere,
                cut,
            },
        )
    }

    fn image(&self) -> ImageFile {
        let mut order = Vec::new();
        let mut at = 0;
        for part in &self.parts {
            at += match *part {
                Part::Absent(len) => len,
                Part::Run(len) => {
                    order.extend(at..at + len);
                    len
                }
                Part::Backwards(len) => {
                    order.extend((at..at + len).rev());
                    len
                }
            };
        }
        let image = ImageBuilder::new(self.version)
            .cluster_sectors(2)
            .sectors(u64::from(at - 1) * 2 + self.end)
            .store_all(order);
        let mut file = image.build();
        for (index, entry) in &self.elsewhere {
            file.put_u32(field::entry(index.index(at as usize) as u64), *entry);
        }
        if let Some(cut) = self.cut {
            let data = file.len.saturating_sub(image.data_start());
            let kept = cut.index(usize::try_from(data).unwrap() + 1);
            file.set_len(image.data_start() + kept as u64);
        }
        file
    }
}

#[test]
fn every_walk_over_one_layer_has_the_extents_of_a_slow_one() {
    let config = ProptestConfig {
        cases: 40,
        rng_seed: RngSeed::Fixed(17),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let cases = (Table::any(), any::<[Index; 2]>());
    let tried = TestRunner::new(config).run(&cases, |(table, ends)| {
        let scratch = Scratch::new();
        let path = scratch.path().join("root.hds");
        table.image().write(&path);
        let options = OpenOptions {
            salvage: true,
            ..OpenOptions::default()
        };
        let examined = examine(&path, &options).unwrap();
        let disk = examined.into_disk(IfInUse::Refuse).unwrap();
        let size = usize::try_from(disk.size()).unwrap();
        let [one, other] = ends.map(|end| end.index(size + 1) as u64);
        for range in [0..disk.size(), one.min(other)..one.max(other)] {
            let expected = one_by_one(&disk, range.clone());
            let walk: Vec<_> = disk.extents_in(range.clone()).map(Result::unwrap).collect();
            prop_assert_eq!(&walk, &expected);
            let mut given = Vec::new();
            let keep = &mut |extent| {
                given.push(extent);
                ControlFlow::Continue(())
            };
            disk.each_extent_in(range, keep).unwrap();
            prop_assert_eq!(&given, &expected);
        }
        let mut first = Vec::new();
        let stop = &mut |extent| {
            first.push(extent);
            ControlFlow::Break(())
        };
        disk.each_extent_in(0..disk.size(), stop).unwrap();
        let expected = one_by_one(&disk, 0..disk.size());
        prop_assert_eq!(first.first(), expected.first());
        prop_assert_eq!(first.len(), 1);
        Ok(())
    });
    tried.unwrap();
}
