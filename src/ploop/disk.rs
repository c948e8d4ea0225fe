//! The chain of layers that a disk is, or the chains of its parts.

mod chained;
mod layer;
mod lone;
mod named;

use std::ops::Range;
use std::sync::Arc;

pub use self::chained::Chain;
pub use self::layer::{Layer, RawLayer};
pub(super) use self::named::Named;

use crate::disk::{Concat, EachExtent, Extent, Extents, Losses, Store, VirtualDisk};
use crate::error::Result;
use crate::source::FileSource;

/// A disk of ploop images: one chain, or several that lie one after the other.
#[derive(Debug)]
pub struct PloopDisk {
    whole: Whole,
    /// The descriptor that named the layers, watched for changes like them.
    descriptor: Option<Named>,
}

#[derive(Debug)]
enum Whole {
    Chain(Arc<Chain>),
    Parts {
        chains: Vec<Arc<Chain>>,
        disk: Concat,
    },
}

/// A part of a split disk: its layers, base first, and the number of its bytes.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) layers: Vec<Layer>,
    pub(super) len: u64,
}

impl PloopDisk {
    /// Puts layers together, base first. The last one decides the size.
    pub(super) fn new(layers: Vec<Layer>, descriptor: Option<Named>) -> Self {
        Self {
            whole: Whole::Chain(Arc::new(Chain::new(layers, None))),
            descriptor,
        }
    }

    /// Puts the parts of a split disk together. A part whose chain is longer ends where the part
    /// does.
    pub(super) fn of_parts(parts: Vec<Part>, descriptor: Named) -> Result<Self> {
        let mut disk = Concat::default();
        let mut chains = Vec::new();
        for (number, Part { layers, len }) in parts.into_iter().enumerate() {
            let chain = Arc::new(Chain::new(layers, Some(number)));
            disk.part(Arc::<Chain>::clone(&chain), 0..len)?;
            chains.push(chain);
        }
        Ok(Self {
            whole: Whole::Parts { chains, disk },
            descriptor: Some(descriptor),
        })
    }

    /// The chain that the disk is, or those of its parts.
    #[must_use]
    pub fn chains(&self) -> &[Arc<Chain>] {
        match &self.whole {
            Whole::Chain(chain) => std::slice::from_ref(chain),
            Whole::Parts { chains, .. } => chains,
        }
    }

    /// The layers, base first; of a split disk part by part.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.chains().iter().flat_map(|chain| chain.layers())
    }

    /// The files that the disk is read from, and the descriptor that named them.
    pub fn files(&self) -> impl Iterator<Item = &FileSource> {
        let layers = self.layers().map(Layer::source);
        let saved = self.layers().filter_map(|layer| match layer {
            Layer::Image(image) => image.index(),
            Layer::Raw(_) => None,
        });
        let descriptor = self.descriptor.iter().map(Named::source);
        layers.chain(saved).chain(descriptor)
    }

    fn whole(&self) -> &dyn VirtualDisk {
        match &self.whole {
            Whole::Chain(chain) => chain.as_ref(),
            Whole::Parts { disk, .. } => disk,
        }
    }
}

impl VirtualDisk for PloopDisk {
    fn size(&self) -> u64 {
        self.whole().size()
    }

    fn stores(&self) -> &[Store] {
        self.whole().stores()
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        self.whole().extent_at(offset)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.whole().read_at(buf, offset)
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        self.whole().extents_in(range)
    }

    fn each_extent_in(&self, range: Range<u64>, found: &mut EachExtent<'_>) -> Result<()> {
        self.whole().each_extent_in(range, found)
    }

    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        self.whole().losses_in(range)
    }

    fn check_unchanged(&self) -> Result<()> {
        if let Some(descriptor) = &self.descriptor {
            descriptor.check_unchanged()?;
        }
        self.whole().check_unchanged()
    }
}
