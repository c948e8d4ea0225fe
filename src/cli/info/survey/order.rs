//! Whether the names and the times of images tell the order in which they are layers.

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

/// Of a base and one layer over it. Nothing tells the order of two layers: the later one may lie
/// over the other, or each over the base, as after a switch to an older snapshot.
fn doubt_about_times(layers: &[Candidate]) -> Option<String> {
    let (base, deltas) = layers.split_first()?;
    let over = match deltas {
        [] => return None,
        [over] => over,
        _ => {
            let names: Vec<_> = deltas.iter().map(|layer| layer.name.as_str()).collect();
            return Some(format!(
                "which of the layers over {} are the disk, and in which order: each may lie over \
                 another one or over the base, and neither names nor times tell ({})",
                base.name,
                names.join(", ")
            ));
        }
    };
    if base.in_use {
        return Some(format!(
            "the order: {} is marked in use, which only the last layer is, \
             and {} was changed later",
            base.name, over.name
        ));
    }
    if base.size > over.size {
        return Some(format!(
            "the order: by its name {} lies over {}, and its disk is smaller, which no layer's is",
            over.name, base.name
        ));
    }
    (base.modified > over.modified).then(|| {
        format!(
            "the order: {} was changed after {}, and a base is not written any more once there is \
             a layer over it; the times may be those of a copy",
            base.name, over.name
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
            error: None,
        }
    }

    fn doubts(layers: &[Candidate]) -> String {
        doubt(layers).unwrap_or_default()
    }

    #[test]
    fn a_name_and_a_time_support_one_layer_over_a_base() {
        let ploop = [image("root.hds", 1), image(&format!("root.hds.{A}"), 2)];
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
    fn nothing_tells_the_order_of_two_layers() {
        let layers = |base, a, b| {
            [
                image("root.hds", base),
                image(&format!("root.hds.{A}"), a),
                image(&format!("root.hds.{B}"), b),
            ]
        };
        for times in [(1, 2, 3), (1, 2, 2), (9, 2, 3)] {
            let text = doubts(&layers(times.0, times.1, times.2));
            assert!(text.contains("neither names nor times tell"), "{text}");
        }
    }

    #[test]
    fn a_base_that_was_changed_later_is_in_use_or_is_larger_contradicts_its_name() {
        let layers = |base| [image("root.hds", base), image(&format!("root.hds.{A}"), 2)];
        assert_eq!(doubts(&layers(2)), "");
        assert!(doubts(&layers(9)).contains("times may be those of a copy"));
        let mut used = layers(1);
        used[0].in_use = true;
        assert!(doubts(&used).contains("marked in use"));
        let mut larger = layers(1);
        larger[1].size = Some(1);
        assert!(doubts(&larger).contains("smaller"));
    }
}
