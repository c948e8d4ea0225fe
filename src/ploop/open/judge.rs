//! What only shows when the layers of a chain are seen side by side.

use super::opener::Opener;
use crate::ploop::chain::{ChainPlan, PlannedLayer};
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::{Descriptor, Storage, Temporary};
use crate::ploop::disk::Layer;

impl Opener {
    /// Compares sizes, versions and cluster sizes with each other and with the descriptor, where
    /// there is one.
    pub(super) fn judge_chain(&mut self, layers: &[Layer], descriptor: Option<&Descriptor>) {
        let storage = descriptor.and_then(|descriptor| descriptor.storages.first());
        self.judge_layers(layers, storage);
        // The sizes are those of the current state, so an older snapshot says nothing of them.
        let stated = descriptor.map(|descriptor| [descriptor.disk_size, descriptor.end()]);
        let stated = stated.into_iter().flatten().flatten();
        if let Some(top) = layers.last()
            && let Some(stated) = stated.into_iter().find(|&size| size != top.virtual_size())
            && self.is_current()
        {
            let found = top.virtual_size();
            let message =
                format!("the descriptor states a disk of {stated} bytes, the last layer {found}");
            self.say(Kind::DiskSizeDiffers, message);
        }
    }

    /// Compares the layers of a chain with each other and with what is stated of their part of the
    /// disk.
    pub(super) fn judge_layers(&mut self, layers: &[Layer], storage: Option<&Storage>) {
        for (at, pair) in (1..).zip(layers.windows(2)) {
            if let [parent, child] = pair
                && child.virtual_size() < parent.virtual_size()
            {
                let message = format!(
                    "its disk of {} bytes is smaller than its parent's of {}",
                    child.virtual_size(),
                    parent.virtual_size()
                );
                let finding = Finding::new(Kind::LayerSmaller, message);
                self.findings.push(finding.of(at, child.source().path()));
            }
        }
        let headers = || {
            layers.iter().filter_map(|layer| match layer {
                Layer::Image(image) => Some(image.header()),
                Layer::Raw(_) => None,
            })
        };
        if let Some(first) = headers().next() {
            if headers().any(|header| header.version() != first.version()) {
                let message = "the chain mixes version 1 and version 2 images".to_owned();
                self.say(Kind::MixedVersions, message);
            }
            if headers().any(|header| header.cluster_size() != first.cluster_size()) {
                let message = "the chain mixes cluster sizes".to_owned();
                self.say(Kind::MixedClusterSizes, message);
            }
            if let Some(stated) = storage.and_then(|storage| storage.block_size)
                && headers().all(|header| header.cluster_size().bytes() != stated)
            {
                let found = first.cluster_size().bytes();
                let message =
                    format!("the descriptor states clusters of {stated} bytes, the image {found}");
                self.say(Kind::BlockSizeDiffers, message);
            }
        }
    }

    /// Whether what was opened is the current state of the disk.
    pub(super) fn is_current(&self) -> bool {
        let mut tops = self.snapshots.iter().filter(|shot| shot.top);
        tops.all(|shot| Some(shot.guid) == self.snapshot)
    }

    /// A snapshot that was asked for by name may hold what a merge already moved into it.
    pub(super) fn judge_temporary(&mut self, plan: &ChainPlan) {
        let temporary = |layer: &&PlannedLayer| layer.temporary == Temporary::Temporary;
        // The snapshots of all parts are the same.
        let layers = plan.parts.first().map_or(&[][..], |part| &part.layers);
        for layer in layers.iter().filter(temporary) {
            let message = format!(
                "snapshot {} is temporary: a backup or an unfinished merge may have changed it",
                layer.guid
            );
            self.say(Kind::TemporarySnapshot, message);
        }
    }
}
