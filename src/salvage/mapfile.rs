//! The list of what was lost, as GNU ddrescue and its tools read it.
//!
//! The format is that of the ddrescue manual, "Mapfile structure": comments, a line with the state
//! of the rescue, and blocks that follow each other without gap.

use std::io::{self, Write};

use crate::disk::{Loss, LossKind};

/// How every mapfile of this program begins.
pub const SIGNATURE: &str = "# Mapfile. Created by ploopconv";

/// A mapfile that is being written.
#[derive(Debug)]
pub struct Mapfile<W> {
    out: W,
    /// Up to where blocks were written.
    at: u64,
    size: u64,
}

impl<W: Write> Mapfile<W> {
    /// Begins the mapfile of a disk of `size` bytes. Comments are lines of their own, without the
    /// mark of a comment.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn begin<'a>(
        mut out: W,
        size: u64,
        comments: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<Self> {
        writeln!(out, "{SIGNATURE}")?;
        for comment in comments {
            writeln!(out, "# {comment}")?;
        }
        // "Finished": there is nothing left to be tried.
        writeln!(out, "# current_pos  current_status  current_pass")?;
        writeln!(out, "{:#012x}     +               1", 0)?;
        writeln!(out, "#      pos        size  status")?;
        Ok(Self { out, at: 0, size })
    }

    /// Adds a lost run. They come in the order of the disk.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn add(&mut self, loss: &Loss) -> io::Result<()> {
        self.rescued_until(loss.offset)?;
        let status = match loss.kind {
            LossKind::Missing | LossKind::Unreadable => '-', // bad sectors
            // "Non-scraped": something is there, and it may be wrong.
            LossKind::Doubtful => '/',
        };
        self.block(loss.end(), status)
    }

    /// Ends the mapfile.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn finish(mut self) -> io::Result<()> {
        self.rescued_until(self.size)?;
        self.out.flush()
    }

    fn rescued_until(&mut self, end: u64) -> io::Result<()> {
        if end > self.at {
            self.block(end, '+')?;
        }
        Ok(())
    }

    fn block(&mut self, end: u64, status: char) -> io::Result<()> {
        let (at, len) = (self.at, end.saturating_sub(self.at));
        self.at = end;
        writeln!(self.out, "{at:#012x}  {len:#012x}  {status}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other_without_gap() {
        let mut out = Vec::new();
        let mut map = Mapfile::begin(&mut out, 0x3000, ["of a disk"]).unwrap();
        map.add(&Loss::of(0x200..0x400, LossKind::Missing)).unwrap();
        map.add(&Loss::of(0x400..0x1000, LossKind::Doubtful))
            .unwrap();
        map.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        let blocks: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            blocks,
            [
                "0x0000000000     +               1",
                "0x0000000000  0x0000000200  +",
                "0x0000000200  0x0000000200  -",
                "0x0000000400  0x0000000c00  /",
                "0x0000001000  0x0000002000  +",
            ]
        );
        assert!(text.starts_with(SIGNATURE));
    }
}
