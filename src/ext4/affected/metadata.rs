//! Sums of lost metadata.

use super::report::{LostMetadata, MetadataKind};

/// Lost metadata by kind.
#[derive(Debug, Default)]
pub(super) struct Metadata(Vec<LostMetadata>);

impl Metadata {
    /// Adds to what is lost of a kind; no bytes are no loss.
    pub(super) fn add(&mut self, kind: MetadataKind, bytes: u64, inodes: u64) {
        if bytes == 0 {
            return;
        }
        let place = self.0.binary_search_by_key(&kind, |lost| lost.kind);
        match place.map(|at| self.0.get_mut(at)) {
            Ok(Some(lost)) => {
                lost.bytes = lost.bytes.saturating_add(bytes);
                lost.inodes = lost.inodes.saturating_add(inodes);
            }
            Ok(None) => {}
            Err(at) => self.0.insert(
                at,
                LostMetadata {
                    kind,
                    bytes,
                    inodes,
                },
            ),
        }
    }

    /// What is lost, in the order of the kinds.
    pub(super) fn into_list(self) -> Vec<LostMetadata> {
        self.0
    }
}
