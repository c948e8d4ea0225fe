//! Work that a mounted file system is given, a step at a time, so that its journal has something of
//! everything: new and removed files and directories, changed attributes, moved names.

use super::chance::Chance;
use super::hard_files::sync;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What a block in the journal may not begin with, so that it is stored in another form there.
const MAGIC: [u8; 4] = 0xc03b_3998_u32.to_be_bytes();

/// How a step makes what it did last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// All of the file system is written out.
    Everything,
    /// The file that was written last is.
    File,
}

/// The steps, which depend on a number only.
#[derive(Debug)]
pub struct Workload {
    dir: PathBuf,
    chance: Chance,
    made: u64,
}

impl Workload {
    pub fn new(dir: &Path, seed: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            chance: Chance::of(seed),
            made: 0,
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.chance.below(end)
    }

    /// Does some things, and writes them out.
    pub fn step(&mut self, last: Last) {
        for _ in 0..=self.below(14) {
            self.act();
        }
        match last {
            Last::Everything => sync(&self.dir),
            Last::File => {
                let path = self.new_file();
                File::open(path).unwrap().sync_all().unwrap();
            }
        }
    }

    fn act(&mut self) {
        match self.below(14) {
            0..=3 => drop(self.new_file()),
            4 => self.many(),
            5 | 6 => self.remove(),
            7 => self.remove_directory(),
            8 => self.rename(),
            9 => self.attribute(),
            10 => self.overwrite(),
            11 => self.truncate(),
            12 => self.link(),
            _ => self.permissions(),
        }
    }

    /// A directory of the first level, made where it is not there.
    fn folder(&mut self) -> PathBuf {
        let number = self.below(6);
        let folder = self.dir.join(format!("folder{number}"));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn name(&mut self) -> String {
        self.made += 1;
        let rest = "n".repeat(self.below(60) as usize);
        format!("file{:06}-{rest}", self.made)
    }

    /// Bytes of which many blocks begin like one of the journal.
    fn bytes(&mut self) -> Vec<u8> {
        let len = match self.below(4) {
            0 => self.below(100),
            1 => self.below(5000),
            2 => self.below(20_000),
            _ => self.below(70_000),
        };
        let mut bytes = vec![0; len as usize];
        for piece in bytes.chunks_mut(1024) {
            piece.fill(self.below(256) as u8);
            if self.below(2) == 0 && piece.len() > 4 {
                piece[..4].copy_from_slice(&MAGIC);
            }
        }
        bytes
    }

    fn new_file(&mut self) -> PathBuf {
        let folder = self.folder();
        let path = folder.join(self.name());
        let bytes = self.bytes();
        if fs::write(&path, bytes).is_err() {
            // The file system is full.
            self.clear();
            fs::write(&path, "after that").unwrap();
        }
        path
    }

    /// Makes room.
    fn clear(&self) {
        for entry in fs::read_dir(&self.dir).unwrap() {
            let path = entry.unwrap().path();
            if path
                .file_name()
                .unwrap()
                .as_encoded_bytes()
                .starts_with(b"folder")
            {
                for entry in fs::read_dir(&path).unwrap() {
                    let path = entry.unwrap().path();
                    let _ = fs::remove_file(&path);
                }
            }
        }
        sync(&self.dir);
    }

    /// A directory that takes several blocks: once it is removed, those are revoked.
    fn many(&mut self) {
        let number = self.below(3);
        let folder = self.dir.join(format!("many{number}"));
        if fs::create_dir(&folder).is_err() {
            return;
        }
        let first = folder.join("first");
        fs::write(&first, "x").unwrap();
        for number in 0..100 + self.below(150) {
            fs::hard_link(&first, folder.join(format!("{number:0100}"))).unwrap();
        }
    }

    fn remove_directory(&mut self) {
        let number = self.below(3);
        let folder = self.dir.join(format!("many{number}"));
        let _ = fs::remove_dir_all(folder);
    }

    /// One of the files that there are.
    fn any(&mut self) -> Option<PathBuf> {
        let folder = self.folder();
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let number = self.below(files.len().max(1) as u64);
        files.get(number as usize).cloned()
    }

    fn remove(&mut self) {
        if let Some(path) = self.any() {
            fs::remove_file(path).unwrap();
        }
    }

    fn rename(&mut self) {
        if let Some(path) = self.any() {
            let folder = self.folder();
            let to = folder.join(self.name());
            fs::rename(path, to).unwrap();
        }
    }

    fn link(&mut self) {
        if let Some(path) = self.any() {
            let folder = self.folder();
            let to = folder.join(self.name());
            fs::hard_link(path, to).unwrap();
        }
    }

    fn attribute(&mut self) {
        if let Some(path) = self.any() {
            let value = vec![self.below(256) as u8; self.below(600) as usize];
            let _ = xattr::set(path, format!("user.a{}", self.below(4)), &value);
        }
    }

    fn overwrite(&mut self) {
        if let Some(path) = self.any() {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            let (bytes, at) = (self.bytes(), self.below(40_000));
            let _ = file.write_all_at(&bytes, at);
        }
    }

    fn truncate(&mut self) {
        if let Some(path) = self.any() {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(self.below(30_000)).unwrap();
        }
    }

    fn permissions(&mut self) {
        if let Some(path) = self.any() {
            let mode = fs::Permissions::from_mode(self.below(0o10000) as u32);
            fs::set_permissions(path, mode).unwrap();
        }
    }
}
