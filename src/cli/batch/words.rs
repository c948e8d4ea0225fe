//! The options of a conversion that hold for every container of a batch, as words for its process.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use ploopconv::format::FORMATS;

use crate::cli::convert::ConvertArgs;

/// Options of `convert` that name one disk, one target or one way of reporting.
const OF_ONE: [&str; 18] = [
    "image",
    "disk_name",
    "output",
    "snapshot",
    "single_layer",
    "layers",
    "partition",
    "partitions",
    "disks",
    "use_idx",
    "update",
    "no_state",
    "config",
    "dry_run",
    "json",
    "quiet",
    "verbose",
    "progress",
];

/// What does not change what a target of this name holds.
const OF_THE_RUN: [&str; 8] = [
    "force",
    "threads",
    "verify",
    "no_sync",
    "format",
    "checksum",
    "reflink",
    "private_dir",
];

/// Options that were given.
#[derive(Debug, Clone, Default)]
pub(super) struct ConvertWords(Vec<Word>);

#[derive(Debug, Clone)]
struct Word {
    id: String,
    /// As it is typed: `--long`, or `--long=VALUE`.
    text: String,
    value: Option<String>,
    is_for_containers: bool,
    /// Whether it says what of the image is read: a comparison with it needs it, too.
    is_for_reading: bool,
}

fn shared() -> impl Iterator<Item = Arg> {
    let all = ConvertArgs::augment_args(Command::new("convert"));
    let shared: Vec<Arg> = all.get_arguments().cloned().collect();
    let is_shared = |arg: &Arg| !OF_ONE.contains(&arg.get_id().as_str());
    // No name of a target says anything here, and there is always a digest.
    let described = |arg: Arg| match arg.get_id().as_str() {
        "format" => {
            arg.help("Format of the targets [default: raw, or tar with --for lxc and incus]")
        }
        "checksum" => arg.help("How their digests are computed [default: sha256]"),
        "force" => {
            arg.help("Replace targets that are something else, once the new ones are complete")
        }
        _ => arg,
    };
    shared.into_iter().filter(is_shared).map(described)
}

impl Args for ConvertWords {
    fn augment_args(command: Command) -> Command {
        shared().fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ConvertWords {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut words = Self::default();
        words.update_from_arg_matches(matches)?;
        Ok(words)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = shared().flat_map(|arg| of_arg(&arg, matches)).collect();
        Ok(())
    }
}

fn of_arg(arg: &Arg, matches: &ArgMatches) -> Vec<Word> {
    let id = arg.get_id().as_str();
    let (Some(long), Some(ValueSource::CommandLine)) = (arg.get_long(), matches.value_source(id))
    else {
        return Vec::new();
    };
    let word = |value: Option<String>| Word {
        id: id.to_owned(),
        text: match &value {
            Some(value) => format!("--{long}={value}"),
            None => format!("--{long}"),
        },
        value,
        is_for_containers: arg.get_help_heading() == Some("Containers"),
        is_for_reading: matches!(arg.get_help_heading(), Some("Reading" | "Free blocks")),
    };
    if !arg.get_action().takes_values() {
        return vec![word(None)];
    }
    let values = matches.get_raw(id).into_iter().flatten();
    let values = values.map(|value| word(Some(value.to_string_lossy().into_owned())));
    values.collect()
}

impl ConvertWords {
    /// The words for a container's first disk, or for another one, which has no system that could
    /// be changed.
    pub(super) fn all(&self, is_first: bool) -> Vec<String> {
        let words = self.0.iter();
        let fit = words.filter(|word| is_first || !word.is_for_containers);
        fit.map(|word| word.text.clone()).collect()
    }

    /// Those that decide what a target holds.
    pub(super) fn of_content(&self, is_first: bool) -> Vec<String> {
        let words = self.0.iter().filter(|word| {
            let is_of_run = OF_THE_RUN.contains(&word.id.as_str());
            !is_of_run && (is_first || !word.is_for_containers)
        });
        words.map(|word| word.text.clone()).collect()
    }

    /// Those that a comparison of a target with its image needs.
    pub(super) fn of_comparison(&self, is_first: bool) -> Vec<String> {
        let words = self.0.iter();
        let fit = words.filter(|word| word.is_for_reading || is_first && word.is_for_containers);
        fit.map(|word| word.text.clone()).collect()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|word| word.id == id)
    }

    /// All values of an option that may be given several times.
    pub(super) fn values<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a str> {
        let words = self.0.iter().filter(move |word| word.id == id);
        words.filter_map(|word| word.value.as_deref())
    }

    fn value(&self, id: &str) -> Option<&str> {
        let word = self.0.iter().find(|word| word.id == id);
        word.and_then(|word| word.value.as_deref())
    }

    /// What is wrong with the words, whatever container they are for.
    pub(super) fn refuse_nonsense(&self) -> Result<(), String> {
        match (self.value("host"), self.value("format")) {
            (Some("kvm"), Some("tar")) => {
                Err("--for kvm makes disks that boot, and no archives: leave -O tar out".to_owned())
            }
            (Some(host), Some(format)) if host != "kvm" && format != "tar" => Err(format!(
                "--for {host} changes the files of an archive: leave -O {format} out"
            )),
            _ => Ok(()),
        }
    }

    /// What targets are called behind the dot.
    pub(super) fn extension(&self) -> &'static str {
        let format = match self.value("host") {
            Some("kvm") | None => self.value("format").unwrap_or("raw"),
            Some(_) => "tar",
        };
        match (format, self.value("compress")) {
            ("tar", Some("gzip")) => "tar.gz",
            // An archive for another host is compressed by default: it is sent there.
            ("tar", Some(_)) => "tar.zst",
            ("tar", None) if self.has("host") && !self.has("format") => "tar.zst",
            ("tar", None) => "tar",
            (format, _) => {
                let known = FORMATS.iter().find(|known| known.name == format);
                known.map_or("raw", |known| {
                    known.extensions.first().unwrap_or(&known.name)
                })
            }
        }
    }
}
