//! What became of each container, for people, for scripts, and as a list of digests.

use std::path::{Path, PathBuf};

use ploopconv::convert::checksum_line;
use ploopconv::host::replace;
use ploopconv::util::size::short;
use ploopconv::util::text::safe;
use serde::Serialize;
use serde_json::Value;

use crate::cli::ending::Ending;
use crate::cli::outcome::Verdict;

/// The report of a batch.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) output: String,
    pub(super) dry_run: bool,
    pub(super) seconds: f64,
    /// Folders that could not be looked through.
    pub(super) problems: Vec<String>,
    pub(super) disks: Vec<Entry>,
    /// The signal that ended it.
    #[serde(skip)]
    pub(super) signal: Option<u8>,
}

/// What became of a disk.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) image: String,
    pub(super) target: String,
    pub(super) state: Fate,
    pub(super) status: u8,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    /// What could be done next about a failure.
    pub(super) hints: Value,
    /// The report of its conversion.
    pub(super) report: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fate {
    /// It is complete.
    Done,
    /// It was there from an earlier run, and neither it nor its image has changed.
    Kept,
    /// It would be made.
    Planned,
    Failed,
    /// The batch was ended before.
    NotStarted,
}

impl Fate {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Kept => "kept",
            Self::Planned => "planned",
            Self::Failed => "failed",
            Self::NotStarted => "not started",
        }
    }
}

impl Entry {
    fn text(&self, key: &str) -> Option<&str> {
        self.report.as_ref()?.get(key)?.as_str()
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.report.as_ref()?.get(key)?.as_u64()
    }

    /// The texts at a JSON pointer of its report.
    fn list(&self, pointer: &str) -> Vec<String> {
        let list = self
            .report
            .as_ref()
            .and_then(|report| report.pointer(pointer)?.as_array());
        let texts = list.into_iter().flatten().map(|one| match one.as_str() {
            Some(text) => text.to_owned(),
            None => command(one),
        });
        texts.collect()
    }

    /// A line for people.
    pub(super) fn line(&self) -> String {
        let name = Path::new(&self.target).file_name().unwrap_or_default();
        let name = name.to_string_lossy();
        let seconds = self
            .report
            .as_ref()
            .and_then(|report| report.get("seconds")?.as_f64());
        let size = self.number("virtual_size").map(short);
        let written = self.number("written_bytes").map(short);
        match (self.state, size, written, seconds) {
            (Fate::Done, Some(size), Some(written), Some(seconds)) => {
                let lost = if self.status == 0 {
                    ""
                } else {
                    ", part of it is lost"
                };
                format!("{name}: done{lost}, a disk of {size}, {written} written in {seconds:.1} s")
            }
            (Fate::Kept, ..) => format!("{name}: kept, it is there already"),
            (Fate::Failed, ..) => {
                let message = self.message.as_deref().unwrap_or("no reason is known");
                format!("{name}: failed: {message}")
            }
            (Fate::Planned, Some(size), Some(written), _) => {
                format!("{name}: a disk of {size}, at most {written} to write")
            }
            (state, ..) => format!("{name}: {}", state.name()),
        }
    }
}

/// What a batch writes into its folder beside targets.
const WRITTEN: [&str; 4] = ["report.json", "report.txt", "SHA256SUMS", "BLKHASHSUMS"];

/// A file in a folder that has the name of a report and is not one of an earlier batch.
pub(super) fn file_of_others(folder: &Path) -> Option<PathBuf> {
    let report = std::fs::read(folder.join(Report::NAME)).ok();
    let report = report.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    if report.is_some_and(|report| report["disks"].is_array()) {
        return None;
    }
    let paths = WRITTEN.iter().map(|name| folder.join(name));
    paths
        .into_iter()
        .find(|path| std::fs::symlink_metadata(path).is_ok())
}

/// A hint, or what to type on a host, as a line.
fn command(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let list = |key: &str| {
        let list = value.get(key).and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join("; ")
    };
    match (text("text"), text("command"), text("host")) {
        (_, _, Some(host)) => format!("{host}: {}", list("commands")),
        (Some(text), Some(command), _) => format!("{text}: {command}"),
        (Some(text), None, _) | (None, Some(text), _) => text.to_owned(),
        (None, None, None) => value.to_string(),
    }
}

impl Report {
    pub(super) const NAME: &str = "report.json";

    /// The highest status of all disks, or that of a signal.
    pub(super) fn verdict(&self) -> Verdict {
        if let Some(signal) = self.signal {
            return Verdict::Status(128 + signal);
        }
        let statuses = self.disks.iter().map(|entry| entry.status);
        let of_problems = self.problems.iter().map(|_| 1);
        match statuses.chain(of_problems).max().unwrap_or(0) {
            0 => Verdict::Done,
            1 => Verdict::Incomplete,
            3 => Verdict::Damaged,
            4 => Verdict::InUse,
            5 => Verdict::Salvaged,
            other => Verdict::Status(other),
        }
    }

    fn count(&self, fate: Fate) -> usize {
        self.disks
            .iter()
            .filter(|entry| entry.state == fate)
            .count()
    }

    /// How many became what.
    pub(super) fn summary(&self) -> String {
        let all = [
            Fate::Done,
            Fate::Kept,
            Fate::Planned,
            Fate::Failed,
            Fate::NotStarted,
        ];
        let counts = all.into_iter().map(|fate| (self.count(fate), fate.name()));
        let counts = counts.filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let disks = match self.disks.len() {
            1 => "1 disk".to_owned(),
            more => format!("{more} disks"),
        };
        format!("{disks}: {}", counts.join(", "))
    }

    pub(super) fn last_words(&self) -> Vec<String> {
        let mut words = vec![format!("{} in {:.1} s", self.summary(), self.seconds)];
        if !self.dry_run {
            let folder = Path::new(&self.output);
            let report = folder.join("report.txt").display().to_string();
            words.push(format!("the report is {report}"));
        }
        let is_missing =
            self.signal.is_some() || self.count(Fate::Failed) + self.problems.len() > 0;
        if is_missing && !self.dry_run {
            words.push("the same command again does what is missing".to_owned());
        }
        words
    }

    /// Writes the report for scripts, as far as it is known now.
    pub(super) fn keep(&self, path: &Path) -> anyhow::Result<()> {
        let ending = Ending::of(self.verdict(), || self.summary());
        Ok(replace(path, ending.text(self)?.as_bytes())?)
    }

    /// Writes what people read, and the digests.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        replace(&folder.join("report.txt"), self.for_people().as_bytes())?;
        for (name, algorithm) in [("SHA256SUMS", "sha256"), ("BLKHASHSUMS", "blkhash")] {
            let path = folder.join(name);
            let mut sums = self.sums_of_others(&path);
            sums.extend(self.sums(algorithm));
            if !sums.is_empty() {
                replace(&path, &sums)?;
            }
        }
        Ok(())
    }

    /// The lines of targets of earlier batches, which this one was not about.
    fn sums_of_others(&self, path: &Path) -> Vec<u8> {
        let ours = self.disks.iter().map(|entry| {
            let name = Path::new(&entry.target).file_name().unwrap_or_default();
            checksum_line("", name.as_encoded_bytes())
        });
        let ours: Vec<Vec<u8>> = ours.collect();
        // An escaped name has a backslash in front of its line.
        let is_ours = |line: &&[u8]| {
            let is_of = |end: &Vec<u8>| line.ends_with(end.strip_prefix(b"\\").unwrap_or(end));
            ours.iter().any(is_of)
        };
        let text = std::fs::read(path).unwrap_or_default();
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        let is_whole =
            |line: &&[u8]| line.ends_with(b"\n") && line.windows(2).any(|two| two == b"  ");
        let others = lines.filter(is_whole).filter(|line| !is_ours(line));
        others.flatten().copied().collect()
    }

    /// A line a target, as `sha256sum -c` reads it.
    fn sums(&self, algorithm: &str) -> Vec<u8> {
        let complete = |entry: &&Entry| matches!(entry.state, Fate::Done | Fate::Kept);
        let entries = self.disks.iter().filter(complete);
        let mut text = Vec::new();
        for entry in entries.filter(|entry| entry.text("algorithm") == Some(algorithm)) {
            let name = Path::new(&entry.target).file_name().unwrap_or_default();
            if let Some(digest) = entry.text("digest") {
                text.extend(checksum_line(digest, name.as_encoded_bytes()));
            }
        }
        text
    }

    fn for_people(&self) -> String {
        let mut text = format!("{} in {:.1} s\n", self.summary(), self.seconds);
        for problem in &self.problems {
            text += &format!("{}\n", safe(problem));
        }
        for entry in &self.disks {
            let name = entry
                .name
                .as_deref()
                .map_or_else(String::new, |name| format!(" ({name})"));
            // Names of containers and of files may be anything, also several lines.
            let name = format!("{}{name}", entry.id);
            text += &format!(
                "\n{}\n  from {}\n  {}\n",
                safe(&name),
                safe(&entry.image),
                safe(&entry.line())
            );
            if let Some(digest) = entry.text("digest") {
                let algorithm = entry.text("algorithm").unwrap_or_default();
                text += &format!("  {algorithm} {digest}\n");
            }
            for warning in entry.list("/warnings") {
                text += &format!("  {}\n", safe(&warning));
            }
            for note in entry.list("/machine/notes") {
                text += &format!("  note: {}\n", safe(&note));
            }
            for hint in entry.hints.as_array().into_iter().flatten() {
                text += &format!("  help: {}\n", safe(&command(hint)));
            }
            for next in entry.list("/next") {
                text += &format!("  next: {}\n", safe(&next));
            }
        }
        text
    }
}
