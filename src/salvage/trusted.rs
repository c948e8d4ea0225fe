//! A damaged disk for those who must not be given zeros for what is lost.

use std::fmt::Debug;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::{Salvaged, without};
use crate::disk::DiskError;
use crate::disk::{Extent, ExtentKind, Extents, Joined, LossKind, Losses, Store, VirtualDisk};
use crate::error::Result;

/// A disk of which everything can be read that can be trusted; reading anything else is an
/// error. What is served is seen like this: a file system that gets an error knows what it
/// lost.
#[derive(Debug)]
pub struct Trusted<P> {
    disk: Arc<Salvaged<P>>,
}

impl<P: Deref<Target: VirtualDisk>> Trusted<P> {
    /// The same disk, without the zeros.
    pub fn new(disk: Arc<Salvaged<P>>) -> Self {
        Self { disk }
    }

    fn stored(&self) -> &P::Target {
        self.disk.stored()
    }

    /// The runs of `range` whose bytes may be another place's.
    fn doubtful_in(&self, range: Range<u64>) -> impl Iterator<Item = Result<Range<u64>>> + Send {
        let losses = self.stored().losses_in(range);
        losses.filter_map(|loss| match loss {
            Ok(loss) if loss.kind == LossKind::Doubtful => Some(Ok(loss.offset..loss.end())),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }
}

/// An extent, cut where trust begins or ends; `doubtful` are runs in order.
fn judged(extent: Extent, doubtful: &[Range<u64>]) -> Vec<Extent> {
    let ExtentKind::Data { store, .. } = extent.kind else {
        return vec![extent];
    };
    let range = extent.offset..extent.end();
    let good = without(range, doubtful);
    let good = good.iter().filter_map(|range| extent.within(range));
    let lost = doubtful.iter().filter_map(|range| extent.within(range));
    let lost = lost.map(|part| Extent {
        kind: ExtentKind::Lost { store },
        ..part
    });
    let mut parts: Vec<_> = good.chain(lost).collect();
    parts.sort_unstable_by_key(|part| part.offset);
    parts
}

/// The extents of a disk, cut where trust begins or ends.
struct Judged<'a, D: Iterator> {
    extents: Extents<'a>,
    /// Runs that follow those of `near`.
    doubtful: std::iter::Peekable<D>,
    /// Runs that were met and may reach into what follows.
    near: Vec<Range<u64>>,
    /// Parts of the last extent, the last one first.
    parts: Vec<Extent>,
}

impl<D: Iterator<Item = Result<Range<u64>>>> Judged<'_, D> {
    fn next_parts(&mut self, extent: Extent) -> Result<()> {
        self.near.retain(|run| run.end > extent.offset);
        let is_near = |run: &Result<Range<u64>>| match run {
            Ok(run) => run.start < extent.end(),
            Err(_) => true,
        };
        while let Some(run) = self.doubtful.next_if(is_near) {
            self.near.push(run?);
        }
        self.parts = judged(extent, &self.near);
        self.parts.reverse();
        Ok(())
    }
}

impl<D: Iterator<Item = Result<Range<u64>>>> Iterator for Judged<'_, D> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(part) = self.parts.pop() {
                return Some(Ok(part));
            }
            let extent = match self.extents.next()? {
                Ok(extent) => extent,
                Err(error) => return Some(Err(error)),
            };
            if let Err(error) = self.next_parts(extent) {
                return Some(Err(error));
            }
        }
    }
}

impl<P> VirtualDisk for Trusted<P>
where
    P: Deref<Target: VirtualDisk> + Debug + Send + Sync,
{
    fn size(&self) -> u64 {
        self.stored().size()
    }

    fn stores(&self) -> &[Store] {
        self.disk.stores()
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        let extent = self.stored().extent_at(offset)?;
        let doubtful = self.doubtful_in(offset..extent.end());
        let doubtful = doubtful.collect::<Result<Vec<_>>>()?;
        Ok(judged(extent, &doubtful).first().copied().unwrap_or(extent))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        if let Some(range) = self.doubtful_in(offset..end.min(self.size())).next() {
            let range = range?;
            return Err(DiskError::Lost {
                offset: range.start,
                len: range.end - range.start,
            }
            .into());
        }
        self.stored().read_at(buf, offset)
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        Box::new(Joined::new(Judged {
            extents: self.stored().extents_in(range.clone()),
            doubtful: self.doubtful_in(range).peekable(),
            near: Vec::new(),
            parts: Vec::new(),
        }))
    }

    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        self.stored().losses_in(range)
    }

    fn check_unchanged(&self) -> Result<()> {
        self.stored().check_unchanged()
    }
}
