//! Which images make a snapshot, in which order, and which of the names may be opened.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::descriptor::{Descriptor, Guid, ImageEntry, Shot, Temporary};
use crate::error::{Error, Result};
use crate::source::FileSource;

/// The images of one snapshot, as the descriptor describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPlan {
    /// The snapshot: the name of the last layer.
    pub top: Guid,
    /// The layers, base first; never empty.
    pub layers: Vec<PlannedLayer>,
    /// Whether the descriptor did not say which is the top, and it was told by the tree.
    pub top_guessed: bool,
}

/// One layer of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedLayer {
    /// The image's name.
    pub guid: Guid,
    /// The file, as the descriptor writes it.
    pub file: String,
    /// Whether the file is a raw disk: only ever the base.
    pub raw: bool,
    /// Whether the snapshot was meant to stay.
    pub temporary: Temporary,
}

/// Why a descriptor gives no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The snapshot that was asked for is not there.
    #[error("there is no snapshot {wanted}")]
    NoSuchSnapshot {
        /// What was asked for.
        wanted: Guid,
        /// What there is.
        available: Vec<Guid>,
    },
    /// Nothing says which image is the top.
    #[error("nothing says which of {} images is the top", .0.len())]
    NoTop(Vec<Guid>),
    /// A step of the chain is no snapshot.
    #[error("snapshot {0} is named, and not described")]
    MissingShot(Guid),
    /// A snapshot has no image.
    #[error("snapshot {0} has no image")]
    MissingImage(Guid),
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
    /// Whether the descriptor is damaged, rather than asked for what it does not have.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::NoSuchSnapshot { .. })
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
        let images: HashMap<Guid, &ImageEntry> = descriptor
            .images
            .iter()
            .map(|image| (image.guid, image))
            .collect();
        let shots: HashMap<Guid, &Shot> = descriptor
            .shots
            .iter()
            .map(|shot| (shot.guid, shot))
            .collect();
        let all = || match &descriptor.shots[..] {
            [] => descriptor.images.iter().map(|image| image.guid).collect(),
            shots => shots.iter().map(|shot| shot.guid).collect(),
        };
        let current = current_top(descriptor);
        let (top, top_guessed) = match (snapshot, current) {
            (Some(wanted), _) if shots.contains_key(&wanted) || images.contains_key(&wanted) => {
                (wanted, false)
            }
            (Some(wanted), _) => {
                let available = all();
                return Err(SelectError::NoSuchSnapshot { wanted, available });
            }
            (None, Some((top, guessed))) => (top, guessed),
            (None, None) => return Err(SelectError::NoTop(all())),
        };
        let mut layers = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(top);
        while let Some(guid) = next {
            if !seen.insert(guid) {
                return Err(SelectError::Cycle(guid));
            }
            if layers.len() == Self::MAX_LAYERS {
                return Err(SelectError::TooLong);
            }
            let (parent, temporary) = match (shots.get(&guid), &descriptor.images[..]) {
                (Some(shot), _) => (shot.parent, shot.temporary),
                // libploop adds the snapshot of an only image by itself.
                (None, [only]) if only.guid == guid => (None, Temporary::No),
                (None, _) => return Err(SelectError::MissingShot(guid)),
            };
            let image = images.get(&guid).ok_or(SelectError::MissingImage(guid))?;
            layers.push(PlannedLayer {
                guid,
                file: image.file.clone(),
                // In raw mode libploop labels every image "Plain", and only the base is raw.
                raw: image.plain && parent.is_none(),
                temporary,
            });
            next = parent;
        }
        layers.reverse();
        let is_current = current.is_some_and(|(current, _)| current == top);
        let half_merged = |layer: &&PlannedLayer| {
            use Temporary::{TemporaryZero, TemporaryZeroSwap};
            matches!(layer.temporary, TemporaryZero | TemporaryZeroSwap)
        };
        // The current state masks what the merge did; a snapshot shows it.
        if !is_current && let Some(layer) = layers.iter().find(half_merged) {
            return Err(SelectError::Incomplete(layer.guid));
        }
        Ok(Self {
            top,
            layers,
            top_guessed,
        })
    }
}

/// The top of the current state, and whether it had to be told by the tree.
pub(crate) fn current_top(descriptor: &Descriptor) -> Option<(Guid, bool)> {
    if let Some(top) = descriptor.top {
        return Some((top, false));
    }
    let constant = Guid::CONSTANT_TOP;
    let has_constant = if descriptor.shots.is_empty() {
        descriptor.images.iter().any(|image| image.guid == constant)
    } else {
        descriptor.shots.iter().any(|shot| shot.guid == constant)
    };
    if has_constant {
        return Some((constant, false));
    }
    if let ([], [only]) = (&descriptor.shots[..], &descriptor.images[..]) {
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

/// Decides which files the names in a descriptor may stand for. Descriptors come out of other
/// people's archives: a name that leads out of the folder is not followed unless allowed.
#[derive(Debug)]
pub struct Gate {
    descriptor: PathBuf,
    /// The descriptor, without symbolic links.
    real: PathBuf,
    /// The descriptor's folder, without symbolic links.
    folder: PathBuf,
    allow_outside: bool,
}

/// A name that went through the gate; [`FileSource::open_resolved`] opens what it stood for then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The file to open, without symbolic links.
    pub path: PathBuf,
    /// Whether it lies beside the descriptor although the descriptor says elsewhere.
    pub moved: bool,
}

impl Gate {
    /// A gate for the names in `descriptor`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the descriptor or its folder cannot be resolved, [`Error::Outside`]
    /// where the descriptor itself is a link that leads out of the folder.
    pub fn new(descriptor: &Path, allow_outside: bool) -> Result<Self> {
        let folder = match descriptor.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder
            .canonicalize()
            .map_err(|source| Error::io("resolving", folder, source))?;
        let real = descriptor
            .canonicalize()
            .map_err(|source| Error::io("opening", descriptor, source))?;
        if !allow_outside && !real.starts_with(&folder) {
            return Err(Error::Outside {
                named_by: descriptor.to_owned(),
                file: real,
            });
        }
        Ok(Self {
            descriptor: descriptor.to_owned(),
            real,
            folder,
            allow_outside,
        })
    }

    /// Opens the descriptor that went through the gate, whatever has been put in its place since.
    ///
    /// # Errors
    ///
    /// As [`FileSource::open_resolved`].
    pub fn open_descriptor(&self) -> Result<FileSource> {
        FileSource::open_resolved(&self.real)
    }

    /// Resolves a name of the descriptor to a file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where there is no such file, [`Error::Outside`] where it lies outside the
    /// folder and that is not allowed.
    pub fn admit(&self, name: &str) -> Result<Admitted> {
        let named = Path::new(name);
        let (path, moved) = match self.folder.join(named).canonicalize() {
            Ok(path) => (path, false),
            Err(error) => {
                // Images are usually copied before they are converted, and absolute names stay.
                let gone = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
                let beside = named
                    .file_name()
                    .filter(|_| named.is_absolute() && gone)
                    .and_then(|file| self.folder.join(file).canonicalize().ok());
                match beside {
                    Some(path) => (path, true),
                    None => return Err(Error::io("opening", &self.folder.join(named), error)),
                }
            }
        };
        if self.allow_outside || path.starts_with(&self.folder) {
            Ok(Admitted { path, moved })
        } else {
            Err(Error::Outside {
                named_by: self.descriptor.clone(),
                file: path,
            })
        }
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
            block_size: None,
            end: None,
            images: images
                .iter()
                .map(|&n| ImageEntry {
                    guid: guid(n),
                    plain: false,
                    file: format!("f{n}"),
                })
                .collect(),
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
        plan.layers
            .iter()
            .map(|layer| layer.file.as_str())
            .collect()
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
        assert_eq!(
            ChainPlan::select(&fork, None),
            Err(SelectError::NoTop(vec![guid(1), guid(2), guid(3)]))
        );
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
        assert!(!unknown.is_damage());
    }

    #[test]
    fn two_hundred_and_fifty_six_layers_are_read_and_one_more_is_not() {
        let chain = |n: u32| {
            let shots: Vec<_> = (1..=n).map(|i| (i, (i > 1).then(|| i - 1))).collect();
            let images: Vec<_> = (1..=n).collect();
            ChainPlan::select(&descriptor(Some(n), &shots, &images), None)
        };
        assert_eq!(chain(256).unwrap().layers.len(), 256);
        assert_eq!(chain(257), Err(SelectError::TooLong));
    }

    #[test]
    fn only_the_base_of_a_plain_disk_is_raw() {
        let mut tree = descriptor(Some(2), &[(1, None), (2, Some(1))], &[1, 2]);
        tree.images.iter_mut().for_each(|image| image.plain = true);
        let raw: Vec<_> = ChainPlan::select(&tree, None)
            .unwrap()
            .layers
            .iter()
            .map(|l| l.raw)
            .collect();
        assert_eq!(raw, [true, false]);
    }

    #[test]
    fn a_half_merged_snapshot_is_refused_and_the_current_state_is_not() {
        let mut tree = descriptor(Some(2), &[(1, None), (2, Some(1))], &[1, 2]);
        tree.shots[0].temporary = Temporary::TemporaryZero;
        assert!(ChainPlan::select(&tree, None).is_ok());
        let snapshot = ChainPlan::select(&tree, Some(guid(1)));
        assert_eq!(snapshot, Err(SelectError::Incomplete(guid(1))));
    }

    #[test]
    fn names_stay_inside_the_folder_unless_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("disk");
        std::fs::create_dir(&folder).unwrap();
        for name in [
            "outside",
            "disk/inside",
            "disk/moved",
            "disk/DiskDescriptor.xml",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("../outside", folder.join("link")).unwrap();
        let gate = |allow| Gate::new(&folder.join("DiskDescriptor.xml"), allow).unwrap();

        assert!(!gate(false).admit("inside").unwrap().moved);
        assert!(!gate(false).admit("../disk/inside").unwrap().moved);
        assert!(gate(false).admit("/nowhere/at/all/moved").unwrap().moved);
        for name in ["../outside", "link"] {
            assert!(
                matches!(gate(false).admit(name), Err(Error::Outside { .. })),
                "{name}"
            );
            assert!(gate(true).admit(name).is_ok(), "{name}");
        }
        assert!(matches!(
            gate(false).admit("missing"),
            Err(Error::Io { .. })
        ));
    }
}
