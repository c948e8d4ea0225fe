//! Where stores hold data, asked of the file system once and not for every cluster.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::store::{Store, StoreId};
use super::virtual_disk::VirtualDisk;
use crate::error::Result;
use crate::util::sync::lock;

/// The most runs of data that are remembered for all stores together (1 MiB); what lies past them
/// is asked for again and again.
const KEPT: usize = 1 << 16;

/// The holes of the stores of one disk, for everything that walks over it.
#[derive(Debug)]
pub(crate) struct Holes {
    met: Mutex<Met>,
}

#[derive(Debug)]
struct Met {
    /// For each store that was met.
    maps: Vec<Option<Arc<HoleMap>>>,
    /// How many runs of data may still be remembered.
    room: usize,
}

impl Default for Holes {
    /// Asks for nothing yet.
    fn default() -> Self {
        let met = Met {
            maps: Vec::new(),
            room: KEPT,
        };
        Self {
            met: Mutex::new(met),
        }
    }
}

impl Holes {
    /// The holes of a store of `disk`, which is always the same one: asked for once, while all
    /// others wait. Of a store that the disk does not have everything is data.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn of(&self, disk: &dyn VirtualDisk, id: StoreId) -> Result<Arc<HoleMap>> {
        let index = id.index();
        let mut met = lock(&self.met);
        if let Some(Some(map)) = met.maps.get(index) {
            return Ok(Arc::clone(map));
        }
        let map = Arc::new(match disk.store(id) {
            Some(store) => HoleMap::new(store.clone(), met.room)?,
            None => HoleMap::default(),
        });
        met.room = met.room.saturating_sub(map.data.len());
        if met.maps.len() <= index {
            met.maps.resize(index.saturating_add(1), None);
        }
        if let Some(place) = met.maps.get_mut(index) {
            *place = Some(Arc::clone(&map));
        }
        Ok(map)
    }
}

/// The runs of a store that may hold anything but zeros.
#[derive(Debug, Default)]
pub(crate) struct HoleMap {
    store: Option<Store>,
    /// Runs of data, in order, without overlap.
    data: Vec<Range<u64>>,
    /// Up to where the runs are complete.
    complete_to: u64,
}

impl HoleMap {
    /// Asks for the holes of a store, and remembers at most `room` runs of data.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn new(store: Store, room: usize) -> Result<Self> {
        let mut data: Vec<Range<u64>> = Vec::new();
        let mut complete_to = 0;
        while data.len() < room {
            match store.next_data(complete_to)? {
                // A source that does not move on would never end.
                Some(run) if run.end > complete_to => {
                    complete_to = run.end;
                    data.push(run);
                }
                // Its word counts for nothing from here on: each place is asked for again.
                Some(_) => break,
                None => {
                    complete_to = u64::MAX;
                    break;
                }
            }
        }
        Ok(Self {
            store: Some(store),
            data,
            complete_to,
        })
    }

    /// How many of `len` bytes from `host_offset` on may be other than zero.
    ///
    /// # Errors
    ///
    /// As [`HoleMap::at`].
    pub(crate) fn data_within(&self, host_offset: u64, len: u64) -> Result<u64> {
        let end = host_offset.saturating_add(len);
        let (mut at, mut sum) = (host_offset, 0);
        while at < end {
            let (is_data, until) = self.at(at)?;
            let next = until.clamp(at + 1, end);
            if is_data {
                sum += next - at;
            }
            at = next;
        }
        Ok(sum)
    }

    /// Whether the byte at `host_offset` may be other than zero, and up to where that holds.
    ///
    /// # Errors
    ///
    /// As [`HoleMap::new`], where the map does not reach so far.
    pub(crate) fn at(&self, host_offset: u64) -> Result<(bool, u64)> {
        let (is_data, run) = self.run_at(host_offset)?;
        Ok((is_data, run.end))
    }

    /// Whether the byte at `host_offset` may be other than zero, and a range around it of which
    /// that holds.
    ///
    /// # Errors
    ///
    /// As [`HoleMap::at`].
    pub(crate) fn run_at(&self, host_offset: u64) -> Result<(bool, Range<u64>)> {
        let Some(store) = &self.store else {
            return Ok((true, 0..u64::MAX));
        };
        if host_offset >= self.complete_to {
            let (is_data, end) = match store.next_data(host_offset)? {
                None => (false, u64::MAX),
                Some(run) if run.start > host_offset => (false, run.start),
                Some(run) if run.end > host_offset => (true, run.end),
                Some(_) => (true, u64::MAX),
            };
            return Ok((is_data, host_offset..end));
        }
        let next = self.data.partition_point(|run| run.end <= host_offset);
        let before = next.checked_sub(1).and_then(|before| self.data.get(before));
        let hole = before.map_or(0, |run| run.end);
        Ok(match self.data.get(next) {
            None => (false, hole..self.complete_to),
            Some(run) if run.start > host_offset => (false, hole..run.start),
            Some(run) => (true, run.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::store::Role;
    use crate::source::Source;
    use std::io;
    use std::path::Path;

    /// Bytes whose holes a file system tells wrong: it gives the same run again and again.
    #[derive(Debug)]
    struct Stubborn(Vec<u8>);

    impl Source for Stubborn {
        fn size(&self) -> io::Result<u64> {
            self.0.size()
        }

        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            self.0.read_exact_at(buf, offset)
        }

        fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
            Ok(Some(if offset < 1000 { 0..1000 } else { 500..1000 }))
        }
    }

    #[test]
    fn a_source_that_does_not_move_on_has_data_to_its_end() {
        let source = Arc::new(Stubborn(vec![1; 3000]));
        let store = Store::over(source, Path::new("disk.hds"), Role::Layer(0));
        let map = HoleMap::new(store, 100).unwrap();
        assert_eq!(map.at(0).unwrap(), (true, 1000));
        assert_eq!(map.at(1000).unwrap(), (true, u64::MAX));
        assert_eq!(map.at(2999).unwrap(), (true, u64::MAX));
    }
}
