//! Disks that change between two conversions.

use std::process::Child;
use std::time::{Duration, Instant};

use super::hints::IN_USE;
use super::{ChainBuilder, Fill, ImageBuilder};

/// Whether the last sector of a head says that an update of its disk is not complete.
fn has_token(head: &[u8]) -> bool {
    head[head.len() - 512..].starts_with(b"ploopconv: an update of this disk is not complete (")
}

/// Whether a head says that an update of its disk is not complete, after nothing but zeros.
pub fn is_incomplete(head: &[u8]) -> bool {
    has_token(head) && head[..head.len() - 512].iter().all(|&byte| byte == 0)
}

/// What a head has besides what says that an update is not complete: that is the first thing of a
/// qcow2 file to come and the last one to go.
pub fn forget_token(head: &mut [u8]) {
    if has_token(head) {
        let sector = head.len() - 512;
        head[sector..].fill(0);
    }
}

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

/// Ends updates at random moments, several in a row: `begin` brings back what was there before,
/// `start` starts one, `torn` looks at what an ended one left, and `again` makes one that is left
/// alone and looks at what it left. How many times: `PLOOPCONV_UPDATE_KILLS`, or `usual`.
pub fn killed(
    usual: u32,
    begin: impl Fn(),
    start: impl Fn() -> Child,
    torn: impl Fn(&str),
    again: impl Fn(&str),
) {
    let kills = std::env::var("PLOOPCONV_UPDATE_KILLS");
    let kills: u32 = kills.map_or(usual, |kills| kills.parse().unwrap());
    begin();
    let clock = Instant::now();
    assert!(start().wait().unwrap().success());
    let takes = clock.elapsed().max(Duration::from_millis(5));
    for number in 0..kills {
        let what = format!("kill {number}");
        begin();
        for round in 0..=number % 3 {
            let mut child = start();
            std::thread::sleep(moment(takes, number * 3 + round));
            let _ = child.kill();
            child.wait().unwrap();
            torn(&what);
        }
        again(&what);
    }
}

/// How long a run is left alone before it is killed, where it takes `whole`: another moment for
/// every round, up to a little more than all of it.
fn moment(whole: Duration, round: u32) -> Duration {
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
