//! A damaged disk for those who must not be given zeros for what is lost.

use std::fmt::Debug;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::{Salvaged, without};
use crate::disk::{Extent, ExtentKind, Joined, VirtualDisk};
use crate::error::{Error, Result};
use crate::ploop::PloopDisk;

/// A ploop disk of which everything can be read that can be trusted; reading anything else is an
/// error. What is served is seen like this: a file system that is told of an error knows what it
/// lost.
#[derive(Debug)]
pub struct Trusted<P> {
    disk: Arc<Salvaged<P>>,
}

impl<P: Deref<Target = PloopDisk>> Trusted<P> {
    /// The same disk, without the zeros.
    pub fn new(disk: Arc<Salvaged<P>>) -> Self {
        Self { disk }
    }

    fn stored(&self) -> &PloopDisk {
        self.disk.stored()
    }

    /// The ranges of an extent whose bytes may be another place's.
    fn doubtful(&self, extent: &Extent) -> Vec<Range<u64>> {
        let ExtentKind::Data { layer, .. } = extent.kind else {
            return Vec::new();
        };
        let layer = self.stored().layers().get(layer);
        layer.map_or_else(Vec::new, |layer| {
            layer.doubtful_in(extent.offset..extent.end())
        })
    }

    /// An extent, cut where trust begins or ends.
    fn judged(&self, extent: Extent) -> Vec<Extent> {
        let doubtful = self.doubtful(&extent);
        let ExtentKind::Data { layer, .. } = extent.kind else {
            return vec![extent];
        };
        let range = extent.offset..extent.end();
        let good = without(range, &doubtful);
        let good = good.iter().filter_map(|range| extent.within(range));
        let lost = doubtful.iter().filter_map(|range| extent.within(range));
        let lost = lost.map(|part| Extent {
            kind: ExtentKind::Lost { layer },
            ..part
        });
        let mut parts: Vec<_> = good.chain(lost).collect();
        parts.sort_unstable_by_key(|part| part.offset);
        parts
    }
}

impl<P> VirtualDisk for Trusted<P>
where
    P: Deref<Target = PloopDisk> + Debug + Send + Sync,
{
    fn size(&self) -> u64 {
        self.stored().size()
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        let extent = self.stored().extent_at(offset)?;
        Ok(self.judged(extent).first().copied().unwrap_or(extent))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        for extent in self.stored().extents_in(offset..end) {
            if let Some(range) = self.doubtful(&extent?).into_iter().next() {
                return Err(Error::Lost {
                    offset: range.start,
                    len: range.end - range.start,
                });
            }
        }
        self.stored().read_at(buf, offset)
    }

    fn extents(&self) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_> {
        self.extents_in(0..self.size())
    }

    fn extents_in(
        &self,
        range: Range<u64>,
    ) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_> {
        let extents = self.stored().extents_in(range);
        let judged = extents.flat_map(|extent| match extent {
            Ok(extent) => self.judged(extent).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        Box::new(Joined::new(judged))
    }

    fn next_data(&self, layer: usize, host_offset: u64) -> Result<Option<Range<u64>>> {
        self.stored().next_data(layer, host_offset)
    }

    fn check_unchanged(&self) -> Result<()> {
        self.stored().check_unchanged()
    }
}
