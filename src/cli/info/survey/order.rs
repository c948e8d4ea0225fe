//! Whether the names and the times of images tell the order in which they are layers.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::time::SystemTime;

use ploopconv::ploop::{ImageName, is_named_like_a_delta};

/// An image that may be a layer.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The name of the file, without its folder.
    pub(super) name: String,
    /// When it was last written to.
    pub(super) modified: SystemTime,
    /// The size of its disk in bytes, where it can be read.
    pub(super) size: Option<u64>,
    /// Whether it is marked in use.
    pub(super) in_use: bool,
    /// Whether it was written from start to end at the time of its last change, as a copy is.
    pub(super) is_copy: bool,
    /// Why it cannot be read.
    pub(super) error: Option<String>,
}

impl Candidate {
    fn parsed(&self) -> Option<ImageName> {
        ImageName::parse(OsStr::new(&self.name))
    }

    fn is_delta(&self) -> bool {
        is_named_like_a_delta(OsStr::new(&self.name))
    }

    /// The name that a base and its layers share.
    fn stem(&self) -> String {
        self.parsed()
            .map_or_else(|| self.name.clone(), |name| name.stem)
    }
}

/// Why it is not known that these images, in this order, are the layers of one disk, base first;
/// `None` where their names and times support it.
pub(super) fn doubt(layers: &[Candidate]) -> Option<String> {
    let unreadable = || {
        let bad = layers.iter().find(|layer| layer.error.is_some())?;
        Some(format!(
            "{} cannot be read, so no chain is proposed",
            bad.name
        ))
    };
    doubt_about_parts(layers)
        .or_else(unreadable)
        .or_else(|| doubt_about_names(layers))
        .or_else(|| doubt_about_times(layers))
}

fn doubt_about_parts(layers: &[Candidate]) -> Option<String> {
    let names: Vec<_> = layers.iter().filter_map(Candidate::parsed).collect();
    let is_part = |name: &ImageName| {
        name.part.is_some_and(|part| part > 0)
            || names.iter().any(|other| other.is_other_part_of(name))
    };
    names.iter().any(is_part).then(|| {
        "by their names these are parts of a disk that is split into several files, which lie one \
         after the other and not over each other: without the descriptor they are not read"
            .to_owned()
    })
}

fn doubt_about_names(layers: &[Candidate]) -> Option<String> {
    let bases: Vec<_> = layers.iter().filter(|layer| !layer.is_delta()).collect();
    let base = match bases[..] {
        [base] => base,
        [] => {
            return Some(match layers {
                [only] => format!(
                    "the name of {} is that of a layer over others, and what lies below it is not \
                     here",
                    only.name
                ),
                _ => "which of them is the base: every name is that of a layer over others"
                    .to_owned(),
            });
        }
        _ => {
            let names: Vec<_> = bases.iter().map(|base| base.name.as_str()).collect();
            return Some(format!(
                "which of these is the base, and whether they are one disk: {}",
                names.join(", ")
            ));
        }
    };
    let stem = base.stem();
    let stranger = layers.iter().find(|layer| layer.stem() != stem)?;
    Some(format!(
        "whether {} is a layer over {}: its name does not say so",
        stranger.name, base.name
    ))
}

fn doubt_about_times(layers: &[Candidate]) -> Option<String> {
    let pairs = || layers.iter().zip(layers.iter().skip(1));
    if let Some((used, over)) = pairs().find(|(layer, _)| layer.in_use) {
        return Some(format!(
            "the order: {} is marked in use, which only the last layer is, and {} was changed later",
            used.name, over.name
        ));
    }
    if let Some((below, over)) = pairs().find(|(below, over)| below.size > over.size) {
        return Some(format!(
            "the order: by their times {} lies over {}, and its disk is smaller, which no layer's is",
            over.name, below.name
        ));
    }
    let (base, deltas) = layers.split_first()?;
    let times: HashSet<_> = deltas.iter().map(|layer| layer.modified).collect();
    if times.len() < deltas.len() {
        return Some("the order: layers have the same time of their last change".to_owned());
    }
    if deltas.len() > 1 && layers.iter().all(|layer| layer.is_copy) {
        return Some(
            "the order: the files were written here one after the other, so their times are those \
             of a copy and not of the last changes"
                .to_owned(),
        );
    }
    let first = deltas.first()?;
    (base.modified > first.modified).then(|| {
        format!(
            "the order: {} was changed after {}, and a base is not written any more once there is \
             a layer over it; the times may be those of a copy",
            base.name, first.name
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const TOP: &str = "{5fbaabe3-6958-40ff-92a7-860e329aab41}";
    const A: &str = "{1f0c6f0e-0b8e-4a55-9d3e-3f3f0a5b8a11}";
    const B: &str = "{2f0c6f0e-0b8e-4a55-9d3e-3f3f0a5b8a11}";

    fn image(name: &str, time: u64) -> Candidate {
        Candidate {
            name: name.to_owned(),
            modified: UNIX_EPOCH + Duration::from_secs(time),
            size: Some(1 << 20),
            in_use: false,
            is_copy: false,
            error: None,
        }
    }

    fn doubts(layers: &[Candidate]) -> String {
        doubt(layers).unwrap_or_default()
    }

    #[test]
    fn names_and_times_of_both_producers_support_an_order() {
        let ploop = [
            image("root.hds", 1),
            image(&format!("root.hds.{A}"), 2),
            image(&format!("root.hds.{B}"), 3),
        ];
        assert_eq!(doubts(&ploop), "");
        let parallels = [
            image(&format!("h.hdd.0.{TOP}.hds"), 1),
            image(&format!("h.hdd.0.{A}.hds"), 2),
        ];
        assert_eq!(doubts(&parallels), "");
        assert_eq!(doubts(&[image("root.hds", 1)]), "");
    }

    #[test]
    fn without_one_base_there_is_no_order() {
        let delta = image(&format!("root.hds.{A}"), 2);
        let other = image(&format!("root.hds.{B}"), 3);
        assert!(doubts(std::slice::from_ref(&delta)).contains("not here"));
        assert!(doubts(&[delta.clone(), other]).contains("which of them is the base"));
        let bases = [image("root.hds", 1), image("root.hds.bak", 2), delta];
        assert!(doubts(&bases).contains("root.hds, root.hds.bak"));
        let stranger = [image("root.hds", 1), image(&format!("data.hds.{A}"), 2)];
        assert!(doubts(&stranger).contains("does not say so"));
    }

    #[test]
    fn parts_are_no_layers() {
        let parts = [
            image(&format!("s.hdd.0.{TOP}.hds"), 1),
            image(&format!("s.hdd.1.{TOP}.hds"), 2),
        ];
        assert!(doubts(&parts).contains("parts of a disk"));
        assert!(doubts(&parts[1..]).contains("parts of a disk"));
    }

    #[test]
    fn times_that_are_equal_or_contradict_the_names_support_nothing() {
        let layers = |base, a, b| {
            [
                image("root.hds", base),
                image(&format!("root.hds.{A}"), a),
                image(&format!("root.hds.{B}"), b),
            ]
        };
        assert!(doubts(&layers(1, 2, 2)).contains("same time"));
        assert!(doubts(&layers(9, 2, 3)).contains("times may be those of a copy"));
        assert_eq!(doubts(&layers(2, 2, 3)), "");
    }

    #[test]
    fn times_of_a_copy_support_nothing_where_they_are_needed() {
        let mut layers = [
            image("root.hds", 1),
            image(&format!("root.hds.{A}"), 2),
            image(&format!("root.hds.{B}"), 3),
        ];
        layers.iter_mut().for_each(|layer| layer.is_copy = true);
        assert!(doubts(&layers).contains("those of a copy"));
        assert_eq!(doubts(&layers[..2]), "", "the names alone tell");
    }

    #[test]
    fn a_layer_in_use_is_the_last_one_and_none_is_smaller() {
        let mut layers = [
            image("root.hds", 1),
            image(&format!("root.hds.{A}"), 2),
            image(&format!("root.hds.{B}"), 3),
        ];
        layers[1].in_use = true;
        assert!(doubts(&layers).contains("marked in use"));
        layers[1].in_use = false;
        layers[2].size = Some(1);
        assert!(doubts(&layers).contains("smaller"));
    }
}
