//! Disks that change between two conversions.

use std::time::Duration;

use super::hints::IN_USE;
use super::{ChainBuilder, Fill, ImageBuilder};

/// The clusters of [`layers`], in bytes.
pub const SMALL: u64 = 64 << 10;

/// Layers of 64 KiB clusters over a disk of 5 MiB and a bit: snapshots 0 and 1, and a top that has
/// grown. What they store lies everywhere: over each other, in the first MiB, over the end of the
/// smaller disk; some of it is zeros.
pub fn layers(top_in_use: bool) -> ChainBuilder {
    let image = |seed: u64, sectors: u64| {
        ImageBuilder::v2()
            .cluster_sectors(128)
            .sectors(sectors)
            .seed(seed)
    };
    let small = 128 * 80 + 24;
    let base = image(1, small).store_all([0, 1, 2, 30, 31, 40, 41, 42, 79, 80]);
    let middle = image(2, small)
        .store_all([1, 50, 41])
        .fill(30, Fill::Byte(0));
    let top = image(3, small + 128 * 20)
        .store_all([2, 60, 80, 95])
        .fill(42, Fill::FileHole)
        .fill(0, Fill::Byte(0));
    let top = if top_in_use { top.in_use(IN_USE) } else { top };
    ChainBuilder::base(&base).child(&middle).child(&top)
}

/// An image of 24 clusters of 1 MiB.
pub fn large(seed: u64) -> ImageBuilder {
    ImageBuilder::v2()
        .cluster_sectors(2048)
        .clusters(24)
        .seed(seed)
}

/// How long a run is left alone before it is killed, where it takes `whole`: another moment for
/// every round, up to a little more than all of it.
pub fn moment(whole: Duration, round: u32) -> Duration {
    let part = round.wrapping_mul(2_654_435_769) >> 16;
    whole * part / 0xFFFF * 11 / 10
}

/// Layers of 24 clusters of 1 MiB that take a moment to copy: all of them below, some above.
pub fn kill_layers() -> ChainBuilder {
    let top = large(3).fill(20, Fill::Byte(0));
    ChainBuilder::base(&large(1).store_all(0..24))
        .child(&large(2).store_all([1, 5]))
        .child(&top.store_all([0, 2, 3, 5, 7, 11, 12, 13, 14, 23]))
}
