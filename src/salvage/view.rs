//! How a disk is read: as it is stored, or over its damage.

use std::ops::Range;
use std::sync::Arc;

use super::Salvaged;
use super::trusted::Trusted;
use crate::disk::DiskError;
use crate::disk::{Slice, VirtualDisk};
use crate::error::Result;

/// A disk, or a part of one, for a reader that reads it strictly, over its damage, or only where it
/// can be trusted. Sectors that one reader over the damage
/// finds unreadable are zeros for all others that read over it.
#[derive(Debug, Clone)]
pub struct View {
    stored: Arc<dyn VirtualDisk>,
    over_damage: Option<Arc<Salvaged<Arc<dyn VirtualDisk>>>>,
    /// The part that is looked at, in bytes of the disk.
    range: Range<u64>,
}

impl View {
    /// A disk as it is stored: what is lost is an error when it is read.
    #[must_use]
    pub fn strict(disk: Arc<dyn VirtualDisk>) -> Self {
        Self {
            range: 0..disk.size(),
            stored: disk,
            over_damage: None,
        }
    }

    /// A disk that is read over its damage.
    #[must_use]
    pub fn over_damage(disk: Arc<dyn VirtualDisk>) -> Self {
        Self {
            range: 0..disk.size(),
            over_damage: Some(Arc::new(Salvaged::new(Arc::clone(&disk)))),
            stored: disk,
        }
    }

    /// Whether zeros stand for what is lost.
    #[must_use]
    pub fn is_over_damage(&self) -> bool {
        self.over_damage.is_some()
    }

    /// The `len` bytes from `start` on of what is looked at.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`] where they do not all lie inside.
    pub fn part(&self, start: u64, len: u64) -> Result<Self> {
        let size = self.range.end.saturating_sub(self.range.start);
        let inner = DiskError::check_range(start, len, size)?;
        let outer = |at: u64| self.range.start.saturating_add(at);
        Ok(Self {
            range: outer(inner.start)..outer(inner.end),
            ..self.clone()
        })
    }

    /// What is to be read: the disk, with zeros for what is lost where it is read over damage.
    #[must_use]
    pub fn disk(&self) -> Arc<dyn VirtualDisk> {
        match &self.over_damage {
            Some(salvaged) => self.cut(Arc::clone(salvaged)),
            None => self.stored(),
        }
    }

    /// The disk as it is stored, where lost extents are lost and cannot be read.
    #[must_use]
    pub fn stored(&self) -> Arc<dyn VirtualDisk> {
        if self.is_whole() {
            return Arc::clone(&self.stored);
        }
        Arc::new(self.slice(Arc::clone(&self.stored)))
    }

    /// The disk for those who must not take zeros for what is lost.
    #[must_use]
    pub fn trusted(&self) -> Arc<dyn VirtualDisk> {
        match &self.over_damage {
            Some(salvaged) => self.cut(Arc::new(Trusted::new(Arc::clone(salvaged)))),
            None => self.stored(),
        }
    }

    fn is_whole(&self) -> bool {
        self.range == (0..self.stored.size())
    }

    fn cut<D: VirtualDisk + 'static>(&self, disk: Arc<D>) -> Arc<dyn VirtualDisk> {
        if self.is_whole() {
            return disk;
        }
        Arc::new(self.slice(disk))
    }

    fn slice<D: VirtualDisk + ?Sized>(&self, disk: Arc<D>) -> Slice<Arc<D>> {
        let len = self.range.end.saturating_sub(self.range.start);
        Slice::new(disk, self.range.start, len).expect("the range was checked to lie inside")
    }
}
