//! A long file out of a short input: what the input does not give is a hole.

use std::io;
use std::ops::Range;

use ploopconv::source::Source;

/// The bytes of an input, followed by zeros up to a length that the input chooses.
#[derive(Debug)]
pub(crate) struct Sparse {
    pub(crate) bytes: Vec<u8>,
    pub(crate) len: u64,
}

impl Sparse {
    /// Takes six bytes for the length of the hole, and the rest for the start of the file.
    pub(crate) fn of(input: &[u8]) -> Option<Self> {
        let (hole, bytes) = input.split_at_checked(6)?;
        let hole = hole
            .iter()
            .rev()
            .fold(0, |n, &byte| n << 8 | u64::from(byte));
        Some(Self {
            bytes: bytes.to_vec(),
            len: bytes.len() as u64 + hole,
        })
    }
}

impl Source for Sparse {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = self.bytes.get(start..).unwrap_or_default();
        let there = &there[..there.len().min(buf.len())];
        let (data, hole) = buf.split_at_mut(there.len());
        data.copy_from_slice(there);
        hole.fill(0);
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let end = self.bytes.len() as u64;
        Ok((offset < end).then_some(offset..end))
    }
}
