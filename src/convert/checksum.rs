//! Digests of targets: the file that is written beside them, and what such a file says.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::options::ConvertOptions;
use crate::copy::{CopyOptions, copy};
use crate::disk::VirtualDisk;
use crate::error::{Error, Result};
use crate::hash::{Algorithm, Hasher};
use crate::observe::{Observer, Progress};
use crate::sink::{Durability, IfExists, PartialFile, Partials, StreamSink};
use crate::source::is_absence;
use crate::workers::Workers;

/// A checksum file that may be written.
pub(super) struct ChecksumFile {
    path: PathBuf,
    if_exists: IfExists,
}

impl ChecksumFile {
    /// Makes sure that the file may be made: beside a target, or within a directory of targets.
    pub(super) fn admit(
        options: &ConvertOptions,
        target: &Path,
        is_directory: bool,
    ) -> Result<Option<Self>> {
        let Some(path) = checksum_path(options, target, is_directory) else {
            return Ok(None);
        };
        PartialFile::admit(&path, options.if_exists)?;
        Ok(Some(Self {
            path,
            if_exists: options.if_exists,
        }))
    }

    /// Where the file will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line for each digest and target, lets `finish` complete the targets, and gives the
    /// file its name. Where a target fails, there is no checksum file either; where the file
    /// itself does, `undo` is to take the targets back.
    pub(super) fn write(
        self,
        digests: &[(String, &Path)],
        durability: Durability,
        partials: &Arc<Partials>,
        finish: impl FnOnce() -> Result<()>,
        undo: impl FnOnce(),
    ) -> Result<()> {
        let partial = PartialFile::create(&self.path, self.if_exists, partials)?;
        let lines = digests.iter().flat_map(|(digest, target)| {
            let name = target.file_name().unwrap_or(target.as_os_str());
            checksum_line(digest, name.as_encoded_bytes())
        });
        partial
            .file()
            .write_all(&lines.collect::<Vec<_>>())
            .map_err(|source| partial.failed(source))?;
        finish()?;
        partial.finish(durability).inspect_err(|_| undo())
    }
}

/// Where a conversion writes its checksum file: beside a target, or within a directory of targets;
/// `None` where it writes none.
pub(super) fn checksum_path(
    options: &ConvertOptions,
    target: &Path,
    is_directory: bool,
) -> Option<PathBuf> {
    let algorithm = options.checksum?;
    Some(match is_directory {
        true => target.join(of_all(algorithm)),
        false => of_one(target.as_os_str().to_owned(), algorithm),
    })
}

/// The checksum file of one target.
pub(super) fn of_one(mut target: OsString, algorithm: Algorithm) -> PathBuf {
    target.push(".");
    target.push(algorithm.name());
    PathBuf::from(target)
}

/// The name of the checksum file of all targets in a directory.
pub(super) fn of_all(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha256 => "SHA256SUMS",
        Algorithm::Blkhash => "BLKHASHSUMS",
    }
}

/// A line as sha256sum writes it: a name with a line end or a backslash is escaped, and a
/// backslash in front of the line says so.
#[must_use]
pub fn checksum_line(digest: &str, name: &[u8]) -> Vec<u8> {
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

/// What a checksum file says of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedDigest {
    /// The checksum file.
    pub file: PathBuf,
    /// How the digest was computed.
    pub algorithm: Algorithm,
    /// The digest, in small hexadecimal digits.
    pub digest: String,
}

/// Finds the line about `target` in the files that a conversion may have left beside it; `None`
/// where none has one.
///
/// # Errors
///
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where the target is not there, or a file beside it
/// cannot be read.
pub fn expected_digest(target: &Path) -> Result<Option<ExpectedDigest>> {
    // A target that is not there has no checksum file, but that is not what is wrong.
    std::fs::metadata(target).map_err(|error| Error::io("opening", target, error))?;
    let Some(name) = target.file_name() else {
        return Ok(None);
    };
    for algorithm in [Algorithm::Sha256, Algorithm::Blkhash] {
        let own = of_one(name.to_owned(), algorithm);
        for file in [
            target.with_file_name(own),
            target.with_file_name(of_all(algorithm)),
        ] {
            let Some(text) = read_list(&file)? else {
                continue;
            };
            let mut lines = text.split(|&byte| byte == b'\n').filter_map(parse);
            if let Some((digest, _)) = lines.find(|(_, named)| named == name.as_encoded_bytes()) {
                return Ok(Some(ExpectedDigest {
                    file,
                    algorithm,
                    digest,
                }));
            }
        }
    }
    Ok(None)
}

/// The text of a checksum file; `None` where there is no regular file, or one that is larger than
/// any list of targets.
///
/// # Errors
///
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read.
pub(super) fn read_list(path: &Path) -> Result<Option<Vec<u8>>> {
    /// In bytes.
    const MOST: u64 = 64 << 20;
    // Asked before it is opened: to open a pipe is to wait for its other end.
    let read = fs::metadata(path).and_then(|found| {
        let is_list = found.is_file() && found.len() <= MOST;
        is_list.then(|| fs::read(path)).transpose()
    });
    match read {
        Err(error) if is_absence(&error) => Ok(None),
        read => read.map_err(|error| Error::io("reading", path, error)),
    }
}

/// The names that the lines of a checksum file are about.
pub(super) fn named_in(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|&byte| byte == b'\n').filter_map(parse);
    lines.map(|(_, name)| name).collect()
}

/// The digest and the name in a line of a checksum file, as sha256sum writes it.
fn parse(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let (line, escaped) = match line.strip_prefix(b"\\") {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let (digest, name) = line.split_at_checked(64)?;
    let digest = std::str::from_utf8(digest).ok()?.to_ascii_lowercase();
    let is_hex = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Two spaces, or a space and the star of binary mode.
    let name = name
        .strip_prefix(b"  ")
        .or_else(|| name.strip_prefix(b" *"))?;
    if !escaped {
        return is_hex.then(|| (digest, name.to_owned()));
    }
    let mut plain = Vec::new();
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            other => other,
        });
    }
    is_hex.then_some((digest, plain))
}

/// Reads a whole disk for its digest.
///
/// # Errors
///
/// What the disk says, and [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) where `stop` was set.
pub fn digest_of(
    disk: &dyn VirtualDisk,
    algorithm: Algorithm,
    workers: &Workers,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<String> {
    let nowhere = StreamSink::new(Box::new(io::sink()), Path::new("nowhere"));
    let options = CopyOptions {
        find_zeros: false,
        stop,
    };
    let mut hasher = Hasher::new(algorithm);
    let observer = Some(&mut hasher as &mut dyn Observer);
    copy(disk, &nowhere, workers, options, progress, observer)?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_escaped_as_sha256sum_does() {
        assert_eq!(checksum_line("00", b"disk.raw"), b"00  disk.raw\n");
        assert_eq!(checksum_line("00", b"a\nb\\c"), b"\\00  a\\nb\\\\c\n");
    }

    #[test]
    fn lines_are_read_as_sha256sum_writes_them() {
        let digest = "0".repeat(64);
        let read = |line: String| parse(line.as_bytes());
        let named = |name: &[u8]| Some((digest.clone(), name.to_owned()));
        assert_eq!(read(format!("{digest}  disk.raw")), named(b"disk.raw"));
        assert_eq!(read(format!("{digest} *disk.raw")), named(b"disk.raw"));
        assert_eq!(read(format!("\\{digest}  a\\nb\\\\c")), named(b"a\nb\\c"));
        assert_eq!(read(format!("{digest} disk.raw")), None);
        assert_eq!(read("x".repeat(70)), None);
    }
}
