//! The file that says what a target should hold.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ploopconv::Error;
use ploopconv::hash;
use ploopconv::sink::{PartialFile, Partials};

/// How the digest is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Algorithm {
    /// What `sha256sum -c` reads, of the target file as it is
    Sha256,
    /// The disk's content, on all cores; the same for raw and qcow2
    Blkhash,
}

impl Algorithm {
    fn algorithm(self) -> hash::Algorithm {
        match self {
            Self::Sha256 => hash::Algorithm::Sha256,
            Self::Blkhash => hash::Algorithm::Blkhash,
        }
    }
}

/// A checksum file that may be written.
pub(super) struct ChecksumFile {
    algorithm: hash::Algorithm,
    path: PathBuf,
    replace: bool,
}

impl ChecksumFile {
    /// Makes sure that the file beside the target may be made.
    pub(super) fn beside(how: Algorithm, target: &Path, replace: bool) -> Result<Self, Error> {
        let mut path = OsString::from(target);
        path.push(".");
        path.push(how.algorithm().name());
        Self::admit(how, PathBuf::from(path), replace)
    }

    /// Makes sure that the file for all images in a directory may be made.
    pub(super) fn within(how: Algorithm, dir: &Path, replace: bool) -> Result<Self, Error> {
        let name = match how {
            Algorithm::Sha256 => "SHA256SUMS",
            Algorithm::Blkhash => "BLKHASHSUMS",
        };
        Self::admit(how, dir.join(name), replace)
    }

    fn admit(how: Algorithm, path: PathBuf, replace: bool) -> Result<Self, Error> {
        PartialFile::admit(&path, replace)?;
        Ok(Self {
            algorithm: how.algorithm(),
            path,
            replace,
        })
    }

    /// Where the file will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How the digest is computed.
    pub(super) fn algorithm(&self) -> hash::Algorithm {
        self.algorithm
    }

    /// Writes a line for each digest and target, lets `finish` complete the targets, and gives the
    /// file its name. Where a target fails, there is no checksum file either; where the file
    /// itself does, `undo` is to take the targets back.
    pub(super) fn write(
        self,
        digests: &[(String, &Path)],
        sync: bool,
        partials: &Arc<Partials>,
        finish: impl FnOnce() -> Result<(), Error>,
        undo: impl FnOnce(),
    ) -> Result<(), Error> {
        let partial = PartialFile::create(&self.path, self.replace, partials)?;
        let lines = digests.iter().flat_map(|(digest, target)| {
            let name = target.file_name().unwrap_or(target.as_os_str());
            line(digest, name.as_encoded_bytes())
        });
        partial
            .file()
            .write_all(&lines.collect::<Vec<_>>())
            .map_err(|source| partial.failed(source))?;
        finish()?;
        partial.finish(sync).inspect_err(|_| undo())
    }
}

/// A line as sha256sum writes it: a name with a line end or a backslash is escaped, and a
/// backslash in front of the line says so.
fn line(digest: &str, name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for &byte in name {
        match byte {
            b'\\' => escaped.extend(br"\\"),
            b'\n' => escaped.extend(br"\n"),
            b'\r' => escaped.extend(br"\r"),
            other => escaped.push(other),
        }
    }
    let mut start = String::new();
    if escaped != name {
        start.push('\\');
    }
    let _ = write!(start, "{digest}  ");
    [start.as_bytes(), &escaped, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_escaped_as_sha256sum_does() {
        assert_eq!(line("00", b"disk.raw"), b"00  disk.raw\n");
        assert_eq!(line("00", b"a\nb\\c"), b"\\00  a\\nb\\\\c\n");
    }
}
