//! A process that converts one disk.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::cli::progress::PROGRESS;

/// The program itself, which each process runs.
#[derive(Debug)]
pub(super) struct Program(PathBuf);

/// How a process ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: u8,
    /// The report on its stdout.
    pub(super) report: Value,
}

impl Program {
    pub(super) fn new() -> anyhow::Result<Self> {
        // A link to the running file: an upgrade in the night changes nothing for this batch.
        let this = PathBuf::from("/proc/self/exe");
        match this.exists() {
            true => Ok(Self(this)),
            false => Ok(Self(
                std::env::current_exe().context("finding the program")?,
            )),
        }
    }

    /// Runs the program with these words, and hands on how far it has come: bytes done, and bytes
    /// in all. Once `signal` is one, the process is sent it, too.
    pub(super) fn run(
        &self,
        words: &[OsString],
        signal: &AtomicUsize,
        progress: impl Fn(u64, u64) + Sync,
    ) -> anyhow::Result<Outcome> {
        let mut child = Command::new(&self.0)
            .arg0("ploopconv")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is this process's to hand on, once.
            .process_group(0)
            .spawn()
            .context("starting a conversion")?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut said = Vec::new();
        let report = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut text = Vec::new();
                let read = stdout.map(|mut stdout| stdout.read_to_end(&mut text));
                read.transpose().ok().map(|_| text)
            });
            let hearing = scope.spawn(|| stderr.map(|stderr| hear(stderr, &progress)));
            hand_on(&mut child, signal);
            said = hearing.join().ok().flatten().unwrap_or_default();
            reading.join().ok().flatten().unwrap_or_default()
        });
        let ended = child.wait().context("waiting for a conversion")?;
        let killed = ended.signal().map(|signal| 128 + signal);
        let status = ended.code().or(killed);
        let status = status.and_then(|status| u8::try_from(status).ok());
        let status = status.unwrap_or(1);
        let report = serde_json::from_slice(&report).unwrap_or_else(|_| {
            let message = match (ended.signal(), said.last()) {
                (Some(signal), _) => format!("its process was ended by signal {signal}"),
                (None, Some(line)) => line.clone(),
                (None, None) => "its process said nothing".to_owned(),
            };
            json!({"status": status, "code": "ended", "message": message, "hints": []})
        });
        Ok(Outcome { status, report })
    }
}

/// Reads what a process says: how far it is, and other lines, which are kept.
fn hear(stderr: ChildStderr, progress: &impl Fn(u64, u64)) -> Vec<String> {
    let mut said = Vec::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let numbers = line.strip_prefix(PROGRESS).and_then(|numbers| {
            let (done, total) = numbers.trim().split_once(' ')?;
            Some((done.parse().ok()?, total.parse().ok()?))
        });
        match numbers {
            Some((done, total)) => progress(done, total),
            None => said.push(line.trim_start_matches("ploopconv: ").to_owned()),
        }
    }
    said
}

/// Waits for the end of a process, and hands on the first signal that comes meanwhile.
fn hand_on(child: &mut Child, signal: &AtomicUsize) {
    let mut is_told = false;
    while let Ok(None) = child.try_wait() {
        let heard = signal.load(Ordering::SeqCst);
        if heard != 0 && !is_told {
            is_told = true;
            let number = i32::try_from(heard).ok();
            let heard = number.and_then(|number| Signal::try_from(number).ok());
            let id = child.id().cast_signed();
            // It may have ended meanwhile.
            let _ = heard.map(|heard| kill(Pid::from_raw(id), heard));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
