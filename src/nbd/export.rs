//! What is served, and whether its source may still be read.

use std::sync::Arc;

use super::log::{Event, Log};
use super::options;
use super::wire::{MAX_PAYLOAD, transmission_flags as flag};
use crate::disk::{Holes, VirtualDisk, Watch, Writable};
use crate::error::Result;

/// What is served: a disk, and its description for clients.
#[derive(Debug)]
pub struct Export {
    pub(super) disk: Arc<dyn VirtualDisk>,
    pub(super) writable: Option<Arc<dyn Writable>>,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) minimum_block: u32,
    pub(super) preferred_block: u32,
    watch: Watch,
    pub(super) holes: Holes,
}

impl Export {
    /// Serves a disk for reading.
    #[must_use]
    pub fn new(disk: Arc<dyn VirtualDisk>) -> Self {
        Self {
            disk,
            writable: None,
            name: String::new(),
            description: String::new(),
            minimum_block: 1,
            preferred_block: 1 << 16,
            watch: Watch::new(),
            holes: Holes::default(),
        }
    }

    /// The name that clients may ask for, besides the empty one; cut off after 4096 bytes, the
    /// most that the protocol allows.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        options::cut(name).clone_into(&mut self.name);
        self
    }

    /// A line for people; cut off like the name.
    #[must_use]
    pub fn described(mut self, text: &str) -> Self {
        options::cut(text).clone_into(&mut self.description);
        self
    }

    /// The smallest and the best size of a request in bytes, both powers of two. Requests that do
    /// not begin and end at multiples of the smallest are refused.
    ///
    /// # Panics
    ///
    /// Where they are no powers of two up to 32 MiB, or the first is larger than the second.
    #[must_use]
    pub fn block_sizes(mut self, minimum: u32, preferred: u32) -> Self {
        assert!(minimum.is_power_of_two() && preferred.is_power_of_two());
        assert!(minimum <= preferred && preferred <= MAX_PAYLOAD);
        self.minimum_block = minimum;
        self.preferred_block = preferred;
        self
    }

    /// Lets clients write, to a layer whose contents the disk's reads show.
    #[must_use]
    pub fn writable(mut self, layer: Arc<dyn Writable>) -> Self {
        self.writable = Some(layer);
        self
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &dyn VirtualDisk {
        self.disk.as_ref()
    }

    /// The flags for the kernel's driver, and for clients that did not ask for more.
    #[must_use]
    pub fn flags(&self) -> u16 {
        let common = flag::HAS_FLAGS | flag::CAN_MULTI_CONN;
        if self.writable.is_some() {
            common | flag::SEND_FLUSH | flag::SEND_FUA | flag::SEND_TRIM | flag::SEND_WRITE_ZEROES
        } else {
            common | flag::READ_ONLY
        }
    }

    /// Whether the source changed, so that nothing is served any more.
    #[must_use]
    pub fn is_spoiled(&self) -> bool {
        self.watch.is_spoiled()
    }

    /// Makes sure that the source has not changed up to now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where it has; the error is given once.
    pub fn check(&self, log: &dyn Log) -> Result<()> {
        self.look(log);
        self.watch.outcome()
    }

    /// Whether the source may still be read: looks at its files, but not more often than once a
    /// second. What has changed once stays unfit.
    pub(super) fn is_fit(&self, log: &dyn Log) -> bool {
        self.watch
            .is_fit(&*self.disk, |error| log.event(&Event::Changed { error }))
    }

    /// Looks at the source's files now.
    pub(super) fn look(&self, log: &dyn Log) {
        self.watch
            .look(&*self.disk, |error| log.event(&Event::Changed { error }));
    }
}
