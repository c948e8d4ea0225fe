//! `TARGET.ploopconv`: what a target holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::UpdateError;
use super::prints::{LayerPrint, TargetPrint};
use crate::convert::around::Around;
use crate::convert::options::{ConvertOptions, Sparse};
use crate::convert::origin::Origin;
use crate::convert::target::Target;
use crate::convert::{CONTENT_KEY, Input};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::sink::{Durability, IfExists, PartialFile, Token};
use crate::source::is_absence;
use crate::util::exact_path;

/// Grows with every change that another program would take in the wrong way.
const VERSION: u64 = 1;

/// What a target holds: the state of a snapshot, but for some ranges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) version: u64,
    /// The descriptor of the disk.
    #[serde(with = "exact_path")]
    pub(super) descriptor: PathBuf,
    /// The snapshot, whose layers do not change any more.
    pub(super) snapshot: String,
    /// Base first.
    pub(super) layers: Vec<LayerPrint>,
    /// Where in the disk the target begins, and what of the snapshot it had, in bytes.
    pub(super) start: u64,
    pub(super) size: u64,
    /// Where in the target the snapshot's bytes lie, if a disk was made around them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) around: Option<Placed>,
    /// What else decides the bytes.
    pub(super) options: Vec<String>,
    /// Where the target holds something newer than the snapshot, or may do so: starts and ends.
    pub(super) changed: Vec<(u64, u64)>,
    pub(super) target: TargetPrint,
    /// Whether an update in place was begun, and is not known to have come to its end.
    pub(super) under_way: bool,
    /// What the target began with before that.
    #[serde(default)]
    pub(super) before: Option<Before>,
    /// What it begins with until it is complete.
    #[serde(default)]
    pub(super) token: Option<String>,
    /// What is right as soon as a new file has taken the target's place.
    pub(super) next: Option<Box<State>>,
}

/// [`Around`] as a file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Placed {
    moved: u64,
    /// Starts and ends.
    kept: Vec<(u64, u64)>,
}

impl Placed {
    fn new(around: &Around) -> Self {
        let kept = around.kept.iter().map(|range| (range.start, range.end));
        Self {
            moved: around.moved,
            kept: kept.collect(),
        }
    }

    fn around(&self) -> Around {
        let kept = self.kept.iter().map(|&(start, end)| start..end);
        Around {
            moved: self.moved,
            kept: kept.collect(),
        }
    }
}

/// The start of a target that is changed in place, before that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// In hexadecimal digits: as much as is made zeros first.
    head: String,
    /// How long a file was, in bytes.
    pub(super) len: u64,
}

impl Before {
    pub(super) fn new(head: &[u8], len: u64) -> Self {
        let digits = head.iter().map(|byte| format!("{byte:02x}"));
        let head = digits.collect();
        Self { head, len }
    }

    /// Its bytes; what is no digit ends them.
    pub(super) fn head(&self) -> Vec<u8> {
        let pairs = self.head.as_bytes().as_chunks::<2>().0;
        let byte = |pair: &[u8; 2]| {
            let digit = |at: u8| char::from(at).to_digit(16);
            let value = digit(pair[0])? << 4 | digit(pair[1])?;
            u8::try_from(value).ok()
        };
        pairs.iter().map_while(byte).collect()
    }
}

impl State {
    /// What a target holds that was just made of a snapshot.
    pub(super) fn new(
        input: &Input,
        origin: &Origin,
        (options, format): (&ConvertOptions, &dyn Format),
        target: &Path,
    ) -> Result<Self> {
        let size = input.disk().size();
        Ok(Self {
            version: VERSION,
            descriptor: origin.descriptor().to_owned(),
            snapshot: origin.snapshot.to_string(),
            layers: layers(origin)?,
            start: origin.start,
            size,
            around: origin.around().map(Placed::new),
            options: words(input, options),
            changed: Vec::new(),
            target: TargetPrint::of(target, size, format)?,
            under_way: false,
            before: None,
            token: None,
            next: None,
        })
    }

    /// Makes it that of `origin`, whose layers are closed: a disk of `size` bytes.
    pub(super) fn set_origin(&mut self, origin: &Origin, size: u64) -> Result<()> {
        self.snapshot = origin.snapshot.to_string();
        self.layers = layers(origin)?;
        self.size = size;
        self.around = origin.around().map(Placed::new);
        self.changed = Vec::new();
        Ok(())
    }

    /// Where in the target the snapshot's bytes lie.
    pub(super) fn placed(&self) -> Around {
        let around = self.around.as_ref().map(Placed::around);
        around.unwrap_or_else(|| Around::nothing(self.size))
    }

    /// What the head of a target that is under way has at its end.
    pub(super) fn token(&self) -> Option<Token> {
        self.token.as_deref().map(Token::of)
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = Range<u64>> {
        self.changed.iter().map(|&(start, end)| start..end)
    }

    pub(super) fn set_changed(&mut self, ranges: &[Range<u64>]) {
        let pairs = ranges.iter().map(|range| (range.start, range.end));
        self.changed = pairs.collect();
    }

    /// What a state file says.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |why: &str| -> Error {
            UpdateError::State {
                state: path.to_owned(),
                why: why.to_owned(),
            }
            .into()
        };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if is_absence(&error) => {
                // Of a device it is looked for in the current directory.
                let state = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                return Err(UpdateError::NoState { state }.into());
            }
            Err(error) => return Err(Error::io("reading", path, error)),
        };
        let value: Value =
            serde_json::from_slice(&text).map_err(|_| wrong("it is damaged, it is no JSON"))?;
        let content = value
            .get(CONTENT_KEY)
            .ok_or_else(|| wrong("the target was not made from a snapshot"))?;
        match content.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(_) => return Err(wrong("another version of this program wrote it")),
            None => return Err(wrong("it is damaged, it has no version")),
        }
        serde_json::from_value(content.clone())
            .map_err(|error| wrong(&format!("it is damaged, {error}")))
    }

    /// Whether a file says what a target holds, whatever it says.
    pub(super) fn is_at(path: &Path) -> bool {
        let value = std::fs::read(path).ok();
        let value = value.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        value.is_some_and(|value| value.get(CONTENT_KEY).is_some())
    }

    /// Says whether a state file could be written, which is known before a long copy.
    pub(super) fn admit(path: &Path) -> Result<()> {
        PartialFile::create(path, IfExists::Replace, &Arc::default()).map(drop)
    }

    /// Replaces a state file, so that it outlives a crash of the machine.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(&BTreeMap::from([(CONTENT_KEY, self)]));
        let text = text.map_err(|error| Error::io("writing", path, error.into()))?;
        // Not among the partial files of the target: they go when the program is told to end.
        let file = PartialFile::create(path, IfExists::Replace, &Arc::default())?;
        let written = file.file().write_all(&text);
        written.map_err(|error| file.failed(error))?;
        file.finish(Durability::Synced)
    }
}

/// The layers as they are now, base first.
pub(super) fn layers(origin: &Origin) -> Result<Vec<LayerPrint>> {
    let layers = origin.chain().map_or(&[][..], |chain| chain.layers());
    let layers = layers.iter().zip(origin.guids());
    layers
        .map(|(layer, guid)| LayerPrint::of(layer, guid.to_string()))
        .collect()
}

/// What decides the bytes of a target besides the disk.
pub(super) fn words(input: &Input, options: &ConvertOptions) -> Vec<String> {
    let sparse = match options.sparse {
        Sparse::Auto => "auto",
        Sparse::Always => "always",
        Sparse::Never => "never",
    };
    let mut words = vec![
        format!("format={}", options.format.words()),
        format!("sparse={sparse}"),
    ];
    let partition = input.partition();
    words.extend(partition.map(|number| format!("partition={number}")));
    words.extend(input.compaction().map(|_| "compact".to_owned()));
    let around = input.origin().and_then(Origin::around);
    words.extend(around.map(|_| "for=kvm".to_owned()));
    words
}

/// Where the state of a target is kept: beside a file; of a device, in the directory for lists.
pub(super) fn path_of(target: &Target, options: &ConvertOptions) -> Option<PathBuf> {
    let named = |path: &Path| {
        let mut name = OsString::from(path);
        name.push(".ploopconv");
        PathBuf::from(name)
    };
    match target {
        Target::File(path) => Some(named(path)),
        Target::Device(path) => {
            let name = named(Path::new(path.file_name()?));
            Some(match options.lists.as_os_str() == "." {
                true => name,
                false => options.lists.join(name),
            })
        }
        Target::Stream(_) | Target::Open(_) | Target::Directory(_) => None,
    }
}
