//! Which images make a snapshot, and in which order.

use std::collections::{HashMap, HashSet};

use super::descriptor::{Descriptor, Guid, ImageEntry, Label, Shot, Storage, Temporary};
use crate::error::ErrorKind;

/// The images of one snapshot, as the descriptor describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPlan {
    /// The snapshot: the name of the last layer.
    pub top: Guid,
    /// The parts of the disk, in its order; never empty. Most disks are of one part.
    pub parts: Vec<PlannedPart>,
    /// Whether the descriptor did not say which is the top, and the tree decided.
    pub top_guessed: bool,
}

/// The chain of one part of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPart {
    /// The layers, base first; never empty.
    pub layers: Vec<PlannedLayer>,
}

/// One layer of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedLayer {
    /// The image's name.
    pub guid: Guid,
    /// The file, as the descriptor writes it.
    pub file: String,
    /// What the file is.
    pub form: LayerForm,
    /// Whether the snapshot was meant to stay.
    pub temporary: Temporary,
}

/// What a descriptor says that the file of a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerForm {
    /// A ploop image.
    Image,
    /// A raw disk: only ever the base.
    Raw,
    /// Either: a base without a label.
    Unlabelled,
}

/// Why a descriptor gives no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The snapshot that was asked for is not there.
    #[error("there is no snapshot {0}")]
    NoSuchSnapshot(String),
    /// The name that was asked for is that of several snapshots.
    #[error("{count} snapshots are called {name}")]
    SeveralSnapshots {
        /// What was asked for.
        name: String,
        /// How many have the name.
        count: usize,
    },
    /// Nothing says which image is the top.
    #[error("nothing says which of {0} images is the top")]
    NoTop(usize),
    /// A step of the chain is no snapshot.
    #[error("snapshot {0} is named, and not described")]
    MissingShot(Guid),
    /// A snapshot has no image.
    #[error("snapshot {0} has no image")]
    MissingImage(Guid),
    /// A part of a split disk has no image of a snapshot.
    #[error("part {part} of the disk has no image of snapshot {guid}")]
    MissingInPart {
        /// The snapshot.
        guid: Guid,
        /// The part, 0 for the first.
        part: usize,
    },
    /// The parents go round in a circle.
    #[error("snapshot {0} is its own ancestor")]
    Cycle(Guid),
    /// More layers than any program makes.
    #[error("the chain has more than {} layers", ChainPlan::MAX_LAYERS)]
    TooLong,
    /// The snapshot's image was left half-way by a merge.
    #[error("snapshot {0} was being merged and is incomplete by itself")]
    Incomplete(Guid),
}

impl SelectError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchSnapshot(_) | Self::SeveralSnapshots { .. } => ErrorKind::Input,
            Self::NoTop(_)
            | Self::MissingShot(_)
            | Self::MissingImage(_)
            | Self::MissingInPart { .. }
            | Self::Cycle(_)
            | Self::TooLong
            | Self::Incomplete(_) => ErrorKind::Corrupt,
        }
    }
}

impl ChainPlan {
    /// The longest chain that is read; libploop allows 128 layers, dm-ploop 253.
    pub const MAX_LAYERS: usize = 256;

    /// Orders the images of `snapshot`, or of the current state where it is `None`.
    ///
    /// # Errors
    ///
    /// The first condition of [`SelectError`] that is met on the way from the top to the base.
    pub fn select(
        descriptor: &Descriptor,
        snapshot: Option<Guid>,
    ) -> std::result::Result<Self, SelectError> {
        let first = descriptor.storages.first();
        let images = first.map_or(&[][..], |storage| &storage.images);
        let has_image = |guid| images.iter().any(|image| image.guid == guid);
        let tree = Tree::of(descriptor);
        let current = current_top(descriptor);
        let (top, top_guessed) = match (snapshot, current) {
            (Some(wanted), _) if tree.shots.contains_key(&wanted) || has_image(wanted) => {
                (wanted, false)
            }
            (Some(wanted), _) => return Err(SelectError::NoSuchSnapshot(wanted.to_string())),
            (None, Some((top, guessed))) => (top, guessed),
            (None, None) => return Err(SelectError::NoTop(images.len())),
        };
        let storages = descriptor.storages.iter().enumerate();
        let parts = storages.map(|(part, storage)| {
            let part = descriptor.is_split().then_some(part);
            let layers = tree.layers_of(storage, part, top)?;
            Ok(PlannedPart { layers })
        });
        let parts = parts.collect::<std::result::Result<Vec<_>, _>>()?;
        let is_current = current.is_some_and(|(current, _)| current == top);
        let half_merged = |layer: &&PlannedLayer| {
            use Temporary::{TemporaryZero, TemporaryZeroSwap};
            matches!(layer.temporary, TemporaryZero | TemporaryZeroSwap)
        };
        // The current state masks what the merge did; a snapshot shows it.
        let mut layers = parts.iter().flat_map(|part| &part.layers);
        if !is_current && let Some(layer) = layers.find(half_merged) {
            return Err(SelectError::Incomplete(layer.guid));
        }
        Ok(Self {
            top,
            parts,
            top_guessed,
        })
    }

    /// All layers, part by part.
    pub fn layers(&self) -> impl Iterator<Item = &PlannedLayer> {
        self.parts.iter().flat_map(|part| &part.layers)
    }

    /// Whether the disk has several parts.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.parts.len() > 1
    }
}

/// The snapshots of a disk, by their names.
struct Tree<'a> {
    shots: HashMap<Guid, &'a Shot>,
}

impl<'a> Tree<'a> {
    fn of(descriptor: &'a Descriptor) -> Self {
        let shots = descriptor.shots.iter();
        Self {
            shots: shots.map(|shot| (shot.guid, shot)).collect(),
        }
    }

    /// The layers of a part that the snapshot `top` is made of, base first.
    fn layers_of(
        &self,
        storage: &Storage,
        part: Option<usize>,
        top: Guid,
    ) -> std::result::Result<Vec<PlannedLayer>, SelectError> {
        let images = storage.images.iter().map(|image| (image.guid, image));
        let images: HashMap<Guid, &ImageEntry> = images.collect();
        let mut layers = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(top);
        while let Some(guid) = next {
            if !seen.insert(guid) {
                return Err(SelectError::Cycle(guid));
            }
            if layers.len() == ChainPlan::MAX_LAYERS {
                return Err(SelectError::TooLong);
            }
            let (parent, temporary) = match (self.shots.get(&guid), &storage.images[..]) {
                (Some(shot), _) => (shot.parent, shot.temporary),
                // libploop adds the snapshot of an only image by itself.
                (None, [only]) if only.guid == guid => (None, Temporary::No),
                (None, _) => return Err(SelectError::MissingShot(guid)),
            };
            let image = images.get(&guid).ok_or(match part {
                Some(part) => SelectError::MissingInPart { guid, part },
                None => SelectError::MissingImage(guid),
            })?;
            layers.push(PlannedLayer {
                guid,
                file: image.file.clone(),
                // In raw mode libploop labels every image "Plain", and only the base is raw.
                form: match image.label {
                    Label::Plain if parent.is_none() => LayerForm::Raw,
                    Label::Missing if parent.is_none() => LayerForm::Unlabelled,
                    _ => LayerForm::Image,
                },
                temporary,
            });
            next = parent;
        }
        layers.reverse();
        Ok(layers)
    }
}

/// The top of the current state, and whether the tree had to decide.
pub(crate) fn current_top(descriptor: &Descriptor) -> Option<(Guid, bool)> {
    if let Some(top) = descriptor.top {
        return Some((top, false));
    }
    let constant = Guid::CONSTANT_TOP;
    let first = descriptor.storages.first();
    let images = first.map_or(&[][..], |storage| &storage.images);
    let has_constant = if descriptor.shots.is_empty() {
        images.iter().any(|image| image.guid == constant)
    } else {
        descriptor.shots.iter().any(|shot| shot.guid == constant)
    };
    if has_constant {
        return Some((constant, false));
    }
    if let ([], [only]) = (&descriptor.shots[..], images) {
        return Some((only.guid, false));
    }
    let parents: HashSet<Guid> = descriptor
        .shots
        .iter()
        .filter_map(|shot| shot.parent)
        .collect();
    let mut leaves = descriptor
        .shots
        .iter()
        .filter(|shot| !parents.contains(&shot.guid));
    match (leaves.next(), leaves.next()) {
        (Some(only), None) => Some((only.guid, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guid(n: u32) -> Guid {
        format!("00000000-0000-0000-0000-{n:012x}").parse().unwrap()
    }

    fn descriptor(top: Option<u32>, shots: &[(u32, Option<u32>)], images: &[u32]) -> Descriptor {
        Descriptor {
            disk_size: None,
            storages: vec![Storage {
                start: 0,
                end: None,
                block_size: None,
                images: images
                    .iter()
                    .map(|&n| ImageEntry {
                        guid: guid(n),
                        label: Label::Compressed,
                        file: format!("f{n}"),
                    })
                    .collect(),
            }],
            shots: shots
                .iter()
                .map(|&(n, parent)| Shot {
                    guid: guid(n),
                    parent: parent.map(guid),
                    temporary: Temporary::No,
                })
                .collect(),
            top: top.map(guid),
        }
    }

    fn files(plan: &ChainPlan) -> Vec<&str> {
        plan.layers().map(|layer| layer.file.as_str()).collect()
    }

    #[test]
    fn the_chain_follows_the_parents_and_not_the_order_of_the_document() {
        let tree = descriptor(
            Some(3),
            &[(3, Some(1)), (2, Some(1)), (1, None)],
            &[2, 3, 1],
        );
        assert_eq!(
            files(&ChainPlan::select(&tree, None).unwrap()),
            ["f1", "f3"]
        );
        assert_eq!(
            files(&ChainPlan::select(&tree, Some(guid(2))).unwrap()),
            ["f1", "f2"]
        );
        assert_eq!(
            files(&ChainPlan::select(&tree, Some(guid(1))).unwrap()),
            ["f1"]
        );
    }

    #[test]
    fn without_a_top_the_only_leaf_is_taken_and_said_to_be_a_guess() {
        let tree = descriptor(None, &[(1, None), (2, Some(1))], &[1, 2]);
        let plan = ChainPlan::select(&tree, None).unwrap();
        assert_eq!((plan.top, plan.top_guessed), (guid(2), true));

        let fork = descriptor(None, &[(1, None), (2, Some(1)), (3, Some(1))], &[1, 2, 3]);
        assert_eq!(ChainPlan::select(&fork, None), Err(SelectError::NoTop(3)));
    }

    #[test]
    fn an_only_image_needs_no_snapshot() {
        let only = descriptor(None, &[], &[7]);
        assert_eq!(files(&ChainPlan::select(&only, None).unwrap()), ["f7"]);
        let named = descriptor(Some(7), &[], &[7]);
        assert_eq!(files(&ChainPlan::select(&named, None).unwrap()), ["f7"]);
    }

    #[test]
    fn broken_chains_are_told_apart() {
        let select = |d: &Descriptor| ChainPlan::select(d, None).unwrap_err();
        let cycle = descriptor(Some(2), &[(1, Some(2)), (2, Some(1))], &[1, 2]);
        assert_eq!(select(&cycle), SelectError::Cycle(guid(2)));
        let no_image = descriptor(Some(2), &[(1, None), (2, Some(1))], &[2]);
        assert_eq!(select(&no_image), SelectError::MissingImage(guid(1)));
        let no_shot = descriptor(Some(2), &[(2, Some(1))], &[1, 2]);
        assert_eq!(select(&no_shot), SelectError::MissingShot(guid(1)));
        let unknown = ChainPlan::select(&no_image, Some(guid(9))).unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::Input);
    }

    #[test]
    fn two_hundred_and_fifty_six_layers_are_read_and_one_more_is_not() {
        let chain = |n: u32| {
            let shots: Vec<_> = (1..=n).map(|i| (i, (i > 1).then(|| i - 1))).collect();
            let images: Vec<_> = (1..=n).collect();
            ChainPlan::select(&descriptor(Some(n), &shots, &images), None)
        };
        assert_eq!(chain(256).unwrap().layers().count(), 256);
        assert_eq!(chain(257), Err(SelectError::TooLong));
    }

    #[test]
    fn only_the_base_of_a_plain_disk_is_raw() {
        let tree = descriptor(Some(2), &[(1, None), (2, Some(1))], &[1, 2]);
        let forms = |label| -> Vec<_> {
            let mut tree = tree.clone();
            tree.storages[0]
                .images
                .iter_mut()
                .for_each(|image| image.label = label);
            let plan = ChainPlan::select(&tree, None).unwrap();
            plan.layers().map(|layer| layer.form).collect()
        };
        use LayerForm::{Image, Raw, Unlabelled};
        assert_eq!(forms(Label::Plain), [Raw, Image]);
        assert_eq!(forms(Label::Missing), [Unlabelled, Image]);
        assert_eq!(forms(Label::Compressed), [Image, Image]);
    }

    #[test]
    fn a_half_merged_snapshot_is_refused_and_the_current_state_is_not() {
        let mut tree = descriptor(Some(2), &[(1, None), (2, Some(1))], &[1, 2]);
        tree.shots[0].temporary = Temporary::TemporaryZero;
        assert!(ChainPlan::select(&tree, None).is_ok());
        let snapshot = ChainPlan::select(&tree, Some(guid(1)));
        assert_eq!(snapshot, Err(SelectError::Incomplete(guid(1))));
    }
}
