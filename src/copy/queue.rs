//! In which order the units of a plan are worked on, and the advice that the kernel gets about
//! them.
//!
//! Where the order of the disk does not matter, each window of units comes in the order that suits
//! the disk under the files and the target ([`Order`]). What is not in the page cache is asked for
//! before its turn comes, and on a large copy it is let go of afterwards, so that a conversion does
//! not empty the cache of a host that has other work. What was in the cache before stays there.

use std::collections::VecDeque;
use std::ops::Range;

use super::options::Chosen;
use super::order::Order;
use super::plan::{Plan, Unit};
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::source::FileSource;

/// Units that are sorted at a time: with clusters of 1 MiB, 32 GiB of the disk.
const WINDOW: usize = 1 << 15;
/// The most bytes that are shared at a time, which is one call however many they are.
const SHARED: u64 = 1 << 30;
/// Bytes that are asked for before their turn, and the most units they may be in.
const AHEAD: u64 = 8 << 20;
const MOST_AHEAD: usize = 32;
/// Bytes that a copy may bring into the page cache before it takes out what it brought in.
const KEPT_IN_CACHE: u64 = 256 << 20;

/// A unit, and whether it was asked for because it was not in the page cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) unit: Unit,
    cold: bool,
}

/// The units of a disk, each once.
pub(super) struct Queue<'a> {
    disk: &'a dyn VirtualDisk,
    plan: Plan<'a>,
    in_order: bool,
    chosen: Chosen,
    /// Units in the order in which they will be given out.
    sorted: VecDeque<Unit>,
    /// Units that the kernel knows of.
    ahead: VecDeque<Task>,
    bytes_ahead: u64,
}

impl<'a> Queue<'a> {
    /// The units of `plan`, in its order or in whichever is faster.
    pub(super) fn new(disk: &'a dyn VirtualDisk, plan: Plan<'a>, in_order: bool) -> Self {
        Self {
            disk,
            plan,
            in_order,
            chosen: Chosen::default(),
            sorted: VecDeque::new(),
            ahead: VecDeque::new(),
            bytes_ahead: 0,
        }
    }

    /// How much came in which order, where there was a choice.
    pub(super) fn chosen(&self) -> Chosen {
        self.chosen
    }

    fn next_unit(&mut self) -> Result<Option<Unit>> {
        if self.in_order {
            return self.plan.next().transpose();
        }
        if self.sorted.is_empty() {
            let units: Result<Vec<_>> = self.plan.by_ref().take(WINDOW).collect();
            let mut units = units?;
            if self.plan.shares() {
                // What is shared is not read, and takes fewer calls the longer the runs are.
                Order::Files.arrange(&mut units);
            } else if let Some(order) = Order::of(self.disk, &units) {
                order.arrange(&mut units);
                let data = units.iter().filter(|unit| unit.from().is_some());
                *match order {
                    Order::Disk => &mut self.chosen.by_disk,
                    Order::Files => &mut self.chosen.by_file,
                } += data.map(Unit::len).sum::<u64>();
            }
            self.sorted = units.into();
        }
        let Some(mut unit) = self.sorted.pop_front() else {
            return Ok(None);
        };
        while self.plan.shares()
            && let Some(joined) = self.sorted.front().and_then(|next| unit.joined(next))
            && joined.len() <= SHARED
        {
            unit = joined;
            self.sorted.pop_front();
        }
        Ok(Some(unit))
    }

    fn next_task(&mut self) -> Result<Option<Task>> {
        while self.bytes_ahead < AHEAD && self.ahead.len() < MOST_AHEAD {
            let Some(unit) = self.next_unit()? else {
                break;
            };
            // What is shared is not read.
            let stored = stored(self.disk, &unit).filter(|_| !self.plan.shares());
            let cold = stored.filter(|(file, range)| !file.is_cached(range));
            if let Some((file, range)) = &cold {
                file.will_need(range);
            }
            let cold = cold.is_some();
            self.bytes_ahead += if cold { unit.len() } else { 0 };
            self.ahead.push_back(Task { unit, cold });
        }
        let task = self.ahead.pop_front();
        if let Some(task) = task.filter(|task| task.cold) {
            self.bytes_ahead -= task.unit.len();
        }
        Ok(task)
    }
}

impl Iterator for Queue<'_> {
    type Item = Result<Task>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_task().transpose()
    }
}

/// The file and the range of it that holds a unit, where that is one piece of a file.
fn stored<'a>(disk: &'a dyn VirtualDisk, unit: &Unit) -> Option<(&'a FileSource, Range<u64>)> {
    let place = unit.place()?;
    let file = place.file(disk)?;
    let end = place.host_offset.saturating_add(unit.len());
    Some((file, place.host_offset..end))
}

impl Task {
    /// Lets go of what was only read for this. `before` is how many bytes the copy had brought in
    /// when it came to this one; gives how many it brought in for it.
    pub(super) fn let_go(&self, disk: &dyn VirtualDisk, before: u64) -> u64 {
        if !self.cold {
            return 0;
        }
        if before > KEPT_IN_CACHE
            && let Some((file, range)) = stored(disk, &self.unit)
        {
            file.drop_cache(&range);
        }
        self.unit.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::testing::extents_one_by_one;
    use crate::disk::{Extent, ExtentKind, Extents, Place, Store, StoreId};
    use crate::sink::Sink;

    const CLUSTER: u64 = 1 << 20;

    /// Clusters that are stored from the last to the first, and a hole at every tenth.
    #[derive(Debug)]
    struct Backwards {
        clusters: u64,
    }

    impl VirtualDisk for Backwards {
        fn size(&self) -> u64 {
            self.clusters * CLUSTER
        }

        fn extent_at(&self, offset: u64) -> Result<Extent> {
            let cluster = offset / CLUSTER;
            let kind = if cluster.is_multiple_of(10) {
                ExtentKind::Hole
            } else {
                ExtentKind::Data {
                    store: StoreId::at(usize::from(cluster.is_multiple_of(3))),
                    host_offset: (self.clusters - cluster) * CLUSTER,
                }
            };
            Ok(Extent {
                offset,
                len: CLUSTER,
                kind,
            })
        }

        fn read_at(&self, _buf: &mut [u8], _offset: u64) -> Result<()> {
            Ok(())
        }

        fn stores(&self) -> &[Store] {
            &[]
        }

        fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
            extents_one_by_one(self, range)
        }
    }

    fn all(disk: &dyn VirtualDisk) -> VecDeque<Range<u64>> {
        std::iter::once(0..disk.size()).collect()
    }

    /// A sink that keeps nothing; `shares` is whether it lies beside the image, on a file system
    /// that shares.
    struct Nowhere {
        shares: bool,
    }

    impl Sink for Nowhere {
        fn write_at(&self, _data: &[u8], _offset: u64) -> Result<()> {
            Ok(())
        }
        fn zero_at(&self, _offset: u64, _len: u64) -> Result<()> {
            Ok(())
        }
        fn has_shared(&self) -> bool {
            self.shares
        }
        fn finish(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    fn units(disk: &Backwards, in_order: bool) -> Vec<Unit> {
        let plan = Plan::new(disk, all(disk), &Nowhere { shares: false }, 1, false);
        let queue = Queue::new(disk, plan, in_order);
        queue.map(|task| task.unwrap().unit).collect()
    }

    fn offset(unit: &Unit) -> u64 {
        match *unit {
            Unit::Data { offset, .. } | Unit::Zeros { offset, .. } => offset,
        }
    }

    #[test]
    fn every_byte_comes_once_in_either_order() {
        let disk = Backwards { clusters: 100 };
        let by_disk = units(&disk, true);
        assert!(by_disk.iter().map(offset).is_sorted());
        let ends = by_disk.iter().map(|unit| offset(unit) + unit.len());
        assert!(
            ends.zip(by_disk.iter().skip(1))
                .all(|(end, next)| end == offset(next))
        );
        let mut units = units(&disk, false);
        units.sort_by_key(offset);
        assert_eq!(units, by_disk);
    }

    fn stored_at(offset: u64, len: u64, store: usize, host_offset: u64) -> Unit {
        let from = Some(Place {
            store: StoreId::at(store),
            host_offset,
        });
        Unit::Data {
            offset,
            len,
            mixed: false,
            from,
            whole: true,
        }
    }

    #[test]
    fn what_is_shared_is_shared_in_long_runs() {
        let disk = Backwards { clusters: 1 };
        let joined = |unseen| {
            let plan = Plan::new(&disk, all(&disk), &Nowhere { shares: true }, 1, unseen);
            let mut queue = Queue::new(&disk, plan, false);
            let half = SHARED / 2;
            queue.sorted = VecDeque::from([
                stored_at(0, half, 0, 70),
                stored_at(half, half, 0, 70 + half),
                stored_at(2 * half, 5, 0, 70 + 2 * half), // too long together
                stored_at(2 * half + 5, 5, 1, 75 + 2 * half), // another file
                stored_at(2 * half + 20, 5, 1, 80 + 2 * half), // another place of the disk
            ]);
            let tasks = std::iter::from_fn(|| queue.next_unit().unwrap());
            let lengths: Vec<_> = tasks.take(5).map(|unit| unit.len()).collect();
            lengths
        };
        assert_eq!(joined(true)[..4], [SHARED, 5, 5, 5]);
        assert_eq!(joined(false), [SHARED / 2, SHARED / 2, 5, 5, 5]);
    }
}
