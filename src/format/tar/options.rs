//! What an archive is to look like.

/// What an archive is to look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TarOptions {
    /// How it is compressed, or not at all.
    pub compression: Option<TarCompression>,
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TarCompression {
    /// Zstandard: fast and small.
    Zstd,
    /// Gzip: what everything reads.
    Gzip,
}

impl TarCompression {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

impl TarOptions {
    /// What the first bytes of a file, 262 or more, say that it is; `None` where it is no archive,
    /// nor anything that could be one compressed.
    #[must_use]
    pub fn of_start(bytes: &[u8]) -> Option<Self> {
        let compression = if bytes.starts_with(b"\x28\xb5\x2f\xfd") {
            Some(TarCompression::Zstd)
        } else if bytes.starts_with(b"\x1f\x8b") {
            Some(TarCompression::Gzip)
        } else if bytes.get(257..262) == Some(b"ustar") {
            None
        } else {
            return None;
        };
        Some(Self { compression })
    }

    /// The ending by which every reader of archives knows one that is packed like this.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self.compression {
            None => ".tar",
            Some(TarCompression::Gzip) => ".tar.gz",
            Some(TarCompression::Zstd) => ".tar.zst",
        }
    }

    /// What the extension of a file stands for: `.tar.gz` and `.tgz` are gzip, `.tar.zst` and
    /// `.tzst` are zstd.
    #[must_use]
    pub fn for_name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let ends = |ends: [&str; 2]| ends.iter().any(|end| name.ends_with(end));
        let compression = if ends([".tar.gz", ".tgz"]) {
            Some(TarCompression::Gzip)
        } else if ends([".tar.zst", ".tzst"]) {
            Some(TarCompression::Zstd)
        } else {
            None
        };
        Self { compression }
    }
}
