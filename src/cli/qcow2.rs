//! What a qcow2 target is to look like.

use ploopconv::copy::stored_ranges;
use ploopconv::disk::VirtualDisk;
use ploopconv::qcow2::{ClusterSize, Compression, Layout, Qcow2Options};

use super::exit::Usage;

/// Options of qcow2 targets.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Qcow2Args {
    /// Compress clusters; zstd where nothing is said (QEMU 5.1 and later)
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "zstd",
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
    cluster_size: Option<ClusterSize>,
}

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum How {
    /// Fast and small
    Zstd,
    /// For readers older than QEMU 5.1
    Zlib,
}

impl Qcow2Args {
    /// The options of a target that is qcow2.
    pub(crate) fn options(self) -> Qcow2Options {
        Qcow2Options {
            cluster_size: self.cluster_size.unwrap_or_default(),
            compression: self.compress.map(|how| match how {
                How::Zstd => Compression::Zstd,
                How::Zlib => Compression::Zlib,
            }),
        }
    }

    /// What messages call the compression.
    pub(crate) fn compression_name(self) -> Option<&'static str> {
        self.compress.map(|how| match how {
            How::Zstd => "zstd",
            How::Zlib => "zlib",
        })
    }

    /// Makes sure that no option is given that only a qcow2 target can follow.
    pub(crate) fn refuse_any(self) -> Result<(), Usage> {
        let given = match (self.compress, self.cluster_size) {
            (Some(_), _) => "--compress",
            (None, Some(_)) => "--cluster-size",
            (None, None) => return Ok(()),
        };
        Err(Usage(format!(
            "{given} is for qcow2 targets; add -O qcow2, or name the target .qcow2"
        )))
    }
}

/// Where everything goes in the file; with `allocate`, also what the disk does not store.
pub(crate) fn plan(
    disk: &dyn VirtualDisk,
    options: Qcow2Options,
    allocate: bool,
) -> ploopconv::Result<Layout> {
    if allocate {
        return Layout::plan(disk.size(), options, [Ok(0..disk.size())]);
    }
    Layout::plan(disk.size(), options, stored_ranges(disk))
}

/// A cluster size as `qemu-img` takes it: bytes, or with K or M.
fn cluster_size(text: &str) -> Result<ClusterSize, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (text.get(..text.len() - 1), 1 << 10),
        Some(b'm' | b'M') => (text.get(..text.len() - 1), 1 << 20),
        _ => (Some(text), 1),
    };
    digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit))
        .and_then(ClusterSize::from_bytes)
        .ok_or_else(|| {
            let names: Vec<_> = ClusterSize::all().map(|size| size.to_string()).collect();
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
