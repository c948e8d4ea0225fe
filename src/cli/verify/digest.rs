//! A target against the checksum file beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use ploopconv::Workers;
use ploopconv::copy::{CopyOptions, Observer, Progress, copy};
use ploopconv::disk::VirtualDisk;
use ploopconv::hash::{Algorithm, Hasher};
use ploopconv::sink::StreamSink;
use serde::Serialize;

use super::VerifyArgs;
use crate::cli::Verdict;
use crate::cli::output::{complain, finish, json, line, results};
use crate::cli::progress::Display;
use crate::cli::report::path;
use crate::cli::side::{Side, forget_cached};
use crate::cli::signals::Guard;

#[derive(Serialize)]
struct Report {
    target: String,
    checksum_file: String,
    algorithm: &'static str,
    expected: String,
    found: String,
    equal: bool,
}

/// What a checksum file says of the target.
struct Expected {
    file: PathBuf,
    algorithm: Algorithm,
    digest: String,
}

pub(super) fn run(
    args: &VerifyArgs,
    workers: &Workers,
    signals: &Guard,
) -> anyhow::Result<Verdict> {
    let Expected {
        file,
        algorithm,
        digest: expected,
    } = look_beside(&args.target)?;
    forget_cached(&args.target)?;
    let target = match algorithm {
        // Of the file as it is, whatever it holds.
        Algorithm::Sha256 => Side::raw(&args.target),
        Algorithm::Blkhash => Side::file(&args.target),
    }?;
    let disk = target.disk.as_ref();
    let progress = Display::new(args.progress, args.quiet, disk.size());
    let found = of(disk, algorithm, workers, signals.stop(), &progress);
    progress.clear();
    let found = found?;
    let equal = found == expected;
    if args.json {
        json(&Report {
            target: path(&args.target),
            checksum_file: path(&file),
            algorithm: algorithm.name(),
            expected,
            found,
            equal,
        })?;
    } else {
        let verdict = if equal { "verified" } else { "different" };
        let mut out = results();
        line(
            &mut out,
            &format!("{}: {verdict} ({})", args.target.display(), file.display()),
        )?;
        finish(out)?;
        if !equal && !args.quiet {
            complain("a checksum does not say where: --against IMAGE names the first difference");
        }
    }
    Ok(if equal { Verdict::Done } else { Verdict::No })
}

/// Reads a whole disk for its digest.
pub(crate) fn of(
    disk: &dyn VirtualDisk,
    algorithm: Algorithm,
    workers: &Workers,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> ploopconv::Result<String> {
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

/// Finds the line about `target` in the files that a conversion may have left beside it.
fn look_beside(target: &Path) -> anyhow::Result<Expected> {
    // A target that is not there has no checksum file, but that is not what is wrong.
    std::fs::metadata(target).with_context(|| format!("opening {}", target.display()))?;
    let name = target.file_name().context("it is not the name of a file")?;
    for algorithm in [Algorithm::Sha256, Algorithm::Blkhash] {
        let mut own = name.to_owned();
        own.push(".");
        own.push(algorithm.name());
        let shared = match algorithm {
            Algorithm::Sha256 => "SHA256SUMS",
            Algorithm::Blkhash => "BLKHASHSUMS",
        };
        for file in [target.with_file_name(own), target.with_file_name(shared)] {
            let text = match std::fs::read(&file) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("reading {}", file.display()));
                }
            };
            let mut lines = text.split(|&byte| byte == b'\n').filter_map(parse);
            if let Some((digest, _)) = lines.find(|(_, named)| named == name.as_encoded_bytes()) {
                return Ok(Expected {
                    file,
                    algorithm,
                    digest,
                });
            }
        }
    }
    bail!("there is no checksum file beside it that names it; add --against IMAGE")
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

#[cfg(test)]
mod tests {
    use super::*;

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
