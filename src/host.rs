//! What a host keeps: its containers, their disks, and what stands in the way of moving them.
//!
//! [`list`] looks below folders and examines every disk that it finds, many at a time. A disk that
//! is broken is part of the list, with the reason: it stops nothing.

mod container;
mod disk;
mod find;
mod one;
mod scope;
mod state;

pub use self::container::{Container, VeLayout};
pub use self::disk::{FoundDisk, Shape};
pub use self::one::{OneError, area_of};
pub use self::scope::Scope;
pub use self::state::{TargetState, is_left_alone, replace};

use std::path::Path;

use self::find::find;
use crate::error::{Error, Result};
use crate::workers::Workers;

/// What was found.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The containers, by number, then by name.
    pub containers: Vec<Container>,
    /// Folders that could not be looked through.
    pub problems: Vec<Error>,
}

/// Finds the containers below folders and examines their disks, as many at a time as there are
/// `workers`. Nothing is written, and a disk in use is only looked at.
///
/// ```
/// use ploopconv::Workers;
/// use ploopconv::host::{Scope, VeLayout, list};
///
/// let found = list(&Scope::below(&["fixtures".into()]), &Workers::new(2)?);
/// let container = found.containers.iter().find(|one| one.id == "101");
/// let Some(VeLayout::Ploop(disks)) = container.map(|one| &one.layout) else {
///     panic!("it has a disk");
/// };
/// assert!(disks[0].shape.is_some());
/// # Ok::<(), ploopconv::Error>(())
/// ```
#[must_use]
pub fn list(search: &Scope, workers: &Workers) -> Inventory {
    use rayon::prelude::*;

    let found = find(search);
    let examined = workers.install(|| {
        let places = found.places.into_par_iter();
        places.map(Container::examine).collect()
    });
    let mut containers: Vec<Container> = examined;
    containers.sort_by(|one, other| one.order().cmp(&other.order()));
    Inventory {
        containers,
        problems: found.problems,
    }
}

/// All disks of the one container or virtual machine in a folder, of a container the root disk
/// first. Of a container without a disk that folder: opening it says why there is none.
///
/// # Errors
///
/// [`OneError`], and the first problem of looking.
pub fn disks_of(folder: &Path, workers: &Workers) -> Result<Vec<FoundDisk>> {
    let path = || folder.to_owned();
    if !folder.is_dir() {
        return Err(OneError::NoFolder { path: path() }.into());
    }
    let found = list(&Scope::below(&[path()]), workers);
    if let Some(problem) = found.problems.into_iter().next() {
        return Err(problem);
    }
    let count = found.containers.len();
    let mut containers = found.containers.into_iter();
    match (containers.next(), count) {
        (Some(container), 1) => Ok(match container.layout {
            VeLayout::Ploop(disks) => disks,
            VeLayout::Simfs(_) => vec![disk::look(&container.area).disk],
        }),
        _ => Err(OneError::NotOne {
            path: path(),
            found: count,
        }
        .into()),
    }
}
