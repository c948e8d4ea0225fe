//! The formats there are.

use std::path::Path;
use std::sync::Arc;

use super::kind::{Format, TargetFormat};
use super::qcow2::Qcow2Options;
use super::raw::Raw;
use super::tar::TarOptions;

/// A format in the list of those there are.
#[derive(Debug, Clone, Copy)]
pub struct KnownFormat {
    /// The word for it.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// The extensions that stand for it.
    pub extensions: &'static [&'static str],
    /// What a target of this format holds.
    pub holds: Holds,
}

/// What a target holds.
#[derive(Debug, Clone, Copy)]
pub enum Holds {
    /// A disk; this gives the format with its usual settings.
    Disk(fn() -> Arc<dyn Format>),
    /// The files of a file system.
    Files,
}

impl KnownFormat {
    /// The format with its usual settings, and those that the name of the target stands for.
    #[must_use]
    pub fn usual(&self, target: &Path) -> TargetFormat {
        match self.holds {
            Holds::Disk(make) => TargetFormat::Disk(make()),
            Holds::Files => {
                let name = target.file_name().unwrap_or_default();
                TargetFormat::Files(TarOptions::for_name(&name.to_string_lossy()))
            }
        }
    }
}

/// All formats; the first one is taken where a name says nothing.
pub const FORMATS: &[KnownFormat] = &[
    KnownFormat {
        name: "raw",
        about: "The disk's bytes as they are",
        extensions: &["raw", "img", "bin"],
        holds: Holds::Disk(|| Arc::new(Raw)),
    },
    KnownFormat {
        name: "qcow2",
        about: "What QEMU, Proxmox and libvirt take; the default for .qcow2 and .qcow",
        extensions: &["qcow2", "qcow"],
        holds: Holds::Disk(|| Arc::new(Qcow2Options::default())),
    },
    KnownFormat {
        name: "tar",
        about: "The files of the container and not its disk; the default for .tar, .tar.gz, .tgz, \
                .tar.zst and .tzst",
        extensions: &["tar", "tar.gz", "tgz", "tar.zst", "tzst"],
        holds: Holds::Files,
    },
];

/// The format that a file's extension stands for, in any case of its letters.
#[must_use]
pub fn by_extension(file: &Path) -> Option<&'static KnownFormat> {
    let name = file.file_name()?.as_encoded_bytes();
    let stands_for = |known: &&KnownFormat| {
        let mut all = known.extensions.iter();
        all.any(|extension| ends_with(name, extension.as_bytes()))
    };
    FORMATS.iter().find(stands_for)
}

/// Whether a name is something, a dot and the extension.
fn ends_with(name: &[u8], extension: &[u8]) -> bool {
    let at = name.len().checked_sub(extension.len());
    let parts = at.and_then(|at| name.split_at_checked(at));
    parts.is_some_and(|(stem, end)| {
        end.eq_ignore_ascii_case(extension) && stem.len() > 1 && stem.ends_with(b".")
    })
}

#[cfg(test)]
mod tests {
    use super::super::tar::TarCompression;
    use super::*;

    #[test]
    fn a_name_says_what_a_target_looks_like() {
        let of = |name: &str| by_extension(name.as_ref()).map(|known| known.name);
        for (name, format) in [
            ("a.raw", Some("raw")),
            ("dir.qcow2/a.IMG", Some("raw")),
            ("a.b.qcow", Some("qcow2")),
            ("ct.tar", Some("tar")),
            ("ct.TAR.Zst", Some("tar")),
            ("ct.tgz", Some("tar")),
            ("a.gz", None),
            (".tar.gz", None),
            (".tar", None),
            ("tar", None),
            ("a.tar.xz", None),
        ] {
            assert_eq!(of(name), format, "{name}");
        }
        let packed = |name: &str| match by_extension(name.as_ref())?.usual(name.as_ref()) {
            TargetFormat::Files(options) => options.compression,
            TargetFormat::Disk(_) => None,
        };
        assert_eq!(packed("ct.tar"), None);
        assert_eq!(packed("ct.tar.gz"), Some(TarCompression::Gzip));
        assert_eq!(packed("ct.TGZ"), Some(TarCompression::Gzip));
        assert_eq!(packed("ct.tar.zst"), Some(TarCompression::Zstd));
        assert_eq!(packed("ct.tzst"), Some(TarCompression::Zstd));
    }
}
