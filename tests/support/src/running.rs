//! Conversions that are looked at while they run.

use super::image::{Fill, ImageBuilder};
use super::{Scratch, names_in, program};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// An image of this many megabytes of data, so that its conversion takes a while.
pub fn big(scratch: &Scratch, clusters: u32) -> PathBuf {
    let path = scratch.source().join("disk.hds");
    let image = ImageBuilder::v2().cluster_sectors(2048).clusters(clusters);
    (0..clusters)
        .fold(image, |image, k| image.fill(k, Fill::Byte(k as u8 | 1)))
        .write(&path);
    path
}

/// Sends a signal by name.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{name}");
}

/// Starts a conversion and stops it in its middle, when its partial file has just come to be. One
/// that was faster is started again, with what was in its place.
pub fn stopped_in_its_middle(image: &Path, target: &Path, args: &[&str]) -> Child {
    // The target and what it is a state of.
    let mut state = target.as_os_str().to_owned();
    state.push(".ploopconv");
    let files = [target, Path::new(&state)];
    let before = files.map(|file| std::fs::read(file).ok());
    for _ in 0..100 {
        let mut child = Command::new(program::path())
            .arg(image)
            .arg("-o")
            .arg(target)
            .args(["-j", "1"])
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if is_stopped_at_its_partial_file(&mut child, target.parent().unwrap()) {
            return child;
        }
        // The conversion was over: a stopped one that has its target yet ends so.
        signal(&child, "CONT");
        assert!(child.wait().unwrap().success());
        for (file, before) in files.iter().zip(&before) {
            match before {
                Some(before) => std::fs::write(file, before).unwrap(),
                None if file.exists() => std::fs::remove_file(file).unwrap(),
                None => {}
            }
        }
    }
    panic!("each conversion was over before it was stopped");
}

/// Stops a conversion once it has its partial file; whether that is unfinished when it stands.
fn is_stopped_at_its_partial_file(child: &mut Child, out: &Path) -> bool {
    let start = Instant::now();
    let partial = loop {
        let mut names = names_in(out).into_iter();
        if let Some(name) = names.find(|name| name.starts_with(".disk.raw.part-")) {
            break name;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no partial file came to be: {:?}",
            names_in(out)
        );
    };
    signal(child, "STOP");
    // A signal takes effect when the kernel next looks at each thread.
    while child.try_wait().unwrap().is_none() {
        let (states, _) = threads_of(child);
        if !states.is_empty() && states.chars().all(|state| state == 'T') {
            return out.join(partial).metadata().is_ok_and(is_unfinished);
        }
        std::thread::yield_now();
    }
    false
}

/// Whether a partial file lacks some of its data. Where all is written, the last look at the source
/// may be over, too, and nothing that happens to the source then is seen.
fn is_unfinished(partial: Metadata) -> bool {
    partial.blocks() * 512 + (1 << 20) <= partial.len()
}

/// The states of the threads of a process, and the processor time that it has taken, in ticks.
fn threads_of(child: &Child) -> (String, u64) {
    let mut states = String::new();
    let mut ticks = 0;
    for thread in std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        // A thread may end meanwhile.
        let Ok(line) = std::fs::read_to_string(thread.unwrap().path().join("stat")) else {
            continue;
        };
        // What follows the name, which may have spaces and brackets itself.
        let (_, rest) = line.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = rest.split(' ').collect();
        states += fields[0];
        ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    }
    (states, ticks)
}

/// Whether the program hears SIGINT and SIGTERM, and does not end by them at once.
fn hears_signals(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap();
    let [int, term] = [2, 15].map(|signal: u32| 1 << (signal - 1));
    caught & int != 0 && caught & term != 0
}

/// Waits until the program waits for somebody else, as for the other end of a pipe: it hears
/// signals, and for a while every thread sleeps and takes no processor time.
#[track_caller]
pub fn until_it_waits(child: &Child) {
    const LOOKS: u32 = 20;
    let start = Instant::now();
    let mut before = threads_of(child);
    let mut quiet = 0;
    while quiet < LOOKS {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the program is still at work: {before:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
        let now = threads_of(child);
        let sleeps = now.0.chars().all(|state| state == 'S') && hears_signals(child);
        quiet = if sleeps && now == before {
            quiet + 1
        } else {
            0
        };
        before = now;
    }
}

/// Waits for the end of a run that was told to end.
#[track_caller]
pub fn ended(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(ended) = child.try_wait().unwrap() {
            return ended;
        }
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the run did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
