//! Reads an archive back and compares it with the files that it was made of.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use super::lost::Zeroed;
use super::options::TarCompression;
use super::plan::TarPlan;
use super::units::Unit;
use super::walk::Unreadable;
use super::write::{PLAIN_UNIT, TarJob, plain_under_way};
use crate::error::{Error, Result};
use crate::util::bytes::to_u64;

/// An archive that is read from its start to its end.
type Unpacked = Box<dyn Read + Send>;

impl TarPlan {
    /// Compares the archive in the file `path` with a new reading of the files. Gives where they
    /// differ first, in bytes of the archive before it was compressed; `None` where they are equal.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and what the file says. A file that cannot be unpacked differs.
    pub fn first_difference(&self, path: &Path, job: TarJob<'_>) -> Result<Option<u64>> {
        let failed = |error| Error::io("reading back", path, error);
        let file = File::open(path).map_err(failed)?;
        let unpacked: Unpacked = match self.options.compression {
            None => return self.compare_plain(&file, path, job),
            Some(TarCompression::Gzip) => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            Some(TarCompression::Zstd) => {
                Box::new(zstd::stream::read::Decoder::new(file).map_err(failed)?)
            }
        };
        self.compare_packed(unpacked, path, job)
    }

    /// Lost bytes were zeros when the archive was written, and were counted then.
    fn losses(&self) -> Option<Zeroed> {
        (self.unreadable == Unreadable::LeaveOut).then(Zeroed::default)
    }

    fn compare_plain(&self, file: &File, path: &Path, job: TarJob<'_>) -> Result<Option<u64>> {
        let failed = |error| Error::io("reading back", path, error);
        let len = file.metadata().map_err(failed)?.len();
        let first = AtomicU64::new(u64::MAX);
        let zeroed = self.losses();
        let start = || {
            let mut there = Vec::new();
            let (first, zeroed) = (&first, &zeroed);
            Ok(move |unit: &mut Unit<'_>, mut buffer: Vec<u8>| {
                unit.read(&mut buffer, zeroed.as_ref())?;
                there.resize(buffer.len(), 0);
                match file.read_exact_at(&mut there, unit.offset) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                        first.fetch_min(len.max(unit.offset), Ordering::Relaxed);
                        return Ok(buffer);
                    }
                    Err(error) => return Err(failed(error)),
                }
                if let Some(at) = difference(&there, &buffer) {
                    first.fetch_min(unit.offset + at, Ordering::Relaxed);
                }
                Ok(buffer)
            })
        };
        let under_way = plain_under_way(job.workers);
        self.in_order(PLAIN_UNIT, job, under_way, start, |buffer: Vec<u8>| {
            job.progress.advance(to_u64(buffer.len()));
            Ok(buffer)
        })?;
        if len > self.size {
            first.fetch_min(self.size, Ordering::Relaxed);
        }
        let first = first.into_inner();
        Ok((first < u64::MAX).then_some(first))
    }

    fn compare_packed(
        &self,
        mut unpacked: Unpacked,
        path: &Path,
        job: TarJob<'_>,
    ) -> Result<Option<u64>> {
        let mut first = None;
        let mut there = Vec::new();
        let zeroed = self.losses();
        let start = || {
            Ok(|unit: &mut Unit<'_>, mut buffer: Vec<u8>| {
                unit.read(&mut buffer, zeroed.as_ref())?;
                Ok((unit.offset, buffer))
            })
        };
        let under_way = plain_under_way(job.workers);
        let compare = |(offset, buffer): (u64, Vec<u8>)| {
            if first.is_none() {
                let found = match fill(&mut unpacked, &mut there, buffer.len(), path)? {
                    Some(there) => difference(there, &buffer),
                    None => Some(0),
                };
                first = found.map(|at| offset + at);
            }
            job.progress.advance(to_u64(buffer.len()));
            Ok(buffer)
        };
        self.in_order(PLAIN_UNIT, job, under_way, start, compare)?;
        if first.is_some() {
            return Ok(first);
        }
        let more = fill(&mut unpacked, &mut there, 1, path)?;
        Ok(more
            .is_none_or(|more| !more.is_empty())
            .then_some(self.size))
    }
}

/// The next `wanted` bytes, or fewer at the end; `None` where they cannot be unpacked.
fn fill<'b>(
    unpacked: &mut Unpacked,
    there: &'b mut Vec<u8>,
    wanted: usize,
    path: &Path,
) -> Result<Option<&'b [u8]>> {
    there.resize(wanted, 0);
    let mut len = 0;
    while len < wanted {
        match unpacked.read(&mut there[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What the system says has a number; other errors are about the bytes.
            Err(error) if error.raw_os_error().is_some() => {
                return Err(Error::io("reading back", path, error));
            }
            Err(_) => return Ok(None),
        }
    }
    Ok(there.get(..len))
}

/// Where two pieces differ first; where one ends is a difference, too.
fn difference(one: &[u8], other: &[u8]) -> Option<u64> {
    if one == other {
        return None;
    }
    let same = one
        .iter()
        .zip(other)
        .take_while(|(one, other)| one == other);
    Some(to_u64(same.count()))
}
