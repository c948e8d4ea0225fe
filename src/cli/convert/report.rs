//! What a conversion would do, and what it did.

use ploopconv::convert::{Account, Done, DoneImage, Plan, PlannedImage, Room};
use ploopconv::copy::Summary;
use ploopconv::format::tar::{TarCompression, TarWritten};
use ploopconv::hash::Algorithm;
use ploopconv::util::size::{human, short};
use serde::Serialize;

use super::becoming::Becoming;
use super::files::{self, FilesReport};
use super::guest::{GuestReport, JsonHint};
use super::machine::MachineReport;
use super::reporter::Reporter;
use super::warnings::stale_sums;
use crate::cli::ending::Ending;
use crate::cli::losses::{JsonAccount, complain_about};
use crate::cli::outcome::Verdict;
use crate::cli::output::{finish, line, results, write_message};
use crate::cli::report::path;

/// The report of one image.
#[derive(Serialize)]
struct Report {
    image: String,
    target: String,
    format: &'static str,
    /// Of a qcow2 target.
    cluster_size: Option<u64>,
    compression: Option<&'static str>,
    dry_run: bool,
    virtual_size: u64,
    /// Bytes that some layer stores.
    data_bytes: u64,
    /// Bytes that are stored and were left out, with `--compact`.
    left_out_bytes: Option<u64>,
    /// Bytes that were, or at most would be, written as data.
    written_bytes: u64,
    /// Bytes that the target shares with the files of the image.
    shared_bytes: u64,
    /// Bytes that were, or at least would be, left as zeros.
    zero_bytes: u64,
    /// The least and the most room that the target takes.
    least_bytes: u64,
    needed_bytes: u64,
    /// Free room where the target goes; null for a stream.
    free_bytes: Option<u64>,
    /// Null where that shows only when it is done.
    fits: Option<bool>,
    /// Whether the target was read back.
    verified: bool,
    /// How long it took; null for a dry run.
    seconds: Option<f64>,
    /// With `--checksum`: where the digest is, how it was computed, and the digest.
    checksum_file: Option<String>,
    algorithm: Option<&'static str>,
    digest: Option<String>,
    /// What was said of the image on stderr, or would have been.
    warnings: Vec<String>,
    /// What was lost, with `--salvage`.
    salvage: Option<JsonAccount>,
    /// Of an archive.
    files: Option<FilesReport>,
    /// With `--for`: what is changed.
    container: Option<GuestReport>,
    /// With `--for kvm`: what starts it.
    machine: Option<MachineReport>,
    /// With `--for`: what to type next.
    next: Vec<JsonHint>,
}

/// The report of all partitions.
#[derive(Serialize)]
struct Reports {
    image: String,
    target: String,
    dry_run: bool,
    needed_bytes: u64,
    free_bytes: Option<u64>,
    fits: Option<bool>,
    images: Vec<Report>,
}

/// What was written, or would be.
struct Written<'a> {
    summary: Summary,
    account: Option<&'a Account>,
    digest: Option<&'a str>,
    checksum: Option<&'a (std::path::PathBuf, Algorithm)>,
    archive: Option<&'a TarWritten>,
    /// What was said of it then.
    warnings: &'a [String],
}

impl Reporter<'_> {
    /// Shows the plan itself.
    pub(super) fn dry_run(&self, plan: &Plan) -> anyhow::Result<Verdict> {
        let room = plan.room();
        let verdict = match room.fits() {
            Some(false) => Verdict::NoRoom,
            _ => Verdict::Done,
        };
        let images = plan.images();
        // Unreadable sectors show when the disk is read.
        let account = match images {
            [only] if only.input.view().is_over_damage() && !self.args.makes_several() => {
                Some(Account::of(&only.input)?)
            }
            _ => None,
        };
        if self.args.json {
            let reports = images.iter().map(|image| {
                let written = Written::expected(image, account.as_ref());
                self.image(image, &written)
            });
            let ending = Ending::of(verdict, || {
                let free = human(room.free.unwrap_or(0));
                format!("{} are needed, and {free} are free", human(room.least))
            });
            self.print(&ending, reports.collect(), room)?;
        } else if self.args.makes_several() {
            show_all(images, room)?;
        } else if let [only] = images {
            self.show(only, account.as_ref())?;
        }
        Ok(verdict)
    }

    /// Says what was written.
    pub(super) fn done(&self, done: &Done) -> anyhow::Result<Verdict> {
        let args = self.args;
        let verdict = match done.images.iter().any(DoneImage::is_incomplete) {
            true => Verdict::Salvaged,
            false => Verdict::Done,
        };
        let seconds = self.seconds();
        let warnings: Vec<_> = done.stale.iter().map(|file| stale_sums(file)).collect();
        let said = warnings.iter().filter(|_| !args.quiet);
        said.for_each(|line| write_message(line));
        for image in done.images.iter().filter(|_| !args.quiet) {
            self.say_of(image);
        }
        if args.json {
            let reports = done.images.iter().map(|image| {
                let written = Written {
                    summary: image.summary,
                    account: image.account.as_ref(),
                    digest: image.digest.as_deref(),
                    checksum: done.checksum.as_ref(),
                    archive: image.archive.as_ref(),
                    warnings: &warnings,
                };
                self.image(&image.planned, &written)
            });
            let lost = || "part of the disk is lost or doubtful, as salvage says".to_owned();
            self.print(&Ending::of(verdict, lost), reports.collect(), done.room)?;
        }
        let to_stdout = args.output.as_os_str() == "-";
        if let ([image], false) = (
            &done.images[..],
            args.quiet || args.makes_several() || to_stdout,
        ) {
            let what = match image.planned.archive() {
                Some(archive) => files::held(archive.plan.contents()),
                None => format!("{} disk", short(image.planned.input.disk().size())),
            };
            write_message(&format!(
                "{}: {what}, {} in {seconds:.1} s",
                args.output.display(),
                words(image),
            ));
        }
        for image in done.images.iter().filter(|_| !args.quiet) {
            self.say_next(image.planned.archive());
        }
        Ok(verdict)
    }

    /// Says what became of an image, but for the line at the end of a conversion of one.
    fn say_of(&self, image: &DoneImage) {
        let args = self.args;
        let name = match args.makes_several() {
            true => path(&image.planned.path),
            false => path(&args.output),
        };
        if let Some(account) = &image.account {
            complain_about(account, &name);
        }
        if let Some(archive) = image.planned.archive() {
            let mut lines = files::left_out(archive);
            lines.extend(image.archive.iter().flat_map(files::zeroed));
            lines
                .iter()
                .for_each(|line| write_message(&format!("{name}: {line}")));
        }
        let chosen = image.summary.chosen;
        let orders = [
            (chosen.by_disk, "the disk"),
            (chosen.by_file, "the image's files"),
        ];
        for (read, order) in orders {
            if args.verbose && read > 0 {
                let read = short(read);
                write_message(&format!("{name}: {read} read in the order of {order}"));
            }
        }
        if args.makes_several() {
            let (size, written) = (image.planned.input.disk().size(), words(image));
            let name = image.planned.path.display();
            write_message(&format!("{name}: {}, {written}", short(size)));
        }
    }

    /// How long it has taken so far, to the millisecond.
    pub(super) fn seconds(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    /// Prints the report for scripts.
    fn print(&self, ending: &Ending, mut images: Vec<Report>, room: Room) -> anyhow::Result<()> {
        let args = self.args;
        if !args.makes_several() && images.len() == 1 {
            return ending.print(&images.remove(0));
        }
        ending.print(&Reports {
            image: args.open.name().to_string(),
            target: args.output.display().to_string(),
            dry_run: args.dry_run,
            needed_bytes: room.most,
            free_bytes: room.free,
            fits: self.fits(room),
            images,
        })
    }

    fn fits(&self, room: Room) -> Option<bool> {
        if self.args.dry_run {
            room.fits()
        } else {
            // What was written did fit.
            Some(true)
        }
    }

    fn image(&self, image: &PlannedImage, written: &Written<'_>) -> Report {
        let args = self.args;
        let summary = written.summary;
        let qcow2 = args.qcow2_options();
        let checksum = written.checksum.filter(|_| written.digest.is_some());
        let Becoming {
            container,
            machine,
            next,
        } = self.becoming(image.archive());
        Report {
            image: image.input.name().to_owned(),
            target: match args.makes_several() {
                true => image.path.display().to_string(),
                false => args.output.display().to_string(),
            },
            format: args.format().name,
            cluster_size: qcow2.map(|options| options.cluster_size.bytes()),
            compression: match args.tar_options() {
                Some(options) => options.compression.map(TarCompression::name),
                None => qcow2.and(args.packing.compression_name()),
            },
            dry_run: args.dry_run,
            virtual_size: image.input.disk().size(),
            data_bytes: image.data_bytes,
            left_out_bytes: image.left_out,
            written_bytes: summary.written,
            shared_bytes: summary.shared,
            zero_bytes: summary.zeros,
            least_bytes: image.room.least,
            needed_bytes: image.room.most,
            free_bytes: image.room.free,
            fits: self.fits(image.room),
            verified: args.verify && !args.dry_run,
            seconds: (!args.dry_run).then(|| self.seconds()),
            checksum_file: checksum.map(|(file, _)| path(file)),
            algorithm: checksum.map(|(_, algorithm)| algorithm.name()),
            digest: written.digest.map(ToOwned::to_owned),
            warnings: self
                .warnings
                .iter()
                .chain(written.warnings)
                .cloned()
                .collect(),
            salvage: written.account.map(JsonAccount::of),
            files: image
                .archive()
                .map(|archive| FilesReport::of(archive, written.archive)),
            container,
            machine,
            next,
        }
    }

    fn show(&self, image: &PlannedImage, account: Option<&Account>) -> anyhow::Result<()> {
        let args = self.args;
        let mut out = results();
        let mut field = |name: &str, value: &str| line(&mut out, &format!("{name:<8} {value}"));
        field("image:", &args.open.name().to_string())?;
        let target = format!("{} ({})", args.output.display(), args.kind());
        field("target:", &target)?;
        if let Some(archive) = image.archive() {
            field("files:", &files::held(archive.plan.contents()))?;
            field("archive:", &files::size(&archive.plan))?;
            for line in files::left_out(archive) {
                field("note:", &line)?;
            }
        } else {
            field("disk:", &human(image.input.disk().size()))?;
            field("stored:", &human(image.data_bytes))?;
            if let Some(left_out) = image.left_out {
                field("unused:", &unused(left_out))?;
            }
        }
        for (name, value) in self.plan_lines(image.archive())? {
            field(name, &value)?;
        }
        field("needed:", &needed(image.room))?;
        if let Some(verdict) = verdict(image.room) {
            field("free:", &verdict)?;
        }
        for line in account.iter().flat_map(|account| account.lines(20)) {
            field("lost:", &line)?;
        }
        finish(out)
    }
}

impl<'a> Written<'a> {
    /// What would be written, if nothing more proves to be zeros.
    fn expected(image: &PlannedImage, account: Option<&'a Account>) -> Self {
        let (written, size) = match image.archive() {
            Some(archive) => (archive.plan.size(), 0),
            None => (image.data_bytes, image.input.disk().size()),
        };
        Self {
            summary: Summary {
                written,
                zeros: size.saturating_sub(written),
                ..Summary::default()
            },
            account,
            digest: None,
            checksum: None,
            archive: None,
            warnings: &[],
        }
    }
}

fn show_all(images: &[PlannedImage], room: Room) -> anyhow::Result<()> {
    let mut out = results();
    for image in images {
        let (size, needed) = (human(image.input.disk().size()), short(image.room.most));
        let left_out = image.left_out.map_or_else(String::new, |bytes| {
            format!(", {} of free blocks left out", short(bytes))
        });
        let text = format!(
            "{}: {size}, {needed} needed{left_out}",
            image.path.display()
        );
        line(&mut out, &text)?;
    }
    line(&mut out, &format!("needed: {}", needed(room)))?;
    if let Some(verdict) = verdict(room) {
        line(&mut out, &format!("free:   {verdict}"))?;
    }
    finish(out)
}

/// What is stored in free blocks, for people.
fn unused(left_out: u64) -> String {
    format!("{} in free blocks, which are left out", human(left_out))
}

/// The most it takes, for people.
fn needed(room: Room) -> String {
    let most = if room.is_open() { "at most " } else { "" };
    format!("{most}{}", human(room.most))
}

/// What is free, and whether that is enough, for people; `None` for a stream.
fn verdict(room: Room) -> Option<String> {
    let fits = match room.fits() {
        Some(true) => "fits in any case",
        Some(false) => "does not fit",
        None => "may not fit",
    };
    room.free.map(|free| format!("{}: {fits}", human(free)))
}

/// What a copy did, for people.
fn words(image: &DoneImage) -> String {
    let summary = image.summary;
    let written = format!("{} written", short(summary.written));
    let copied = match summary.shared {
        0 => written,
        shared => format!("{} shared, {written}", short(shared)),
    };
    match image.planned.left_out {
        None => copied,
        Some(left_out) => format!("{copied}, {} of free blocks left out", short(left_out)),
    }
}
