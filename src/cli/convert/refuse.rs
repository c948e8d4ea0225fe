//! What was typed for a conversion and does not go together.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ploopconv::convert::{Input, Target};

use super::args::{ConvertArgs, Reflink, Sparse};
use crate::advice::promise::Promised;
use crate::cli::outcome::Usage;

impl ConvertArgs {
    /// Refuses the name of a file that promises what is not written; `-O` overrules it.
    pub(super) fn refuse_promise(&self, target: &Target) -> Result<(), Promised> {
        let Target::File(path) = target else {
            return Ok(());
        };
        if self.format.is_some() || path.is_dir() {
            return Ok(());
        }
        Promised::by_name(path).map_or(Ok(()), Err)
    }

    /// Refuses options that cannot be followed together.
    pub(super) fn refuse_nonsense(&self, target: &Target) -> Result<(), Usage> {
        let mistake = |text: &str| Err(Usage(text.to_owned()));
        if self.verify && matches!(target, Target::Open(_) | Target::Stream(_)) {
            return mistake("--verify reads the target back, and what went to a stream is gone");
        }
        self.refuse_for_update(target)?;
        self.guest.refuse_nonsense(self.tar_options().is_some())?;
        if self.guest.is_for_machine() && self.partitions {
            return mistake(
                "--for kvm makes one disk that boots; --partitions would take it apart again",
            );
        }
        let to_files = target.is_files();
        if self.checksum.is_some() && !to_files {
            return mistake("--checksum writes a file beside the target, which has to be a file");
        }
        if self.reflink == Reflink::Always && self.open.salvage {
            return mistake("--salvage reads every byte, and --reflink=always none");
        }
        if self.reflink == Reflink::Always && !to_files {
            return mistake("--reflink=always wants a file as the target: others share nothing");
        }
        let format = self.format().usual(&self.output);
        if !to_files && !format.may_stream() {
            let name = format.name();
            return mistake(&format!(
                "{name} is not written from start to end; its target has to be a file"
            ));
        }
        if let Some(by_name) = self.named_tar_options() {
            self.packing.refuse_for_tar(&self.output, by_name)?;
            return self.refuse_for_files(target);
        }
        let Some(options) = self.qcow2_options() else {
            return self.packing.refuse_any();
        };
        self.packing.refuse_for_qcow2()?;
        if self.reflink == Reflink::Always && options.compression.is_some() {
            return mistake("--reflink=always and --compress exclude each other");
        }
        if options.compression.is_some() && self.sparse == Sparse::Never {
            return mistake("--sparse=never and --compress want opposite things");
        }
        Ok(())
    }

    /// Refuses what says something about a disk where only its files are wanted.
    fn refuse_for_files(&self, target: &Target) -> Result<(), Usage> {
        let mistake = |text: &str| Err(Usage(text.to_owned()));
        if self.makes_several() {
            return mistake(
                "-O tar makes one archive of one file system; choose it with --disk NAME and \
                 --partition N instead of --partitions or --disks",
            );
        }
        if matches!(target, Target::Device(_)) {
            return mistake("an archive of files goes to a file or a stream, and not to a device");
        }
        if self.open.compact {
            return mistake("--compact is for disks: an archive has no free blocks");
        }
        if self.sparse != Sparse::Auto {
            return mistake("--sparse is for disks: holes of files are never in an archive");
        }
        if self.reflink != Reflink::Auto {
            return mistake("--reflink is for disks: an archive shares nothing with the image");
        }
        Ok(())
    }

    /// Refuses a current directory that is the image's own, where the list of what is lost or the
    /// state of a device would go there.
    pub(super) fn refuse_place_beside_image(
        &self,
        target: &Target,
        input: &Input,
    ) -> Result<(), Usage> {
        let has_state = matches!(target, Target::Device(_)) && self.keeps_state();
        let what = match () {
            () if target.is_files() || self.dry_run => return Ok(()),
            () if self.open.salvage => "the list of what is lost goes",
            () if has_state => "what says what it holds (NAME.ploopconv) goes",
            () => return Ok(()),
        };
        let identity = |path: &Path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.dev(), meta.ino()))
        };
        let here = identity(Path::new("."));
        let files = input.store_files();
        let mut folders = files.iter().filter_map(|file| identity(file.parent()?));
        if here.is_some() && folders.any(|folder| Some(folder) == here) {
            return Err(Usage(format!(
                "for such a target {what} into the current directory, and that is the image's \
                 own; change to another one"
            )));
        }
        Ok(())
    }
}
