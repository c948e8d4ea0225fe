//! The copy of the library between a disk and a target of which every operation may fail: at the
//! first, a middle and the last place, with every error that an operating system gives.

use nix::errno::Errno;
use ploopconv::copy::{CopyOptions, copy};
use ploopconv::disk::RawDisk;
use ploopconv::observe::Observer;
use ploopconv::sink::Sink;
use ploopconv::source::Source;
use ploopconv::{Error, Result, Workers};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const SIZE: u64 = 2 << 20;
/// Where the disk has no data.
const HOLE: Range<u64> = 768 << 10..1280 << 10;

/// What fails, where, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
    Zero,
    Complete,
    Finish,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    operation: Operation,
    /// The byte that cannot be passed; of no meaning where an operation is for the whole.
    at: u64,
    errno: Errno,
}

impl Fault {
    fn hits(&self, operation: Operation, range: Range<u64>) -> io::Result<()> {
        if self.operation == operation && range.contains(&self.at) {
            return Err(self.errno.into());
        }
        Ok(())
    }
}

/// Bytes 0x11, and a hole.
#[derive(Debug)]
struct FaultySource(Fault);

impl Source for FaultySource {
    fn size(&self) -> io::Result<u64> {
        Ok(SIZE)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let range = offset..offset + buf.len() as u64;
        self.0.hits(Operation::Read, range.clone())?;
        let hole = range.start.max(HOLE.start)..range.end.min(HOLE.end);
        buf.fill(0x11);
        if hole.start < hole.end {
            let place = |at: u64| usize::try_from(at - range.start).unwrap();
            buf[place(hole.start)..place(hole.end)].fill(0);
        }
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let runs = [0..HOLE.start, HOLE.end..SIZE];
        let next = runs.into_iter().find(|run| offset < run.end);
        Ok(next.map(|run| offset.max(run.start)..run.end))
    }
}

/// A target that remembers how far it came.
struct FaultySink {
    fault: Fault,
    ordered: bool,
    alignment: u64,
    taken: Mutex<u64>,
    finished: AtomicBool,
}

impl FaultySink {
    fn take(&self, operation: Operation, offset: u64, len: u64) -> Result<()> {
        let failed = |doing, source| Error::io_at(doing, "target".as_ref(), offset, source);
        let doing = if operation == Operation::Zero {
            "zeroing"
        } else {
            "writing"
        };
        self.fault
            .hits(operation, offset..offset + len)
            .map_err(|error| failed(doing, error))?;
        *self.taken.lock().unwrap() += len;
        Ok(())
    }

    fn whole(&self, operation: Operation, doing: &'static str) -> Result<()> {
        if self.fault.operation != operation {
            return Ok(());
        }
        let refused = self.fault.errno.into();
        Err(Error::io(doing, "target".as_ref(), refused))
    }
}

impl Sink for FaultySink {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        self.take(Operation::Write, offset, data.len() as u64)
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        self.take(Operation::Zero, offset, len)
    }

    fn needs_order(&self) -> bool {
        self.ordered
    }

    fn alignment(&self) -> u64 {
        self.alignment
    }

    fn complete(&self) -> Result<()> {
        self.whole(Operation::Complete, "syncing")
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.complete()?;
        self.whole(Operation::Finish, "renaming")?;
        self.finished.store(true, Ordering::Relaxed);
        Ok(())
    }
}

struct Counting(u64);

impl Observer for Counting {
    fn data(&mut self, bytes: &[u8], _beforehand: &[u8]) {
        self.0 += bytes.len() as u64;
    }

    fn zeros(&mut self, len: u64) {
        self.0 += len;
    }
}

/// One copy, to its end; answers what failed.
fn run(fault: Fault, ordered: bool, observed: bool, alignment: u64, threads: usize) -> Result<()> {
    let disk = RawDisk::over(
        std::sync::Arc::new(FaultySource(fault)),
        Path::new("source"),
    )?;
    let sink = Box::new(FaultySink {
        fault,
        ordered,
        alignment,
        taken: Mutex::new(0),
        finished: AtomicBool::new(false),
    });
    let stop = AtomicBool::new(false);
    let options = CopyOptions {
        find_zeros: false,
        stop: &stop,
    };
    let workers = Workers::new(threads)?;
    let mut counting = Counting(0);
    let observer = observed.then_some(&mut counting as &mut dyn Observer);
    copy(&disk, sink.as_ref(), &workers, options, &(), observer)?;
    assert_eq!(*sink.taken.lock().unwrap(), SIZE, "each byte is given once");
    sink.finish()
}

#[test]
fn every_operation_that_fails_anywhere_with_any_error_ends_the_copy_with_it() {
    let data = [0, HOLE.start - 1, SIZE - 1];
    let hole = [HOLE.start, HOLE.start + 4096, HOLE.end - 1];
    let places = |operation| match operation {
        Operation::Zero => hole,
        _ => data,
    };
    let mut tried = 0;
    for operation in [
        Operation::Read,
        Operation::Write,
        Operation::Zero,
        Operation::Complete,
        Operation::Finish,
    ] {
        for at in places(operation) {
            for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EFBIG, Errno::EIO] {
                let fault = Fault {
                    operation,
                    at,
                    errno,
                };
                for (ordered, observed) in [(false, false), (true, false), (false, true)] {
                    for (alignment, threads) in [(1, 1), (65536, 3)] {
                        let what = format!("{fault:?} {ordered} {observed} {alignment} {threads}");
                        let error = run(fault, ordered, observed, alignment, threads).unwrap_err();
                        let (Some(source), Some(path)) = (error.io_error(), error.path()) else {
                            panic!("{what}: {error}");
                        };
                        assert_eq!(source.raw_os_error(), Some(errno as i32), "{what}");
                        let named = if operation == Operation::Read {
                            "source"
                        } else {
                            "target"
                        };
                        assert_eq!(path, Path::new(named), "{what}");
                        tried += 1;
                    }
                }
            }
        }
    }
    assert_eq!(tried, 5 * 3 * 4 * 3 * 2);
}

#[test]
fn nothing_fails_where_the_fault_is_not_reached() {
    let fault = Fault {
        operation: Operation::Read,
        at: SIZE,
        errno: Errno::EIO,
    };
    for (ordered, observed) in [(false, false), (true, false), (false, true)] {
        run(fault, ordered, observed, 1, 3).unwrap();
    }
}
