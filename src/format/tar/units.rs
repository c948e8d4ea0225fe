//! The archive cut into units of one size, each with where its bytes come from.

use std::mem::take;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::error::TarError;
use super::lost::Zeroed;
use super::member::BLOCK;
use super::sparse::{entry, stored};
use super::walk::{Contents, Visited, Visitor, file_error};
use crate::error::{Error, ErrorKind, Result};
use crate::util::bytes::{to_u64, to_usize};

/// A part of the archive: as many bytes as a unit has, or those at its end.
#[derive(Debug, Default)]
pub(super) struct Unit<'t> {
    pub(super) number: u64,
    /// Where it begins in the archive, in bytes.
    pub(super) offset: u64,
    pub(super) len: usize,
    /// The bytes that are known already, one after the other.
    known: Vec<u8>,
    pieces: Vec<Piece<'t>>,
}

#[derive(Debug)]
enum Piece<'t> {
    /// The next bytes of those that are known.
    Known(usize),
    /// Bytes of a file.
    Data {
        file: Arc<Contents<'t>>,
        offset: u64,
        len: usize,
    },
    Zeros(usize),
}

impl Piece<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Known(len) | Self::Zeros(len) | Self::Data { len, .. } => *len,
        }
    }
}

impl Unit<'_> {
    /// Reads all bytes of the unit into `buffer`. What is lost of files is zeros, and counted,
    /// where there is something that counts. The unit needs no memory after that.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, zeroed: Option<&Zeroed>) -> Result<()> {
        // What a buffer has from an earlier unit is written over: it need not be cleared.
        buffer.resize(self.len, 0);
        let mut rest = &mut buffer[..];
        let (all, pieces) = (take(&mut self.known), take(&mut self.pieces));
        let mut known = &all[..];
        for piece in &pieces {
            let (bytes, later) = rest.split_at_mut(piece.len());
            rest = later;
            match piece {
                Piece::Known(len) => {
                    let (now, rest) = known.split_at(*len);
                    bytes.copy_from_slice(now);
                    known = rest;
                }
                Piece::Zeros(_) => bytes.fill(0),
                Piece::Data { file, offset, .. } => {
                    match (file.node.read_at(bytes, *offset), zeroed) {
                        (Err(error), Some(zeroed)) if error.kind() == ErrorKind::Lost => {
                            zeroed.read(file, bytes, *offset)?;
                        }
                        (read, _) => read.map_err(|error| file_error(&file.path, error))?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// Cuts the archive into units as it is walked over, and hands them on.
pub(super) struct Cutter<'t> {
    /// The bytes of a unit.
    size: usize,
    /// The bytes of the archive.
    planned: u64,
    unit: Unit<'t>,
    /// Who takes the units, until there are no more.
    units: Option<SyncSender<Unit<'t>>>,
}

impl<'t> Cutter<'t> {
    pub(super) fn new(size: usize, planned: u64, units: SyncSender<Unit<'t>>) -> Self {
        Self {
            size,
            planned,
            unit: Unit::default(),
            units: Some(units),
        }
    }

    /// How much of the archive there is so far.
    fn at(&self) -> u64 {
        self.unit.offset + to_u64(self.unit.len)
    }

    fn hand_on(&mut self) -> Result<()> {
        let next = Unit {
            number: self.unit.number + 1,
            offset: self.at(),
            ..Unit::default()
        };
        let unit = std::mem::replace(&mut self.unit, next);
        let sent = self.units.as_ref().map(|units| units.send(unit));
        match sent {
            Some(Ok(())) => Ok(()),
            // Those who take them have ended, with an error of their own.
            Some(Err(_)) | None => Err(Error::stopped()),
        }
    }

    /// The next `len` bytes, in parts that fit into units: `part` says of each what it is, with
    /// where it begins.
    fn parts(&mut self, len: u64, mut part: impl FnMut(&mut Unit<'t>, u64, usize)) -> Result<()> {
        let mut done = 0;
        while done < len {
            let room = to_u64(self.size - self.unit.len);
            let now = to_usize(room.min(len - done));
            part(&mut self.unit, done, now);
            self.unit.len += now;
            done += to_u64(now);
            if self.unit.len == self.size {
                self.hand_on()?;
            }
        }
        Ok(())
    }

    fn known(&mut self, bytes: &[u8]) -> Result<()> {
        self.parts(to_u64(bytes.len()), |unit, at, len| {
            let at = to_usize(at);
            unit.known.extend_from_slice(&bytes[at..at + len]);
            match unit.pieces.last_mut() {
                Some(Piece::Known(last)) => *last += len,
                _ => unit.pieces.push(Piece::Known(len)),
            }
        })
    }

    fn zeros(&mut self, len: u64) -> Result<()> {
        self.parts(len, |unit, _, len| unit.pieces.push(Piece::Zeros(len)))
    }

    fn data(&mut self, file: &Arc<Contents<'t>>, offset: u64, len: u64) -> Result<()> {
        self.parts(len, |unit, done, len| {
            unit.pieces.push(Piece::Data {
                file: Arc::clone(file),
                offset: offset + done,
                len,
            });
        })
    }

    /// Zeros up to the next block.
    fn pad(&mut self) -> Result<()> {
        let at = self.at();
        self.zeros(at.next_multiple_of(to_u64(BLOCK)) - at)
    }

    fn contents(&mut self, file: &Arc<Contents<'t>>) -> Result<()> {
        let size = file.node.metadata().size;
        if !file.survey.is_sparse {
            self.data(file, 0, size)?;
            return self.pad();
        }
        let runs = || stored(&*file.node, size);
        let named = |error| file_error(&file.path, error);
        self.known(&file.survey.first_line())?;
        for run in runs() {
            self.known(&entry(run.map_err(named)?))?;
        }
        self.pad()?;
        for run in runs() {
            let run = run.map_err(named)?;
            self.data(file, run.offset, run.len)?;
        }
        self.pad()
    }
}

impl<'t> Visitor<'t> for Cutter<'t> {
    fn member(&mut self, _: Visited, head: &[u8], data: Option<Contents<'t>>) -> Result<()> {
        self.known(head)?;
        match data {
            Some(contents) => self.contents(&Arc::new(contents)),
            None => Ok(()),
        }
    }

    // Both were counted when the archive was planned.
    fn socket(&mut self) {}

    fn unreadable(&mut self, _: &[u8], _: &Error) {}

    /// Ends the archive with zeros, up to the size that was planned.
    fn end(&mut self) -> Result<()> {
        self.zeros(self.planned.saturating_sub(self.at()))?;
        let (written, planned) = (self.at(), self.planned);
        if written != planned {
            return Err(TarError::Unplanned { written, planned }.into());
        }
        if self.unit.len > 0 {
            self.hand_on()?;
        }
        self.units = None;
        Ok(())
    }
}
