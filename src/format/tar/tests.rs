//! Archives of a tree in memory: what is the same in every run, and what goes wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::error::{Detail, Error, ErrorKind, Result};
use crate::sink::{Sink, StreamSink};
use crate::tree::{Attribute, Entries, Entry, FileType, Metadata, Moment, Node, Run, Tree};
use crate::workers::Workers;

/// A tree in memory; the first inode is the root.
#[derive(Debug, Clone)]
struct Memory {
    files: Vec<File>,
    /// Set when data is read.
    stop: Option<Arc<AtomicBool>>,
}

#[derive(Debug, Clone)]
struct File {
    metadata: Metadata,
    entries: Vec<(Vec<u8>, u64)>,
    /// The runs of its data; a hole is none.
    runs: Vec<(Option<u8>, u64)>,
    target: Vec<u8>,
    damage: Damage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    /// Its inode cannot be read.
    Inode,
    /// Nor can bytes from 1000 on, up to 3000.
    Data,
    /// The second entry of a directory is the last that can be read.
    Entries,
}

#[derive(Debug, thiserror::Error)]
#[error("torn")]
struct Torn(ErrorKind);

impl Detail for Torn {
    fn kind(&self) -> ErrorKind {
        self.0
    }
    fn code(&self) -> &'static str {
        "torn"
    }
}

impl Memory {
    fn new() -> Self {
        let mut memory = Self {
            files: Vec::new(),
            stop: None,
        };
        memory.add(FileType::Directory);
        memory
    }

    fn add(&mut self, file_type: FileType) -> u64 {
        let inode = self.files.len() as u64;
        self.files.push(File {
            metadata: Metadata {
                inode,
                file_type,
                permissions: 0o644,
                uid: 1,
                gid: 2,
                links: 0,
                size: 0,
                sectors: 0,
                device: None,
                accessed: Moment::default(),
                modified: Moment::default(),
                changed: Moment::default(),
                created: None,
            },
            entries: Vec::new(),
            runs: Vec::new(),
            target: Vec::new(),
            damage: Damage::None,
        });
        inode
    }

    fn link(&mut self, directory: u64, name: &str, inode: u64) {
        self.files[directory as usize]
            .entries
            .push((name.as_bytes().to_vec(), inode));
        self.files[inode as usize].metadata.links += 1;
    }

    fn directory(&mut self, parent: u64, name: &str) -> u64 {
        let inode = self.add(FileType::Directory);
        self.link(parent, name, inode);
        inode
    }

    fn file(&mut self, parent: u64, name: &str, runs: &[(Option<u8>, u64)]) -> u64 {
        let inode = self.add(FileType::File);
        let file = &mut self.files[inode as usize];
        file.runs = runs.to_vec();
        file.metadata.size = runs.iter().map(|(_, len)| len).sum();
        self.link(parent, name, inode);
        inode
    }

    /// Files of many sizes, with holes and several names.
    fn usual() -> Self {
        let mut memory = Self::new();
        let folder = memory.directory(0, "folder");
        for number in 0..300u64 {
            let byte = Some(number as u8);
            memory.file(folder, &format!("f{number}"), &[(byte, number * 37)]);
        }
        memory.file(0, "large", &[(Some(1), 3_000_001)]);
        let holes = [
            (None, 1 << 40),
            (Some(2), 5000),
            (None, 1),
            (Some(3), 9),
            (None, 7),
        ];
        let holes = memory.file(0, "holes", &holes);
        memory.link(folder, "again", holes);
        let pieces: Vec<_> = (0..700u32)
            .map(|k| ((k % 2 == 0).then_some(4), 513))
            .collect();
        memory.file(0, "pieces", &pieces);
        let socket = memory.add(FileType::Socket);
        memory.link(folder, "socket", socket);
        memory
    }

    fn plan(&self, options: TarOptions, unreadable: Unreadable) -> Result<TarPlan> {
        let tree = Arc::new(self.clone());
        let folder = Path::new("/tmp");
        TarPlan::of(tree, options, unreadable, folder, &AtomicBool::new(false))
    }
}

impl Tree for Memory {
    fn root(&self) -> u64 {
        0
    }

    fn node(&self, inode: u64) -> Result<Box<dyn Node + '_>> {
        let file = &self.files[inode as usize];
        match file.damage {
            Damage::Inode => Err(Torn(ErrorKind::Corrupt).into()),
            _ => Ok(Box::new(MemoryNode { memory: self, file })),
        }
    }
}

#[derive(Debug)]
struct MemoryNode<'t> {
    memory: &'t Memory,
    file: &'t File,
}

impl Node for MemoryNode<'_> {
    fn metadata(&self) -> &Metadata {
        &self.file.metadata
    }

    fn entries(&self) -> Entries<'_> {
        let most = match self.file.damage {
            Damage::Entries => 2,
            _ => usize::MAX,
        };
        let entries = self.file.entries.iter().take(most);
        let entries = entries.map(|(name, inode)| {
            Ok(Entry {
                name: name.clone(),
                inode: *inode,
                file_type: None,
            })
        });
        let error = (most == 2).then(|| Err(Torn(ErrorKind::Corrupt).into()));
        Box::new(entries.chain(error))
    }

    fn parent(&self) -> Result<u64> {
        Ok(0)
    }

    fn link_target(&self) -> Result<Vec<u8>> {
        Ok(self.file.target.clone())
    }

    fn attributes(&self) -> Result<Vec<Attribute>> {
        Ok(Vec::new())
    }

    fn run_at(&self, offset: u64) -> Result<Run> {
        let mut at = 0;
        for (byte, len) in &self.file.runs {
            if offset < at + len {
                let data = byte.is_some();
                return Ok(Run {
                    len: at + len - offset,
                    data,
                });
            }
            at += len;
        }
        unreachable!("offsets lie inside")
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if let Some(stop) = &self.memory.stop {
            stop.store(true, Ordering::Relaxed);
        }
        let end = offset + buf.len() as u64;
        if self.file.damage == Damage::Data && offset < 3000 && end > 1000 {
            return Err(Torn(ErrorKind::Lost).into());
        }
        let mut at = 0;
        for (byte, len) in &self.file.runs {
            let (start, stop) = (at.max(offset), (at + len).min(end));
            if start < stop {
                let range = (start - offset) as usize..(stop - offset) as usize;
                buf[range].fill(byte.unwrap_or(0));
            }
            at += len;
        }
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a plan writes with so many threads.
fn written(plan: &TarPlan, threads: usize) -> Result<(Vec<u8>, TarWritten)> {
    let out = Shared::default();
    let sink = StreamSink::new(Box::new(out.clone()), Path::new("stream"));
    let workers = Workers::new(threads)?;
    let job = TarJob {
        workers: &workers,
        stop: &AtomicBool::new(false),
        progress: &(),
    };
    let mut seen = Vec::new();
    let done = plan.write(&sink, job, &mut |bytes| seen.extend_from_slice(bytes))?;
    Box::new(sink).finish()?;
    let bytes = out.0.lock().unwrap().clone();
    assert!(seen == bytes, "what is seen is what is written");
    assert_eq!(done.bytes, bytes.len() as u64);
    Ok((bytes, done))
}

const PACKED: [Option<TarCompression>; 3] =
    [None, Some(TarCompression::Zstd), Some(TarCompression::Gzip)];

/// The size of each member by its name, as its header says it, and the number of members.
fn members(archive: &[u8]) -> BTreeMap<String, (u8, usize)> {
    let mut members = BTreeMap::new();
    let mut at = 0;
    while archive[at] != 0 {
        let header = &archive[at..at + 512];
        let text = |from: usize, len: usize| {
            let bytes = &header[from..from + len];
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(len);
            String::from_utf8(bytes[..end].to_vec()).unwrap()
        };
        let size = usize::from_str_radix(&text(124, 12), 8).unwrap();
        members.insert(text(0, 100), (header[156], size));
        at += 512 + size.next_multiple_of(512);
    }
    assert!(archive[at..].iter().all(|&byte| byte == 0));
    members
}

#[test]
fn the_bytes_do_not_depend_on_the_threads_and_have_the_size_that_was_planned() {
    for compression in PACKED {
        let options = TarOptions { compression };
        let plan = Memory::usual().plan(options, Unreadable::Refuse).unwrap();
        let (first, _) = written(&plan, 1).unwrap();
        for threads in [2, 3, 8, 40] {
            assert!(written(&plan, threads).unwrap().0 == first, "{threads}");
        }
        assert!(first.len() as u64 <= plan.needed_bytes());
        if compression.is_none() {
            assert_eq!(first.len() as u64, plan.size());
            assert_eq!(first.len() % 10240, 0);
        }
        let contents = plan.contents();
        assert_eq!((contents.files, contents.hard_links), (303, 1));
        assert_eq!((contents.directories, contents.sockets), (2, 1));
        assert_eq!(contents.hole_bytes, (1 << 40) + 8 + 350 * 513);
    }
}

#[test]
fn only_what_is_stored_of_a_file_is_in_the_archive() {
    let mut memory = Memory::new();
    memory.file(
        0,
        "f",
        &[(None, 5000), (Some(7), 600), (Some(8), 1), (None, 1 << 44)],
    );
    let plan = memory
        .plan(TarOptions::default(), Unreadable::Refuse)
        .unwrap();
    let (bytes, _) = written(&plan, 2).unwrap();
    let map = b"2\n5000\n601\n17592186050017\n0\n\0";
    let at = bytes
        .windows(map.len())
        .position(|window| window == map)
        .unwrap();
    assert_eq!(at % 512, 0);
    let data = &bytes[at + 512..];
    assert!(data[..600].iter().all(|&byte| byte == 7) && data[600..602] == [8, 0]);
}

#[test]
fn an_archive_that_was_changed_is_told_from_the_right_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    for compression in PACKED {
        let options = TarOptions { compression };
        let plan = Memory::usual().plan(options, Unreadable::Refuse).unwrap();
        let (right, _) = written(&plan, 2).unwrap();
        let workers = Workers::new(3).unwrap();
        let job = TarJob {
            workers: &workers,
            stop: &AtomicBool::new(false),
            progress: &(),
        };
        let found = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            plan.first_difference(&path, job).unwrap()
        };
        assert_eq!(found(&right), None);
        for at in [300, right.len() / 2] {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            let difference = found(&wrong);
            match compression {
                None => assert_eq!(difference, Some(at as u64)),
                Some(_) => assert!(difference.is_some()),
            }
        }
        assert!(found(&right[..right.len() - 1]).is_some());
        assert!(found(&[]).is_some());
        assert!(found(&[&right[..], b"x"].concat()).is_some());
    }
}

#[test]
fn the_first_name_has_the_data_and_others_lead_to_it() {
    let mut memory = Memory::new();
    let (a, b) = (memory.directory(0, "a"), memory.directory(0, "b"));
    let file = memory.file(b, "first-made", &[(Some(1), 10)]);
    memory.link(a, "first-met", file);
    let plan = memory
        .plan(TarOptions::default(), Unreadable::Refuse)
        .unwrap();
    let (bytes, _) = written(&plan, 2).unwrap();
    let members = members(&bytes);
    assert_eq!(members["./a/first-met"], (b'0', 10));
    assert_eq!(members["./b/first-made"], (b'1', 0));
}

/// A tree that leads back into itself would have no end.
#[test]
fn a_directory_with_two_names_is_an_error_that_names_both() {
    let mut memory = Memory::new();
    let a = memory.directory(0, "a");
    memory.link(a, "back", a);
    let refused = memory.plan(TarOptions::default(), Unreadable::Refuse);
    let error = refused.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Corrupt, "file-system")
    );
    assert_eq!(error.to_string(), "reading ./a/back in the image");
    let plan = memory
        .plan(TarOptions::default(), Unreadable::LeaveOut)
        .unwrap();
    assert_eq!(plan.contents().unreadable[0].path, "./a/back");
}

#[test]
fn nested_directories_have_an_end() {
    let mut memory = Memory::new();
    let mut parent = 0;
    for _ in 0..4096 {
        parent = memory.directory(parent, "d");
    }
    let plan = memory
        .plan(TarOptions::default(), Unreadable::Refuse)
        .unwrap();
    assert_eq!(plan.contents().directories, 4097);
    memory.directory(parent, "d");
    let error = memory
        .plan(TarOptions::default(), Unreadable::Refuse)
        .unwrap_err();
    assert_eq!(error.code(), "too-deep");
}

#[test]
fn what_cannot_be_read_is_an_error_or_left_out_and_listed() {
    for damage in [Damage::Inode, Damage::Entries] {
        let mut memory = Memory::new();
        let folder = memory.directory(0, "folder");
        let damaged = match damage {
            Damage::Inode => memory.file(folder, "bad", &[(Some(1), 5)]),
            _ => folder,
        };
        for name in ["one", "two", "three"] {
            memory.file(folder, name, &[(Some(1), 5)]);
        }
        memory.files[damaged as usize].damage = damage;
        let error = memory
            .plan(TarOptions::default(), Unreadable::Refuse)
            .unwrap_err();
        assert_eq!(error.code(), "torn");
        let plan = memory
            .plan(TarOptions::default(), Unreadable::LeaveOut)
            .unwrap();
        let contents = plan.contents();
        let (path, files) = match damage {
            Damage::Inode => ("./folder/bad", 3),
            _ => ("./folder/", 2),
        };
        assert_eq!(
            (&*contents.unreadable[0].path, contents.files),
            (path, files)
        );
        assert_eq!(contents.unreadable[0].why, "torn");
        assert_eq!(written(&plan, 2).unwrap().0.len() as u64, plan.size());
    }
}

#[test]
fn zeros_stand_for_lost_bytes_and_the_file_is_listed() {
    let mut memory = Memory::new();
    let file = memory.file(0, "f", &[(Some(9), 6000)]);
    memory.files[file as usize].damage = Damage::Data;
    let refused = memory
        .plan(TarOptions::default(), Unreadable::Refuse)
        .unwrap();
    let error: Error = written(&refused, 2).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Lost, "torn"));
    let plan = memory
        .plan(TarOptions::default(), Unreadable::LeaveOut)
        .unwrap();
    let (bytes, done) = written(&plan, 2).unwrap();
    // Whole sectors.
    let data = &bytes[1024..1024 + 6000];
    let lost = 512..3072;
    let is_right = |(at, byte): (usize, &u8)| *byte == if lost.contains(&at) { 0 } else { 9 };
    assert!(data.iter().enumerate().all(is_right));
    let zeroed = &done.zeroed[0];
    assert_eq!((&*zeroed.path, zeroed.bytes), ("./f", 3072 - 512));
}

#[test]
fn a_link_without_a_target_is_damage() {
    let mut memory = Memory::new();
    for target in [&b""[..], b"a\0b"] {
        let mut memory = memory.clone();
        let link = memory.add(FileType::Symlink);
        memory.files[link as usize].target = target.to_vec();
        memory.link(0, "link", link);
        let error = memory
            .plan(TarOptions::default(), Unreadable::Refuse)
            .unwrap_err();
        assert_eq!(error.code(), "file-system");
    }
    memory.directory(0, "fine");
    memory
        .plan(TarOptions::default(), Unreadable::Refuse)
        .unwrap();
}

#[test]
fn writing_stops_soon_when_it_is_told_to() {
    let mut memory = Memory::usual();
    let stop = Arc::new(AtomicBool::new(false));
    memory.stop = Some(Arc::clone(&stop));
    let plan = memory
        .plan(TarOptions::default(), Unreadable::Refuse)
        .unwrap();
    let workers = Workers::new(2).unwrap();
    let job = TarJob {
        workers: &workers,
        stop: &stop,
        progress: &(),
    };
    let sink = StreamSink::new(Box::new(std::io::sink()), Path::new("nowhere"));
    let error = plan.write(&sink, job, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped);
}

/// A sink that is full ends all threads, the one that walks among them.
#[test]
fn the_error_of_the_sink_ends_the_walk() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0 < bytes.len() {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for compression in PACKED {
        let options = TarOptions { compression };
        let plan = Memory::usual().plan(options, Unreadable::Refuse).unwrap();
        let workers = Workers::new(4).unwrap();
        let job = TarJob {
            workers: &workers,
            stop: &AtomicBool::new(false),
            progress: &(),
        };
        let sink = StreamSink::new(Box::new(Full(20)), Path::new("full"));
        let error = plan.write(&sink, job, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
