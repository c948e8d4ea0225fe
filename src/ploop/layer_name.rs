//! A layer as a user names it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

/// A layer as a user names it: a file, and whether it is a raw disk.
///
/// What a raw base holds was written by a guest, who may have begun it like an image: so a layer
/// is raw only where the user says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerName {
    /// The file; a relative name starts from the folder of the disk.
    pub file: PathBuf,
    /// Whether it is a raw disk: only ever the base.
    pub raw: bool,
}

impl FromStr for LayerName {
    type Err = Infallible;

    /// Reads `FILE`, or `raw:FILE` for a raw disk.
    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        let (file, raw) = match text.strip_prefix("raw:") {
            Some(file) => (file, true),
            None => (text, false),
        };
        let file = PathBuf::from(file);
        Ok(Self { file, raw })
    }
}
