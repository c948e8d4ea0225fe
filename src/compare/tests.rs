use crate::ErrorKind;
use std::path::Path;

use super::plan::UNIT;
use super::*;
use crate::disk::RawDisk;
use crate::disk::testing::FakeDisk;

const SIZE: usize = 5 * UNIT as usize + 777;

fn memory(bytes: Vec<u8>) -> RawDisk {
    RawDisk::over(std::sync::Arc::new(bytes), Path::new("memory")).unwrap()
}

fn noise(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at.wrapping_mul(0x9E37_79B9) >> 11) as u8 | 1)
        .collect()
}

/// A disk of which only some ranges are stored, and only they may be read: the others are holes.
fn holey(bytes: &[u8], stored: &[std::ops::Range<u64>]) -> FakeDisk {
    let starts = std::iter::once(0).chain(stored.iter().map(|run| run.end));
    let ends = stored.iter().map(|run| run.start);
    let holes = starts.zip(ends.chain([bytes.len() as u64]));
    let stored = stored.to_vec();
    FakeDisk {
        holes: holes.map(|(start, end)| start..end).collect(),
        before_read: Box::new(move |range| {
            let whole =
                |run: &std::ops::Range<u64>| run.start <= range.start && range.end <= run.end;
            assert!(stored.iter().any(whole), "{range:?} is not stored");
            Ok(())
        }),
        ..FakeDisk::of(bytes.to_vec())
    }
}

fn run(a: &dyn VirtualDisk, b: &dyn VirtualDisk, threads: usize) -> Result<Comparison> {
    let workers = Workers::new(threads).unwrap();
    compare(a, b, &workers, &AtomicBool::new(false), &())
}

#[test]
fn one_byte_is_found_wherever_it_is() {
    let sound = noise(SIZE);
    let unit = UNIT as usize;
    let piece = PIECE as usize;
    for at in [0, piece - 1, piece, unit - 1, unit, 3 * unit + 5, SIZE - 1] {
        let mut other = sound.clone();
        other[at] ^= 0x80;
        let found = run(&memory(sound.clone()), &memory(other), 4).unwrap();
        let expected = Comparison {
            first_difference: Some(at as u64),
            compared: at as u64,
            skipped: 0,
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn the_lowest_of_many_differences_is_told_whoever_finds_it() {
    let sound = noise(SIZE);
    let lowest = UNIT as usize + 9;
    let mut other = sound.clone();
    for byte in &mut other[lowest..] {
        *byte ^= 0xff;
    }
    let (a, b) = (memory(sound), memory(other));
    for round in 0..200 {
        let found = run(&a, &b, 1 + round % 8).unwrap();
        assert_eq!(found.first_difference, Some(lowest as u64));
        assert_eq!(found.compared, lowest as u64);
    }
}

#[test]
fn a_longer_disk_is_equal_as_long_as_its_tail_is_zeros() {
    let short = noise(1000);
    let mut long = short.clone();
    long.resize(SIZE, 0);
    for (a, b) in [(&short, &long), (&long, &short)] {
        let found = run(&memory(a.clone()), &memory(b.clone()), 2).unwrap();
        assert_eq!(found.first_difference, None);
        assert_eq!(found.compared, SIZE as u64);
    }
    long[SIZE - 1] = 1;
    let found = run(&memory(long), &memory(short), 2).unwrap();
    assert_eq!(found.first_difference, Some(SIZE as u64 - 1));
}

#[test]
fn empty_disks_are_equal() {
    let found = run(&memory(Vec::new()), &memory(Vec::new()), 2).unwrap();
    assert_eq!((found.first_difference, found.compared), (None, 0));
}

#[test]
fn what_neither_stores_is_skipped_and_what_one_stores_has_to_be_zeros() {
    let mut bytes = vec![0; SIZE];
    bytes[100..200].fill(7);
    // What a disk does not store is never read: the disk would panic.
    let a = holey(&bytes, &[50..300, 4000..5000]);
    let b = holey(&bytes, &[100..200, 4500..2 * UNIT]);
    let found = run(&a, &b, 2).unwrap();
    let compared = 250 + (2 * UNIT - 4000);
    let expected = Comparison {
        first_difference: None,
        compared,
        skipped: SIZE as u64 - compared,
    };
    assert_eq!(found, expected);

    let b = holey(&bytes, &[150..200]);
    assert_eq!(run(&a, &b, 2).unwrap().first_difference, Some(100));
}

#[test]
fn an_error_or_a_panic_of_either_disk_ends_the_comparison() {
    let sound = noise(SIZE);
    let at = 3 * UNIT;
    let broken = FakeDisk::of(sound.clone()).broken_at(at);
    let panicking = FakeDisk::of(sound.clone()).panicking_at(at..at + 1);
    let good = memory(sound.clone());
    for threads in [1, 3] {
        assert_eq!(
            run(&broken, &good, threads).unwrap_err().kind(),
            ErrorKind::Lost
        );
        assert_eq!(
            run(&good, &broken, threads).unwrap_err().kind(),
            ErrorKind::Lost
        );
        let work = || run(&good, &panicking, threads).is_ok();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        assert!(panicked.is_err());
    }
}

#[test]
fn of_a_difference_and_an_error_the_lower_one_counts_whoever_meets_it_first() {
    let sound = noise(SIZE);
    let bad = FakeDisk::of(sound.clone()).broken_at(2 * UNIT + 5);
    for (at, found) in [(UNIT, true), (4 * UNIT, false)] {
        let mut other = sound.clone();
        other[at as usize] ^= 1;
        let other = memory(other);
        for round in 0..100 {
            let result = run(&bad, &other, 1 + round % 5);
            let first = result.ok().and_then(|found| found.first_difference);
            assert_eq!(first, found.then_some(at));
        }
    }
}

#[test]
fn a_comparison_that_is_told_to_stop_is_neither_yes_nor_no() {
    let workers = Workers::new(2).unwrap();
    let stop = AtomicBool::new(true);
    let disk = memory(noise(SIZE));
    let result = compare(&disk, &disk, &workers, &stop, &());
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Stopped);
}

#[test]
fn what_a_disk_stores_in_one_piece_is_one_unit_however_it_is_told() {
    let disk = memory(noise(SIZE));
    let units: Vec<_> = Plan::new(&disk, &disk).map(Result::unwrap).collect();
    assert_eq!(units.len(), SIZE.div_ceil(UNIT as usize), "{units:?}");
    let pieces: Vec<_> = units[0].pieces(PIECE).collect();
    assert_eq!(pieces.len() as u64, UNIT / PIECE);
    assert_eq!(pieces.iter().map(|piece| piece.len).sum::<u64>(), UNIT);
}
