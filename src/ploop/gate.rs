//! Which files the names in a descriptor stand for, and which of them may be opened.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::locate::MAX_ENTRIES;
use crate::error::{Error, Result};
use crate::source::{FileSource, is_absence};

/// Decides which files the names in a descriptor may stand for. Descriptors come out of other
/// people's archives: a name that leads out of the folder is not followed unless allowed.
#[derive(Debug)]
pub struct Gate {
    descriptor: PathBuf,
    /// The descriptor, without symbolic links.
    real: PathBuf,
    /// The descriptor's folder, without symbolic links.
    folder: PathBuf,
    allow_outside: bool,
}

/// A name that went through the gate; [`FileSource::open_resolved`] opens what it stood for then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The file to open, without symbolic links.
    pub path: PathBuf,
    /// How far the descriptor's name is that of the file.
    pub found: FoundAs,
}

/// By which name a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundAs {
    /// By the one that the descriptor has.
    Named,
    /// Beside the descriptor, which says elsewhere.
    Beside,
    /// By another spelling.
    Respelled,
}

impl Gate {
    /// A gate for the names in `descriptor`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the descriptor or its folder cannot be resolved, [`Error::Outside`]
    /// where the descriptor itself is a link that leads out of the folder.
    pub fn new(descriptor: &Path, allow_outside: bool) -> Result<Self> {
        let folder = match descriptor.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder
            .canonicalize()
            .map_err(|source| Error::io("resolving", folder, source))?;
        let real = descriptor
            .canonicalize()
            .map_err(|source| Error::io("opening", descriptor, source))?;
        if !allow_outside && !real.starts_with(&folder) {
            return Err(Error::Outside {
                named_by: descriptor.to_owned(),
                file: real,
            });
        }
        Ok(Self {
            descriptor: descriptor.to_owned(),
            real,
            folder,
            allow_outside,
        })
    }

    /// Opens the descriptor that went through the gate, whatever has been put in its place since.
    ///
    /// # Errors
    ///
    /// As [`FileSource::open_resolved`].
    pub fn open_descriptor(&self) -> Result<FileSource> {
        FileSource::open_resolved(&self.real)
    }

    /// Resolves a name of the descriptor to a file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where there is no such file, [`Error::Outside`] where it lies outside the
    /// folder and that is not allowed.
    pub fn admit(&self, name: &str) -> Result<Admitted> {
        let (path, found) = match self.folder.join(name).canonicalize() {
            Ok(path) => (path, FoundAs::Named),
            Err(error) => {
                let failed = |error| Error::io("opening", &self.folder.join(name), error);
                let elsewhere = if is_absence(&error) {
                    self.find(name)
                } else {
                    None
                };
                elsewhere.ok_or_else(|| failed(error))?
            }
        };
        if self.allow_outside || path.starts_with(&self.folder) {
            Ok(Admitted { path, found })
        } else {
            Err(Error::Outside {
                named_by: self.descriptor.clone(),
                file: path,
            })
        }
    }

    /// What else a name that nothing has can stand for, where that is certain.
    fn find(&self, name: &str) -> Option<(PathBuf, FoundAs)> {
        let real = |name: &str| self.folder.join(name).canonicalize().ok();
        // Images are usually copied before they are converted, and absolute names stay.
        let unix = Path::new(name);
        let last = unix.file_name().filter(|_| unix.is_absolute());
        let beside = last
            .and_then(OsStr::to_str)
            .or_else(|| last_of_windows(name));
        let inside = relative_of_windows(name);
        let moved = [inside.as_deref(), beside].into_iter().flatten();
        let moved: Vec<&str> = moved.collect();
        if let Some(path) = moved.iter().find_map(|name| real(name)) {
            return Some((path, FoundAs::Beside));
        }
        let names = moved.iter().copied().chain([name]);
        let path = names.into_iter().find_map(|name| self.respelled(name))?;
        Some((path, FoundAs::Respelled))
    }

    /// The only file beside the descriptor whose name is another spelling of `name`: composed or
    /// decomposed, or in another case, which are one name on the systems of other producers.
    fn respelled(&self, name: &str) -> Option<PathBuf> {
        let spellings: [fn(&str) -> String; 2] = [composed, |name| composed(name).to_lowercase()];
        spellings.into_iter().find_map(|spell| {
            let wanted = spell(name);
            let names = self.names();
            let mut same = names
                .iter()
                .filter(|it| it.to_str().is_some_and(|it| spell(it) == wanted));
            match (same.next(), same.next()) {
                (Some(only), None) => self.folder.join(only).canonicalize().ok(),
                _ => None,
            }
        })
    }

    /// The files beside the descriptor whose names look like `name` and are not certainly it.
    #[must_use]
    pub fn lookalikes(&self, name: &str) -> Vec<OsString> {
        let name = last_of_windows(name).unwrap_or(name);
        let name = Path::new(name).file_name().unwrap_or_default();
        let wanted = looks(name);
        let mut names = self.names();
        names.retain(|other| looks(other) == wanted);
        names.sort_unstable();
        names
    }

    fn names(&self) -> Vec<OsString> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let entries = entries.take(MAX_ENTRIES).flatten();
        entries.map(|entry| entry.file_name()).collect()
    }
}

/// The last part of a name as Windows writes it, with a drive or in folders.
fn last_of_windows(name: &str) -> Option<&str> {
    let (_, last) = name.rsplit_once('\\')?;
    (!last.is_empty()).then_some(last)
}

/// A name of Windows that starts from the folder, as this system writes it.
fn relative_of_windows(name: &str) -> Option<String> {
    let is_absolute = name.starts_with('\\') || name.get(1..2) == Some(":");
    (name.contains('\\') && !is_absolute).then(|| name.replace('\\', "/"))
}

fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// What a person sees of a name: no case, no blanks, no difference between forms of one letter.
fn looks(name: &OsStr) -> String {
    let text = match name.to_str() {
        Some(text) => text.to_owned(),
        // Most likely a letter each, of an old encoding.
        None => name
            .as_encoded_bytes()
            .iter()
            .map(|&b| char::from(b))
            .collect(),
    };
    let visible = |c: &char| !c.is_whitespace() && !c.is_control();
    let text: String = text.nfkc().filter(visible).collect();
    text.to_lowercase()
}

/// A name with everything that can look like something else written out.
#[must_use]
pub(super) fn spelled_out(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) => text.escape_default().to_string(),
        None => name.as_encoded_bytes().escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder_unless_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("disk");
        std::fs::create_dir(&folder).unwrap();
        for name in [
            "outside",
            "disk/inside",
            "disk/moved",
            "disk/DiskDescriptor.xml",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("../outside", folder.join("link")).unwrap();
        let gate = |allow| Gate::new(&folder.join("DiskDescriptor.xml"), allow).unwrap();

        let found = |name| gate(false).admit(name).unwrap().found;
        assert_eq!(found("inside"), FoundAs::Named);
        assert_eq!(found("../disk/inside"), FoundAs::Named);
        assert_eq!(found("/nowhere/at/all/moved"), FoundAs::Beside);
        for name in ["../outside", "link"] {
            assert!(
                matches!(gate(false).admit(name), Err(Error::Outside { .. })),
                "{name}"
            );
            assert!(gate(true).admit(name).is_ok(), "{name}");
        }
        assert!(matches!(
            gate(false).admit("missing"),
            Err(Error::Io { .. })
        ));
    }

    #[test]
    fn names_of_windows_are_found_in_the_folder_and_beside_the_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["DiskDescriptor.xml", "x.hds", "sub/y.hds"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let gate = Gate::new(&dir.path().join("DiskDescriptor.xml"), false).unwrap();
        let found = |name: &str| {
            let admitted = gate.admit(name).unwrap();
            assert_eq!(admitted.found, FoundAs::Beside, "{name}");
            admitted.path.strip_prefix(&gate.folder).unwrap().to_owned()
        };
        for name in [
            r"C:\VMs\a.hdd\x.hds",
            r"\\host\share\x.hds",
            r"..\a.hdd\x.hds",
        ] {
            assert_eq!(found(name), Path::new("x.hds"));
        }
        assert_eq!(found(r"sub\y.hds"), Path::new("sub/y.hds"));
        assert!(gate.admit(r"C:\VMs\z.hds").is_err());
    }

    #[test]
    fn another_spelling_is_taken_where_one_file_has_it_and_shown_where_several_do() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["DiskDescriptor.xml", "cafe\u{301}.hds"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let gate = Gate::new(&dir.path().join("DiskDescriptor.xml"), false).unwrap();
        for name in ["caf\u{e9}.hds", "/old/caf\u{e9}.hds", "Caf\u{e9}.HDS"] {
            let admitted = gate.admit(name).unwrap();
            assert_eq!(admitted.found, FoundAs::Respelled, "{name}");
        }
        std::fs::write(dir.path().join("CAFE\u{301}.hds"), "").unwrap();
        assert!(gate.admit("Caf\u{e9}.hds").is_err(), "two have it");
        let alike = gate.lookalikes("Caf\u{e9}.hds");
        let alike: Vec<_> = alike.iter().map(|name| spelled_out(name)).collect();
        assert_eq!(alike, [r"CAFE\u{301}.hds", r"cafe\u{301}.hds"]);
    }
}
