//! What `--update` leaves where the power fails: what was synced is on the disk, and of what came
//! after that anything, in sectors and in any order. The system calls of an update tell both.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::support::chance::Chance;
use crate::support::loops::Loop;
use crate::support::machines::Machine;
use crate::support::system::Mounted;
use crate::support::updates::layers;
use crate::support::{Outcome, Program, Scratch, SourceGuard, program, qcow2};

const SECTOR: usize = 512;

/// What an update does to its target and to the state beside it.
#[derive(Debug, Clone)]
enum Event {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    Zeros(Range<usize>),
    Size(usize),
    /// The target is on the disk.
    Synced,
    /// The state has a new content, which is on the disk.
    State(Vec<u8>),
    /// The folder is on the disk, and so is the name of the last state.
    FolderSynced,
}

/// The bytes that strace shows as `\x00`.
fn bytes(text: &str) -> Vec<u8> {
    let digits = |pair: &str| u8::from_str_radix(pair, 16).unwrap();
    text.split("\\x").skip(1).map(digits).collect()
}

/// What stands between two characters.
fn between(text: &str, start: char, end: char) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(start)?;
    Some(bytes(rest.split_once(end)?.0))
}

/// The events of an update, as strace wrote them down, whose state lies in `folder`.
fn events(trace: &str, target: &Path, folder: &Path) -> Vec<Event> {
    let name = |path: &[u8]| PathBuf::from(String::from_utf8(path.to_vec()).unwrap());
    let mut found = Vec::new();
    // What was written to a file that has another name later, and whether it is on the disk.
    let (mut other, mut is_synced) = (Vec::new(), false);
    for line in trace.lines() {
        let Some((call, arguments)) = line.split_once('(') else {
            continue;
        };
        let call = call.rsplit(' ').next().unwrap();
        let arguments: Vec<_> = arguments.split(", ").collect();
        let number = |at: usize| -> usize {
            let digits = arguments[at].split(|one: char| !one.is_ascii_digit());
            digits.into_iter().next().unwrap().parse().unwrap()
        };
        if call.starts_with("rename") {
            assert!(is_synced, "a name for what is not on the disk: {line}");
            found.push(Event::State(std::mem::take(&mut other)));
            is_synced = false;
            continue;
        }
        let Some(path) = between(arguments[0], '<', '>').map(|path| name(&path)) else {
            continue;
        };
        let is_sync = call == "fsync" || call == "fdatasync";
        if path == target {
            found.push(match call {
                "pwrite64" => Event::Write {
                    offset: number(3),
                    bytes: between(arguments[1], '"', '"').unwrap(),
                },
                "fallocate" => {
                    assert!(arguments[1].contains("PUNCH_HOLE"), "{line}");
                    Event::Zeros(number(2)..number(2) + number(3))
                }
                "ftruncate" => Event::Size(number(1)),
                _ if is_sync => Event::Synced,
                _ => panic!("{line}"),
            });
        } else if path == folder {
            assert!(is_sync, "{line}");
            found.push(Event::FolderSynced);
        } else if path.to_string_lossy().contains(".ploopconv.part-") {
            match call {
                "write" => other.extend(between(arguments[1], '"', '"').unwrap()),
                _ if is_sync => is_synced = true,
                _ => panic!("{line}"),
            }
        }
    }
    found
}

/// How much of what was not synced is on the disk.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kept {
    Nothing,
    All,
    SomeCalls,
    SomeSectors,
}

impl Kept {
    fn holds(self, random: &mut Chance) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::SomeCalls | Self::SomeSectors => random.below(2) == 0,
        }
    }
}

/// What a disk holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Disk {
    target: Vec<u8>,
    state: Vec<u8>,
}

impl Disk {
    /// Applies what is done to the target.
    fn apply(&mut self, event: &Event, kept: Kept, random: &mut Chance) {
        let (offset, bytes) = match event {
            Event::Write { offset, bytes } => (*offset, bytes.clone()),
            Event::Zeros(range) => (range.start, vec![0; range.len()]),
            Event::Size(size) if kept.holds(random) => return self.target.resize(*size, 0),
            _ => return,
        };
        let by_sector = kept == Kept::SomeSectors;
        let whole = !by_sector && kept.holds(random);
        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
            if whole || by_sector && kept.holds(random) {
                let start = offset + number * SECTOR;
                let end = start + sector.len();
                // A hole makes no file longer.
                let is_hole = matches!(event, Event::Zeros(_));
                if end > self.target.len() && !is_hole {
                    self.target.resize(end, 0);
                }
                let end = end.min(self.target.len());
                if start < end {
                    self.target[start..end].copy_from_slice(&sector[..end - start]);
                }
            }
        }
    }

    /// What is left of it where the power fails after some events.
    fn after(mut self, events: &[Event], kept: Kept, random: &mut Chance) -> Self {
        let synced = |is_sync: fn(&Event) -> bool| events.iter().rposition(is_sync);
        let target = synced(|event| matches!(event, Event::Synced));
        let folder = synced(|event| matches!(event, Event::FolderSynced));
        let mut named = true;
        for (number, event) in events.iter().enumerate() {
            let is_down = |sync: Option<usize>| sync.is_some_and(|sync| number < sync);
            if let Event::State(state) = event {
                // A name that did not reach the disk keeps those after it from doing so.
                named &= is_down(folder) || kept.holds(random);
                if named {
                    self.state.clone_from(state);
                }
                continue;
            }
            let kept = if is_down(target) { Kept::All } else { kept };
            self.apply(event, kept, random);
        }
        self
    }
}

/// A state that was written before the machine started again: what the kernel counted by then says
/// nothing any more.
fn of_another_start(state: &[u8]) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let state = String::from_utf8(state.to_vec()).unwrap();
    state.replace(boot.trim(), "an earlier one")
}

/// An update of a target that a snapshot was converted to.
struct Update {
    /// The image, and what every conversion of it has on its command line.
    line: Vec<OsString>,
    snapshot: String,
    target: PathBuf,
    /// Where it starts, and where the state of a device lies.
    folder: PathBuf,
    /// What the disk reads as afterwards.
    content: Vec<u8>,
}

impl Update {
    fn new(line: &[&OsStr], snapshot: &str, target: PathBuf, content: Vec<u8>) -> Self {
        Self {
            line: line.iter().map(|&word| word.to_owned()).collect(),
            snapshot: snapshot.to_owned(),
            folder: target.parent().unwrap().to_owned(),
            target,
            content,
        }
    }

    /// It starts in another folder than that of its target.
    fn in_folder(self, folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { folder, ..self }
    }

    fn run(&self, options: &[&str]) -> Outcome {
        Program::new(&self.line)
            .args(["-f".as_ref(), "-o".as_ref(), self.target.as_os_str()])
            .args(options)
            .directory(&self.folder)
            .run()
    }

    fn beside(&self, extension: &str) -> PathBuf {
        let name = self.target.file_name().unwrap().to_str().unwrap();
        self.folder.join(format!("{name}.{extension}"))
    }

    fn state(&self) -> PathBuf {
        self.beside("ploopconv")
    }

    fn disk(&self) -> Disk {
        Disk {
            target: fs::read(&self.target).unwrap(),
            state: fs::read(self.state()).unwrap(),
        }
    }

    /// Runs an update and gives what it did.
    fn traced(&self) -> Vec<Event> {
        let _guard = SourceGuard::new(Path::new(&self.line[0]));
        let trace = self.beside("trace");
        let mut strace = Command::new("strace");
        strace
            .current_dir(&self.folder)
            .args(["-f", "-qq", "-y", "-xx", "-s", "9000000", "-e"])
            .arg("trace=write,pwrite64,ftruncate,fallocate,fsync,fdatasync,/^rename")
            .arg("-o")
            .arg(&trace)
            .arg(program::path())
            .args(&self.line)
            .arg("-o")
            .arg(&self.target)
            .args(["-f", "--update", "--reflink=never", "-j1"]);
        let output = strace.output();
        let output = output.unwrap_or_else(|error| panic!("strace: {error}"));
        assert!(output.status.success(), "{output:?}");
        let trace = fs::read_to_string(trace).unwrap();
        events(&trace, &self.target, &self.folder)
    }

    fn holds(&self, what: &str) {
        if self.target.extension().is_some_and(|kind| kind == "qcow2") {
            qcow2::assert_holds(&self.target, &self.content, what);
        } else {
            assert!(fs::read(&self.target).unwrap() == self.content, "{what}");
        }
    }

    /// Wherever the power fails, the same command makes the target right: after each of the
    /// update's events, or at most after so many.
    fn fails(&self, most: usize) {
        self.run(&["--snapshot", &self.snapshot]).status(0);
        let modified = || fs::metadata(&self.target).unwrap().modified().unwrap();
        let (before, begun) = (self.disk(), modified());
        let events = self.traced();
        self.holds("without a failure");
        let (after, ended) = (self.disk(), modified());
        // What was written down is what happened.
        let mut random = Chance::of(1);
        let replayed = before.clone().after(&events, Kept::All, &mut random);
        assert!(replayed.target == after.target && replayed.state == after.state);

        let now = SystemTime::now();
        let (hash, mut states) = (RandomState::new(), HashSet::new());
        let ends = (0..=events.len()).rev();
        for end in ends.step_by(events.len().div_ceil(most).max(1)) {
            for kept in [Kept::Nothing, Kept::All, Kept::SomeCalls, Kept::SomeSectors] {
                // A new time reaches the disk with the rest of the target, or before it.
                for modified in [begun, now] {
                    let disk = before.clone().after(&events[..end], kept, &mut random);
                    let modified = match () {
                        () if disk.state == after.state => ended,
                        () if disk.state == before.state => begun,
                        () => modified,
                    };
                    if !states.insert(hash.hash_one((&disk, modified))) {
                        continue;
                    }
                    fs::write(&self.target, &disk.target).unwrap();
                    fs::write(self.state(), of_another_start(&disk.state)).unwrap();
                    let file = File::options().write(true).open(&self.target).unwrap();
                    if file.metadata().unwrap().is_file() {
                        file.set_modified(modified).unwrap();
                    }
                    let what = format!("{end} of {} events, {kept:?}", events.len());
                    let again = self.run(&["--update", "--reflink=never"]);
                    assert_eq!(again.status, Some(0), "{what}\n{}", again.stderr);
                    self.holds(&what);
                }
            }
        }
        let (states, events) = (states.len(), events.len().min(most));
        assert!(states > 2 * events, "{states} after {events} events");
    }
}

/// An update of a target of this name.
fn of_a_disk(name: &str) {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    // Where a sync takes no time.
    let memory = Mounted::memory("100m", &scratch.path().join("memory"));
    let target = memory.dir.join(name);
    let mut content = chain.model().content();
    if name.ends_with("qcow2") {
        content.resize(content.len().next_multiple_of(SECTOR), 0);
    }
    let line = [chain.dir.as_os_str()];
    Update::new(&line, &chain.guids[0], target, content).fails(usize::MAX);
}

#[test]
fn after_a_power_failure_the_same_command_makes_a_raw_target_right() {
    of_a_disk("disk.raw");
}

#[test]
fn after_a_power_failure_the_same_command_makes_a_qcow2_target_right() {
    of_a_disk("disk.qcow2");
}

#[test]
fn after_a_power_failure_the_same_command_makes_a_device_right() {
    let scratch = Scratch::new();
    let chain = layers(false).write(&scratch.source());
    let _guard = SourceGuard::new(&scratch.source());
    let mut content = chain.model().content();
    // What lies past the disk stays.
    let size = content.len().next_multiple_of(4096) + (64 << 10);
    let device = Loop::noisy(&scratch, size as u64, &[]);
    content.resize(size, 0xdb);
    let line = [chain.dir.as_os_str()];
    let update = Update::new(&line, &chain.guids[0], device.path.clone(), content);
    update.in_folder(&scratch.out()).fails(usize::MAX);
}

#[test]
fn after_a_power_failure_the_same_command_makes_a_machine_right() {
    let machine = Machine::new();
    let content = fs::read(machine.fresh(2)).unwrap();
    let memory = machine.raw.scratch.path().join("memory");
    let memory = Mounted::memory("1g", &memory);
    let _guard = SourceGuard::new(&machine.chain.dir);
    let kernel = ["--for", "kvm", "--modules", "none", "--kernel"].map(OsStr::new);
    let line = [
        &[machine.chain.dir.as_os_str()],
        &kernel[..],
        &[machine.kernel.as_os_str()],
    ];
    let target = memory.dir.join("101.raw");
    Update::new(&line.concat(), &machine.chain.guids[0], target, content).fails(3);
}
