//! What lies in the folder of a disk whose descriptor is lost, and how it could be read.

mod order;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ploopconv::Workers;
use ploopconv::ploop::{
    Examined, LayerInfo, OpenOptions, State, descriptor_backups, examine, is_named_like_a_delta,
};
use ploopconv::util::time::UtcTime;
use serde::Serialize;

use self::order::Candidate;
use super::args::InfoArgs;
use super::layer::{JsonLayer, format, json_layer};
use crate::advice::shell::{quoted, shell_word};
use crate::cli::ending::Ending;
use crate::cli::open::OpenArgs;
use crate::cli::output::{finish, line, results, story};
use crate::cli::partitions::Division;
use crate::cli::report::path;
use ploopconv::util::paths::folder_of;
use ploopconv::util::size::short;

/// The images of a disk, in the order in which they could be a chain.
#[derive(Debug, Default, Serialize)]
pub(super) struct Survey {
    found_images: Vec<Found>,
    /// The command that reads them as one chain, where names and times tell the order.
    command: Option<String>,
    /// Why there is no command.
    unknown: Option<String>,
    /// Copies of the descriptor that a program kept: an earlier state of it.
    descriptor_backups: Vec<String>,
}

/// An image that was found.
#[derive(Debug, Serialize)]
struct Found {
    file: String,
    /// When it was last written to, in seconds since 1970.
    modified: Option<u64>,
    /// Why it cannot be read.
    error: Option<String>,
    damaged: bool,
    layer: Option<JsonLayer>,
    #[serde(flatten)]
    division: Division,
    #[serde(skip)]
    lines: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    image: String,
    descriptor: Option<String>,
    #[serde(flatten)]
    survey: Survey,
}

/// Shows what a folder without a descriptor holds.
pub(super) fn without_descriptor(
    args: &InfoArgs,
    folder: &Path,
    images: &[PathBuf],
    ending: &Ending,
    workers: &Workers,
) -> anyhow::Result<()> {
    let survey = Survey::new(folder, images, workers);
    if args.json {
        return ending.print(&Report {
            image: args.open.name().to_string(),
            descriptor: None,
            survey,
        });
    }
    let mut out = results();
    for (name, text) in survey.lines() {
        line(&mut out, &format!("{name:<13} {text}"))?;
    }
    finish(out)
}

impl Survey {
    /// Of a disk whose descriptor is there and gives no chain; empty for any other.
    pub(super) fn of(args: &OpenArgs, examined: &Examined, workers: &Workers) -> Self {
        let lost = examined.layers.is_empty() && examined.is_damaged();
        match &examined.descriptor {
            Some(descriptor) if lost => {
                let folder = folder_of(descriptor);
                let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
                let is_image = |file: &&PathBuf| {
                    let options = OpenOptions {
                        single_layer: true,
                        ..OpenOptions::default()
                    };
                    file.parent() == Some(&real) && examine(file, &options).is_ok()
                };
                let mut images: Vec<_> =
                    examined.related.iter().filter(is_image).cloned().collect();
                images.sort_unstable();
                images.dedup();
                let folder = if args.image.is_dir() && args.disk.is_none() {
                    &args.image
                } else {
                    folder
                };
                Self::new(folder, &images, workers)
            }
            _ => Self::default(),
        }
    }

    fn new(folder: &Path, images: &[PathBuf], workers: &Workers) -> Self {
        let look = |file: &PathBuf| {
            let modified = std::fs::metadata(file).and_then(|meta| meta.modified());
            let modified = modified.unwrap_or(UNIX_EPOCH);
            (modified, Found::look(file, modified, workers))
        };
        let mut found: Vec<_> = images.iter().map(look).collect();
        let is_delta = |found: &Found| {
            Path::new(&found.file)
                .file_name()
                .is_some_and(is_named_like_a_delta)
        };
        // A layer is not written any more once there is one over it.
        found.sort_by(|(a_time, a), (b_time, b)| {
            (is_delta(a), a_time, &a.file).cmp(&(is_delta(b), b_time, &b.file))
        });
        let layers: Vec<_> = found
            .iter()
            .map(|(modified, found)| found.as_layer(*modified))
            .collect();
        let (command, unknown) = match order::doubt(&layers) {
            _ if layers.is_empty() => (None, None),
            None => {
                let names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
                let names = names.join(",");
                let command = format!(
                    "ploopconv {} --layers {} -o TARGET",
                    quoted(folder),
                    shell_word(names.as_ref())
                );
                (Some(command), None)
            }
            Some(doubt) => (None, Some(doubt)),
        };
        Self {
            found_images: found.into_iter().map(|(_, found)| found).collect(),
            command,
            unknown,
            descriptor_backups: descriptor_backups(folder)
                .iter()
                .map(|it| path(it))
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found_images.is_empty()
    }

    /// Lines of a name and what it stands for.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let mut say = |name: &str, text: &str| lines.push((name.to_owned(), text.to_owned()));
        for found in &self.found_images {
            say("found:", &found.file);
            found.lines.iter().for_each(|line| say("", line));
        }
        if let Some(doubt) = &self.unknown {
            say("not known:", doubt);
        }
        for backup in &self.descriptor_backups {
            let command = format!("ploopconv info {}", shell_word(backup.as_ref()));
            say(
                "backup:",
                "the descriptor as it was once, which a program kept; what it says:",
            );
            say("", &command);
        }
        let Some(command) = &self.command else {
            return lines;
        };
        say("to read it:", command);
        if self.found_images.len() == 1 {
            say(
                "",
                "(if the disk had snapshots, their layers are missing here, \
                 and this is an old state)",
            );
        } else {
            say(
                "",
                "(by their names and times; if a layer between them is missing here, the disk is \
                 wrong)",
            );
        }
        lines
    }
}

impl Found {
    /// What of it matters for its place in a chain.
    fn as_layer(&self, modified: SystemTime) -> Candidate {
        let name = Path::new(&self.file).file_name().unwrap_or_default();
        Candidate {
            name: name.to_string_lossy().into_owned(),
            modified,
            size: self.layer.as_ref().map(|layer| layer.virtual_size),
            in_use: self.layer.as_ref().is_some_and(|layer| layer.in_use),
            error: self.error.clone(),
        }
    }

    fn look(file: &Path, modified: SystemTime, workers: &Workers) -> Self {
        let options = OpenOptions {
            single_layer: true,
            ..OpenOptions::default()
        };
        let since = modified.duration_since(UNIX_EPOCH).ok();
        let seconds = since
            .filter(|since| !since.is_zero())
            .map(|since| since.as_secs());
        let mut found = Self {
            file: path(file),
            modified: seconds,
            error: None,
            damaged: false,
            layer: None,
            division: Division::unknown(),
            lines: Vec::new(),
        };
        let changed = since.map_or_else(String::new, |since| format!(", changed {}", date(since)));
        let examined = match workers.install(|| examine(file, &options)) {
            Ok(examined) => examined,
            Err(error) => {
                let text = story(&error.into());
                found.error = Some(text.clone());
                // The line above has the name.
                let text = text.strip_prefix(&found.file).unwrap_or(&text).trim_start();
                found.lines.push(format!("{text}{changed}"));
                return found;
            }
        };
        found.damaged = examined.is_damaged();
        if let Some(layer) = examined.layers.first() {
            let text = text_of(layer);
            found.lines.push(text + &changed);
            found.layer = Some(json_layer(layer));
        }
        if found.damaged {
            let text = "damaged; see ploopconv check";
            found.lines.push(text.to_owned());
        } else if let Some(disk) = examined.disk() {
            found.division = Division::of(disk);
            let lines = found.division.lines();
            let lines = lines.iter().map(|(name, text)| format!("{name} {text}"));
            found.lines.extend(lines);
        }
        found
    }
}

/// What an image is, in a line.
fn text_of(layer: &LayerInfo) -> String {
    let mut text = format!(
        "{}, disk of {}, file of {}",
        format(layer),
        short(layer.virtual_size),
        short(layer.file_size)
    );
    if let Some(image) = &layer.image {
        text += &format!(
            ", {} clusters of {} stored",
            image.allocated_clusters,
            short(image.cluster_size)
        );
        if image.state == State::InUse {
            text += ", marked in use";
        }
    }
    text
}

/// A moment as people read it: the day and the time in UTC.
fn date(since_1970: Duration) -> String {
    let UtcTime {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = UtcTime::from_unix(since_1970.as_secs());
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_day_and_the_time() {
        let at = |seconds| date(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(at(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(at(1_790_000_000), "2026-09-21 14:13:20 UTC");
    }
}
