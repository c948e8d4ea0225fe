//! Reads what a failing device still gives, down to the sector.

use std::io;
use std::ops::Range;

use nix::errno::Errno;

use super::Source;
use crate::util::bytes::to_usize;

/// The smallest piece that a device can fail alone.
const SECTOR: u64 = 512;
/// What the page cache reads at least: a page with one bad sector cannot be had from it at all.
const PAGE: u64 = 4096;

/// Fills `buf` with the bytes from `offset`, and with zeros where the device does not give them;
/// `bad` gets every such range, in bytes of the source and in ascending order. Ranges may touch.
///
/// # Errors
///
/// What the source says where that is not about single sectors: the source ends too early, or is
/// gone.
pub fn rescue(
    source: &dyn Source,
    buf: &mut [u8],
    offset: u64,
    bad: &mut dyn FnMut(Range<u64>),
) -> io::Result<()> {
    match source.read_exact_at(buf, offset) {
        Err(error) if is_bad_sector(&error) => {}
        other => return other,
    }
    let end = offset.saturating_add(buf.len() as u64);
    if end <= (offset / PAGE + 1).saturating_mul(PAGE) {
        return rescue_sectors(source, buf, offset, bad);
    }
    // Halves that meet at a page, so that no page is read twice.
    let middle = (offset + (end - offset) / 2) / PAGE * PAGE;
    let middle = if middle > offset {
        middle
    } else {
        (offset / PAGE + 1) * PAGE
    };
    let first = to_usize(middle - offset);
    let (first, second) = buf.split_at_mut(first.min(buf.len()));
    rescue(source, first, offset, bad)?;
    rescue(source, second, middle, bad)
}

/// As [`rescue`], sector by sector and past the page cache.
fn rescue_sectors(
    source: &dyn Source,
    buf: &mut [u8],
    offset: u64,
    bad: &mut dyn FnMut(Range<u64>),
) -> io::Result<()> {
    let mut rest = buf;
    let mut at = offset;
    while !rest.is_empty() {
        let sector = at / SECTOR * SECTOR;
        let len = to_usize(sector + SECTOR - at);
        let (now, later) = rest.split_at_mut(len.min(rest.len()));
        let read = match source.read_sector(now, at) {
            // Not every file system reads past the cache.
            Err(error) if !is_bad_sector(&error) => source.read_exact_at(now, at),
            other => other,
        };
        match read {
            Ok(()) => {}
            Err(error) if is_bad_sector(&error) => {
                now.fill(0);
                bad(at..at + now.len() as u64);
            }
            Err(error) => return Err(error),
        }
        at += now.len() as u64;
        rest = later;
    }
    Ok(())
}

/// Whether an error is about the bytes that were asked for, and others may still be read: what
/// drivers and file systems make of a medium error or a checksum that is wrong.
pub fn is_bad_sector(error: &io::Error) -> bool {
    use Errno::{EBADMSG, EILSEQ, EIO, ENODATA, EREMOTEIO, ETIMEDOUT, EUCLEAN};
    let about_bytes = [EBADMSG, EILSEQ, EIO, ENODATA, EREMOTEIO, ETIMEDOUT, EUCLEAN];
    error
        .raw_os_error()
        .is_some_and(|raw| about_bytes.contains(&Errno::from_raw(raw)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    /// A device whose cache gives pages and whose sectors fail.
    #[derive(Debug)]
    struct Failing {
        bytes: Vec<u8>,
        bad: BTreeSet<u64>,
        reads: Mutex<usize>,
    }

    impl Failing {
        fn fails(&self, from: u64, to: u64) -> bool {
            let mut sectors = from / SECTOR..to.div_ceil(SECTOR);
            sectors.any(|sector| self.bad.contains(&sector))
        }
    }

    impl Source for Failing {
        fn size(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }

        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            *self.reads.lock().unwrap() += 1;
            let end = (offset + buf.len() as u64).next_multiple_of(PAGE);
            if self.fails(offset / PAGE * PAGE, end) {
                return Err(Errno::EIO.into());
            }
            self.bytes.read_exact_at(buf, offset)
        }

        fn read_sector(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            *self.reads.lock().unwrap() += 1;
            if self.fails(offset, offset + buf.len() as u64) {
                return Err(Errno::EIO.into());
            }
            self.bytes.read_exact_at(buf, offset)
        }
    }

    #[test]
    fn only_the_sectors_that_fail_are_lost() {
        let bytes: Vec<u8> = (0..1 << 18)
            .map(|at: u32| (at / 512 + 1) as u8 | 1)
            .collect();
        for (offset, len) in [(0, 1 << 18), (700, 200_000), (513, 3), (40_000, 1000)] {
            let source = Failing {
                bytes: bytes.clone(),
                bad: [0, 1, 8, 79, 80, 300].into(),
                reads: Mutex::default(),
            };
            let mut buf = vec![7; len];
            let mut lost = Vec::new();
            rescue(&source, &mut buf, offset, &mut |range| lost.push(range)).unwrap();
            let is_lost = |at: u64| source.bad.contains(&(at / SECTOR));
            for (at, byte) in (offset..).zip(&buf) {
                let told = lost.iter().any(|range| range.contains(&at));
                assert_eq!(told, is_lost(at), "offset {at}");
                let expected = if told { 0 } else { bytes[at as usize] };
                assert_eq!(*byte, expected, "offset {at}");
            }
            assert!(lost.is_sorted_by_key(|range| range.start));
            assert!(*source.reads.lock().unwrap() < 120);
        }
    }

    #[test]
    fn a_source_that_ends_too_early_is_no_bad_sector() {
        let source = vec![1u8; 100];
        let mut buf = [0; 200];
        let error = rescue(&source, &mut buf, 0, &mut |_| panic!("no sector")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
