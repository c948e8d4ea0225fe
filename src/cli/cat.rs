//! `ploopconv cat`: the bytes of files.

use std::ffi::OsString;
use std::io::Write;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use ploopconv::ext4::Files;
use ploopconv::tree::{FileType, IfLost, LastLink, PathError, Piece, Tree, contents, resolve};
use ploopconv::util::bytes::{to_u64, to_usize};
use ploopconv::util::text::safe_bytes;

use super::files::{Opened, every_path, if_lost, is_of_image, open};
use super::open::OpenArgs;
use super::outcome::Verdict;
use super::output::{Stdout, finish, results, write_message};

/// What holes are written from.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Print the bytes of files of the container
#[derive(Debug, clap::Args)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Files, from the root of the container's file system; may be a pattern
    /// such as 'etc/*-release', in quotes
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
}

pub(crate) fn run(args: &CatArgs) -> anyhow::Result<Verdict> {
    let context = || format!("reading files of {}", args.open.name());
    let workers = args.open.workers()?;
    let mut opened = open(&args.open, &workers).with_context(context)?;
    let mut out = results();
    let Opened {
        input,
        files,
        problems,
    } = &mut opened;
    every_path(files, &args.paths, |path, found| {
        let written = match found {
            Ok(found) => print(files, if_lost(input), &found, &mut out),
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(has_loss) => problems.has_loss |= has_loss,
            Err(error) => match error.downcast::<ploopconv::Error>() {
                Ok(error) if !is_of_image(&error) => {
                    problems.add("reading", path, error, &args.open);
                }
                Ok(error) => return Err(anyhow::Error::from(error).context(context())),
                Err(of_stdout) => return Err(of_stdout),
            },
        }
        Ok(())
    })?;
    finish(out)?;
    let unchanged = input.disk().check_unchanged();
    unchanged.with_context(context)?;
    Ok(problems.verdict())
}

/// Writes the bytes of a file. True where zeros stand for some.
fn print(
    files: &Files,
    if_lost: IfLost,
    path: &[u8],
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let file = resolve(files, path, LastLink::Follow)?;
    let node = files.node(file.inode)?;
    let file_type = node.metadata().file_type;
    if file_type != FileType::File {
        let path = path.to_vec();
        return Err(ploopconv::Error::from(PathError::NotAFile { path, file_type }).into());
    }
    let stop = AtomicBool::new(false);
    let lost = contents(&*node, if_lost, &stop, |piece| match piece {
        Piece::Data(bytes) => out.write_all(bytes).context(Stdout),
        Piece::Hole(len) => zeros(out, len),
    })?;
    for range in &lost {
        write_message(&format!(
            "warning: {}: {} bytes at offset {:#x} are lost, and zeros stand for them",
            safe_bytes(path),
            range.end - range.start,
            range.start
        ));
    }
    Ok(!lost.is_empty())
}

fn zeros(out: &mut impl Write, len: u64) -> anyhow::Result<()> {
    let mut left = len;
    while left > 0 {
        let now = left.min(to_u64(ZEROS.len()));
        let zeros = ZEROS.get(..to_usize(now)).unwrap_or_default();
        out.write_all(zeros).context(Stdout)?;
        left -= now;
    }
    Ok(())
}
