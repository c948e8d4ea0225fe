//! What the commands that read files have in common: the file system, PATHs, and what is said of
//! files that cannot be read.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use ploopconv::convert::Input;
use ploopconv::ext4::Files;
use ploopconv::tree::{IfLost, Tree, expand};
use ploopconv::util::text::safe_bytes;
use ploopconv::{Error, ErrorKind, Workers};
use serde::{Serialize, Serializer};

use super::ending::{Ending, status_of};
use super::open::OpenArgs;
use super::outcome::Verdict;
use super::output::{story, write_message};
use super::report::warn;
use crate::advice::hints::{Typed, hint};

/// A file system that is read.
pub(super) struct Opened {
    pub(super) input: Input,
    pub(super) files: Files,
    /// What could not be read.
    pub(super) problems: Problems,
}

/// Opens the file system that was asked for.
pub(super) fn open(args: &OpenArgs, workers: &Workers) -> ploopconv::Result<Opened> {
    let examined = args.examine(workers)?;
    warn(&examined, args.if_in_use());
    let input = args.disk(examined)?.only_file_system()?;
    let (files, doubts) = input.files()?;
    let mut problems = Problems {
        if_lost: if_lost(&input),
        most: usize::MAX,
        list: Vec::new(),
        is_damaged: false,
        is_incomplete: false,
        has_loss: false,
    };
    for doubt in doubts {
        write_message(&format!("warning: {}", story(&doubt.into())));
        problems.has_loss = true;
    }
    Ok(Opened {
        input,
        files,
        problems,
    })
}

/// What becomes of files that lost bytes.
pub(super) fn if_lost(input: &Input) -> IfLost {
    if input.view().is_over_damage() {
        IfLost::Zeros
    } else {
        IfLost::Refuse
    }
}

/// What could not be read.
#[derive(Debug)]
pub(super) struct Problems {
    if_lost: IfLost,
    /// The most that stderr names.
    pub(super) most: usize,
    pub(super) list: Vec<JsonProblem>,
    is_damaged: bool,
    is_incomplete: bool,
    pub(super) has_loss: bool,
}

/// A file that could not be read, in a JSON report.
#[derive(Debug, Serialize)]
pub(super) struct JsonProblem {
    #[serde(flatten)]
    path: JsonPath,
    code: &'static str,
    message: String,
}

impl JsonProblem {
    pub(super) fn of(path: &[u8], error: Error) -> Self {
        Self {
            path: JsonPath::of(path),
            code: error.code(),
            message: story(&error.into()),
        }
    }
}

impl Problems {
    /// Says on stderr what could not be read, and goes on.
    pub(super) fn add(&mut self, doing: &str, path: &[u8], error: Error, args: &OpenArgs) {
        let is_damage = status_of(&error) == 3;
        let is_first = self.list.is_empty();
        self.has_loss |= is_damage && self.if_lost == IfLost::Zeros;
        self.is_damaged |= is_damage;
        self.is_incomplete |= !is_damage;
        let hints = hint(&error, &Typed::here(&args.image));
        self.list.push(JsonProblem::of(path, error));
        let Some(problem) = self.list.last().filter(|_| self.list.len() <= self.most) else {
            return;
        };
        let shown = safe_bytes(path);
        let message = &problem.message;
        write_message(&match message.contains(&shown) {
            true => message.clone(),
            false => format!("{doing} {shown}: {message}"),
        });
        for hint in hints.iter().filter(|_| is_first) {
            write_message(&hint.to_string());
        }
    }

    /// How the command ended.
    pub(super) fn verdict(&self) -> Verdict {
        if self.is_damaged && self.if_lost == IfLost::Refuse {
            Verdict::Damaged
        } else if self.is_incomplete {
            Verdict::Incomplete
        } else if self.has_loss {
            Verdict::Salvaged
        } else {
            Verdict::Done
        }
    }

    /// The same for a report.
    pub(super) fn ending(&self) -> Ending {
        Ending::of(self.verdict(), || match self.list.first() {
            Some(problem) => problem.message.clone(),
            None => "part of the file system is lost".to_owned(),
        })
    }
}

/// The paths that PATHs stand for, each as it can be followed from the root.
pub(super) fn every_path(
    tree: &dyn Tree,
    paths: &[OsString],
    mut take: impl FnMut(&[u8], ploopconv::Result<Vec<u8>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for typed in paths {
        let typed = typed.as_bytes();
        match expand(tree, typed) {
            Ok(found) => {
                for path in found {
                    take(&path.clone(), Ok(path))?;
                }
            }
            Err(error) => take(typed, Err(error))?,
        }
    }
    Ok(())
}

/// Whether an error is about the whole image and not about one file of it.
pub(super) fn is_of_image(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Changed | ErrorKind::InUse)
}

/// A path of an image for scripts: as text, and where it is none, all its bytes too.
#[derive(Debug, Clone, Serialize)]
pub(super) struct JsonPath {
    path: String,
    path_hex: Option<Hex>,
}

impl JsonPath {
    pub(super) fn of(path: &[u8]) -> Self {
        Self {
            path: String::from_utf8_lossy(path).into_owned(),
            path_hex: Hex::of(path),
        }
    }
}

/// Bytes that are no UTF-8, two digits each.
#[derive(Debug, Clone)]
pub(super) struct Hex(Vec<u8>);

impl Hex {
    /// `None` for text, which needs none.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let is_text = std::str::from_utf8(bytes).is_ok();
        (!is_text).then(|| Self(bytes.to_vec()))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }
}
