//! How the bytes of a target are packed: compression, and the clusters of qcow2.

use std::path::Path;

use ploopconv::format::qcow2::{Compression, Qcow2ClusterSize, Qcow2Options};
use ploopconv::format::tar::{TarCompression, TarOptions};

use crate::cli::outcome::Usage;

/// Options of targets that can be packed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct PackingArgs {
    /// Compress a qcow2 or tar target; zstd where neither this nor the name says how
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "usual",
        help_heading = "Writing"
    )]
    compress: Option<How>,
    /// Size of a qcow2 cluster, 4K to 2M [default: 64K]
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = cluster_size,
        help_heading = "Writing"
    )]
    cluster_size: Option<Qcow2ClusterSize>,
}

/// How a target is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum How {
    /// A bare option: what the name of the target says, else zstd
    #[value(hide = true)]
    Usual,
    /// Fast and small
    Zstd,
    /// Of qcow2: for readers older than QEMU 5.1
    Zlib,
    /// Of tar: what everything reads
    Gzip,
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::Usual | Self::Zstd => "zstd",
            Self::Zlib => "zlib",
            Self::Gzip => "gzip",
        }
    }
}

impl PackingArgs {
    /// The options of a target that is qcow2.
    pub(crate) fn qcow2(self) -> Qcow2Options {
        Qcow2Options {
            cluster_size: self.cluster_size.unwrap_or_default(),
            compression: self.compress.and_then(|how| match how {
                How::Usual | How::Zstd => Some(Compression::Zstd),
                How::Zlib => Some(Compression::Zlib),
                How::Gzip => None,
            }),
        }
    }

    /// The options of a target that is an archive, where its name says `by_name`.
    pub(crate) fn tar(self, by_name: TarOptions) -> TarOptions {
        let compression = match self.compress {
            Some(How::Usual) => by_name.compression.or(Some(TarCompression::Zstd)),
            Some(How::Zstd) => Some(TarCompression::Zstd),
            Some(How::Gzip) => Some(TarCompression::Gzip),
            Some(How::Zlib) | None => by_name.compression,
        };
        TarOptions { compression }
    }

    /// What messages call the compression of a qcow2 target.
    pub(crate) fn compression_name(self) -> Option<&'static str> {
        self.compress.map(How::name)
    }

    /// Makes sure that no option is given that a qcow2 target cannot follow.
    pub(crate) fn refuse_for_qcow2(self) -> Result<(), Usage> {
        match self.compress {
            Some(How::Gzip) => Err(Usage(
                "qcow2 knows no gzip; what older readers take is --compress=zlib".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Makes sure that no option is given that an archive of this name cannot follow.
    pub(crate) fn refuse_for_tar(self, target: &Path, by_name: TarOptions) -> Result<(), Usage> {
        let mistake = |text: String| Err(Usage(text));
        match (self.cluster_size, self.compress, by_name.compression) {
            (Some(_), _, _) => {
                mistake("--cluster-size is for qcow2 targets, and an archive has none".to_owned())
            }
            (_, Some(How::Zlib), _) => {
                mistake("tar archives are not packed with zlib, but --compress=gzip".to_owned())
            }
            (_, Some(How::Usual), _) => Ok(()),
            (_, Some(how), Some(named)) if how.name() != named.name() => mistake(format!(
                "--compress={} and the name {} want different things",
                how.name(),
                target.display()
            )),
            _ => Ok(()),
        }
    }

    /// Makes sure that no option is given that a raw target cannot follow.
    pub(crate) fn refuse_any(self) -> Result<(), Usage> {
        let given = match (self.compress, self.cluster_size) {
            (Some(How::Gzip), _) => {
                return Err(Usage(
                    "--compress=gzip is for tar targets; add -O tar, or name the target .tar.gz"
                        .to_owned(),
                ));
            }
            (Some(_), _) => "--compress",
            (None, Some(_)) => "--cluster-size",
            (None, None) => return Ok(()),
        };
        Err(Usage(format!(
            "{given} is for qcow2 targets; add -O qcow2, or name the target .qcow2"
        )))
    }
}

/// A cluster size as `qemu-img` takes it: bytes, or with K or M.
fn cluster_size(text: &str) -> Result<Qcow2ClusterSize, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (text.get(..text.len() - 1), 1 << 10),
        Some(b'm' | b'M') => (text.get(..text.len() - 1), 1 << 20),
        _ => (Some(text), 1),
    };
    digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit))
        .and_then(Qcow2ClusterSize::from_bytes)
        .ok_or_else(|| {
            let names: Vec<_> = Qcow2ClusterSize::all()
                .map(|size| size.to_string())
                .collect();
            format!("possible are {}", names.join(" "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_sizes_are_read_as_qemu_img_reads_them() {
        for (text, bytes) in [
            ("4096", 4096),
            ("4k", 4096),
            ("64K", 65536),
            ("2M", 2 << 20),
        ] {
            assert_eq!(cluster_size(text).unwrap().bytes(), bytes, "{text}");
        }
        for wrong in [
            "",
            "K",
            "3K",
            "2K",
            "4M",
            "+64K",
            "64KiB",
            "6.4K",
            "99999999999999999999",
        ] {
            assert!(cluster_size(wrong).is_err(), "{wrong}");
        }
        assert!(cluster_size("18014398509481984K").is_err());
    }
}
