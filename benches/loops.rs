//! The inner loops: what is done once for every entry of a table, every extent, every block.
//!
//! `cargo bench` runs them all, `cargo bench -- NAME` some. For whole conversions beside other
//! programs there is `benches/compare`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a bench that meets the unexpected fails where it stands"
)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ploopconv::Workers;
use ploopconv::disk::{VirtualDisk, stored_bytes};
use ploopconv::format::qcow2::{Qcow2Layout, Qcow2Options, Qcow2Sink};
use ploopconv::hash::{Algorithm, Hasher};
use ploopconv::observe::Observer;
use ploopconv::ploop::{Bat, Header, IfInUse, IfUnreadable, OpenOptions, PloopDisk, examine};
use ploopconv::sink::{Durability, FileSinkOptions, IfExists, Partials, Reflink, Sink};
use ploopconv::util::bytes::is_zero;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// Entries of the tables: a disk of 1 TiB.
const ENTRIES: u32 = 1 << 20;
const CLUSTER: u64 = 1 << 20;
/// What a copy reads at a time.
const UNIT: usize = 256 << 10;

/// In which order the clusters of a disk lie in its image.
#[derive(Debug, Clone, Copy)]
enum Order {
    Disk,
    None,
}

/// The header and the table of an image in full use, and the length that its file has to have.
fn table(order: Order) -> (Vec<u8>, u64) {
    let start = (64 + 4 * u64::from(ENTRIES)).next_multiple_of(CLUSTER);
    let mut bytes = vec![0; 64];
    bytes[..16].copy_from_slice(b"WithouFreSpacExt");
    let sectors = (CLUSTER / 512) as u32;
    let fields = [
        (16, 2),
        (28, sectors),
        (32, ENTRIES),
        (36, ENTRIES * sectors),
        (48, (start / 512) as u32),
    ];
    for (at, value) in fields {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    let first = (start / CLUSTER) as u32;
    for index in 0..ENTRIES {
        let place = match order {
            Order::Disk => index,
            // Odd, so every place comes once.
            Order::None => index.wrapping_mul(0x9e37_79b1) % ENTRIES,
        };
        bytes.extend((first + place).to_le_bytes());
    }
    (bytes, start + u64::from(ENTRIES) * CLUSTER)
}

fn disk(dir: &TempDir, order: Order) -> PloopDisk {
    let path = dir.path().join("image.hdd");
    let (bytes, len) = table(order);
    let mut file = File::create(&path).unwrap();
    file.write_all(&bytes).unwrap();
    file.set_len(len).unwrap();
    let examined = examine(&path, &OpenOptions::default()).unwrap();
    examined.into_disk(IfInUse::Refuse).unwrap()
}

#[divan::bench(args = [Order::Disk, Order::None])]
fn bat_scan(bencher: Bencher, order: Order) {
    let (bytes, len) = table(order);
    let header = Header::parse(bytes.first_chunk().unwrap(), len).unwrap();
    let workers = Workers::new(1).unwrap();
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .bench(|| workers.install(|| Bat::read(&bytes, &header, len, IfUnreadable::Fail).unwrap()));
}

#[divan::bench(args = [Order::Disk, Order::None])]
fn extent_walk(bencher: Bencher, order: Order) {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(&dir, order);
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .bench(|| disk.extents().count());
}

/// A walk that knows the holes of the files too.
#[divan::bench(args = [Order::Disk, Order::None])]
fn stored(bencher: Bencher, order: Order) {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(&dir, order);
    let workers = Workers::new(1).unwrap();
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .bench(|| stored_bytes(&disk, &workers).unwrap());
}

#[divan::bench]
fn zero_test(bencher: Bencher) {
    let zeros = vec![0; UNIT];
    bencher
        .counter(BytesCount::new(UNIT))
        .bench(|| is_zero(black_box(&zeros)));
}

#[divan::bench]
fn sha256(bencher: Bencher) {
    let unit = vec![7; UNIT];
    bencher.counter(BytesCount::new(UNIT)).bench(|| {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.data(&unit, &[]);
        hasher.finish()
    });
}

/// The part of it that all workers do beside each other.
#[divan::bench]
fn blkhash_blocks(bencher: Bencher) {
    let unit = vec![7; UNIT];
    let blocks = Hasher::new(Algorithm::Blkhash).piece_digest().unwrap();
    bencher
        .counter(BytesCount::new(UNIT))
        .bench(|| blocks(black_box(&unit)));
}

/// The layout of a disk of 1 TiB of which every second MiB is stored.
fn half_full() -> Qcow2Layout {
    let ranges = (0..u64::from(ENTRIES) / 2).map(|at| 2 * at * CLUSTER..(2 * at + 1) * CLUSTER);
    let options = Qcow2Options::default();
    Qcow2Layout::plan(1 << 40, options, ranges.map(Ok)).unwrap()
}

#[divan::bench]
fn qcow2_plan(bencher: Bencher) {
    bencher
        .counter(ItemsCount::new(ENTRIES / 2))
        .bench(half_full);
}

/// L1, L2 and refcounts of 8 million clusters, written to a file without data.
#[divan::bench(sample_count = 10)]
fn qcow2_tables(bencher: Bencher) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("disk.qcow2");
    bencher
        .counter(ItemsCount::new(8 * u64::from(ENTRIES)))
        .with_inputs(half_full)
        .bench_values(|layout| {
            let options = FileSinkOptions {
                if_exists: IfExists::Replace,
                allocate: false,
                durability: Durability::Unsynced,
                reflink: Reflink::Never,
            };
            let partials = Arc::new(Partials::default());
            let sink = Qcow2Sink::create(&target, layout, options, &partials).unwrap();
            sink.complete().unwrap();
        });
}
