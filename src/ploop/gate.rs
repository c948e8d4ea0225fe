//! Which files the names in a descriptor stand for, and which of them may be opened.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::error::OpenError;
use super::folders::MAX_ENTRIES;
use crate::error::{Error, Result};
use crate::source::{FileSource, is_absence};
use crate::util::paths::folder_of;

/// Decides which files the names in a descriptor may stand for. Descriptors come out of other
/// people's archives: a name that leads out of the folder is not followed unless allowed.
#[derive(Debug, Clone)]
pub struct Gate {
    descriptor: PathBuf,
    /// The descriptor, without symbolic links.
    real: PathBuf,
    /// The descriptor's folder, without symbolic links.
    folder: PathBuf,
    reach: Reach,
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
    BesideDescriptor,
    /// By another spelling.
    Respelled,
}

/// How far names in a descriptor may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To files in the descriptor's folder.
    Folder,
    /// Anywhere.
    Anywhere,
}

impl Gate {
    /// A gate for the names in `descriptor`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the descriptor or its folder cannot be
    /// resolved, [`OpenError::Outside`] where the descriptor itself is a link that leads out of the
    /// folder.
    pub fn new(descriptor: &Path, reach: Reach) -> Result<Self> {
        let folder = folder_of(descriptor);
        let folder = folder
            .canonicalize()
            .map_err(|source| Error::io("resolving", folder, source))?;
        let real = descriptor
            .canonicalize()
            .map_err(|source| Error::io("opening", descriptor, source))?;
        let gate = Self {
            descriptor: descriptor.to_owned(),
            real,
            folder,
            reach,
        };
        gate.narrowed(reach)
    }

    /// The same gate for names that may lead so far.
    ///
    /// # Errors
    ///
    /// As [`Gate::new`].
    pub fn narrowed(&self, reach: Reach) -> Result<Self> {
        if reach == Reach::Folder && !self.real.starts_with(&self.folder) {
            return Err(OpenError::Outside {
                named_by: self.descriptor.clone(),
                file: self.real.clone(),
            }
            .into());
        }
        Ok(Self {
            reach,
            ..self.clone()
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
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where there is no such file, [`OpenError::Outside`]
    /// where it lies outside the folder and that is not allowed.
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
        if self.reach == Reach::Anywhere || path.starts_with(&self.folder) {
            Ok(Admitted { path, found })
        } else {
            Err(OpenError::Outside {
                named_by: self.descriptor.clone(),
                file: path,
            }
            .into())
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
            return Some((path, FoundAs::BesideDescriptor));
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

    /// Whether a name of the descriptor is a symbolic link, wherever it leads.
    #[must_use]
    pub fn is_link(&self, name: &str) -> bool {
        let meta = self.folder.join(name).symlink_metadata();
        meta.is_ok_and(|meta| meta.file_type().is_symlink())
    }

    /// The files beside the descriptor whose names look like `name` and are not it.
    #[must_use]
    pub fn lookalikes(&self, name: &str) -> Vec<OsString> {
        let name = last_of_windows(name).unwrap_or(name);
        let name = Path::new(name).file_name().unwrap_or_default();
        let wanted = looks(name);
        let mut names = self.names();
        names.retain(|other| other != name && looks(other) == wanted);
        names.sort_unstable();
        names
    }

    fn names(&self) -> Vec<OsString> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let entries = entries.take(MAX_ENTRIES).flatten();
        entries.map(|entry| entry.file_name()).collect()
    }
}

/// The last part of a name as Windows writes it: in folders, or on a drive (`C:\VMs\x.hds`,
/// `C:/VMs/x.hds`, `C:x.hds`).
fn last_of_windows(name: &str) -> Option<&str> {
    let last = match without_drive(name) {
        Some(rest) => rest.rsplit(['\\', '/']).next()?,
        None => name.rsplit_once('\\')?.1,
    };
    (!last.is_empty()).then_some(last)
}

/// A name of Windows that starts from the folder, as this system writes it.
fn relative_of_windows(name: &str) -> Option<String> {
    let is_absolute = name.starts_with('\\') || without_drive(name).is_some();
    (name.contains('\\') && !is_absolute).then(|| name.replace('\\', "/"))
}

/// What follows the letter of a drive.
fn without_drive(name: &str) -> Option<&str> {
    let (drive, rest) = name.split_once(':')?;
    let is_drive = drive.len() == 1 && drive.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_drive.then_some(rest)
}

/// The form in which every spelling of a name by combining characters is the same.
pub(super) fn composed(name: &str) -> String {
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
        let gate = |reach| Gate::new(&folder.join("DiskDescriptor.xml"), reach).unwrap();

        let found = |name| gate(Reach::Folder).admit(name).unwrap().found;
        assert_eq!(found("inside"), FoundAs::Named);
        assert_eq!(found("../disk/inside"), FoundAs::Named);
        assert_eq!(found("/nowhere/at/all/moved"), FoundAs::BesideDescriptor);
        for name in ["../outside", "link"] {
            assert!(
                matches!(
                    gate(Reach::Folder).admit(name).unwrap_err().detail(),
                    Some(OpenError::Outside { .. })
                ),
                "{name}"
            );
            assert!(gate(Reach::Anywhere).admit(name).is_ok(), "{name}");
        }
        assert!(matches!(
            gate(Reach::Folder).admit("missing"),
            Err(error) if error.io_error().is_some()
        ));
    }

    #[test]
    fn names_of_windows_are_found_in_the_folder_and_beside_the_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["DiskDescriptor.xml", "x.hds", "sub/y.hds"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let gate = Gate::new(&dir.path().join("DiskDescriptor.xml"), Reach::Folder).unwrap();
        let found = |name: &str| {
            let admitted = gate.admit(name).unwrap();
            assert_eq!(admitted.found, FoundAs::BesideDescriptor, "{name}");
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
        let gate = Gate::new(&dir.path().join("DiskDescriptor.xml"), Reach::Folder).unwrap();
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
