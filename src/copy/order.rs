//! In which order the units of a window are taken, where the target does not care.
//!
//! Disks whose clusters lie in any order in their files can be read in the order of the files,
//! which is what a disk with a head wants, or in that of the disk, which writes the target from one
//! end to the other: it has a third of the extents then, and is written back faster.

use std::collections::BTreeMap;

use super::plan::Unit;
use crate::disk::{Place, StoreId, VirtualDisk};

/// How many units of a window are looked at.
const LOOKED_AT: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Of the disk, and so of the target.
    Disk,
    /// Of the files that the disk is stored in.
    Files,
}

impl Order {
    /// The better order for units of `disk`, `None` where both are the same: that of its files,
    /// where some of what would be read here and there is not in the page cache and lies on a disk
    /// that may have a head.
    pub(super) fn of(disk: &dyn VirtualDisk, units: &[Unit]) -> Option<Self> {
        let mut may_seek: BTreeMap<StoreId, bool> = BTreeMap::new();
        Self::choose(units, |place| {
            let Some(file) = place.file(disk) else {
                return false;
            };
            let start = place.host_offset;
            *may_seek
                .entry(place.store)
                .or_insert_with(|| file.may_seek())
                && !file.is_cached(&(start..start.saturating_add(1)))
        })
    }

    /// As [`of`](Self::of), where `is_slow` says of a place whether a head would move there.
    fn choose(units: &[Unit], mut is_slow: impl FnMut(Place) -> bool) -> Option<Self> {
        // Holes are nowhere.
        if units.iter().filter_map(Unit::from).is_sorted() {
            return None;
        }
        let step = units.len().div_ceil(LOOKED_AT).max(1);
        let places = units.iter().step_by(step).filter_map(Unit::from);
        // The kernel may read where it is asked, and does so from one end to the other.
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        let slow = places.into_iter().filter(|&place| is_slow(place)).count();
        // One in eight: a head that has to move so often sets the pace.
        Some(match slow * 8 > units.len().div_ceil(step) {
            true => Self::Files,
            false => Self::Disk,
        })
    }

    /// Brings units in the order of the disk into this one.
    pub(super) fn arrange(self, units: &mut [Unit]) {
        if self == Self::Files {
            // Holes first, then every file from its start to its end.
            units.sort_by_key(Unit::from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: u64 = 1 << 20;

    /// Clusters that are stored from the last to the first, in two files.
    fn backwards(clusters: u64) -> Vec<Unit> {
        let unit = |cluster: u64| Unit::Data {
            offset: cluster * CLUSTER,
            len: CLUSTER,
            mixed: false,
            from: Some(Place {
                store: StoreId::at(usize::from(cluster.is_multiple_of(3))),
                host_offset: (clusters - cluster) * CLUSTER,
            }),
            whole: true,
        };
        (0..clusters).map(unit).collect()
    }

    #[test]
    fn a_head_moves_from_one_end_of_every_file_to_the_other() {
        let mut units = backwards(100);
        units.insert(50, Unit::Zeros { offset: 0, len: 1 });
        let as_on_disk = units.clone();
        Order::Disk.arrange(&mut units);
        assert_eq!(units, as_on_disk);
        Order::Files.arrange(&mut units);
        assert!(units.is_sorted_by_key(Unit::from));
        assert_eq!(units[0], Unit::Zeros { offset: 0, len: 1 });
        assert_eq!(units.len(), as_on_disk.len());
    }

    #[test]
    fn the_order_of_the_files_is_taken_where_enough_would_move_a_head() {
        for clusters in [100, 100_000] {
            let units = backwards(clusters);
            assert_eq!(Order::choose(&units, |_| true), Some(Order::Files));
            assert_eq!(Order::choose(&units, |_| false), Some(Order::Disk));
            let cold_end = |part: u64| {
                let from = (clusters - clusters / part) * CLUSTER;
                move |place: Place| place.host_offset > from
            };
            assert_eq!(Order::choose(&units, cold_end(4)), Some(Order::Files));
            assert_eq!(Order::choose(&units, cold_end(20)), Some(Order::Disk));
            let mut looked_at = Vec::new();
            Order::choose(&units, |place| {
                looked_at.push(place);
                true
            });
            assert!(looked_at.len() <= LOOKED_AT && looked_at.is_sorted());
        }
    }

    #[test]
    fn where_both_orders_are_the_same_no_file_is_asked() {
        let mut units = backwards(10);
        units.sort_by_key(Unit::from);
        units.insert(5, Unit::Zeros { offset: 0, len: 1 });
        let asked = |_| unreachable!("there is nothing to choose");
        assert_eq!(Order::choose(&units, asked), None);
        assert_eq!(Order::choose(&[], asked), None);
    }
}
