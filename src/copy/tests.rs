//! The pipeline against disks and sinks that are awkward on purpose.

use crate::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::plan::UNIT;
use super::*;
use crate::disk::DiskError;
use crate::disk::testing::FakeDisk;
use crate::disk::{Role, Store};
use crate::error::Error;
use crate::observe::PieceDigest;
use crate::sink::{Durability, ExistingFile};
use crate::source::Source;
use crate::util::bytes::is_zero;

const MIB: u64 = 1 << 20;

/// The store of a disk: only its holes are ever asked for.
#[derive(Debug)]
struct FakeStore {
    holes: Vec<Range<u64>>,
}

/// A store that is no data in these places of the disk.
fn file_holes(holes: Vec<Range<u64>>) -> Vec<Store> {
    let store = FakeStore { holes };
    vec![Store::over(Arc::new(store), Path::new("fake"), Role::File)]
}

impl Source for FakeStore {
    fn size(&self) -> std::io::Result<u64> {
        Ok(u64::MAX)
    }

    fn read_exact_at(&self, _buf: &mut [u8], _offset: u64) -> std::io::Result<()> {
        unimplemented!("the disk is read")
    }

    fn next_data(&self, host_offset: u64) -> std::io::Result<Option<Range<u64>>> {
        let hole = self.holes.iter().find(|hole| hole.contains(&host_offset));
        let start = hole.map_or(host_offset, |hole| hole.end);
        let next = self
            .holes
            .iter()
            .map(|hole| hole.start)
            .filter(|&at| at > start)
            .min();
        Ok(Some(start..next.unwrap_or(u64::MAX)))
    }
}

/// Writes down what it is asked for.
#[derive(Default)]
struct LogSink<'a> {
    ordered: bool,
    alignment: u64,
    /// The most writers it allows, if not any number, and those that write now.
    most_writers: Option<usize>,
    writers: AtomicU64,
    log: Mutex<Vec<(u64, u64, &'static str)>>,
    broken: Option<u64>,
    /// How much is read and not yet written.
    on_the_way: Option<&'a AtomicU64>,
}

impl LogSink<'_> {
    fn note(&self, offset: u64, len: u64, what: &'static str) -> Result<()> {
        if self
            .broken
            .is_some_and(|broken| (offset..offset + len).contains(&broken))
        {
            let full = std::io::ErrorKind::StorageFull.into();
            return Err(Error::io_at("writing", Path::new("target"), offset, full));
        }
        if let (Some(on_the_way), "data") = (self.on_the_way, what) {
            on_the_way.fetch_sub(len, Ordering::SeqCst);
        }
        self.log.lock().unwrap().push((offset, len, what));
        Ok(())
    }

    /// The operations in the order of the disk, neighbours joined, as one text.
    fn text(&self) -> String {
        let mut log = self.log.lock().unwrap().clone();
        log.sort_unstable();
        let mut joined: Vec<(u64, u64, &str)> = Vec::new();
        for (offset, len, what) in log {
            match joined.last_mut() {
                Some(last) if last.2 == what && last.0 + last.1 == offset => last.1 += len,
                _ => joined.push((offset, len, what)),
            }
        }
        let lines: Vec<_> = joined
            .iter()
            .map(|(o, l, w)| format!("{w} {o}+{l}"))
            .collect();
        lines.join(", ")
    }
}

impl Sink for LogSink<'_> {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        if let Some(most) = self.most_writers {
            let now = self.writers.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(now <= most as u64, "{now} writers");
            std::thread::sleep(Duration::from_millis(2));
            self.writers.fetch_sub(1, Ordering::SeqCst);
        }
        self.note(offset, data.len() as u64, "data")
    }
    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        self.note(offset, len, "zeros")
    }
    fn needs_order(&self) -> bool {
        self.ordered
    }
    fn alignment(&self) -> u64 {
        self.alignment
    }
    fn max_writers(&self) -> usize {
        self.most_writers.unwrap_or(usize::MAX)
    }
    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn run(disk: &FakeDisk, sink: &LogSink<'_>, find_zeros: bool, threads: usize) -> Result<Summary> {
    let workers = Workers::new(threads).unwrap();
    let stop = AtomicBool::new(false);
    let options = CopyOptions {
        find_zeros,
        stop: &stop,
    };
    copy(disk, sink, &workers, options, &(), None)
}

/// Puts the disk together again from what it is shown.
struct Witness {
    alignment: u64,
    seen: Vec<u8>,
}

impl Observer for Witness {
    fn alignment(&self) -> u64 {
        self.alignment
    }
    fn piece_digest(&self) -> Option<PieceDigest> {
        Some(|bytes| bytes.iter().rev().copied().collect())
    }
    fn data(&mut self, bytes: &[u8], digest: &[u8]) {
        assert!(
            (self.seen.len() as u64).is_multiple_of(self.alignment),
            "a piece is aligned"
        );
        assert!(bytes.iter().rev().eq(digest));
        self.seen.extend(bytes);
    }
    fn zeros(&mut self, len: u64) {
        self.seen.extend(std::iter::repeat_n(0, len as usize));
    }
}

#[test]
fn an_observer_sees_the_disk_in_order_and_holes_stay_holes_for_the_sink() {
    let mut disk = FakeDisk::new(2 * MIB + 777);
    disk.holes = vec![0..100 * 4096, MIB..MIB + 8192];
    disk.stores = file_holes(vec![MIB + 12_288..MIB + 16_384]);
    let mut content = vec![0; disk.size() as usize];
    disk.holes.push(MIB + 12_288..MIB + 16_384);
    for (at, byte) in content.iter_mut().enumerate() {
        let hole = disk.holes.iter().any(|hole| hole.contains(&(at as u64)));
        *byte = if hole { 0 } else { 0x11 };
    }
    disk.store_zeros(&disk.holes);
    disk.holes.pop();
    for (ordered, alignment) in [(false, 1), (false, 65_536), (true, 65_536)] {
        for threads in [1, 3] {
            let sink = LogSink {
                ordered,
                ..LogSink::default()
            };
            let mut witness = Witness {
                alignment,
                seen: Vec::new(),
            };
            let stop = AtomicBool::new(false);
            let options = CopyOptions {
                find_zeros: false,
                stop: &stop,
            };
            let workers = Workers::new(threads).unwrap();
            let summary = copy(&disk, &sink, &workers, options, &(), Some(&mut witness)).unwrap();
            assert!(
                witness.seen == content,
                "ordered {ordered}, alignment {alignment}"
            );
            assert_eq!(summary.written + summary.zeros, disk.size());
            if !ordered {
                assert_eq!(
                    sink.text(),
                    "zeros 0+409600, data 409600+638976, zeros 1048576+8192, \
                     data 1056768+4096, zeros 1060864+4096, data 1064960+1032969"
                );
            }
        }
    }
}

#[test]
fn data_and_holes_reach_the_sink_once_each_in_either_way_and_with_any_number_of_threads() {
    let mut disk = FakeDisk::new(3 * MIB + 777);
    disk.holes = vec![0..100_000, 2 * MIB..2 * MIB + 512];
    disk.stores = file_holes(vec![MIB..MIB + 4096]);
    for ordered in [false, true] {
        for threads in [1, 2, 7] {
            let sink = LogSink {
                ordered,
                ..LogSink::default()
            };
            let summary = run(&disk, &sink, false, threads).unwrap();
            assert_eq!(
                sink.text(),
                "zeros 0+100000, data 100000+948576, zeros 1048576+4096, data 1052672+1044480, \
                 zeros 2097152+512, data 2097664+1048841"
            );
            assert_eq!(summary.zeros, 104_608);
            assert_eq!(summary.written + summary.zeros, disk.size());
        }
    }
}

#[test]
fn an_ordered_sink_is_given_everything_in_order_also_when_the_first_unit_is_slow() {
    let mut disk = FakeDisk::new(24 * MIB);
    // How much is read and not yet written, and the most that ever was.
    let counts: Arc<[AtomicU64; 2]> = Arc::default();
    let seen = Arc::clone(&counts);
    disk.before_read = Box::new(move |range| {
        if range.contains(&5) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let len = range.end - range.start;
        let now = seen[0].fetch_add(len, Ordering::SeqCst) + len;
        seen[1].fetch_max(now, Ordering::SeqCst);
        Ok(())
    });
    let sink = LogSink {
        ordered: true,
        on_the_way: Some(&counts[0]),
        ..LogSink::default()
    };
    run(&disk, &sink, false, 3).unwrap();

    let log = sink.log.lock().unwrap();
    assert!(
        log.windows(2)
            .all(|pair| pair[0].0 + pair[0].1 == pair[1].0)
    );
    // 3 workers with 4 buffers each, however far the fast ones could have run ahead.
    let most = counts[1].load(Ordering::SeqCst);
    assert!(most <= 12 * UNIT as u64, "{most} bytes were on the way");
}

#[test]
fn zero_blocks_are_found_at_the_edges_of_the_disks_own_blocks() {
    let mut disk = FakeDisk::new(5 * 4096 + 100);
    disk.holes = std::iter::once(0..1000).collect();
    // The second block whole, a part of the third, and the short last one.
    disk.store_zeros(&[4096..3 * 4096 - 1, 5 * 4096..5 * 4096 + 100]);
    let sink = LogSink::default();
    run(&disk, &sink, true, 2).unwrap();
    assert_eq!(
        sink.text(),
        "zeros 0+1000, data 1000+3096, zeros 4096+4096, data 8192+12288, zeros 20480+100"
    );
}

#[test]
fn a_sink_with_an_alignment_is_given_whole_blocks_and_holes_in_them_as_data() {
    let mut disk = FakeDisk::new(3 * MIB + 777);
    disk.holes = vec![0..100, 200..70_000, MIB - 1..3 * MIB + 5];
    disk.stores = file_holes(vec![300_000..400_000]);
    for ordered in [false, true] {
        for alignment in [1, 4096, 65536, 2 * MIB, 4 * MIB] {
            let sink = LogSink {
                ordered,
                alignment,
                ..LogSink::default()
            };
            let summary = run(&disk, &sink, false, 3).unwrap();
            let expected = match alignment {
                1 => {
                    "zeros 0+100, data 100+100, zeros 200+69800, data 70000+230000, \
                     zeros 300000+100000, data 400000+648575, zeros 1048575+2097158, \
                     data 3145733+772"
                }
                4096 => {
                    "data 0+4096, zeros 4096+65536, data 69632+233472, zeros 303104+94208, \
                     data 397312+651264, zeros 1048576+2097152, data 3145728+777"
                }
                65536 => {
                    "data 0+327680, zeros 327680+65536, data 393216+655360, \
                     zeros 1048576+2097152, data 3145728+777"
                }
                _ => "data 0+3146505",
            };
            assert_eq!(sink.text(), expected, "{alignment}");
            assert_eq!(summary.written + summary.zeros, disk.size());
            let log = sink.log.lock().unwrap();
            let whole = |&(at, len, _): &(u64, u64, &str)| {
                at % alignment == 0 && ((at + len) % alignment == 0 || at + len == disk.size())
            };
            assert!(log.iter().all(whole), "{log:?}");
        }
    }
}

#[test]
fn a_run_without_holes_is_given_in_aligned_blocks_too() {
    let disk = FakeDisk::new(9 * MIB + 5);
    let sink = LogSink {
        alignment: 2 * MIB,
        ..LogSink::default()
    };
    run(&disk, &sink, false, 3).unwrap();
    assert_eq!(sink.text(), "data 0+9437189");
    let log = sink.log.lock().unwrap();
    assert!(log.iter().all(|&(at, _, _)| at % (2 * MIB) == 0), "{log:?}");
}

#[test]
fn an_aligned_block_of_zeros_is_left_out_and_one_with_a_byte_is_not() {
    let disk = FakeDisk::new(4 * 65536 + 10);
    disk.store_zeros(&[65536..2 * 65536, 3 * 65536 + 1..4 * 65536 + 10]);
    let sink = LogSink {
        alignment: 65536,
        ..LogSink::default()
    };
    run(&disk, &sink, true, 2).unwrap();
    assert_eq!(
        sink.text(),
        "data 0+65536, zeros 65536+65536, data 131072+131072, zeros 262144+10"
    );
}

#[test]
fn no_more_threads_write_than_the_sink_can_bear() {
    let disk = FakeDisk::new(16 * MIB);
    let sink = LogSink {
        most_writers: Some(2),
        ..LogSink::default()
    };
    run(&disk, &sink, false, 7).unwrap();
    assert_eq!(sink.text(), "data 0+16777216");
}

#[test]
fn the_first_error_ends_the_copy_wherever_it_happens() {
    for ordered in [false, true] {
        for at in [0, 5 * MIB, 16 * MIB - 1] {
            let disk = FakeDisk::new(16 * MIB).broken_at(at);
            let sink = LogSink {
                ordered,
                ..LogSink::default()
            };
            let error = run(&disk, &sink, false, 3).unwrap_err();
            assert!(
                matches!(error.detail(), Some(DiskError::Lost { .. })),
                "{error}"
            );

            let disk = FakeDisk::new(16 * MIB);
            let sink = LogSink {
                ordered,
                broken: Some(at),
                ..LogSink::default()
            };
            let error = run(&disk, &sink, false, 3).unwrap_err();
            assert!(error.io_error().is_some(), "{error}");
        }
    }
}

#[test]
fn an_error_while_zeroing_ends_the_copy() {
    let mut disk = FakeDisk::new(16 * MIB);
    disk.holes = std::iter::once(8 * MIB..9 * MIB).collect();
    for ordered in [false, true] {
        let sink = LogSink {
            ordered,
            broken: Some(8 * MIB + 5),
            ..LogSink::default()
        };
        assert!(run(&disk, &sink, false, 3).is_err());
    }
}

#[test]
fn a_worker_that_panics_hangs_nobody() {
    for ordered in [false, true] {
        let disk = FakeDisk::new(64 * MIB).panicking_at(MIB..MIB + 1);
        let sink = LogSink {
            ordered,
            ..LogSink::default()
        };
        let quiet =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&disk, &sink, false, 3)));
        assert!(quiet.is_err(), "the panic is not swallowed");
    }
}

#[test]
fn a_copy_that_is_told_to_stop_stops() {
    let disk = FakeDisk::new(64 * MIB);
    for ordered in [false, true] {
        let stop = AtomicBool::new(true);
        let sink = LogSink {
            ordered,
            ..LogSink::default()
        };
        let options = CopyOptions {
            find_zeros: false,
            stop: &stop,
        };
        let result = copy(&disk, &sink, &Workers::new(2).unwrap(), options, &(), None);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Stopped);
        assert_eq!(sink.text(), "");
    }
}

#[test]
fn zeros_are_told_from_data_at_every_place() {
    for len in [0, 1, 255, 256, 257, 4096] {
        assert!(is_zero(&vec![0; len]));
        for at in [0, len / 2, len.saturating_sub(1)] {
            let mut bytes = vec![0; len];
            if let Some(byte) = bytes.get_mut(at) {
                *byte = 0x80;
                assert!(!is_zero(&bytes), "{at} of {len}");
            }
        }
    }
}

/// A file of `bytes`, and the disk's parts over it.
fn updated(disk: &FakeDisk, bytes: &[u8], ranges: &[Range<u64>]) -> (Vec<u8>, Summary) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.raw");
    std::fs::write(&path, bytes).unwrap();
    let sink = ExistingFile::open(&path, disk.size(), Durability::Unsynced).unwrap();
    let stop = AtomicBool::new(false);
    let options = CopyOptions {
        find_zeros: false,
        stop: &stop,
    };
    let workers = Workers::new(2).unwrap();
    let done = copy_ranges(disk, ranges, &sink, &workers, options, &()).unwrap();
    Box::new(sink).finish().unwrap();
    (std::fs::read(&path).unwrap(), done)
}

#[test]
fn only_the_ranges_are_copied_and_a_hole_in_them_becomes_zeros() {
    let mut disk = FakeDisk::new(4 * MIB);
    disk.holes = vec![MIB..2 * MIB, 3 * MIB + 5..3 * MIB + 9];
    let old = vec![0x55; 3 * MIB as usize];
    let ranges = [
        3 * MIB..4 * MIB,
        10..20,
        MIB + 100..MIB + 200,
        15..30,
        5 * MIB..6 * MIB,
        7..7,
    ];
    let (bytes, done) = updated(&disk, &old, &ranges);
    let mut expected = old;
    expected.resize(4 * MIB as usize, 0);
    expected[10..30].fill(0x11);
    expected[(MIB + 100) as usize..(MIB + 200) as usize].fill(0);
    expected[3 * MIB as usize..].fill(0x11);
    expected[(3 * MIB + 5) as usize..(3 * MIB + 9) as usize].fill(0);
    assert!(bytes == expected);
    assert_eq!(done.written + done.zeros + done.shared, 20 + 100 + MIB);
}

#[test]
fn ranges_are_widened_to_the_alignment_and_joined() {
    let wide = |ranges: &[Range<u64>]| -> Vec<_> { widened(ranges, 4096, 10_000).into() };
    assert_eq!(wide(&[5..6, 4095..4097, 9000..20_000]), [0..10_000]);
    assert_eq!(wide(&[5..6, 8192..8193]), [0..4096, 8192..10_000]);
    assert_eq!(wide(&[10_000..10_001, 3..3]), []);
}
