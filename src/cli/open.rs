//! What to read: the arguments that every reading command takes.

use std::path::{Path, PathBuf};

use ploopconv::Workers;
use ploopconv::convert::Input;
use ploopconv::disk::VirtualDisk;
use ploopconv::partition::{self, Partition, PartitionLayout};
use ploopconv::ploop::{Examined, IfInUse, LayerName, OpenOptions, SnapshotName, examine};
use ploopconv::util::bytes::to_usize;

use super::number::number;

/// The image, and how freely it is opened.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OpenArgs {
    /// Image file, descriptor, directory or container id
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// Read this disk of IMAGE, a directory with several: its name, or its number in
    /// config.pvs
    #[arg(
        id = "disk_name",
        long = "disk",
        value_name = "NAME|N",
        help_heading = "Reading"
    )]
    pub(crate) disk: Option<String>,
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
        value_parser = layer_name,
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

/// A name in the list of layers; a comma too many names none.
fn layer_name(text: &str) -> Result<LayerName, String> {
    let Ok(name) = text.parse::<LayerName>();
    if name.file.as_os_str().is_empty() {
        return Err("a comma or raw: stands there without the name of a file".to_owned());
    }
    Ok(name)
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
        self.threads.map(to_usize)
    }

    /// What becomes of a disk that is in use.
    pub(crate) fn if_in_use(&self) -> IfInUse {
        if self.allow_dirty {
            IfInUse::Read
        } else {
            IfInUse::Refuse
        }
    }

    /// Opens and examines the image.
    pub(crate) fn examine(&self, workers: &Workers) -> ploopconv::Result<Examined> {
        let mut options = OpenOptions {
            disk: self.disk.clone(),
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
    pub(crate) fn disk(&self, examined: Examined) -> ploopconv::Result<Input> {
        let name = self.name().to_string();
        self.narrowed(Input::examined(examined, self.if_in_use(), &name)?)
    }

    /// The partition of a disk that was asked for, or the whole disk.
    pub(crate) fn narrowed(&self, input: Input) -> ploopconv::Result<Input> {
        match self.partition {
            Some(number) => input.only_partition(number),
            None => Ok(input),
        }
    }

    /// The partition that was asked for, and how the disk is divided; `None` where the whole disk
    /// is meant, whose table then does not matter.
    pub(crate) fn choose(
        &self,
        disk: &dyn VirtualDisk,
    ) -> ploopconv::Result<Option<(PartitionLayout, Partition)>> {
        let Some(number) = self.partition else {
            return Ok(None);
        };
        let layout = partition::read(disk)?;
        let partition = layout.partition(number)?.clone();
        Ok(Some((layout, partition)))
    }

    /// Where containers are that are named by their number.
    pub(crate) fn private_dirs(&self) -> &[PathBuf] {
        &self.private_dir
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
        let of_disks = [
            (self.partition.is_some(), "--partition"),
            (self.allow_dirty, "--allow-dirty"),
        ];
        let of_disks = of_disks.iter().find(|(given, _)| *given);
        (self.only_for_layers()).or(of_disks.map(|(_, option)| *option))
    }

    /// An option that was given and says which layers there are, or how they are read.
    pub(crate) fn only_for_layers(&self) -> Option<&'static str> {
        [
            (self.disk.is_some(), "--disk"),
            (self.snapshot.is_some(), "--snapshot"),
            (self.single_layer, "--single-layer"),
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
