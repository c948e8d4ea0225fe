//! What a target was made from, in a file beside it (`TARGET.ploopconv`): a later run keeps what is
//! right already.

use std::fs::{File, Metadata};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::convert::CONTENT_KEY;
use crate::error::{Error, Result};
use crate::util::exact_path;
use crate::util::paths::folder_of;

/// What a target was made from, and the report of it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetState {
    /// The files of the image; `None` where one of them had gone.
    sources: Option<Vec<Known>>,
    /// The options that decide what the target holds.
    options: Vec<String>,
    target: Option<Known>,
    /// The report of the conversion.
    pub report: Value,
}

/// A file as it was.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    #[serde(with = "exact_path")]
    path: PathBuf,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Known {
    fn of(path: &Path) -> Option<Self> {
        let meta: Metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            path: path.to_owned(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }

    /// A target without its folder, which may be moved as a whole.
    fn target(path: &Path) -> Option<Self> {
        let name = path.file_name()?;
        let known = Self::of(path)?;
        Some(Self {
            path: name.into(),
            ..known
        })
    }

    fn is_still_there(&self) -> bool {
        Self::of(&self.path).is_some_and(|now| now == *self)
    }
}

impl TargetState {
    /// What is known of a target that was just made of an image in `files`, whose paths have no
    /// links. `options` are those that decide what it holds.
    #[must_use]
    pub fn of(target: &Path, files: &[PathBuf], options: Vec<String>, report: &Value) -> Self {
        Self {
            sources: files.iter().map(|file| Known::of(file)).collect(),
            options,
            target: Known::target(target),
            report: report.clone(),
        }
    }

    /// What the file beside a target says; `None` where there is none, or it cannot be read.
    #[must_use]
    pub fn read(target: &Path) -> Option<Self> {
        let text = std::fs::read(beside(target, STATE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes it beside its target.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn write(&self, target: &Path) -> Result<()> {
        let path = beside(target, STATE);
        let mut value = serde_json::to_value(self)
            .map_err(|error| Error::io("writing", &path, error.into()))?;
        // What the conversion wrote into the same file is for updates of the target.
        let there = std::fs::read(&path).ok();
        let there = there.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let content = there.and_then(|mut there| there.get_mut(CONTENT_KEY).map(Value::take));
        if let (Some(fields), Some(content)) = (value.as_object_mut(), content) {
            fields.insert(CONTENT_KEY.to_owned(), content);
        }
        let text = serde_json::to_vec_pretty(&value);
        let text = text.map_err(|error| Error::io("writing", &path, error.into()))?;
        replace(&path, &text)
    }

    /// Whether the target is what would be made of these files with these options: neither it nor
    /// the files have changed, by their sizes and times.
    #[must_use]
    pub fn fits(&self, target: &Path, files: &[PathBuf], options: &[String]) -> bool {
        let sources = self.sources.as_deref().unwrap_or_default();
        let target = Known::target(target);
        self.options == options
            && !sources.is_empty()
            && sources.iter().map(|source| &source.path).eq(files)
            && sources.iter().all(Known::is_still_there)
            && target.is_some()
            && target == self.target
    }
}

const STATE: &str = ".ploopconv";

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether a target is not there, and what was beside it is: it was deleted, or a run was killed
/// before the target had its name.
#[must_use]
pub fn is_left_alone(target: &Path) -> bool {
    let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
    let mut suffixes = [".sha256", ".blkhash", ".lost", STATE].into_iter();
    !is_there(target) && suffixes.any(|suffix| is_there(&beside(target, suffix)))
}

/// Puts a file in the place of another, complete or not at all.
///
/// # Errors
///
/// What the operating system says.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error| Error::io("writing", path, error);
    // What was said of a name that means nothing to people.
    let mut said = None;
    let made = tempfile::Builder::new()
        .prefix(".ploopconv-report-")
        .make_in(folder_of(path), |name| {
            let made = File::options()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(name);
            made.inspect_err(|error| said = error.raw_os_error())
        });
    let mut file =
        made.map_err(|error| failed(said.map_or(error, std::io::Error::from_raw_os_error)))?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_state_fits_as_long_as_nothing_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let [target, source] = ["101.raw", "root.hds"].map(|name| folder.path().join(name));
        std::fs::write(&target, "disk").unwrap();
        std::fs::write(&source, "image").unwrap();
        let (files, options) = ([source.clone()], ["--sparse=always".to_owned()]);
        let report = json!({"status": 0});
        TargetState::of(&target, &files, options.to_vec(), &report)
            .write(&target)
            .unwrap();
        let state = TargetState::read(&target).unwrap();
        assert_eq!(state.report, report);
        assert!(state.fits(&target, &files, &options));
        assert!(!state.fits(&target, &files, &[]));
        assert!(!state.fits(&target, &[], &options));
        assert!(!state.fits(&target, &[source.clone(), target.clone()], &options));
        std::fs::write(&source, "image of another length").unwrap();
        assert!(!state.fits(&target, &files, &options));
        // Nothing that is known of files that are gone fits.
        std::fs::remove_file(&source).unwrap();
        let gone = TargetState::of(&target, &files, options.to_vec(), &report);
        assert!(!gone.fits(&target, &files, &options));
    }

    #[test]
    fn what_cannot_be_written_is_said_of_the_name_that_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere/report.json");
        let error = replace(&path, b"").unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.to_string().contains("nowhere/report.json"), "{error}");
        assert!(!source.contains(".ploopconv-report-"), "{source}");
    }

    #[test]
    fn what_lies_beside_a_target_that_is_gone_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("101.raw");
        assert!(!is_left_alone(&target));
        std::fs::write(beside(&target, ".sha256"), "").unwrap();
        assert!(is_left_alone(&target));
        std::fs::write(&target, "").unwrap();
        assert!(!is_left_alone(&target));
    }
}
