//! What to read: the arguments that every reading command takes.

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ploopconv::Workers;
use ploopconv::disk::{Loss, Slice, VirtualDisk};
use ploopconv::partition::{self, Layout, Partition};
use ploopconv::ploop::{Examined, LayerName, OpenOptions, PloopDisk, SnapshotName, examine};
use ploopconv::salvage::{Salvaged, Trusted};

use super::number::number;

/// The image, and how freely it is opened.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OpenArgs {
    /// Image file, descriptor, directory or container id
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// Read this snapshot instead of the current state: its GUID, or its name
    #[arg(long, value_name = "GUID|NAME", help_heading = "Reading")]
    pub(crate) snapshot: Option<SnapshotName>,
    /// Read an image file by itself, whatever the descriptor beside it says
    #[arg(long, conflicts_with = "snapshot", help_heading = "Reading")]
    single_layer: bool,
    /// See only this partition, as the kernel numbers it
    #[arg(
        long,
        value_name = "N",
        value_parser = number::<1, { u32::MAX }>,
        help_heading = "Reading"
    )]
    pub(crate) partition: Option<u32>,
    /// Read an image that is in use, or marked so after a crash
    #[arg(long, help_heading = "Reading")]
    pub(crate) allow_dirty: bool,
    /// Read on over damage: what is lost reads as zeros and is listed
    #[arg(long, help_heading = "Reading")]
    pub(crate) salvage: bool,
    /// Let the descriptor name files outside its folder
    #[arg(long, help_heading = "Reading")]
    allow_outside: bool,
    /// A chain named by hand, in IMAGE's folder, base first (raw:BASE for a raw
    /// disk); no descriptor is read
    #[arg(
        long,
        value_name = "BASE,…,TOP",
        value_delimiter = ',',
        conflicts_with_all = ["snapshot", "single_layer"],
        help_heading = "Reading"
    )]
    layers: Vec<LayerName>,
    /// Use the table (FILE.idx) that an interrupted version conversion saved
    #[arg(long, help_heading = "Reading")]
    use_idx: bool,
    /// Look for container ids here instead of /vz/private and /var/lib/vz/private
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    private_dir: Vec<PathBuf>,
    /// Use this many threads [default: the number of cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = number::<1, 128>)]
    threads: Option<u32>,
}

/// What a command reads.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The disk, or the partition of it that was asked for.
    pub(crate) disk: Box<dyn VirtualDisk>,
    /// The files of the layers, base first.
    pub(crate) layer_files: Vec<PathBuf>,
    /// Device and inode of every file that is read, so that none becomes a target.
    pub(crate) files: Vec<(u64, u64)>,
    /// Where it is read over damage: what it lost.
    pub(crate) salvage: Option<Salvage>,
}

/// What is known of a disk, or a part of one, that is read over damage.
#[derive(Debug, Clone)]
pub(crate) struct Salvage {
    disk: Arc<Salvaged<Box<PloopDisk>>>,
    /// The part that is looked at.
    range: Range<u64>,
    /// Device and inode of every file that is read.
    files: Arc<[(u64, u64)]>,
}

impl Salvage {
    fn new(disk: PloopDisk, files: &[(u64, u64)]) -> Self {
        let range = 0..disk.size();
        Self {
            disk: Arc::new(Salvaged::new(Box::new(disk))),
            range,
            files: files.into(),
        }
    }

    /// Whether a path is a file of the image.
    pub(crate) fn is_read_from(&self, path: &Path) -> bool {
        let meta = std::fs::metadata(path);
        meta.is_ok_and(|meta| self.files.contains(&(meta.dev(), meta.ino())))
    }

    /// The same for a part of what is looked at.
    pub(crate) fn part(&self, start: u64, len: u64) -> Self {
        let start = self.range.start.saturating_add(start);
        let range = start..start.saturating_add(len).min(self.range.end);
        Self {
            range,
            ..self.clone()
        }
    }

    /// The disk, with zeros for what is lost.
    fn disk(&self) -> ploopconv::Result<Slice<Arc<Salvaged<Box<PloopDisk>>>>> {
        let Range { start, end } = self.range;
        Slice::new(Arc::clone(&self.disk), start, end - start)
    }

    /// The disk as it is stored, where lost extents are lost and cannot be read.
    pub(crate) fn stored(&self) -> ploopconv::Result<Slice<&PloopDisk>> {
        let Range { start, end } = self.range;
        Slice::new(self.disk.stored(), start, end - start)
    }

    /// The disk for those who must not take zeros for what is lost.
    fn trusted(&self) -> ploopconv::Result<Box<dyn VirtualDisk>> {
        let Range { start, end } = self.range;
        let disk = Box::new(Trusted::new(Arc::clone(&self.disk)));
        Ok(Box::new(Slice::new(disk, start, end - start)?))
    }

    /// Everything that is lost as far as it is known: unreadable sectors show while reading.
    pub(crate) fn losses(&self) -> impl Iterator<Item = ploopconv::Result<Loss>> + '_ {
        let range = self.range.clone();
        let losses = self.disk.losses_in(self.range.clone());
        losses.filter_map(move |loss| loss.map(|loss| loss.seen_from(&range)).transpose())
    }
}

impl Opened {
    /// The disk for clients: what cannot be trusted is an error for whoever reads it.
    pub(crate) fn for_clients(self) -> ploopconv::Result<Box<dyn VirtualDisk>> {
        match self.salvage {
            Some(salvage) => salvage.trusted(),
            None => Ok(self.disk),
        }
    }
}

impl OpenArgs {
    /// Starts the threads that everything runs on.
    pub(crate) fn workers(&self) -> anyhow::Result<Workers> {
        let cores = || {
            std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(128)
        };
        Ok(Workers::new(self.threads().unwrap_or_else(cores))?)
    }

    /// The number of threads that was asked for.
    pub(crate) fn threads(&self) -> Option<usize> {
        self.threads
            .and_then(|threads| usize::try_from(threads).ok())
    }

    /// Opens and examines the image.
    pub(crate) fn examine(&self, workers: &Workers) -> ploopconv::Result<Examined> {
        let mut options = OpenOptions {
            snapshot: self.snapshot.clone(),
            single_layer: self.single_layer,
            layers: self.layers.clone(),
            salvage: self.salvage,
            use_index: self.use_idx,
            allow_outside: self.allow_outside,
            ..OpenOptions::default()
        };
        if !self.private_dir.is_empty() {
            options.private_dirs.clone_from(&self.private_dir);
        }
        workers.install(|| examine(&self.image, &options))
    }

    /// Gives the disk to read, whole or the partition that was asked for, or says why it may not
    /// be read.
    pub(crate) fn disk(&self, examined: Examined) -> ploopconv::Result<Opened> {
        let related = examined
            .related
            .iter()
            .filter_map(|file| std::fs::metadata(file).ok());
        let related: Vec<_> = related.map(|meta| (meta.dev(), meta.ino())).collect();
        let disk = examined.into_disk(self.allow_dirty)?;
        let files: Vec<_> = disk
            .files()
            .map(|file| file.identity())
            .chain(related)
            .collect();
        let layers = disk.layers().iter();
        let layer_files = layers.map(|layer| layer.source().path().to_owned());
        let layer_files = layer_files.collect();
        if self.salvage {
            let mut salvage = Salvage::new(disk, &files);
            if let Some((_, partition)) = self.choose(&salvage.disk()?)? {
                salvage = salvage.part(partition.start, partition.len);
            }
            return Ok(Opened {
                disk: Box::new(salvage.disk()?),
                layer_files,
                files,
                salvage: Some(salvage),
            });
        }
        let disk: Box<dyn VirtualDisk> = match self.choose(&disk)? {
            Some((_, partition)) => Box::new(partition.of(Box::new(disk))?),
            None => Box::new(disk),
        };
        Ok(Opened {
            disk,
            layer_files,
            files,
            salvage: None,
        })
    }

    /// The partition that was asked for, and how the disk is divided; `None` where the whole disk
    /// is meant, whose table then does not matter.
    pub(crate) fn choose(
        &self,
        disk: &dyn VirtualDisk,
    ) -> ploopconv::Result<Option<(Layout, Partition)>> {
        let Some(number) = self.partition else {
            return Ok(None);
        };
        let layout = partition::read(disk)?;
        let partition = layout.partition(number)?.clone();
        Ok(Some((layout, partition)))
    }

    /// The same options for another image.
    pub(crate) fn of(&self, image: &Path) -> Self {
        Self {
            image: image.to_owned(),
            ..self.clone()
        }
    }

    /// An option that was given and says something to ploop images only.
    pub(crate) fn only_for_ploop(&self) -> Option<&'static str> {
        [
            (self.snapshot.is_some(), "--snapshot"),
            (self.single_layer, "--single-layer"),
            (self.partition.is_some(), "--partition"),
            (self.allow_dirty, "--allow-dirty"),
            (self.salvage, "--salvage"),
            (self.allow_outside, "--allow-outside"),
            (!self.layers.is_empty(), "--layers"),
            (self.use_idx, "--use-idx"),
            (!self.private_dir.is_empty(), "--private-dir"),
        ]
        .into_iter()
        .find_map(|(given, option)| given.then_some(option))
    }

    /// What messages call the image.
    pub(crate) fn name(&self) -> std::path::Display<'_> {
        Path::display(&self.image)
    }
}
