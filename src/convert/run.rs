//! Carries a plan out: every image is complete under its name, or none is there.

use std::path::{Path, PathBuf};

use super::account::Account;
use super::archive::PlannedArchive;
use super::checksum::ChecksumFile;
use super::list::{LossList, remove_stale};
use super::options::ConvertOptions;
use super::parallel::fill_all;
use super::plan::{Plan, PlannedImage};
use super::resources::Resources;
use super::room::Room;
use super::stale::{EarlierSums, remove_leftovers};
use super::target::Target;
use super::update::{record, record_path, remove_leftovers_of_state, stale_path};
use crate::copy::Summary;
use crate::error::{Error, Result};
use crate::format::tar::TarWritten;
use crate::hash::Algorithm;
use crate::sink::{IfExists, Sink};

/// A conversion that was carried out.
#[derive(Debug)]
pub struct Done {
    /// The images.
    pub images: Vec<DoneImage>,
    /// The file with their digests, and how these were computed.
    pub checksum: Option<(PathBuf, Algorithm)>,
    /// Checksum files that still have a line about what a target held before.
    pub stale: Vec<PathBuf>,
    /// What they were said to take.
    pub room: Room,
}

/// An image that was made.
#[derive(Debug)]
pub struct DoneImage {
    /// Where, and of what.
    pub planned: PlannedImage,
    /// What the copy did.
    pub summary: Summary,
    /// What of it is lost, where it was read over damage.
    pub account: Option<Account>,
    /// With a checksum.
    pub digest: Option<String>,
    /// What became of an archive.
    pub archive: Option<TarWritten>,
}

/// A conversion that was not carried out.
#[derive(Debug)]
pub struct ConvertFailure {
    /// Why not.
    pub error: Error,
    /// The image that it is about, where there are several.
    pub image: Option<PathBuf>,
}

impl From<Error> for ConvertFailure {
    fn from(error: Error) -> Self {
        Self { error, image: None }
    }
}

impl DoneImage {
    /// Whether something of it is lost or doubtful.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        let account = self.account.as_ref();
        let archive = self.planned.archive();
        account.is_some_and(|account| !account.is_nothing())
            || archive.is_some_and(PlannedArchive::is_incomplete)
            || self
                .archive
                .iter()
                .any(|written| !written.zeroed.is_empty())
    }
}

impl Plan {
    /// Makes all images. When anything fails, or it is stopped, none is there, and what was there
    /// before is as it was; of a device the first MiB is zeros then. Only when a name cannot be
    /// given although the files were written, images that replaced others before it stay.
    ///
    /// # Errors
    ///
    /// [`TargetError::NoRoom`](crate::sink::TargetError::NoRoom) where it is known not to fit,
    /// [`ErrorKind::Stopped`](crate::ErrorKind::Stopped), what the disk or the target says,
    /// [`ConvertError::WrongTarget`](crate::convert::ConvertError::WrongTarget) where a target was
    /// read back and is wrong.
    pub fn run(mut self, resources: &Resources<'_>) -> std::result::Result<Done, ConvertFailure> {
        self.refuse_if_full()?;
        let is_directory = matches!(self.target, Target::Directory(_));
        let sums = self.earlier_sums();
        if self.target.is_files() {
            remove_leftovers(self.target.name(), is_directory);
        }
        remove_leftovers_of_state(&self.target, &self.options);
        let (options, room) = (self.options, self.room);
        let checksum = ChecksumFile::admit(&options, self.target.name(), is_directory)?;
        let state = match &self.images[..] {
            [only] => record_path(&only.input, &self.target, &options)?,
            _ => None,
        };
        let stale = match &self.images[..] {
            [only] if state.is_none() => stale_path(&self.target, &only.input, &options),
            _ => None,
        };
        let lists = self.images.iter().map(|image| {
            let of_its_own = Target::File(image.path.clone());
            let target = if is_directory {
                &of_its_own
            } else {
                &self.target
            };
            let list = || LossList::create(target, &options, &image.input, resources.partials);
            let is_over_damage = image.input.view().is_over_damage();
            is_over_damage.then(list).transpose()
        });
        let lists: Vec<_> = lists.collect::<Result<_>>()?;
        let mut images = self.images;
        let filled = fill_all(&mut images, self.target, &options, resources);
        let filled = filled.map_err(|(path, error)| ConvertFailure {
            error,
            image: path.filter(|_| is_directory),
        })?;
        // What lies beside the targets is ready before they are there, so that nothing but names is
        // left to be given.
        let mut sinks = Vec::new();
        let mut done = Vec::new();
        for ((planned, list), filled) in images.into_iter().zip(&lists).zip(filled) {
            let account = list.as_ref().map(|list| list.write(&planned.input));
            let account = account.transpose().map_err(|error| ConvertFailure {
                error,
                image: is_directory.then(|| planned.path.clone()),
            })?;
            sinks.push(filled.sink);
            done.push(DoneImage {
                account,
                planned,
                summary: filled.summary,
                digest: filled.digest,
                archive: filled.archive,
            });
        }
        let checksum = give_names(&options, resources, &done, sinks, checksum, lists)?;
        for image in &done {
            let replaced = image.planned.is_file && options.if_exists == IfExists::Replace;
            if image.account.is_none() && replaced {
                remove_stale(&image.planned.path, &image.planned.input);
            }
        }
        if let (Some(path), [only]) = (&state, &done[..]) {
            record(path, &only.planned.input, &only.planned.path, &options)?;
        }
        if let Some(path) = stale {
            // It is not worth failing for: it does not fit the new target.
            let _ = std::fs::remove_file(path);
        }
        self.folder.keep();
        let written = checksum.as_ref().map(|(file, _)| file.as_path());
        Ok(Done {
            images: done,
            stale: sums.left(written),
            checksum,
            room,
        })
    }

    /// The checksum files of what targets hold that are replaced.
    fn earlier_sums(&self) -> EarlierSums {
        if self.options.if_exists != IfExists::Replace {
            return EarlierSums::default();
        }
        let files = self.images.iter().filter(|image| image.is_file);
        let paths = files.map(|image| image.path.as_path());
        let replaced: Vec<&Path> = paths.filter(|path| path.exists()).collect();
        EarlierSums::of(&self.target, &replaced)
    }
}

/// Gives all files their names: the targets, then the checksum file, then the lists. Where one
/// fails, those that have their names go again.
fn give_names(
    options: &ConvertOptions,
    resources: &Resources<'_>,
    done: &[DoneImage],
    sinks: Vec<Box<dyn Sink>>,
    checksum: Option<ChecksumFile>,
    lists: Vec<Option<LossList>>,
) -> Result<Option<(PathBuf, Algorithm)>> {
    let files = || done.iter().filter(|image| image.planned.is_file);
    let paths = || files().map(|image| image.planned.path.as_path());
    let finish = || {
        for (number, sink) in sinks.into_iter().enumerate() {
            // All or nothing.
            sink.finish()
                .inspect_err(|_| options.take_back(paths().take(number)))?;
        }
        Ok(())
    };
    let mut sums = None;
    match checksum.zip(options.checksum) {
        Some((file, algorithm)) => {
            let digests = done.iter().map(|image| image.digest.clone());
            let digests: Vec<_> = digests.flatten().zip(paths()).collect();
            sums = Some((file.path().to_owned(), algorithm));
            let undo = || options.take_back(paths());
            file.write(
                &digests,
                options.durability,
                resources.partials,
                finish,
                undo,
            )?;
        }
        None => finish()?,
    }
    for (number, list) in lists.into_iter().flatten().enumerate() {
        list.finish(options.durability).inspect_err(|_| {
            let sums = sums.iter().map(|(path, _)| path.as_path());
            let lists = done.iter().filter_map(list_of);
            options.take_back(paths().chain(sums).chain(lists.take(number)));
        })?;
    }
    Ok(sums)
}

fn list_of(image: &DoneImage) -> Option<&Path> {
    image.account.as_ref()?.list.as_deref()
}
